"""affectlib's own format: JSON Lines with a conversation on each line. It keeps all that was read.

``conversation.schema.json`` beside this module is its JSON Schema. Each line has ``affectlib``, the
version of the format, and ``messages``; fields that are not known are left out. Times are in UTC.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, get_args

from affectlib._atomic import attach_filename, locked, replacing, require_folder
from affectlib.conversation import Conversation, Message, Modality, Role, clean_text
from affectlib.errors import ConversationError, ConversationFailure, OptionError, OutputExistsError
from affectlib.formats._objects import require_list, require_object, text_or_none
from affectlib.formats.reader import Item, Reading, RecordReader, each, with_keys

VERSION = 1
"""Version of the format."""

_ABOUT = ("id", "user_id", "title", "model", "language", "source")


def to_record(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as a record of the format."""
    record: dict[str, Any] = {"affectlib": VERSION}
    record |= {name: v for name in _ABOUT if (v := getattr(conversation, name)) is not None}
    metadata = dict(conversation.metadata)
    if isinstance(metadata.get("started_at"), datetime):
        record["started_at"] = _time_text(metadata.pop("started_at"))
    if metadata:
        try:
            json.dumps(metadata, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ConversationError("it holds values that JSON cannot", field="metadata") from None
        record["metadata"] = metadata
    return record | {"messages": [_message_record(message) for message in conversation.messages]}


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into the conversation that it was written from."""
    if not isinstance(record, Mapping) or record.get("affectlib") != VERSION:
        raise ConversationError(f"only version {VERSION} can be read", field="affectlib")
    about = {name: _text(record, name) for name in _ABOUT}
    metadata = require_object(record.get("metadata", {}), field="metadata")
    started_at = _time(record, "started_at")
    if started_at is not None:
        metadata = {**metadata, "started_at": started_at}
    messages = enumerate(require_list(record, "messages"))
    parsed = tuple(_parse_message(message, index) for index, message in messages)
    yield Conversation(parsed, metadata=dict(metadata), **about)


READERS = (RecordReader("affectlib", with_keys("affectlib", "messages"), each(parse)),)


def write_conversations(
    conversations: Iterable[Item], path: str | os.PathLike[str], *, overwrite: bool = False
) -> int:
    """Write conversations to a file of the format, which gets its name when it is complete.

    Args:
        conversations: What `read_conversations` yields; failures are left out.
        path: The file, a ``.jsonl``; ``-`` for standard output. Either is UTF-8.
        overwrite: Whether it may be there already.

    Returns:
        How many conversations were written.

    Raises:
        OutputExistsError: The file is there and `overwrite` is false, or another process is
            writing it.
        OptionError: Its name does not end in ``.jsonl``.
        OSError: It cannot be written.

    Example:
        >>> from affectlib.formats import read_conversations
        >>> write_conversations(read_conversations("examples/conversations.json"), "chats.jsonl")
        3
    """
    if os.fspath(path) == "-":
        sys.stdout.flush()
        with attach_filename("standard output"):
            return _write(conversations, sys.stdout.buffer)
    target = Path(path)
    if target.suffix != ".jsonl":
        raise OptionError(f"{target}: unknown suffix {target.suffix!r} of the output; use .jsonl")
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"{target}: it exists; name another output or give `overwrite=True`"
        )
    require_folder(target)
    with locked(target), replacing(target) as file:
        return _write(conversations, file)


def _write(conversations: Iterable[Item], file: BinaryIO) -> int:
    count = 0
    for conversation in conversations:
        if isinstance(conversation, ConversationFailure):
            continue
        line = clean_text(json.dumps(to_record(conversation), ensure_ascii=False))
        line = line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        file.write(line.encode() + b"\n")
        count += 1
    return count


def _message_record(message: Message) -> dict[str, Any]:
    record = {field.name: getattr(message, field.name) for field in fields(message)}
    record["timestamp"] = None if message.timestamp is None else _time_text(message.timestamp)
    return {name: value for name, value in record.items() if value is not None}


def _parse_message(message: Any, index: int) -> Message:
    message = require_object(message, index)
    role = _one_of(message, "role", get_args(Role), index)
    content = _text(message, "content", index)
    if role is None or content is None:
        field = "role" if role is None else "content"
        raise ConversationError("the message has none", index=index, field=field)
    return Message(
        role,
        content,
        id=_text(message, "id", index),
        timestamp=_time(message, "timestamp", index),
        modality=_one_of(message, "modality", get_args(Modality), index),
    )


def _text(record: Mapping[str, Any], field: str, index: int | None = None) -> str | None:
    value = text_or_none(record.get(field), field, index)
    return None if value is None else clean_text(value)


def _one_of(record: Mapping[str, Any], field: str, known: tuple[str, ...], index: int) -> Any:
    value = record.get(field)
    if value is not None and value not in known:
        raise ConversationError(f"expected {' or '.join(known)}", index=index, field=field)
    return value


def _time(record: Mapping[str, Any], field: str, index: int | None = None) -> datetime | None:
    text = _text(record, field, index)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConversationError("expected a time", index=index, field=field) from None


def _time_text(moment: datetime) -> str:
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z")
