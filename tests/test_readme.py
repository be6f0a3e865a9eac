"""What the README shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from affectlib.artifacts import DEFAULT_MODEL, bundled_models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_example_prints_what_it_says():
    code, expected = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.S).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == expected


def test_figures_are_those_of_the_card():
    card = (bundled_models()[DEFAULT_MODEL] / "README.md").read_text(encoding="utf-8")
    section = README.split("## How good is it?")[1].split("\n## ")[0]
    figures = re.findall(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", section)
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in card] == []


def test_files_it_names_are_there():
    for path in re.findall(r"(?:configs|examples|training|affectlib)/[\w./-]+\w", README):
        assert (ROOT / path).exists(), path


def test_ci_calls_the_same_test_command():
    command = re.search(r"pip install -e '\.\[dev\]'\n(.+)\n", README)
    assert command is not None
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == command[1]
