r"""Anthropic's HH-RLHF: a conversation is one text, with ``\n\nHuman:`` and ``\n\nAssistant:``.

Such texts are read from ``chosen`` (``rejected`` is a branch that was not taken: it is counted, and
read with ``branches="all"``), from ``transcript`` or ``prompt``, from bare JSON strings, and from a
text file, which is one conversation. Text before the first mark is the system's message. If
somebody wrote such a mark in a message, it cannot be told from a real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from affectlib._values import kind_of
from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError
from affectlib.formats._objects import as_dict
from affectlib.formats.fields import to_conversation
from affectlib.formats.reader import Reading, RecordReader, TextReader, each, whole

_FIELDS = ("chosen", "transcript", "prompt", "text")
_MARK = re.compile(r"(?:^|\n\n|\r\n\r\n)[ \t]*(Human|Assistant):[ \t]?")
_STARTS = re.compile(r"\s*Human:")
_CLOSE = re.compile(r"\S[ \t]*\r?\n[ \t]*Assistant:")


def _recognizes(record: Any) -> str | None:
    if isinstance(record, str):
        return '"Human:" at the beginning of texts' if _STARTS.match(record) else None
    field = _field(record)
    if field is None or not _STARTS.match(record[field]):
        return None
    return f'"Human:" at the beginning of "{field}"'


def _recognizes_text(beginning: str, reading: Reading) -> str | None:
    if not _STARTS.match(beginning) or _CLOSE.search(beginning):
        return None  # without a blank line before the marks it is plain text
    return '"Human:" at the beginning'


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation, or into two: what was chosen, and what was rejected."""
    if isinstance(record, str):
        yield Conversation(_messages(record, reading), source="anthropic_hh")
        return
    field = _field(record)
    if field is None:
        raise ConversationError(f"expected a text or an object with one, got {kind_of(record)}")
    about = {**record, "source": record.get("source") or "anthropic_hh"}
    yield to_conversation(about, _messages(record[field], reading), reading.time)
    rejected = record.get("rejected")
    if field == "chosen" and isinstance(rejected, str):
        if reading.options.branches == "all":
            yield to_conversation(about, _messages(rejected, reading), branch="#1")
        else:
            reading.drop("branch")


def parse_text(text: str, reading: Reading) -> Iterator[Conversation]:
    """Turn a text into a conversation, unless it is blank."""
    text = text.lstrip("\ufeff")
    if text.strip():
        yield Conversation(_messages(text, reading), source="anthropic_hh")


READERS = (
    RecordReader("anthropic_hh", _recognizes, each(parse)),
    TextReader("anthropic_hh", _recognizes_text, whole(parse_text)),
)


def _field(record: Any) -> str | None:
    return next((name for name in _FIELDS if isinstance(as_dict(record).get(name), str)), None)


def _messages(text: str, reading: Reading) -> tuple[Message, ...]:
    before, *pieces = _MARK.split(text)
    messages = [Message("system", before.strip())] if before.strip() else []
    for who, words in zip(pieces[::2], pieces[1::2], strict=True):
        if words.strip():
            messages.append(Message("user" if who == "Human" else "assistant", words.strip()))
        else:
            reading.drop("empty")
    return tuple(messages)
