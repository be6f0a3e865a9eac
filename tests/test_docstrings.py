"""The examples in docstrings, which the reference shows, give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import affectlib
from affectlib.errors import MissingExtraError

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(affectlib.__path__, "affectlib.")
    if not module.name.endswith("__main__")
)


def examples_in(name: str) -> list[doctest.DocTest]:
    try:
        module = importlib.import_module(name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    found = doctest.DocTestFinder().find(module, name)
    return [test for test in found if test.examples and can_run(test)]


def can_run(test: doctest.DocTest) -> bool:
    """Tell whether everything is installed that the examples import."""
    source = "".join(example.source for example in test.examples)
    packages = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
    return all(find_spec(package) is not None for package in packages)


@pytest.mark.filterwarnings("ignore:the model's screen does not hold:UserWarning")
@pytest.mark.parametrize("name", ["affectlib", *MODULES])
def test_examples_give_what_they_say(name: str, beside_examples: Path) -> None:
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples_in(name):
        report: list[str] = []
        failed, _ = runner.run(test, out=report.append)
        assert not failed, "".join(report)


def test_examples_are_found() -> None:
    assert len(examples_in("affectlib.model.aggregation")) == 3


def test_an_example_that_is_wrong_is_found() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1
