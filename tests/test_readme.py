"""What the README shows is what happens."""

from __future__ import annotations

import re

import pytest

from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models
from tests.pages import ROOT, blocks_of, check_command, commands, run_page

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_example_prints_what_it_says():
    assert [block.language for block in blocks_of(ROOT / "README.md") if block.output] == ["python"]
    run_page(ROOT / "README.md")


def test_commands_it_shows_are_there():
    pytest.importorskip("accelerate", reason="training needs affectlib[train]")
    shown = [
        (words, block.place)
        for block in blocks_of(ROOT / "README.md")
        if not block.language and block.text.startswith(("affectlib ", "python ", "pip "))
        for words in commands(block.text)
        if "|" not in words  # of which one is to be chosen
    ]
    assert len(shown) > 20
    for words, place in shown:
        check_command(words, place)


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
