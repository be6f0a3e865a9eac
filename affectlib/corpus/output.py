"""Rows written to Parquet, JSON Lines or CSV files, each of them all or nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from affectlib._atomic import (
    attach_filename,
    locked,
    open_private,
    publish,
    replacing,
    temporary_of,
)

if TYPE_CHECKING:
    import pyarrow

    from affectlib.corpus.rows import Row

_GROUP = 1000
_MERGED_GROUP = 10_000
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Text that a spreadsheet would take for a formula, or that has an apostrophe against that."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's size in bytes and SHA-256, which tell whether it is still what was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileFacts:
        """Read a file and return its facts."""
        with attach_filename(path), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.stat().st_size, digest)

    def problem(self, path: Path) -> str | None:
        """Return how a file differs from these facts, or None."""
        if not path.is_file():
            return "it is missing"
        if (size := path.stat().st_size) != self.bytes:
            return f"it has {size:,} bytes, was written with {self.bytes:,}"
        return None if FileFacts.of(path) == self else "it was altered (other SHA-256)"


class OutputFile:
    """A file of rows, with a suffix in `SUFFIXES`, that gets its name when it is complete."""

    def __init__(self, path: Path, schema: pyarrow.Schema) -> None:
        self.path = path
        self._temporary = temporary_of(path)
        with attach_filename(path):
            self._file = open_private(self._temporary)
        self._rows: list[Row] = []
        try:
            self._sink = _SINKS[path.suffix](self._file, schema)
        except BaseException:
            self.close()
            raise

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows; columns that one lacks are null."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def append(self, parts: Sequence[Path]) -> None:
        """Add the rows of files of the same suffix and columns, in order."""
        with attach_filename(self.path):
            self._sink.append(parts)

    def finish(self) -> None:
        """Write what is left, and wait until it is on the disk."""
        self._flush()
        with attach_filename(self.path):
            self._sink.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def facts(self) -> FileFacts:
        """Return the facts of the finished file, before it gets its name."""
        return FileFacts.of(self._temporary)

    def publish(self) -> None:
        """Give the finished file its name."""
        publish(self._temporary, self.path)

    def close(self) -> None:
        """Close the file, and remove it unless it was published."""
        with suppress(Exception):
            self._sink.close()
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            with attach_filename(self.path):
                self._sink.write(self._rows)
            self._rows = []


def write_rows(path: Path, rows: Iterable[Row], schema: pyarrow.Schema) -> None:
    """Write rows to a file of a suffix in `SUFFIXES`, all or nothing."""
    with locked(path), closing(OutputFile(path, schema)) as file:
        file.add(rows)
        file.finish()
        file.publish()


class StandardOutput:
    """Rows as JSON Lines on standard output."""

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._sink = _JsonLines(cast(BinaryIO, sys.stdout.buffer), schema)

    def add(self, rows: list[Row]) -> None:
        """Write rows; columns that one lacks are null."""
        with attach_filename("standard output"):
            self._sink.write(rows)

    def close(self) -> None:
        """Write what still waits in memory."""
        with attach_filename("standard output"):
            self._sink.close()


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by one with this text, all or nothing."""
    with replacing(path) as file:
        file.write(text.encode())


class _Sink(Protocol):
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None: ...
    def write(self, rows: list[Row]) -> None: ...
    def append(self, parts: Sequence[Path]) -> None: ...
    def close(self) -> None: ...


class _Parquet:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        from pyarrow.parquet import ParquetWriter

        self._schema = schema
        self._writer = ParquetWriter(file, schema)

    def write(self, rows: list[Row]) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(rows, schema=self._schema))

    def append(self, parts: Sequence[Path]) -> None:
        import pyarrow
        from pyarrow.parquet import read_table

        waiting = self._schema.empty_table()
        for part in parts:
            with part.open("rb") as file:  # Arrow cannot open paths that are not valid Unicode
                waiting = pyarrow.concat_tables([waiting, read_table(file).cast(self._schema)])
            while len(waiting) >= _MERGED_GROUP or (part is parts[-1] and len(waiting)):
                # Groups of one size, so that the bytes do not depend on the size of shards.
                self._writer.write_table(waiting[:_MERGED_GROUP].combine_chunks())
                waiting = waiting[_MERGED_GROUP:]

    def close(self) -> None:
        try:
            self._writer.close()
        finally:  # else it tries again when it is collected, and prints the error
            self._writer.is_open = False


class _JsonLines:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        self._file = file
        self._names = schema.names

    def write(self, rows: list[Row]) -> None:
        for row in rows:
            values = {name: _plain(row.get(name)) for name in self._names}
            self._file.write(json.dumps(values).encode() + b"\n")

    def append(self, parts: Sequence[Path]) -> None:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, self._file)

    def close(self) -> None:
        self._file.flush()


class _Csv:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        self._file = file
        self._text = io.TextIOWrapper(file, "utf-8", newline="")
        self._writer = csv.DictWriter(self._text, schema.names)
        self._writer.writeheader()

    def write(self, rows: list[Row]) -> None:
        self._writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)

    def append(self, parts: Sequence[Path]) -> None:
        self._text.flush()
        header = self._file.tell()
        for part in parts:
            with part.open("rb") as file:
                file.seek(header)  # skip the header, which is there already
                shutil.copyfileobj(file, self._file)

    def close(self) -> None:
        self._text.detach()


_SINKS: Mapping[str, type[_Sink]] = {".parquet": _Parquet, ".jsonl": _JsonLines, ".csv": _Csv}
SUFFIXES = tuple(_SINKS)
"""Suffixes of an output, which say how it is written."""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(value: Any) -> Any:
    # Text with apostrophes before a formula gets one more, so that removing one restores it.
    if isinstance(value, str) and FORMULA.match(value):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else _plain(value)
