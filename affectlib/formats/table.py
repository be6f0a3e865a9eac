"""Tables: CSV, TSV, Parquet and JSON rows, long or nested.

A long table has a row for each message: columns for the conversation's id, the role and the
content, and perhaps others (see `FIELDS`). A nested table has a row for each conversation, with its
messages as a list, or as JSON or Python text in a cell. Columns are found by their usual names, or
named by the caller. A table without roles holds texts, each a message of the user by itself, if the
caller names the column of the content; each conversation id may then occur only once. Roles may be
people's names, if the caller says who is who.

The rows of a conversation need not stand together. They go to a temporary file first, and each
conversation is yielded in the order of its last row, its messages in the order of their turns
and then of their times, or of one of them, if each has it. Rows that are equal in these stay in the
order of the table; if times show that a conversation is newest first, in the reverse of it. Numeric
dates with the year last are read if a number above 12 in any of them tells whether the day comes
first. A row that repeats the turn (or the message's id), the role and the content of another counts
once; without such a column, repeated rows are kept.

A quote in CSV that is missing, or not doubled within a cell, costs its row if it shows: if a cell
runs over several lines, and text follows its last quote or the file ends before it. It does not
show if the next quote happens to end a cell; the rows between them are then part of that cell.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple, TextIO

from affectlib._values import is_missing, kind_of, name_list, to_text, to_time
from affectlib._values.dates import DateOrder
from affectlib.conversation import Message, is_role
from affectlib.errors import (
    ConversationError,
    ConversationFailure,
    OptionError,
    TranscriptFormatError,
)
from affectlib.formats._blocks import split_blocks
from affectlib.formats._json import Record
from affectlib.formats._literals import PARSING
from affectlib.formats._objects import as_dict, require_array
from affectlib.formats.columns import (
    describe_columns,
    describe_header,
    find_columns,
    find_delimiter,
    has_conversation_ids,
)
from affectlib.formats.delimited import PROBLEM, Lines, LongRowError, allow_long_cells, csv_rows
from affectlib.formats.fields import in_order, to_conversation, to_message, to_messages
from affectlib.formats.grouping import Group, Row, grouped
from affectlib.formats.reader import (
    HOW_TO_NAME,
    Item,
    Reading,
    RecordReader,
    TextReader,
    valid_rows,
)

NAME = "table"

_FLOAT_ID = re.compile(r"(\d+)\.0+")
_ABOUT = ("user_id", "model", "language", "title", "source")
_TRIES = 100


class Found(NamedTuple):
    """A conversation of a table, and where it was found."""

    item: Item
    rows: list[str]
    """The places of its rows, in the order of the table."""
    messages: list[str]
    """The places of the rows of its messages, in their order; one if the table is nested."""


def _recognizes_text(beginning: str, reading: Reading) -> str | None:
    if beginning.startswith(("{", "[")):
        return None
    header = re.split("[\r\n]", beginning, maxsplit=1)[0]
    delimiter = find_delimiter(header, reading.options.columns)
    if delimiter is None:
        return None
    return _evidence(next(csv.reader([header], delimiter=delimiter)), reading)


def _recognizes(record: Any) -> str | None:
    names = [name for name in as_dict(record) if isinstance(name, str)]
    return _evidence(names, Reading()) if find_columns(names) else None


def read_csv(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read conversations from a CSV or TSV table, opened with ``newline=""``."""
    allow_long_cells()
    lines = Lines(stream, reading.options.limits.record_characters)
    try:
        header = next((line for line in lines if line.strip("\ufeff \r\n")), None)
    except LongRowError:
        raise TranscriptFormatError(
            "the first line is longer than the limit (record_characters)"
        ) from None
    if header is None:
        return
    header = header.lstrip("\ufeff")
    delimiter = find_delimiter(header, reading.options.columns)
    if delimiter is None:
        raise TranscriptFormatError(f"found {describe_header(header, reading.options.columns)}")
    lines.give_back([header])
    yield from (found.item for found in read_table(csv_rows(lines, delimiter), reading))


def read_rows(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read conversations from rows of JSON or Parquet."""
    failed: list[ConversationFailure] = []
    yield from (found.item for found in read_table(valid_rows(records, reading, failed), reading))
    yield from failed


READERS = (TextReader(NAME, _recognizes_text, read_csv), RecordReader(NAME, _recognizes, read_rows))


def _evidence(names: Sequence[str], reading: Reading) -> str:
    found = find_columns(names, reading.options.columns) or {}
    return f"the columns {name_list([*found.values()])}"


def read_table(rows: Iterator[Row], reading: Reading) -> Iterator[Found]:
    """Read conversations from the rows of a file or of a table in memory."""
    columns, seen = _columns(rows, reading)
    order = DateOrder()
    known = (_known(row, columns, order, reading) for row in chain(seen, rows))
    has_roles = "role" in columns
    has_ids = has_roles or has_conversation_ids(columns, reading.options.columns)
    if "messages" in columns or not has_ids:
        for row in known:
            reading.place = row.place
            yield Found(_single(row.fields, reading), [row.place], [row.place])
        return
    # A row without an id that can be read is a failure of its own.
    keyed = ((_conversation_id(row.fields) or f"\x00{row.place}", row) for row in known)
    limit = reading.options.limits.record_characters
    for group in grouped(keyed, limit=limit, progress=reading.progress):
        yield _long(group, order, reading, has_roles=has_roles)


def _columns(rows: Iterator[Row], reading: Reading) -> tuple[dict[str, str], list[Row]]:
    """Find the columns in the first row that has those needed; return them and the rows read."""
    seen = []
    error: OptionError | TranscriptFormatError | None = None
    for row in islice(rows, _TRIES):
        seen.append(row)
        names = [name for name in row.fields if isinstance(name, str) and name != PROBLEM]
        try:
            columns = find_columns(names, reading.options.columns)
        except OptionError as caught:
            error = error or caught
            continue
        if columns is not None:
            if lacking := [name for name in reading.options.keep if name not in names]:
                raise OptionError(
                    f"`keep`: there is no column {lacking[0]!r}; the table has {name_list(names)}"
                )
            return columns, seen
        error = error or TranscriptFormatError(
            f"found {describe_columns(names, reading.options.columns)}"
        )
    if error is not None:
        raise error
    return {}, seen


def _known(row: Row, columns: Mapping[str, str], order: DateOrder, reading: Reading) -> Row:
    fields = {field: row.fields.get(column) for field, column in columns.items()}
    if PROBLEM in row.fields:
        fields[PROBLEM] = row.fields[PROBLEM]
    if reading.options.keep:
        fields["metadata"] = {name: row.fields.get(name) for name in reading.options.keep}
    order.see(fields.get("timestamp"))
    return Row(row.place, fields)


def _single(row: Mapping[str, Any], reading: Reading) -> Item:
    """Make a conversation of a row that is one: of its list of messages, or of its text."""
    identifier = _conversation_id(row)
    try:
        if PROBLEM in row:
            raise ConversationError(row[PROBLEM])
        if "messages" in row:
            cell = row["messages"]
            cell = _parse_cell(cell) if isinstance(cell, str) else cell
            given = [] if is_missing(cell) else require_array(cell, "messages")
            messages = to_messages(given, reading.time)
        else:
            content = _content(row["content"], reading)
            messages = [to_message({"role": "user", "content": content}, 0)]
        about = {**_about([row]), "id": identifier, "timestamp": row.get("timestamp")}
        conversation = to_conversation(about, messages, reading.time)
        return reading.kept(conversation, [row.get("metadata")])
    except ConversationError as error:
        return reading.failure(error, identifier)


def _parse_cell(text: str) -> Any:
    """Read a list from JSON, or from the text that Python makes of it (as pandas writes it)."""
    with suppress(ValueError, RecursionError):
        return json.loads(text, strict=False)
    try:
        with PARSING:
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ConversationError(
            "expected a list as JSON or Python text, got other text; if each row is one message, "
            "name the columns, for example "
            "`columns={'conversation_id': 'chat', 'content': 'words'}`",
            field="messages",
        ) from None


def _long(group: Group, order: DateOrder, reading: Reading, *, has_roles: bool) -> Found:
    identifier = _conversation_id(group.rows[0].fields)
    messages: list[Message] = []
    places = [row.place for row in group.rows]
    read: list[str] = []
    reading.place = group.rows[0].place
    for row in group.rows:
        time = row.fields.get("timestamp")
        row.fields["timestamp"] = order.read(time) or time
        if not has_roles:
            row.fields["role"] = "user"
    try:
        group.require_all()
        if not has_roles and len(places) > 1:
            raise ConversationError(
                f"the conversation has {len(places):,} rows, but no column says who wrote them; "
                "name it, for example `columns={'role': 'who'}`",
                field="role",
            )
        for row in _without_repeats(_rows_in_order(group.rows), reading):
            reading.place = row.place
            if _is_stranger(row.fields, reading):
                reading.drop("not_a_person")
                continue
            messages.append(_message(row.fields, identifier, len(messages), reading))
            read.append(row.place)
    except ConversationError as error:
        return Found(reading.failure(error, identifier), places, [])
    rows = [row.fields for row in group.rows]
    conversation = to_conversation({**_about(rows), "id": identifier}, messages)
    return Found(reading.kept(conversation, [row.get("metadata") for row in rows]), places, read)


def _message(
    row: Mapping[str, Any], identifier: str | None, index: int, reading: Reading
) -> Message:
    if PROBLEM in row:
        raise ConversationError(row[PROBLEM])
    if identifier is None:
        given = row.get("conversation_id")
        empty = is_missing(given) or isinstance(given, str)
        problem = f"expected text or a number, got {kind_of(given)}"
        raise ConversationError("the cell is empty" if empty else problem, field="conversation_id")
    role = row.get("role")
    known = reading.who(role)
    if known is None and isinstance(role, str):
        raise ConversationError(
            "unknown role; use user, assistant, system or tool, or name the users or the "
            f"assistants {HOW_TO_NAME}",
            index=index,
            field="role",
        )
    return to_message(
        {
            "role": known or role,
            "content": _content(row.get("content"), reading),
            "id": to_text(row.get("message_id")),
            "timestamp": row.get("timestamp"),
        },
        index,
        reading.time,
    )


def _is_stranger(row: Mapping[str, Any], reading: Reading) -> bool:
    """Whether both sides were named and a row without a problem is of neither, nor of a role."""
    if PROBLEM in row or not (reading.options.users and reading.options.assistants):
        return False
    name = row.get("role")
    return isinstance(name, str) and not (reading.role_of(name) or is_role(name))


def _about(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the rows of a conversation say of it: of each field the first value."""
    about = {
        field: next((row[field] for row in rows if row.get(field) not in (None, "")), None)
        for field in _ABOUT
    }
    about["user_id"] = _whole(to_text(about["user_id"]))
    return about


def _content(value: Any, reading: Reading) -> Any:
    """Return the content, the empty string for a gap (null, or the NaN that pandas makes of it)."""
    if isinstance(value, list):
        return split_blocks(value, reading)[0]
    return "" if is_missing(value) else value


def _rows_in_order(rows: list[Row]) -> list[Row]:
    """Sort rows by their turn and then their time, or by one of them, if every row has it."""
    turns: list[Any] = [_number(row.fields.get("turn")) for row in rows]
    times = [to_time(row.fields.get("timestamp")) for row in rows]
    if None not in times:
        return in_order(rows, times if None in turns else [*zip(turns, times, strict=True)])
    if None in turns:
        return rows
    return [rows[place] for place in sorted(range(len(rows)), key=turns.__getitem__)]


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
