"""Rows of CSV; a stray quote costs one row and no others."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from affectlib.formats.grouping import Row

PROBLEM = "\x00problem"
"""The column that says what is wrong with a row."""

_LONGEST_CELL = 2**31 - 1


def allow_long_cells() -> None:
    """Raise the csv module's limit, which is one for the whole process.

    By default it is 128 KiB, which is less than some messages.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


class LongRowError(Exception):
    """A row is longer than allowed."""


class Lines(Iterator[str]):
    """The lines of a file: the `number` of those read, those of the current `row`, and the end."""

    def __init__(self, stream: TextIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._to_read_again = limit
        self._waiting: list[str] = []
        self._size = 0
        self.number = 0
        self.ended = False
        self.row: list[str] = []

    def __next__(self) -> str:
        """Return the next line; raises `LongRowError` after a row that is too long."""
        line = self._waiting.pop() if self._waiting else self._stream.readline(self._limit)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.row.append(line)
        self._size += len(line)
        if self._size >= self._limit:
            while line and not line.endswith(("\n", "\r")):
                line = self._stream.readline(self._limit)
            raise LongRowError
        return line

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self.row = []
        self._size = 0

    def give_back(self, lines: Sequence[str]) -> bool:
        """Read the last lines again; say whether that can be done, not too often in a file."""
        self._to_read_again -= sum(map(len, lines))
        if self._to_read_again < 0:
            return False
        self._waiting += reversed(lines)
        self.number -= len(lines)
        self.ended = False
        return True


def csv_rows(lines: Lines, delimiter: str) -> Iterator[Row]:
    """Yield the rows under a header; what is wrong with a row is in its column `PROBLEM`."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        problem = None
        lines.begin_row()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except LongRowError:
            cells = [""]
            problem = "the row is longer than the limit (record_characters)"
        except csv.Error:
            cells, problem = _with_stray_quote(lines, delimiter)
        if problem is None and not any(cells):
            continue
        if names is None:
            names = cells
            continue
        if cells == names:  # files that were put together one after the other
            continue
        if problem is None and (len(cells) < len(names) or any(cells[len(names) :])):
            problem = (
                f"the row has {len(cells)} cells, the header {len(names)}; a quote may be missing"
            )
        fields: dict[str, Any] = dict.fromkeys(names)
        fields |= reversed([*zip(names, cells, strict=False)])  # of two columns the first counts
        if problem is not None:
            fields[PROBLEM] = problem
        yield Row(f"line {lines.number}", fields)


def _with_stray_quote(lines: Lines, delimiter: str) -> tuple[list[str], str | None]:
    """Return the cells of a row in which a quote is missing or not doubled, and what is wrong.

    In a row of one line nothing is, if its cells are closed. One of several lines has likely
    swallowed other rows: it is its first line, and the others are read again.
    """
    first, *others = lines.row
    problem = "a quote is missing, or one within a cell is not doubled"
    if lines.ended:
        problem = "the file ends inside a quoted cell; a quote may be missing"
    left = iter([first, ""])
    try:
        cells = next(csv.reader(left, delimiter=delimiter))
    except csv.Error:
        cells = [""]
    is_closed = next(left, None) is not None
    if others and not lines.give_back(others):
        problem += f"; the next {len(others):,} lines were not read"
    return cells, None if is_closed and not others else problem
