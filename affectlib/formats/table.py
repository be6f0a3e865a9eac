"""Tables: CSV, TSV, Parquet and JSON rows, long or nested.

A long table has one row a message: columns for the conversation's id, the role and the content,
perhaps others (see `FIELDS`). A nested table has one row a conversation, with its messages as a
list, or as JSON or Python text in a cell. Columns are found by their usual names, or named by the
caller. A table that has neither ids of conversations nor roles is one of texts, each a message of
the user by itself, if the caller names the column of the content.

The rows of a conversation need not stand together. They go to a temporary file first, and each
conversation is handed out in the order of its last row, its messages in the order of their turns,
else of their times, if each has one. Numeric dates with the year last are read if a number above 12
in any of them tells whether the day comes first. A row that repeats the turn (or the message's id),
the role and the content of another counts once; without such a column, repeated rows are kept.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TextIO

from affectlib.conversation import Conversation, Message, is_role
from affectlib.errors import ConversationError, OptionError, TranscriptFormatError
from affectlib.formats._columns import (
    FIELDS,
    describe_columns,
    describe_header,
    find_columns,
    find_delimiter,
)
from affectlib.formats._dates import DateOrder
from affectlib.formats._fields import (
    is_missing,
    kind_of,
    name_list,
    named_message,
    to_conversation,
    to_message,
    to_text,
    to_time,
)
from affectlib.formats._grouping import Group, Row, grouped
from affectlib.formats._json import Record
from affectlib.formats._reader import Item, Reading, RecordReader, TextReader, good_rows
from affectlib.predictions import ConversationFailure

__all__ = ["FIELDS", "NAME", "READERS", "allow_long_cells", "describe_columns", "describe_header"]

NAME = "table"

_FLOAT_ID = re.compile(r"(\d+)\.0+")
_PROBLEM = "\x00problem"
_ABOUT = ("user_id", "model", "language", "title", "source")
_TRIES = 100
_LONGEST_CELL = 2**31 - 1


def allow_long_cells() -> None:
    """Raise the csv module's limit, which is one for the whole process.

    By default it is 128 KiB, which is less than some messages.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


def recognizes_text(beginning: str, reading: Reading) -> str | None:
    r"""Return what in a text tells that it is a table, None if it is none.

    Example:
        >>> recognizes_text("conversation_id,role,content\n1,user,hi\n", Reading())
        'the columns conversation_id, role, content'
    """
    if beginning.startswith(("{", "[")):
        return None
    header = re.split("[\r\n]", beginning, maxsplit=1)[0]
    delimiter = find_delimiter(header, reading.columns)
    if delimiter is None:
        return None
    return _evidence(next(csv.reader([header], delimiter=delimiter)), reading)


def recognizes(record: Any) -> str | None:
    """Return what in a record tells that it is a row of a table, None if it is none.

    Example:
        >>> recognizes({"conversation_id": 1, "role": "user", "content": "hi"})
        'the columns conversation_id, role, content'
    """
    if not isinstance(record, Mapping):
        return None
    names = [name for name in record if isinstance(name, str)]
    return _evidence(names, Reading()) if find_columns(names) else None


def read_csv(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read conversations from a CSV or TSV table.

    Args:
        stream: A text stream, opened with ``newline=""``.
        reading: What the caller asked for.

    Raises:
        TranscriptFormatError: The header does not name the columns needed.
        OptionError: The caller named a column that is not there.
    """
    allow_long_cells()
    lines = _Lines(stream, reading.limits.record_characters)
    try:
        header = next((line for line in lines if line.strip("\ufeff \r\n")), None)
    except csv.Error:
        raise TranscriptFormatError(
            "the first line is longer than the limit (record_characters)"
        ) from None
    if header is None:
        return
    delimiter = find_delimiter(header.lstrip("\ufeff"), reading.columns)
    if delimiter is None:
        raise TranscriptFormatError(f"found {describe_header(header)}")
    rows = csv.reader(chain([header.lstrip("\ufeff")], lines), delimiter=delimiter)
    yield from _read(_csv_rows(rows, lines), reading)


def read_rows(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read conversations from rows of JSON or Parquet.

    Raises:
        TranscriptFormatError: The first row lacks the columns needed.
        OptionError: The caller named a column that is not there.
    """
    failed: list[ConversationFailure] = []
    yield from _read(good_rows(records, reading, failed), reading)
    yield from failed


READERS = (
    TextReader(NAME, recognizes_text, read_csv),
    RecordReader(NAME, recognizes, read_rows),
)


def _evidence(names: Sequence[str], reading: Reading) -> str:
    found = find_columns(names, reading.columns) or {}
    return f"the columns {name_list([*found.values()])}"


class _Lines:
    """The lines of a file.

    Attributes:
        number: How many were read.
        ended: Whether that is all of them.
        row: Characters read since the row that is being read began; reset by who reads rows.
    """

    def __init__(self, stream: TextIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.number = 0
        self.ended = False
        self.row = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._limit)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.row += len(line)
        if self.row >= self._limit:
            while line and not line.endswith(("\n", "\r")):
                line = self._stream.readline(self._limit)
            raise csv.Error
        return line


def _csv_rows(rows: Iterator[list[str]], lines: _Lines) -> Iterator[Row]:
    """Yield the rows under a header; what is wrong with one stands in the column ``problem``."""
    names: list[str] | None = None
    while True:
        problem = None
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            cells = [""]
            problem = "the row is longer than the limit (record_characters)"
        lines.row = 0
        if problem is None and not any(cells):
            continue
        if names is None:
            names = cells
            continue
        if cells == names:  # files that were put together one after the other
            continue
        if problem is None and lines.ended:
            problem = "the file ends inside a quoted cell; a quote may be missing"
        elif problem is None and (len(cells) < len(names) or any(cells[len(names) :])):
            problem = (
                f"the row has {len(cells)} cells, the header {len(names)}; a quote may be missing"
            )
        fields: dict[str, Any] = dict.fromkeys(names)
        fields |= reversed([*zip(names, cells, strict=False)])  # of two columns the first counts
        if problem is not None:
            fields[_PROBLEM] = problem
        yield Row(f"line {lines.number}", fields)


def _read(rows: Iterator[Row], reading: Reading) -> Iterator[Item]:
    columns, seen = _columns(rows, reading)
    order = DateOrder()
    known = (_known(row, columns, order) for row in chain(seen, rows))
    if "messages" in columns:
        for row in known:
            reading.place = row.place
            yield _nested(row.fields, reading)
        return
    keyed = ((_conversation_id(row.fields), row) for row in known)
    if "role" not in columns:
        for _, row in keyed:
            reading.place = row.place
            yield _text(row.fields, reading)
        return
    limit = reading.limits.record_characters
    for group in grouped(keyed, limit=limit, progress=reading.progress):
        yield _long(group, order, reading)


def _columns(rows: Iterator[Row], reading: Reading) -> tuple[dict[str, str], list[Row]]:
    """Find the columns in the first row that has those needed; return them and the rows read."""
    seen = []
    error: OptionError | TranscriptFormatError | None = None
    for row in islice(rows, _TRIES):
        seen.append(row)
        names = [name for name in row.fields if isinstance(name, str) and name != _PROBLEM]
        try:
            columns = find_columns(names, reading.columns)
        except OptionError as caught:
            error = error or caught
            continue
        if columns is not None:
            return columns, seen
        error = error or TranscriptFormatError(f"found {describe_columns(names)}")
    if error is not None:
        raise error
    return {}, seen


def _known(row: Row, columns: Mapping[str, str], order: DateOrder) -> Row:
    fields = _by_field(row.fields, columns)
    order.see(fields.get("timestamp"))
    return Row(row.place, fields)


def _by_field(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    found = {field: row.get(column) for field, column in columns.items()}
    return found | {_PROBLEM: row[_PROBLEM]} if _PROBLEM in row else found


def _nested(row: Mapping[str, Any], reading: Reading) -> Item:
    identifier = _conversation_id(row)
    try:
        if _PROBLEM in row:
            raise ConversationError(row[_PROBLEM])
        cell = row["messages"]
        messages = _parse_cell(cell) if isinstance(cell, str) else cell
        if not isinstance(messages, list):
            raise ConversationError(f"expected a list, got {kind_of(messages)}", field="messages")
        parsed = [
            to_message(named_message(message), index) for index, message in enumerate(messages)
        ]
        return _single(row, identifier, parsed, reading)
    except ConversationError as error:
        return reading.failure(error, identifier)


def _text(row: Mapping[str, Any], reading: Reading) -> Item:
    identifier = _conversation_id(row)
    try:
        if _PROBLEM in row:
            raise ConversationError(row[_PROBLEM])
        message = to_message({"role": "user", "content": _content(row["content"])}, 0)
    except ConversationError as error:
        return reading.failure(error, identifier)
    return _single(row, identifier, [message], reading)


def _single(
    row: Mapping[str, Any], identifier: str | None, messages: list[Message], reading: Reading
) -> Conversation:
    """Make a conversation of a row that is one, with its messages."""
    _count_unclear_time(row, reading)
    about = {**_about([row]), "id": identifier, "timestamp": row.get("timestamp")}
    return to_conversation(about, messages)


def _count_unclear_time(row: Mapping[str, Any], reading: Reading) -> None:
    time = row.get("timestamp")
    if to_time(time) is None and to_text(time) is not None:
        reading.drop("time")


def _parse_cell(text: str) -> Any:
    """Read a list from JSON, or from the text that Python makes of it (as pandas writes it)."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ConversationError(
            "expected a list as JSON or Python text, got other text", field="messages"
        ) from None


def _long(group: Group, order: DateOrder, reading: Reading) -> Item:
    messages: list[Any] = []
    reading.place = group.rows[0].place
    for row in group.rows:
        time = row.fields.get("timestamp")
        row.fields["timestamp"] = order.read(time) or time
    try:
        group.require_all()
        for row in _without_repeats(_in_order(group.rows), reading):
            reading.place = row.place
            if _is_stranger(row.fields, reading):
                reading.drop("not_a_person")
                continue
            messages.append(_message(row.fields, group.key, len(messages), reading))
    except ConversationError as error:
        return reading.failure(error, group.key)
    return to_conversation(
        {**_about([row.fields for row in group.rows]), "id": group.key}, messages
    )


def _message(
    row: Mapping[str, Any], identifier: str | None, index: int, reading: Reading
) -> Message:
    if _PROBLEM in row:
        raise ConversationError(row[_PROBLEM])
    if identifier is None:
        raise ConversationError("the cell is empty", field="conversation_id")
    role = row.get("role")
    message = to_message(
        {
            "role": role if _is_role(role, reading) else reading.role_of(role) or role,
            "content": _content(row.get("content")),
            "id": to_text(row.get("message_id")),
            "timestamp": row.get("timestamp"),
        },
        index,
    )
    _count_unclear_time(row, reading)
    return message


def _is_role(name: Any, reading: Reading) -> bool:
    """Whether a name is a role's own, such as system, and not one that the caller gave."""
    return is_role(name) and name not in reading.named


def _is_stranger(row: Mapping[str, Any], reading: Reading) -> bool:
    """Whether both sides were named and a good row is of neither of them nor of a role."""
    if _PROBLEM in row or not (reading.users and reading.assistants):
        return False
    name = row.get("role")
    return isinstance(name, str) and not (reading.role_of(name) or is_role(name))


def _about(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    about = {
        field: next((row[field] for row in rows if row.get(field) not in (None, "")), None)
        for field in _ABOUT
    }
    return about | {"user_id": _whole(to_text(about["user_id"]))}


def _content(value: Any) -> Any:
    """Return the content, the empty string for a gap (null, or the NaN that pandas makes of it)."""
    return "" if is_missing(value) else value


def _in_order(rows: list[Row]) -> list[Row]:
    """Sort rows by their turn, else by their time, if every row has one."""
    for field, read in (("turn", _number), ("timestamp", to_time)):
        keys: list[Any] = [read(row.fields.get(field)) for row in rows]
        if None not in keys:
            return [rows[position] for position in sorted(range(len(rows)), key=keys.__getitem__)]
    return rows


def _without_repeats(rows: Sequence[Row], reading: Reading) -> Iterator[Row]:
    """Leave out rows that repeat another one's turn or message id, role and content."""
    seen = set()
    for row in rows:
        fields = row.fields
        turn = fields.get("message_id") or fields.get("turn")
        key = json.dumps([turn, fields.get("role"), fields.get("content")], default=str)
        if turn not in (None, "") and key in seen:
            reading.place = row.place
            reading.drop("duplicate")
            continue
        seen.add(key)
        yield row


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == number else None


def _conversation_id(row: Mapping[str, Any]) -> str | None:
    return _whole(to_text(row.get("conversation_id")))


def _whole(identifier: str | None) -> str | None:
    """Undo what a column of floats does to whole numbers, such as 12 to 12.0."""
    match = _FLOAT_ID.fullmatch(identifier or "")
    return match[1] if match else identifier
