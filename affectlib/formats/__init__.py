"""Transcript files of every supported format as conversations, one at a time.

Formats are told apart by what is in the file, never by its name: ``openai``, ``sharegpt`` and
``chatgpt`` (JSON, as lines, array or document) and ``table`` (CSV, TSV, Parquet).
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, BinaryIO, TextIO, cast

from affectlib.conversation import Conversation
from affectlib.errors import ConversationError, OptionError, TranscriptFormatError
from affectlib.formats import chatgpt, openai, sharegpt, table
from affectlib.formats._fields import kind_of, name_list, record_id
from affectlib.formats._json import Record, iter_records
from affectlib.predictions import ConversationFailure

__all__ = ["FORMATS", "read_conversations"]

_JSON = MappingProxyType({"chatgpt": chatgpt, "openai": openai, "sharegpt": sharegpt})
FORMATS = ("openai", "sharegpt", "chatgpt", "table")
"""The formats that can be named."""

_KNOWN = (
    'known are JSON records with "messages" (openai), "conversations" (sharegpt) or "mapping" '
    "(chatgpt), and CSV, TSV or Parquet tables with one row a message (table)"
)
_HEAD = 1 << 16
_TRIES = 100
_GZIP = b"\x1f\x8b"
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)

_Item = Conversation | ConversationFailure


def read_conversations(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
) -> Iterator[Conversation | ConversationFailure]:
    """Read the conversations of a file, one at a time.

    Text is UTF-8, or UTF-16 with a byte order mark; bytes that are neither are read as U+FFFD.
    Files compressed with gzip are read as they are.

    Args:
        path: The file, or ``-`` for standard input.
        format: One of `FORMATS`, or ``auto`` to tell it from the first records.
        columns: Which column holds what, for tables with unusual names, for example
            ``{"conversation_id": "chat", "role": "who", "content": "words"}``.

    Yields:
        A `Conversation` for each record, or a `ConversationFailure` that names the line or record
        and the field that is wrong. Conversations without an id in the file have none.

    Raises:
        TranscriptFormatError: The file as a whole has no known format.
        OSError: It cannot be opened.
        OptionError: `format` is unknown, or `columns` do not fit the file.

    Example:
        >>> next(read_conversations("examples/transcripts.jsonl")).id
        'ex-001'
    """
    if format not in ("auto", *FORMATS):
        raise OptionError(f"unknown format {format!r}; use auto, {', '.join(FORMATS)}")
    return _read(path, format, columns)


def _read(
    path: str | os.PathLike[str], format: str, columns: Mapping[str, str] | None
) -> Iterator[_Item]:
    begun = False
    with ExitStack() as stack:
        try:
            for item in _open(path, format, columns, stack):
                begun = True
                yield item
        except TranscriptFormatError as error:
            raise TranscriptFormatError(
                error.problem, path=_name(path), line=error.line
            ) from error.__cause__
        except _DAMAGED:
            problem = "the compressed data is damaged or cut short"
            if not begun:
                raise TranscriptFormatError(problem, path=_name(path)) from None
            yield ConversationFailure(
                None, f"{TranscriptFormatError.__name__}: {problem}; the rest was not read"
            )


def _open(
    path: str | os.PathLike[str],
    format: str,
    columns: Mapping[str, str] | None,
    stack: ExitStack,
) -> Iterator[_Item]:
    """Open the file and return the reader that its beginning calls for."""
    if _name(path) == "-":
        raw: BinaryIO = sys.stdin.buffer
    else:
        raw = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115
    seekable = raw.seekable()
    magic, stream = _look(raw, len(_GZIP), seekable)
    if magic == _GZIP:
        stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=stream)))
    head, stream = _look(stream, _HEAD, seekable)
    if not head and format == "auto":
        raise TranscriptFormatError(f"the file is empty; {_KNOWN}")
    is_parquet = head.startswith(b"PAR1")
    encoding = _encoding(head)
    beginning = head.decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    is_table = is_parquet or not beginning.startswith(("{", "["))
    if format == "table" or (format == "auto" and is_table):
        if not seekable or (is_parquet and magic == _GZIP):
            stream = _spooled(stream, stack)
        if is_parquet:
            return table.read_parquet(stream, columns=columns)
        if format == "auto":
            _require_header(head, beginning, columns)
        return table.read_csv(_text(stream, encoding, stack), columns=columns)
    if columns:
        raise OptionError(
            "columns were named, but the file is JSON and has none; leave columns out"
        )
    records = iter_records(_text(stream, encoding, stack))
    parse = None if format == "auto" else _JSON[format].parse
    return _parsed(records, parse)


def _parsed(
    records: Iterator[Record], parse: Callable[[Any], Conversation] | None
) -> Iterator[_Item]:
    if parse is None:
        parse, records = _recognized(records)
    for place, value, problem in records:
        if problem is not None:
            name = TranscriptFormatError.__name__
            yield ConversationFailure(None, f"{name}: {place}: {problem}")
            continue
        try:
            yield parse(value)
        except ConversationError as error:
            name = type(error).__name__
            yield ConversationFailure(record_id(value), f"{name}: {place}: {error}")


def _recognized(
    records: Iterator[Record],
) -> tuple[Callable[[Any], Conversation], Iterator[Record]]:
    """Find the format by the first record that has a known one; it holds for the whole file."""
    seen = []
    for record in records:
        seen.append(record)
        for reader in _JSON.values():
            if record.problem is None and record.value != [] and reader.recognizes(record.value):
                return reader.parse, chain(seen, records)
        if len(seen) == _TRIES:
            break
    if all(record.value == [] and record.problem is None for record in seen):
        return openai.parse, iter(seen)
    raise TranscriptFormatError(f"found {_describe(seen[0])}; {_KNOWN}")


def _describe(record: Record) -> str:
    if record.problem is not None:
        return f"{record.place}: {record.problem}"
    if isinstance(record.value, dict):
        return f"JSON objects with the keys {name_list([*record.value])}"
    return f"JSON, but {record.place} is {kind_of(record.value)}"


def _require_header(head: bytes, beginning: str, columns: Mapping[str, str] | None) -> None:
    if head.startswith(b"PK\x03\x04"):
        raise TranscriptFormatError(
            "found a ZIP archive; unpack it and give a file that it holds, "
            "of a ChatGPT export conversations.json"
        )
    header = re.split("[\r\n]", beginning, maxsplit=1)[0]
    if table.find_delimiter(header, columns) is None:
        raise TranscriptFormatError(f"{table.missing_columns(header)}; {_KNOWN}")


class _Whole(io.RawIOBase):
    """A stream that cannot seek, made whole again after its head was read."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._rest.read(size)
        buffer[: len(data)] = data
        return len(data)


def _look(stream: BinaryIO, size: int, seekable: bool) -> tuple[bytes, BinaryIO]:
    head = stream.read(size)
    if seekable:
        stream.seek(0)
        return head, stream
    return head, cast(BinaryIO, io.BufferedReader(_Whole(head, stream)))


def _spooled(stream: BinaryIO, stack: ExitStack) -> BinaryIO:
    """Copy a pipe to a temporary file, for what must be read twice or from its end."""
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(stream, file)
    file.seek(0)
    return cast(BinaryIO, file)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if head.startswith(b"\xef\xbb\xbf") else "utf-8"


def _text(stream: BinaryIO, encoding: str, stack: ExitStack) -> TextIO:
    text = io.TextIOWrapper(cast(IO[bytes], stream), encoding, errors="replace", newline="")
    stack.callback(text.detach)
    return text


def _name(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)
