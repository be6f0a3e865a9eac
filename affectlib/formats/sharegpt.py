"""ShareGPT records: ``{"id", "conversations": [{"from", "value"}, …]}``.

Converters have produced variants: ``role`` and ``content`` instead of ``from`` and ``value``, and
pieces of long conversations that begin with the assistant. A bare list of messages is read too. All
roles are kept, including the system; calls and results of functions have the role ``tool``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from affectlib.conversation import Conversation
from affectlib.formats.fields import (
    named_message,
    require_list,
    require_one_conversation,
    to_conversation,
    to_message,
)
from affectlib.formats.reader import Reading, RecordReader, each

__all__ = ["READERS", "parse", "recognizes"]


def recognizes(record: Any) -> str | None:
    """Return what identifies the format in a record, or None.

    Example:
        >>> recognizes({"conversations": []}), recognizes({"messages": []})
        ('records with "conversations"', None)
    """
    if isinstance(record, Mapping):
        return 'records with "conversations"' if "conversations" in record else None
    is_messages = isinstance(record, list) and all(
        isinstance(message, Mapping) and "from" in message for message in record
    )
    return 'lists of messages with "from"' if record and is_messages else None


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation.

    Example:
        >>> record = {"conversations": [{"from": "human", "value": "hi"}]}
        >>> [conversation.messages[0].role for conversation in parse(record, Reading())]
        ['user']
    """
    if isinstance(record, list):
        require_one_conversation(record)
        record = {"conversations": record}
    messages = require_list(record, "conversations")
    yield to_conversation(
        record,
        [to_message(named_message(message), i, reading.time) for i, message in enumerate(messages)],
        reading.time,
    )


READERS = (RecordReader("sharegpt", recognizes, each(parse)),)
