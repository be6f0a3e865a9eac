"""What every reader needs: fields of a record made into the types of a `Conversation`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from affectlib.conversation import Conversation, Message, clean_text, parse_message
from affectlib.errors import ConversationError
from affectlib.formats._dates import parse_date

if TYPE_CHECKING:
    from affectlib.formats._reader import Reading

_IDS = (
    "id",
    "conversation_id",
    "chat_id",
    "thread_id",
    "uuid",
    "conversation_hash",
    "message_tree_id",
)
_TIMES = ("timestamp", "created_at", "create_time", "created", "created_date", "started_at")
_NAMES = {
    "from": "role",
    "speaker": "role",
    "sender": "role",
    "author": "role",
    "value": "content",
    "text": "content",
    "message": "content",
}
_LATEST = 1e10
"""Seconds after 1970, in the year 2286, beyond which a number is no time."""
_NUMBER = re.compile(r"-?\d{9,}(\.\d+)?")
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,39}", re.ASCII)


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first of several fields that is there and not null, None if there is none."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def is_missing(value: Any) -> bool:
    """Whether a value is None, or the NaN, NaT or NA that pandas puts where there is none.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), 0.0, "")]
        [True, True, False, False]
    """
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NaTType", "NAType")


def to_text(value: Any) -> str | None:
    """Return an id or another short field as text, None if it is empty or not a scalar.

    Whole floats lose their fraction: they are integer ids that went through a column with gaps.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() else value
    if not isinstance(value, str | int | float):
        return None
    return clean_text(str(value)).strip() or None


def to_time(value: Any) -> datetime | None:
    """Return a point in time, None if it cannot be read as one.

    Numbers are seconds since 1970, or milli-, micro- or nanoseconds where seconds would be absurd;
    those that are absurd in any of them are no times. Texts are dates of which `parse_date` is
    certain. Times without a zone are taken as UTC.

    Example:
        >>> [to_time(value) for value in (99_999_999_999_999_999, "yesterday")]
        [None, None]
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        value = value.strip()
        value = float(value) if _NUMBER.fullmatch(value) else value
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
            while math.isfinite(seconds) and abs(seconds) > 1e11:
                seconds /= 1000
            if abs(seconds) > _LATEST:
                return None
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            value = parse_date(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def to_message(message: Any, index: int, reading: Reading | None = None) -> Message:
    """Parse one ``{"role", "content"}`` mapping and its time.

    Args:
        message: The mapping.
        index: Its position, for the error message.
        reading: Where a time that cannot be read is counted.

    Raises:
        ConversationError: It is malformed.
    """
    parsed = parse_message(message, index)
    return replace(parsed, timestamp=_time(message, reading))


def named_message(message: Any) -> Any:
    """Give a message's role and content these names, whatever their usual others.

    Example:
        >>> named_message({"from": "human", "value": "hi"})
        {'role': 'human', 'content': 'hi'}
    """
    if not isinstance(message, Mapping):
        return message
    renamed = {_NAMES.get(key, key): value for key, value in message.items()}
    return renamed | {key: message[key] for key in ("role", "content") if key in message}


def _time(record: Mapping[str, Any], reading: Reading | None) -> datetime | None:
    value = first_of(record, _TIMES)
    return to_time(value) if reading is None else reading.time(value)


def to_conversation(
    record: Mapping[str, Any], messages: Sequence[Message], reading: Reading | None = None
) -> Conversation:
    """Put messages together with what the record says of the conversation as a whole.

    Args:
        record: What says it.
        messages: The messages.
        reading: Where a time that cannot be read is counted.
    """
    started_at = _time(record, reading)
    return Conversation(
        tuple(messages),
        id=record_id(record),
        user_id=to_text(first_of(record, ("user_id", "user"))),
        title=to_text(record.get("title")),
        model=to_text(record.get("model")),
        language=to_text(first_of(record, ("language", "lang"))),
        source=to_text(record.get("source")),
        metadata={} if started_at is None else {"started_at": started_at},
    )


def numbered(conversation: Conversation, suffix: str) -> Conversation:
    """Add to the id of a conversation, if it has one, what tells its branch from the others."""
    if not suffix or conversation.id is None:
        return conversation
    return replace(conversation, id=conversation.id + suffix)


def record_id(record: Any) -> str | None:
    """Return the conversation's id, None if the record has none."""
    if not isinstance(record, Mapping):
        return None
    return next(filter(None, (to_text(record.get(name)) for name in _IDS)), None)


def require_list(record: Any, field: str) -> list[Any]:
    """Return a field that must be a list.

    Raises:
        ConversationError: The record is no object, or lacks the field, or it is no list.
    """
    if not isinstance(record, Mapping):
        raise ConversationError(f"expected an object, got {kind_of(record)}")
    if field not in record:
        raise ConversationError(f'the record has no "{field}"', field=field)
    value = record[field]
    if not isinstance(value, list):
        raise ConversationError(f"expected a list, got {kind_of(value)}", field=field)
    return value


def kind_of(value: Any) -> str:
    """Name the type of a value as JSON's users know it."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def name_list(names: Sequence[Any]) -> str:
    """List keys or column names for an error, or only count them.

    Where one does not look like a name, they may be transcript text: a file without a header.
    """
    if all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
    return f"({len(names)} that are not all plain names)"
