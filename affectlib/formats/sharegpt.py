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
    as_dict,
    as_list,
    require_list,
    require_one_conversation,
    to_conversation,
    to_messages,
)
from affectlib.formats.reader import Reading, RecordReader, each


def recognizes(record: Any) -> str | None:
    """Return what identifies the format in a record, or None.

    Example:
        >>> recognizes({"conversations": []}), recognizes({"messages": []})
        ('records with "conversations"', None)
    """
    if isinstance(record, Mapping):
        return 'records with "conversations"' if "conversations" in record else None
    messages = as_list(record)
    is_messages = messages and all("from" in as_dict(message) for message in messages)
    return 'lists of messages with "from"' if is_messages else None


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
    messages = to_messages(require_list(record, "conversations"), reading.time)
    yield to_conversation(record, messages, reading.time)


READERS = (RecordReader("sharegpt", recognizes, each(parse)),)
