"""JSON records from a text stream, one after the other, with only the standard library.

Three layouts are recognised by their beginning:

- lines: a record on each line (JSON Lines); a damaged line costs that record only;
- array: ``[record, record, …]``, or the same in an object, such as ``{"conversations": […]}``;
  decoded record by record, so that an export of any size needs the memory of one record; more
  arrays, objects that hold one, and single records may follow, as in files that were put together;
  but messages are one record together, unless they say which conversation they belong to;
- documents: one pretty-printed record, or several one after the other, or arrays after them.

A record that is too long or nested too deeply is skipped, and the next one is read. Where an
object has a key twice, the last one counts.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple, TextIO

from affectlib.formats.columns import is_conversation_id

_CHUNK = 1 << 16
_DECODER = json.JSONDecoder(strict=False)
_WRAPPERS = frozenset({"conversations", "data", "rows", "items", "tickets", "results"})
"""Keys of objects that hold all records of a file."""
_RECORD_KEYS = frozenset(
    {
        *("messages", "conversation", "mapping", "chat_messages", "conversation_parts"),
        *("comments", "replies", "prompt"),
    }
)
"""Keys by which a record is a conversation, whatever other keys it has."""
_CONTAINERS = _RECORD_KEYS | {"conversations"}
_MESSAGE_FIELDS = frozenset({"role", "content", "from", "value"})
"""Keys by which a record is a message, and a list of them a conversation, unless it says which
conversation it belongs to."""
_THREAD = "thread.message"
"""The kind of objects that name their thread, though a list of them is always of one thread."""
_STRUCTURE = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_EMPTY_ARRAY_ALONE = re.compile(r"\[\s*\]\s*\Z")
_SPACE = re.compile(r"[\s\ufeff]*")
_SPACE_OR_COMMA = re.compile(r"[\s,]*")
_LONGEST_LITERAL = len("-Infinity")
_NOT_READ = "the rest of the file was not read"


class Record(NamedTuple):
    """A record and its place, or why there is none."""

    place: str
    value: Any
    problem: str | None = None
    size: int = 0  # in characters
    stop: bool = False  # whether the rest of the file cannot be read


class _TooLongError(Exception):
    """A value is longer than allowed."""


_UNREADABLE = (ValueError, RecursionError, _TooLongError)


def iter_records(stream: TextIO, *, limit: int, rows: bool = False) -> Iterator[Record]:
    """Yield the records of a JSON file, of at most `limit` characters each.

    With `rows`, the objects of an array are rows of a table, even if they look like the messages
    of one conversation.
    """
    buffer = _Buffer(stream, limit, rows)
    start = _array_start(buffer)
    if start is not None or _is_pretty_printed(buffer):
        yield from _iter_arrays(buffer, start)
    else:
        yield from _iter_lines(buffer)


class _Buffer:
    """A text stream of which values are decoded as soon as they are complete."""

    def __init__(self, stream: TextIO, limit: int, rows: bool = False) -> None:
        self._stream = stream
        self._limit = limit
        self.rows = rows
        self.text = ""
        self.position = 0
        self.grow()

    def grow(self) -> bool:
        """Read on, in ever larger steps, so that a long value is tried a few times only."""
        more = self._stream.read(max(_CHUNK, len(self.text) - self.position))
        if more:
            self.text = self.text[self.position :] + more
            self.position = 0
        return bool(more)

    def at(self, offset: int) -> str:
        """Return the character after `offset` others, the empty string if that is the end."""
        while len(self.text) <= self.position + offset:
            if offset > self._limit:
                raise _TooLongError
            if not self.grow():
                return ""
        return self.text[self.position + offset]

    def peek(self, ignore: re.Pattern[str] = _SPACE) -> str:
        """Return the next character that is not to be ignored, the empty string at the end."""
        while True:
            match = ignore.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.grow():
                return ""

    def decode(self, offset: int = 0) -> tuple[Any, int]:
        """Return the value that begins after `offset` characters, and the offset of its end."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.position + offset)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or (
                    error.pos + _LONGEST_LITERAL >= len(self.text)
                )
                if cut and len(self.text) - self.position > self._limit:
                    raise _TooLongError from None
                if not (cut and self.grow()):
                    raise
            else:
                if end - self.position > self._limit:
                    raise _TooLongError
                return value, end - self.position

    def skip_value(self, depth: int = 0) -> bool:
        """Go on to the end of an object or array without decoding it; say whether there is one.

        The depth is 0 before its beginning, and 1 within it.
        """
        quoted = False
        while True:
            for token in _STRUCTURE.finditer(self.text, self.position):
                mark = token[0]
                if mark == '"':
                    quoted = not quoted
                elif not quoted and len(mark) == 1:
                    depth += 1 if mark in "[{" else -1
                    if depth <= 0:
                        self.position = token.end()
                        return True
            tail = self.text[self.position :]
            cut = (len(tail) - len(tail.rstrip("\\"))) % 2
            self.position = len(self.text) - cut
            if not self.grow():
                return False

    def lines(self) -> Iterator[str | None]:
        """Return the lines that are left, None for one that is too long."""
        begun = self.text[self.position :] + self._stream.readline(self._limit + 1)
        rest = iter(lambda: self._stream.readline(self._limit + 1), "")
        skipping = False
        for line in chain(io.StringIO(begun, newline=""), rest):
            whole = line.endswith(("\n", "\r"))
            if not skipping:
                yield None if len(line) > self._limit else line
            skipping = len(line) > self._limit and not whole


def _array_start(buffer: _Buffer) -> int | None:
    """Return where the first record of an array begins, or None if the layout is another."""
    first = buffer.peek()
    if first == "{":
        return _wrapped_start(buffer)
    if first != "[":
        return None
    try:
        if buffer.at(_space(buffer, 1)) == "]":
            # Either an empty array, or lines of which the first is an empty conversation.
            return 1 if _EMPTY_ARRAY_ALONE.match(buffer.text, buffer.position) else None
        element = _first_element(buffer, 1)
    except _TooLongError:
        return None
    if isinstance(element, dict):
        is_message = not buffer.rows and _MESSAGE_FIELDS & element.keys()
        return None if is_message and not _is_record(element, buffer) else 1
    return None if element is None else 1


def _wrapped_start(buffer: _Buffer) -> int | None:
    """Return where the records begin that an object holds, or None if it holds none."""
    offset = 1
    try:
        while True:
            key, end = buffer.decode(_space(buffer, offset))
            offset = _space(buffer, end)
            if not isinstance(key, str) or buffer.at(offset) != ":" or key in _RECORD_KEYS:
                return None
            offset = _space(buffer, offset + 1)
            if key in _WRAPPERS and buffer.at(offset) == "[":
                element = _first_element(buffer, offset + 1)
                if element == {} or (isinstance(element, dict) and _is_record(element, buffer)):
                    return offset + 1
            _, end = buffer.decode(offset)
            offset = _space(buffer, end)
            if buffer.at(offset) != ",":
                return None
            offset += 1
    except _UNREADABLE:
        return None


def _is_record(element: dict[str, Any], buffer: _Buffer) -> bool:
    """Whether an object is a conversation, or says which one it belongs to."""
    if not _CONTAINERS.isdisjoint(element):
        return True
    is_of_thread = element.get("object") == _THREAD and not buffer.rows
    return _has_id(element) and not is_of_thread


def _has_id(element: dict[str, Any]) -> bool:
    return "message_tree_id" in element or any(map(is_conversation_id, element))


def _space(buffer: _Buffer, offset: int) -> int:
    while buffer.at(offset).isspace():
        offset += 1
    return offset


def _first_element(buffer: _Buffer, offset: int) -> Any:
    """Return the first record of an array, an empty object in place of one over the limits."""
    offset = _space(buffer, offset)
    try:
        return buffer.decode(offset)[0]
    except ValueError:
        return None
    except (RecursionError, _TooLongError):
        return {} if buffer.at(offset) == "{" else None


def _is_pretty_printed(buffer: _Buffer) -> bool:
    if buffer.peek() not in ("{", "["):
        return False
    try:
        _, length = buffer.decode()
    except _UNREADABLE:
        return False
    return "\n" in buffer.text[buffer.position : buffer.position + length]


def _iter_lines(buffer: _Buffer) -> Iterator[Record]:
    for number, line in enumerate(buffer.lines(), 1):
        place = f"line {number}"
        text = None if line is None else line.strip("\ufeff \t\r\n")
        if text == "":
            continue
        try:
            if text is None:
                raise _TooLongError
            yield Record(place, _DECODER.decode(text), size=len(text))
        except _UNREADABLE as error:
            yield Record(place, None, _describe(error))


def _iter_arrays(buffer: _Buffer, start: int | None) -> Iterator[Record]:
    """Yield the records of arrays that follow each other, and single ones after them."""
    number = 0
    while buffer.peek():
        alone = start is None
        records = _iter_alone(buffer, number) if alone else _iter_array(buffer, start, number)
        for record in records:
            yield record
            if record.stop:
                return
            number += 1
        start = _array_start(buffer)


def _iter_array(buffer: _Buffer, start: int | None, number: int) -> Iterator[Record]:
    """Yield the records of an array, or of the arrays in an object, and go on to its end."""
    wrapped = buffer.peek() == "{"
    while start is not None:
        buffer.position += start
        while (character := buffer.peek(_SPACE_OR_COMMA)) != "]":
            place = f"record {number}"
            if not character:
                problem = "the file ends before the array does; it was cut short"
                yield Record(place, None, problem, stop=True)
                return
            yield _next(buffer, place)
            number += 1
        buffer.position += 1
        start = _wrapped_start(buffer) if wrapped and buffer.peek() == "," else None
    if wrapped and not (buffer.peek() in (",", "}") and buffer.skip_value(depth=1)):
        problem = f"the object around the array is damaged or was cut short; {_NOT_READ}"
        yield Record(f"record {number}", None, problem, stop=True)


def _iter_alone(buffer: _Buffer, number: int) -> Iterator[Record]:
    record = _next(buffer, f"record {number}")
    if not _is_empty(record.value):
        yield record


def _is_empty(value: Any) -> bool:
    """Whether a value is an array without records, or an object around such."""
    if not isinstance(value, dict):
        return bool(value == [])
    arrays = [value[key] for key in _WRAPPERS & value.keys()]
    is_record = (_RECORD_KEYS | _MESSAGE_FIELDS) & value.keys() or _has_id(value)
    return bool(arrays) and not any(arrays) and not is_record


def _next(buffer: _Buffer, place: str) -> Record:
    """Read a record, or go on to its end if it is over the limits."""
    try:
        value, length = buffer.decode()
    except _UNREADABLE as error:
        problem = _describe(error, buffer.position)
        skippable = not isinstance(error, ValueError) and buffer.peek() in ("{", "[")
        if skippable and buffer.skip_value():
            return Record(place, None, problem)
        return Record(place, None, f"{problem}; {_NOT_READ}", stop=True)
    buffer.position += length
    return Record(place, value, size=length)


def _describe(error: Exception, start: int = 0) -> str:
    """Say what is wrong with the JSON, and how far into the record, without quoting it."""
    if isinstance(error, json.JSONDecodeError):
        place = f"{error.msg.removesuffix(' at')} at character {error.pos - start}"
        return f"not valid JSON ({place}); it may have been cut short"
    if isinstance(error, RecursionError):
        return "not valid JSON (nested too deeply)"
    if isinstance(error, _TooLongError):
        return "the record is longer than the limit (record_characters)"
    return "not valid JSON (a number is too long)"
