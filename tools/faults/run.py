"""Fail the n-th step to the disk of a command."""

from __future__ import annotations

import errno
import gzip
import io
import itertools
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from affectlib import _atomic
from affectlib.corpus.label_file import label_file
from affectlib.errors import AffectlibError
from affectlib.formats import read_conversations
from affectlib.formats.canonical import write_conversations
from tests.fake_classifier import FakeClassifier

CALLS = ("fsync", "replace", "rename", "mkdir", "unlink", "remove", "chmod")
"""Functions of `os` that fail; to these come the opening and writing of files."""

PROBLEMS = (errno.ENOSPC, errno.EIO)


class Disk:
    """A disk of which one step fails; it counts the `steps` taken."""

    def __init__(self, failing: int, problem: int, lasting: bool) -> None:
        self.steps = 0
        self._failing = failing
        self._problem = problem
        self._lasting = lasting

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._failing or (self._lasting and self.steps > self._failing):
            raise OSError(self._problem, os.strerror(self._problem))


class _File(io.BufferedIOBase):
    """A file of which each write is a step."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self._file, self._disk = file, disk

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._disk.step()
        return int(self._file.write(data))

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def fileno(self) -> int:
        return int(self._file.fileno())

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def failing(number: int, problem: int, *, lasting: bool) -> Iterator[Disk]:
    """Let the n-th step fail while the block lasts, or all from the n-th on."""
    disk = Disk(number, problem, lasting)

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **options: Any) -> Any:
            disk.step()
            return call(*arguments, **options)

        return stepping

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrapped(getattr(os, name)))
        opened = wrapped(_atomic.open_private)
        for module in ("affectlib._atomic", "affectlib.corpus.output"):
            patch.setattr(f"{module}.open_private", lambda path: _File(opened(path), disk))
        yield disk


class _Raw(io.FileIO):
    """A file of which each read is a step."""

    disk: Disk

    def readinto(self, buffer: Any) -> Any:
        self.disk.step()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self.disk.step()
        return super().readall()


@contextmanager
def failing_reads(number: int, folder: Path, *, lasting: bool) -> Iterator[Disk]:
    """Let the n-th reading from files below a folder fail while the block lasts; see `failing`."""
    disk = Disk(number, errno.EIO, lasting)
    opened, table = io.open, pyarrow.parquet.read_table

    def opening(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        ours = isinstance(file, str | Path) and Path(file).is_relative_to(folder)
        if not ours or mode not in ("r", "rb"):
            return opened(file, mode, *arguments, **options)
        disk.step()
        raw = _Raw(file)
        raw.disk = disk
        binary = io.BufferedReader(raw)
        return binary if mode == "rb" else io.TextIOWrapper(binary, *arguments[1:], **options)

    def reading(source: Any, *arguments: Any, **options: Any) -> Any:
        disk.step()
        return table(source, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", opening)
        patch.setattr("builtins.open", opening)
        patch.setattr(pyarrow.parquet, "read_table", reading)
        yield disk


def sources(folder: Path, records: int) -> dict[str, Path]:
    """Write the same transcripts in several ways, and return where they are by what they are."""
    lines = source(folder, records)
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    found = {"JSON Lines": lines, "gzip": folder / "in.jsonl.gz", "Parquet": folder / "in.parquet"}
    found["gzip"].write_bytes(gzip.compress(lines.read_bytes()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), found["Parquet"], row_group_size=2)
    found["ZIP"] = folder / "in.zip"
    found["folder"] = folder / "in"
    found["folder"].mkdir()
    with zipfile.ZipFile(found["ZIP"], "w") as archive:
        for name in ("a.jsonl", "b.jsonl"):
            archive.write(lines, name)
            (found["folder"] / name).write_bytes(lines.read_bytes())
    return found


def source(folder: Path, records: int) -> Path:
    path = folder / "in.jsonl"
    with path.open("w") as file:
        for number in range(records):
            messages = [{"role": "user", "content": ("so sad", "csv")[number % 2]}]
            file.write(json.dumps({"id": str(number), "messages": messages}) + "\n")
    return path


def _label(src: Path, dst: Path, resume: bool) -> None:
    label_file(src, dst, classifier=FakeClassifier(), level="both", resume=resume)  # type: ignore[arg-type]


def _convert(src: Path, dst: Path, resume: bool) -> None:
    write_conversations(read_conversations(src), dst, overwrite=resume)


COMMANDS: dict[str, tuple[Callable[[Path, Path, bool], None], str]] = {
    "label to Parquet": (_label, "out.parquet"),
    "label to CSV": (_label, "out.csv"),
    "label to JSON Lines": (_label, "out.jsonl"),
    "label to a folder": (_label, "out"),
    "convert": (_convert, "out.jsonl"),
}


def contents(folder: Path) -> dict[str, Any]:
    """Return the files of an output, manifests empty; of shards, the rows of each table."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.endswith(".lock"):
            continue
        name = path.relative_to(folder).as_posix()
        if path.name.startswith("part-"):
            rows = pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
            found.setdefault(str(Path(name).parent), []).extend(rows)
        else:
            found[name] = b"" if "manifest" in path.name else path.read_bytes()
    return found


def fail_every_step(
    name: str,
    src: Path,
    folder: Path,
    *,
    lasting: bool,
    reads: bool = False,
    first: int = 1,
    every: int = 1,
) -> int:
    """Fail each step of a command in turn; returns how many there are.

    After each, the command is run again to resume; its output, and what the failed run left under
    the output's name, must be that of a run that nothing stopped.

    Args:
        name: One of `COMMANDS`.
        src: The transcripts.
        folder: An empty folder to work in; the transcripts may lie in it.
        lasting: Whether all steps fail from the n-th on, or only it.
        reads: Whether the steps are reads instead of writes.
        first: The first step that fails.
        every: Which of the steps after it fail: each second, third …
    """
    command, target = COMMANDS[name]
    whole = folder / "whole"
    whole.mkdir()
    command(src, whole / target, False)
    expected = contents(whole)
    shutil.rmtree(whole)
    for number in itertools.count(first, every):
        place = folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        how = (
            failing_reads(number, folder, lasting=lasting)
            if reads
            else failing(number, PROBLEMS[number // every % 2], lasting=lasting)
        )
        with how as disk:
            try:
                command(src, place / target, False)
                ended = True
            except (OSError, AffectlibError):
                ended = False
        if ended:
            assert contents(place) == expected, f"{name}, step {number}: it ended, but wrongly"
            if disk.steps < number:
                return disk.steps
            continue
        left = place / target
        if left.is_file():
            assert left.read_bytes() == expected[target], f"{name}, step {number}: half an output"
        command(src, place / target, True)
        assert contents(place) == expected, f"{name}, step {number}: resumed to something else"
