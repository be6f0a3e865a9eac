"""JSON records from a text stream, one after the other, with the standard library alone.

Three layouts are told apart by their beginning:

- lines: one record a line (JSON Lines); a damaged line costs that record only;
- array: ``[record, record, …]``, or the same under ``{"conversations": …}`` as in a ChatGPT
  export; decoded record by record, so that an export of any size needs the memory of one record;
- documents: one pretty-printed record, or several one after the other.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple, TextIO

_CHUNK = 1 << 16
_DECODER = json.JSONDecoder(strict=False)
_WRAPPED = re.compile(r'\{\s*"conversations"\s*:\s*\[(?=\s*\{)')
_CONTAINERS = frozenset({"messages", "conversations", "mapping"})
_MESSAGE_FIELDS = frozenset({"role", "content", "from", "value"})
_LONGEST_LITERAL = len("-Infinity")


class Record(NamedTuple):
    """A record and its place, or why there is none."""

    place: str
    value: Any
    problem: str | None = None


def iter_records(stream: TextIO) -> Iterator[Record]:
    """Yield the records of a JSON file; its layout is found out from its beginning."""
    buffer = _Buffer(stream)
    start = _array_start(buffer)
    if start is not None:
        buffer.skip(start)
        yield from _iter_array(buffer)
        return
    pretty = _is_pretty_printed(buffer)
    for record in _iter_documents(buffer) if pretty else _iter_lines(buffer.rest()):
        yield from _unwrapped(record)


class _Buffer:
    """A text stream of which values are decoded as soon as they are complete."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.text = ""
        self.position = 0
        self.grow()

    def grow(self) -> bool:
        """Read on, in ever larger steps, so that a long value is tried a few times only."""
        more = self._stream.read(max(_CHUNK, len(self.text) - self.position))
        self.text = self.text[self.position :] + more
        self.position = 0
        return bool(more)

    def skip(self, count: int) -> None:
        self.position += count

    def peek(self, ignore: str = "") -> str:
        """Return the next character that is no white space, the empty string at the end."""
        while True:
            while self.position < len(self.text):
                character = self.text[self.position]
                if not (character.isspace() or character in ignore):
                    return character
                self.position += 1
            if not self.grow():
                return ""

    def decode(self, offset: int = 0) -> tuple[Any, int]:
        """Return the value that begins after `offset` characters, and how many it goes on.

        Raises:
            ValueError: It is not valid JSON, or the stream ends in the middle of it.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.position + offset)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or (
                    error.pos + _LONGEST_LITERAL >= len(self.text)
                )
                if not (cut and self.grow()):
                    raise
            else:
                return value, end - self.position

    def rest(self) -> Iterator[str]:
        """Return the lines that are left."""
        begun = self.text[self.position :] + self._stream.readline()
        return chain(io.StringIO(begun, newline=""), self._stream)


def _array_start(buffer: _Buffer) -> int | None:
    """Return where the first record of an array begins, None if the layout is another."""
    first = buffer.peek()
    if first == "{":
        match = _WRAPPED.match(buffer.text, buffer.position)
        if match is None:
            return None
        start = match.end() - buffer.position
        element = _first_element(buffer, start)
        return start if isinstance(element, dict) and "mapping" in element else None
    if first != "[":
        return None
    element = _first_element(buffer, 1)
    if isinstance(element, dict):
        is_message = _MESSAGE_FIELDS & element.keys() and not _CONTAINERS & element.keys()
        return None if is_message else 1
    if element is not None:
        return 1
    # Either an empty array, or lines of which the first is an empty conversation.
    tail = buffer.text[buffer.position + 1 :].lstrip()
    return 1 if tail.startswith("]") and not tail[1:].strip() else None


def _first_element(buffer: _Buffer, offset: int) -> Any:
    text = buffer.text[buffer.position + offset :]
    try:
        return buffer.decode(offset + len(text) - len(text.lstrip()))[0]
    except (ValueError, RecursionError):
        return None


def _is_pretty_printed(buffer: _Buffer) -> bool:
    if buffer.peek() not in ("{", "["):
        return False
    try:
        _, length = buffer.decode()
    except (ValueError, RecursionError):
        return False
    return "\n" in buffer.text[buffer.position : buffer.position + length]


def _iter_lines(lines: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        text = line.strip("\ufeff \t\r\n")
        if not text:
            continue
        try:
            yield Record(f"line {number}", _DECODER.decode(text))
        except (ValueError, RecursionError) as error:
            yield Record(f"line {number}", None, _describe(error))


def _iter_array(buffer: _Buffer) -> Iterator[Record]:
    number = 0
    while (character := buffer.peek(ignore=",")) != "]":
        place = f"record {number}"
        if not character:
            yield Record(place, None, "the file ends before the array does; it was cut short")
            return
        try:
            value, length = buffer.decode()
        except (ValueError, RecursionError) as error:
            yield Record(
                place,
                None,
                f"{_describe(error, buffer.position)}; the rest of the array was not read",
            )
            return
        buffer.skip(length)
        yield Record(place, value)
        number += 1


def _iter_documents(buffer: _Buffer) -> Iterator[Record]:
    number = 0
    while buffer.peek():
        try:
            value, length = buffer.decode()
        except (ValueError, RecursionError) as error:
            problem = f"{_describe(error, buffer.position)}; the rest of the file was not read"
            yield Record(f"record {number}", None, problem)
            return
        buffer.skip(length)
        yield Record(f"record {number}", value)
        number += 1


def _unwrapped(record: Record) -> Iterator[Record]:
    """Yield the conversations of an export that has other keys before them, else the record."""
    value = record.value
    inner = value.get("conversations") if isinstance(value, dict) else None
    if isinstance(inner, list) and inner and isinstance(inner[0], dict) and "mapping" in inner[0]:
        for number, conversation in enumerate(inner):
            yield Record(f"record {number}", conversation)
    else:
        yield record


def _describe(error: Exception, start: int = 0) -> str:
    """Say what is wrong with the JSON, and how far into the record, without quoting it."""
    if isinstance(error, json.JSONDecodeError):
        place = f"{error.msg} at character {error.pos - start}"
        return f"not valid JSON ({place}); it may have been cut short"
    if isinstance(error, RecursionError):
        return "not valid JSON (nested too deeply)"
    return "not valid JSON (a number is too long)"
