"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models
from tests.pages import ROOT, blocks_of, run_page

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_it_shows_is_what_happens(beside_examples: Path) -> None:
    shown = [block.language for block in blocks_of(ROOT / "README.md") if block.output]
    assert shown == ["sh", "python"]
    run_page(ROOT / "README.md")


def test_two_commands_of_one_line_do_all_the_setting_up() -> None:
    blocks = [block.text for block in blocks_of(ROOT / "README.md") if block.language == "sh"]
    assert blocks[0] == (
        "pip install . && affectlib label examples/transcripts.jsonl -o labels.parquet\n"
    )
    # The second is what CI does last.
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith(f"\n{blocks[1]}")
    assert blocks[2:] == []


def test_commands_for_contributors_are_there() -> None:
    run_page(ROOT / "CONTRIBUTING.md")


def test_it_is_short() -> None:
    assert len(README.split()) <= 800


def test_figures_are_those_of_the_card() -> None:
    card = (bundled_models()[DEFAULT_MODEL] / "README.md").read_text(encoding="utf-8")
    section = README.split("## How good is it?")[1].split("\n## ")[0]
    figures = re.findall(r"\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)", section)
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in card] == []


def test_files_it_names_are_there() -> None:
    for path in re.findall(r"(?:configs|docs|examples|training|affectlib)/[\w./-]+\w", README):
        assert (ROOT / path).exists(), path
