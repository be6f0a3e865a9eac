"""Rows that belong together, brought together from wherever they stand.

Rows go to a temporary file first; in memory is only where each row of each group lies.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from affectlib.errors import ConversationError
from affectlib.formats._progress import Progress


class Row(NamedTuple):
    """A row, and its place in the file."""

    place: str
    fields: dict[str, Any]


class Group(NamedTuple):
    """The rows of one group, in the order of the file.

    Attributes:
        key: What they have in common.
        rows: The rows; if they are too many, the first ones.
        complete: Whether these are all.
    """

    key: str | None
    rows: list[Row]
    complete: bool

    def require_all(self) -> None:
        """Raise unless all rows are there.

        Raises:
            ConversationError: They are too many.
        """
        if not self.complete:
            raise ConversationError("it is longer than the limit (record_characters)")


def grouped(
    rows: Iterable[tuple[str | None, Row]], *, limit: int, progress: Progress
) -> Iterator[Group]:
    """Bring rows with the same key together.

    Args:
        rows: Keys and rows.
        limit: Bytes that the rows of a group may have as JSON.
        progress: Told how many of the groups were brought together.

    Yields:
        A group for each key, in the order of their last rows.

    Example:
        >>> rows = [("a", Row("line 1", {"x": 1})), ("b", Row("line 2", {"x": 2}))]
        >>> groups = grouped([*rows, rows[0]], limit=1000, progress=Progress())
        >>> [(group.key, len(group.rows)) for group in groups]
        [('b', 1), ('a', 2)]
    """
    starts: dict[str | None, array[int]] = {}
    with tempfile.TemporaryFile() as file:
        end = 0
        for key, row in rows:
            found = starts.pop(key, None)
            starts[key] = array("Q") if found is None else found
            starts[key].append(end)
            end += file.write(json.dumps(row, default=str).encode() + b"\n")
        done = 0
        progress.within = lambda: done / len(starts) if starts else 1.0
        for key, begins in starts.items():
            group: list[Row] = []
            size = 0
            for begin in begins:
                file.seek(begin)
                line = file.readline()
                size += len(line)
                if size > limit and group:
                    break
                group.append(Row(*json.loads(line)))
            done += 1
            yield Group(key, group, len(group) == len(begins))
