"""Public names, signatures and help texts are those of the snapshots: nothing changes unseen."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("sklearn", reason="needs affectlib[sklearn]")
pytest.importorskip("polars", reason="needs affectlib[analysis]")

from tools.snapshots import FOLDER, MODULES, commands, help_of, names_of, snapshots

RENEW = "if that is meant, run: python -m tools.snapshots"
HELP = sorted(path.name for path in FOLDER.glob("*.help.txt"))


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_one_of_each():
    assert {path.name for path in FOLDER.glob("*.txt")} == {*snapshots()}, RENEW
    assert len(HELP) == len(commands()) + 1


@pytest.mark.parametrize("module", MODULES)
def test_public_names_and_signatures(module):
    assert "\n".join(names_of(module)) + "\n" == read(f"{module}.txt"), RENEW


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each version of Python lays out help in its own way"
)
@pytest.mark.parametrize("width", ["40", "200"])
@pytest.mark.parametrize("name", HELP)
def test_help_texts(name, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    command = name.removesuffix(".help.txt").removeprefix("affectlib").lstrip("_")
    assert help_of(command) == read(name), RENEW
