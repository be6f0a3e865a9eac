"""Rows that belong together, brought together from wherever they stand.

Rows go to a temporary file first; memory holds only the place of each row of each group.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from affectlib._values import Unreadable
from affectlib.errors import ConversationError
from affectlib.formats._progress import Progress

TOO_LONG = "it is longer than the limit (record_characters)"
"""What is wrong with a conversation or line that is."""

_TYPE = "\x00type"
"""The key that marks a value of a type that JSON does not have."""

_KINDS: Mapping[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: (bytes.hex, bytes.fromhex),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    Decimal: (str, Decimal),
    UUID: (str, UUID),
}
"""How values of these types are written and read again."""


class Row(NamedTuple):
    """A row, and its place in the file."""

    place: str
    fields: dict[str, Any]


class Group(NamedTuple):
    """The rows that have a key in common, in the order of the file; if too long, the first ones."""

    key: str | None
    rows: list[Row]
    complete: bool

    def require_all(self) -> None:
        """Raise unless all rows are there."""
        if not self.complete:
            raise ConversationError(TOO_LONG)


def grouped(
    rows: Iterable[tuple[str | None, Row]], *, limit: int, progress: Progress
) -> Iterator[Group]:
    """Bring rows with the same key together, and yield groups in the order of their last rows.

    The rows of a group may have `limit` bytes as JSON.
    """
    starts: dict[str | None, array[int]] = {}
    with tempfile.TemporaryFile() as file:
        end = 0
        for key, row in rows:
            found = starts.pop(key, None)
            starts[key] = array("Q") if found is None else found
            starts[key].append(end)
            end += file.write(json.dumps(row, default=_packed).encode() + b"\n")
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
                group.append(Row(*json.loads(line, object_hook=_unpacked)))
            done += 1
            yield Group(key, group, len(group) == len(begins))


def _packed(value: Any) -> dict[str, str]:
    """Write a value that JSON does not have, so that it does not come back as text."""
    for kind, (write, _) in _KINDS.items():
        if isinstance(value, kind):
            return {_TYPE: kind.__name__, "value": write(value)}
    return {_TYPE: value.kind if isinstance(value, Unreadable) else type(value).__name__}


def _unpacked(fields: dict[str, Any]) -> Any:
    if _TYPE not in fields:
        return fields
    read = {kind.__name__: read for kind, (_, read) in _KINDS.items()}
    try:
        return read[fields[_TYPE]](fields["value"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return Unreadable(str(fields[_TYPE]))
