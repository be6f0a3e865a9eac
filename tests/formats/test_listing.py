"""Which files folders and patterns stand for, whatever links, loops and permissions there are."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from affectlib.cli import main
from affectlib.formats import ReadReport
from affectlib.formats.listing import list_files
from tests.transcript_files import chat, error_of, lines, read, texts, write

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one in a subfolder."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write(tmp_path / "in", lines(chat("one")), "a.jsonl")
    write(tmp_path / "in" / "sub", lines(chat("two")), "b.jsonl")
    return tmp_path / "in"


def skipped(report: ReadReport) -> dict[str, int]:
    return {reason: tally.count for reason, tally in report.skipped.items()}


@pytest.mark.parametrize("pattern", ["**/*.jsonl", "**/**/*.jsonl", "**"])
@pytest.mark.parametrize("target", [".", "..", "sub"])
def test_a_loop_of_links_is_left_out_and_counted(folder: Path, pattern: str, target: str) -> None:
    (folder / "sub" / "loop").symlink_to(folder / target, target_is_directory=True)
    report = ReadReport()
    found = read(str(folder / pattern), report=report)
    assert sorted(text for item in found for text in texts(item)) == ["one", "two"]
    assert skipped(report)["it is a link to a folder that is read in any case"] >= 1


@pytest.mark.parametrize("how", ["symlink", "hard link"])
@pytest.mark.parametrize("pattern", ["", "*.jsonl", "**/*.jsonl"])
def test_a_file_of_several_names_is_read_once_under_its_own(
    folder: Path, how: str, pattern: str
) -> None:
    if how == "symlink":
        (folder / "0.jsonl").symlink_to(folder / "a.jsonl")
    else:
        os.link(folder / "a.jsonl", folder / "z.jsonl")
    listing = list_files(str(folder / pattern))
    assert listing is not None
    assert [Path(name).name for name in listing.files if "a.js" in name] == ["a.jsonl"]
    assert list(listing.skipped.values()) == ["it is another name of a file that is read"]
    report = ReadReport()
    assert ["one"] in [texts(item) for item in read(str(folder / pattern), report=report)]
    assert sum(skipped(report).values()) == 1


def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody, not even root, look into a folder."""
    scandir, listdir = os.scandir, os.listdir

    def refuse(call: Any) -> Any:
        def wrapped(path: Any = ".") -> Any:
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return call(path)

        return wrapped

    monkeypatch.setattr(os, "scandir", refuse(scandir))
    monkeypatch.setattr(os, "listdir", refuse(listdir))


@pytest.mark.parametrize("pattern", ["", "**/*.jsonl", "*/*.jsonl"])
def test_a_folder_that_cannot_be_read_is_named_with_status_1(
    folder: Path, pattern: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other").mkdir()
    write(folder / "other", lines(chat("three")), "c.jsonl")
    closed(folder / "sub", monkeypatch)
    *good, bad = read(str(folder / pattern))
    assert ["three"] in [texts(item) for item in good]
    assert "sub: the folder cannot be read: Permission denied" in error_of(bad)
    source = str(folder / pattern)
    assert main(["info", source, "-o", str(folder.parent / "out.jsonl")]) == 1
    assert "the folder cannot be read: Permission denied" in capsys.readouterr().err
    assert main(["info", source, "--no-languages"]) == 1


def test_a_linked_folder_elsewhere_is_named_with_status_1(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", lines(chat("three")), "c.jsonl")
    (folder / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    *good, bad = read(folder)
    assert [texts(item) for item in good] == [["one"], ["two"]]
    assert "link: it is a link to a folder elsewhere" in error_of(bad)
    assert main(["info", str(folder), "--no-languages"]) == 1
    assert [texts(item) for item in read(str(folder / "**" / "*.jsonl"))][-1] == ["two"]
    assert len(read(str(folder / "**" / "*.jsonl"))) == 3, "a pattern follows links"


def test_links_that_lead_nowhere_are_no_files(folder: Path) -> None:
    (folder / "gone").symlink_to(folder / "not there")
    (folder / "self").symlink_to(folder / "self")
    assert [texts(item) for item in read(folder)] == [["one"], ["two"]]


PARTS = st.sampled_from(["*", "**", "a", "b*", "?", "[ab]", ".h", ".*", "x.jsonl", "*.jsonl"])


@settings(max_examples=150, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=4))
@example(["a", "x.jsonl", "a", "**"])
def test_patterns_fit_what_those_of_glob_fit(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "patterns"
    for name in ("a", "b1", ".h", "a/b2", "a/.h", "b1/a", "b1/a/b3"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "x.jsonl").touch()
    pattern = os.path.join(folder, *parts)
    fitting = filter(os.path.isfile, glob.glob(pattern, recursive=True))  # some are not there
    expected = {*map(os.path.normpath, fitting)}
    try:
        listing = list_files(pattern)
    except FileNotFoundError:
        assert expected == set()
        return
    if listing is None or os.path.isdir(pattern):
        return
    assert {*listing.files} == expected
