"""The bounds in pyproject.toml can be read, and pinned to the lowest versions."""

from __future__ import annotations

import doctest
import tomllib

import pytest

from tests import dependencies
from tests.dependencies import ROOT, lowest, main, requirements


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_examples():
    assert doctest.testmod(dependencies).failed == 0
    assert doctest.testmod(dependencies).attempted >= 3


def test_every_requirement_of_users_has_a_lower_bound(project):
    for extra in set(project["optional-dependencies"]) - {"dev"}:
        assert lowest(requirements(project, [extra]))


def test_extras_that_extras_name_are_included(project):
    pins = lowest(requirements(project, ["openvino"]))
    assert any(pin.startswith("torch==") for pin in pins)
    assert any(pin.startswith("numpy==") for pin in pins)


def test_what_has_no_bound_is_named():
    with pytest.raises(ValueError, match="types-tqdm"):
        lowest(["types-tqdm"])


def test_unknown_word_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["oldest"])
    assert "oldest" in capsys.readouterr().err
