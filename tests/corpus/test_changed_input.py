"""An input that somebody writes to while it is read, and an output folder that vanishes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from affectlib.corpus import label_file as corpus
from affectlib.errors import ResumeError, SourceChangedError
from tests.corpus.test_label_file import label, record, source

MANY = [record("so sad", id=str(n)) for n in range(30)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 4)


@pytest.mark.parametrize("name", ["out.csv", "out", "-"])
@pytest.mark.parametrize("change", ["appended", "replaced", "added", "removed", "rewritten"])
def test_what_is_read_is_what_was_hashed_or_it_is_refused(
    tmp_path: Path, name: str, change: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    src = source(folder, *MANY)
    other = folder / "z.jsonl"
    shutil.copy(src, other)
    dst: Any = "-" if name == "-" else tmp_path / name

    def progress(summary: corpus.LabelSummary) -> None:
        if summary.conversations != 2:
            return
        if change == "appended":
            with src.open("a") as file:
                file.write(src.read_text().splitlines()[0] + "\n")
        elif change == "replaced":
            shutil.copy(src, tmp_path / "copy")
            os.replace(tmp_path / "copy", src)
        elif change == "added":
            shutil.copy(src, folder / "a.jsonl")
        elif change == "removed":
            src.unlink()
        else:
            src.write_text(src.read_text().replace("sad", "mad"))

    with pytest.raises(SourceChangedError, match="changed while it was read") as caught:
        label(folder, dst, progress=progress)
    assert "can be resumed" not in " ".join(getattr(caught.value, "__notes__", []))
    if name == "out.csv":
        assert not dst.exists()
    if name != "-" and change != "replaced":
        with pytest.raises(ResumeError, match=r"input\."):
            label(folder, dst, resume=True)
        assert label(folder, dst, overwrite=True).failed == 0


@pytest.mark.parametrize("name", ["out.csv", "out"])
def test_an_output_folder_that_vanished_is_not_said_to_be_resumable(
    tmp_path: Path, name: str
) -> None:
    src = source(tmp_path, *MANY)
    place = tmp_path / "place"
    place.mkdir()

    def progress(summary: corpus.LabelSummary) -> None:
        if summary.conversations == 20:
            shutil.rmtree(place, ignore_errors=True)

    with pytest.raises(OSError, match=r"[Nn]o such file") as caught:
        label(src, place / name, progress=progress)
    assert "can be resumed" not in " ".join(getattr(caught.value, "__notes__", []))
    assert str(place) in str(caught.value.filename)
