"""Tables in long format, one row a message: CSV, TSV and Parquet.

A table has columns for the conversation's id, the role and the content; it may have others (see
`FIELDS`). They are found by their usual names, or named by the caller.

The rows of a conversation need not stand together. A table is read twice: first the ids alone, to
learn where each conversation ends, then its rows, and each conversation is handed out at its last
row. In memory are the ids, and the rows of those conversations that are open at the time: one
where the table is sorted, in the worst case all.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, BinaryIO, TextIO

from affectlib.conversation import Conversation
from affectlib.errors import ConversationError, OptionError, TranscriptFormatError
from affectlib.formats._fields import name_list, to_conversation, to_message, to_text, to_time
from affectlib.predictions import ConversationFailure

__all__ = [
    "FIELDS",
    "allow_long_cells",
    "find_columns",
    "find_delimiter",
    "missing_columns",
    "read_csv",
    "read_parquet",
]

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "conversation_id": (
            "conversation_id",
            "conversation",
            "chat_id",
            "thread_id",
            "conv_id",
            "session_id",
            "dialogue_id",
        ),
        "role": ("role", "sender", "speaker", "author", "from"),
        "content": ("content", "text", "message", "body"),
        "turn": ("turn", "index", "turn_index", "message_index", "position"),
        "timestamp": ("timestamp", "created_at", "create_time", "date"),
        "message_id": ("message_id",),
        "user_id": ("user_id", "user"),
        "model": ("model",),
        "language": ("language", "lang"),
        "title": ("title",),
        "source": ("source",),
    }
)
"""What a row can say, and the column names that are taken for it, the likeliest first."""

_REQUIRED = ("conversation_id", "role", "content")
_DELIMITERS = ",\t;|"
_LONGEST_CELL = 2**31 - 1
_FLOAT_ID = re.compile(r"(\d+)\.0+")

_Row = Mapping[str, Any]
_Rows = Iterator[tuple[int, _Row]]


def find_columns(
    names: Sequence[str], given: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """Find out which column holds what.

    Args:
        names: The table's columns.
        given: Columns that the caller named, by field.

    Returns:
        Column names by field, None if one that is needed cannot be found.

    Raises:
        OptionError: The caller named an unknown field or a column that is not there.

    Example:
        >>> find_columns(["Chat ID", "sender", "body"])
        {'conversation_id': 'Chat ID', 'role': 'sender', 'content': 'body'}
    """
    given = given or {}
    if unknown := given.keys() - FIELDS.keys():
        raise OptionError(f"columns cannot say where {min(unknown)!r} is; use {', '.join(FIELDS)}")
    by_name = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(names)}
    found = {}
    for field, synonyms in FIELDS.items():
        if field in given:
            if given[field] not in names:
                raise OptionError(
                    f"there is no column {given[field]!r}; the table has {name_list(names)}"
                )
            found[field] = given[field]
        else:
            free = (by_name[name] for name in synonyms if name in by_name)
            column = next((name for name in free if name not in given.values()), None)
            if column is not None:
                found[field] = column
    return found if all(field in found for field in _REQUIRED) else None


def find_delimiter(header: str, given: Mapping[str, str] | None = None) -> str | None:
    r"""Return the delimiter under which the header names the columns needed, None if none does.

    Example:
        >>> find_delimiter("conversation_id;role;content\n")
        ';'
    """
    problem = None
    for delimiter in _DELIMITERS:
        try:
            if find_columns(next(csv.reader([header], delimiter=delimiter), []), given):
                return delimiter
        except OptionError as error:
            problem = problem or error
        except csv.Error:
            continue
    if problem is not None:
        raise problem
    return None


def allow_long_cells() -> None:
    """Raise the csv module's limit, which is one for the whole process.

    By default it is 128 KiB, which is less than some messages.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


def read_csv(
    stream: TextIO, *, columns: Mapping[str, str] | None = None
) -> Iterator[Conversation | ConversationFailure]:
    """Read conversations from a CSV or TSV table.

    Args:
        stream: A seekable text stream, opened with ``newline=""``.
        columns: Column names by field, where the usual names do not do.

    Yields:
        A conversation for each id, in the order of their last rows, or why there is none.

    Raises:
        TranscriptFormatError: The header does not name the columns needed.
        OptionError: `columns` names one that is not there.
    """
    allow_long_cells()
    header = next((line for line in stream if line.strip()), None)
    if header is None:
        return
    delimiter = find_delimiter(header, columns)
    if delimiter is None:
        raise TranscriptFormatError(missing_columns(header))

    def rows() -> _Rows:
        stream.seek(0)
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=delimiter)
        filled = (cells for cells in reader if any(cells))
        names = next(filled)
        found = find_columns(names, columns) or {}
        places = {field: names.index(column) for field, column in found.items()}
        width = len(names)
        for cells in filled:
            row: dict[str, Any] = {
                field: cells[place] for field, place in places.items() if place < len(cells)
            }
            if lines.ended:
                row["problem"] = "the file ends inside a quoted cell"
            elif len(cells) < width or any(cells[width:]):
                row["problem"] = f"the row has {len(cells)} cells, the header {width}"
            yield reader.line_num, row

    yield from _conversations(rows, "line")


def read_parquet(
    stream: BinaryIO, *, columns: Mapping[str, str] | None = None
) -> Iterator[Conversation | ConversationFailure]:
    """Read conversations from a Parquet table.

    Args:
        stream: A seekable binary stream.
        columns: Column names by field, where the usual names do not do.

    Yields:
        A conversation for each id, in the order of their last rows, or why there is none.

    Raises:
        TranscriptFormatError: The file is damaged or lacks a column.
        OptionError: `columns` names one that is not there.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream)
    except (pyarrow.ArrowException, OSError):
        raise TranscriptFormatError("the Parquet file is damaged or cut short") from None
    names = file.schema_arrow.names
    found = find_columns(names, columns)
    if found is None:
        raise TranscriptFormatError(_missing_columns(names))
    fields = {column: field for field, column in found.items()}

    def rows() -> _Rows:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=1024, columns=list(fields)):
                for row in batch.to_pylist():
                    yield number, {fields[column]: value for column, value in row.items()}
                    number += 1
        except (pyarrow.ArrowException, OSError):
            raise TranscriptFormatError("the Parquet file is damaged", line=number) from None

    yield from _conversations(rows, "row")


def missing_columns(header: str) -> str:
    """Say that a text file's first line is not the header of a table of messages."""
    delimiter = max(_DELIMITERS, key=header.count)
    if delimiter not in header or "\x00" in header:
        return "found neither JSON nor a table"
    return _missing_columns(header.strip().split(delimiter))


def _missing_columns(names: Sequence[str]) -> str:
    return (
        f"found a table with the columns {name_list(names)}, but none of its columns has a usual "
        "name for the conversation's id, the role or the content; name them, "
        "for example columns={'conversation_id': 'chat', 'role': 'who', 'content': 'words'}"
    )


class _Lines:
    """The lines of a file, and whether they have all been read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            self.ended = True
            raise StopIteration
        return line


def _conversations(
    rows: Callable[[], _Rows], unit: str
) -> Iterator[Conversation | ConversationFailure]:
    last = {_conversation_id(row): number for number, row in rows()}
    waiting: defaultdict[str | None, list[tuple[str, _Row]]] = defaultdict(list)
    for number, row in rows():
        identifier = _conversation_id(row)
        waiting[identifier].append((f"{unit} {number}", row))
        if last[identifier] == number:
            yield _conversation(identifier, _in_order(waiting.pop(identifier)))


def _conversation(
    identifier: str | None, rows: Sequence[tuple[str, _Row]]
) -> Conversation | ConversationFailure:
    messages = []
    for index, (place, row) in enumerate(rows):
        try:
            if "problem" in row:
                raise ConversationError(f"{row['problem']}; a quote may be missing")
            if identifier is None:
                raise ConversationError("the cell is empty", field="conversation_id")
            message = {
                "role": row.get("role"),
                "content": _content(row.get("content")),
                "id": to_text(row.get("message_id")),
                "timestamp": row.get("timestamp"),
            }
            messages.append(to_message(message, index))
        except ConversationError as error:
            return ConversationFailure(identifier, f"{type(error).__name__}: {place}: {error}")
    about = {
        field: next((row[field] for _, row in rows if row.get(field) not in (None, "")), None)
        for field in ("user_id", "model", "language", "title", "source")
    }
    about["user_id"] = _whole(to_text(about["user_id"]))
    return to_conversation({**about, "id": identifier}, messages)


def _content(value: Any) -> Any:
    """Return the content, the empty string for a gap (null, or the NaN that pandas makes of it)."""
    return "" if value is None or value != value else value


def _in_order(rows: list[tuple[str, _Row]]) -> list[tuple[str, _Row]]:
    """Sort rows by their turn, else by their time, if every row has one."""
    for key in (lambda row: _number(row.get("turn")), lambda row: to_time(row.get("timestamp"))):
        keys: list[float | datetime | None] = [key(row) for _, row in rows]
        if None not in keys:
            order = sorted(range(len(rows)), key=keys.__getitem__)  # type: ignore[arg-type]
            return [rows[position] for position in order]
    return rows


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number else None


def _conversation_id(row: _Row) -> str | None:
    return _whole(to_text(row.get("conversation_id")))


def _whole(identifier: str | None) -> str | None:
    """Undo what a column of floats does to whole numbers, such as 12 to 12.0."""
    match = _FLOAT_ID.fullmatch(identifier or "")
    return match[1] if match else identifier
