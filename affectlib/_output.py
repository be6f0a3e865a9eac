"""How rows become a Parquet, JSON Lines or CSV file, all or nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

if TYPE_CHECKING:
    import pyarrow

_GROUP = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Output:
    """Rows on their way to a file that gets its name only when it is complete.

    Args:
        target: The output, of a suffix in `SUFFIXES`, or ``-`` for JSON Lines on standard output.
        schema: Its columns.
    """

    def __init__(self, target: str, schema: pyarrow.Schema) -> None:
        """Open the output."""
        self._rows: list[dict[str, Any]] = []
        self._written = False
        self._final: Path | None = None
        if target == "-":
            self._file = cast(BinaryIO, sys.stdout.buffer)
            self._sink: _Sink = _JsonLines(self._file, schema)
            return
        self._final = Path(target)
        self._temporary = self._final.with_name(f".{self._final.name}.{os.getpid()}.tmp")
        self._file = self._temporary.open("wb")
        self._sink = _SINKS[self._final.suffix](self._file, schema)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows; columns that one lacks are null."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def commit(self) -> None:
        """Finish the file and give it its name."""
        self._finish()
        if self._final is not None:
            self._temporary.replace(self._final)

    def abandon(self) -> Path | None:
        """Keep what there is under another name and return it, None if there is nothing."""
        if self._final is None:
            return None
        with suppress(Exception):  # the error that led here is the one to tell
            self._finish()
        self._file.close()
        if not self._written:
            self._temporary.unlink(missing_ok=True)
            return None
        return self._temporary.replace(self._final.with_name(f"{self._final.name}.partial"))

    def _flush(self) -> None:
        if self._rows:
            self._sink.write(self._rows)
            self._rows = []
            self._written = True

    def _finish(self) -> None:
        if not self._file.closed:
            try:
                self._flush()
            finally:
                self._sink.close()
            self._file.flush()
            if self._final is not None:
                os.fsync(self._file.fileno())
                self._file.close()


class _Sink(Protocol):
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None: ...
    def write(self, rows: list[dict[str, Any]]) -> None: ...
    def close(self) -> None: ...


class _Parquet:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        from pyarrow.parquet import ParquetWriter

        self._schema = schema
        self._writer = ParquetWriter(file, schema)

    def write(self, rows: list[dict[str, Any]]) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _JsonLines:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        self._file = file
        self._names = schema.names

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            values = {name: _plain(row.get(name)) for name in self._names}
            self._file.write(json.dumps(values).encode() + b"\n")

    def close(self) -> None:
        self._file.flush()


class _Csv:
    def __init__(self, file: BinaryIO, schema: pyarrow.Schema) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="")
        self._writer = csv.DictWriter(self._text, schema.names)
        self._writer.writeheader()

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)

    def close(self) -> None:
        self._text.detach()


_SINKS: Mapping[str, type[_Sink]] = {".parquet": _Parquet, ".jsonl": _JsonLines, ".csv": _Csv}
SUFFIXES = tuple(_SINKS)
"""The suffixes of an output that say how it is written."""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(value: Any) -> Any:
    """Return a value for CSV that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else _plain(value)
