"""WildChat and LMSYS-Chat-1M: ``conversation`` is a list of messages with role and content.

Both generations of WildChat's field names are read: ``conversation_id`` or ``conversation_hash``,
and address, country and time for the conversation or for each message. The user id is the hashed
address. Kept as metadata: ``country``, ``toxic``, ``redacted``. Moderation scores and request
headers are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation
from affectlib.formats.fields import (
    first_of,
    named_message,
    require_list,
    to_conversation,
    to_message,
)
from affectlib.formats.reader import Reading, RecordReader, each

__all__ = ["READERS", "parse_lmsys", "parse_wildchat", "recognizes_lmsys", "recognizes_wildchat"]

_WILDCHAT = ("conversation_hash", "hashed_ip", "toxic", "turn_identifier")
_LMSYS = ("conversation_id", "question_id", "openai_moderation", "moderation", "turn")
_METADATA = ("country", "toxic", "redacted")


def recognizes_wildchat(record: Any) -> str | None:
    """Return what identifies WildChat in a record, or None.

    Example:
        >>> recognizes_wildchat({"conversation_hash": "c1", "conversation": []})
        'records with "conversation" and "conversation_hash"'
    """
    return _evidence(record, _WILDCHAT)


def recognizes_lmsys(record: Any) -> str | None:
    """Return what identifies LMSYS-Chat-1M in a record, or None.

    Example:
        >>> recognizes_lmsys({"conversation_id": "c1", "conversation": []})
        'records with "conversation" and "conversation_id"'
    """
    return _evidence(record, _LMSYS)


def parse_wildchat(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation."""
    yield _conversation(record, "wildchat", reading)


def parse_lmsys(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation."""
    yield _conversation(record, "lmsys", reading)


READERS = (
    RecordReader("wildchat", recognizes_wildchat, each(parse_wildchat)),
    RecordReader("lmsys", recognizes_lmsys, each(parse_lmsys)),
)


def _evidence(record: Any, keys: tuple[str, ...]) -> str | None:
    if not isinstance(record, Mapping) or not isinstance(record.get("conversation"), list):
        return None
    first = next((m for m in record["conversation"] if isinstance(m, Mapping)), {})
    found = next((key for key in keys if key in record or key in first), None)
    return None if found is None else f'records with "conversation" and "{found}"'


def _conversation(record: Any, source: str, reading: Reading) -> Conversation:
    given = require_list(record, "conversation")
    messages = [
        replace(
            to_message(named_message(message), index, reading.time),
            id=to_text(message.get("turn_identifier")),
        )
        for index, message in enumerate(given)
    ]
    mappings = [record, *given]
    about = {
        **record,
        "user_id": next(filter(None, (_field(m, "user_id", "hashed_ip") for m in mappings)), None),
        "source": record.get("source") or source,
    }
    conversation = to_conversation(about, messages, reading.time)
    found = {name: next((m[name] for m in mappings if name in m), None) for name in _METADATA}
    kept = {name: value for name, value in found.items() if isinstance(value, str | bool)}
    return replace(conversation, metadata={**conversation.metadata, **kept})


def _field(record: Mapping[str, Any], *names: str) -> str | None:
    return to_text(first_of(record, names))
