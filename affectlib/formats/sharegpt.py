"""ShareGPT records: ``{"id", "conversations": [{"from", "value"}, …]}``.

Converters have left variants: ``role`` and ``content`` in the place of ``from`` and ``value``, and
chunks of long conversations that begin with the assistant. A bare list of messages is read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affectlib.conversation import Conversation
from affectlib.formats._fields import require_list, to_conversation, to_message

__all__ = ["parse", "recognizes"]

_NAMES = {"from": "role", "value": "content", "text": "content"}


def recognizes(record: Any) -> bool:
    """Whether the record has this format, by its keys.

    Example:
        >>> recognizes({"conversations": []}), recognizes({"messages": []})
        (True, False)
    """
    if isinstance(record, Mapping):
        return "conversations" in record
    return isinstance(record, list) and all(
        isinstance(message, Mapping) and "from" in message for message in record
    )


def parse(record: Any) -> Conversation:
    """Turn a record into a conversation.

    Raises:
        ConversationError: It is malformed; the error names the message and the field.

    Example:
        >>> parse({"conversations": [{"from": "human", "value": "hi"}]}).messages[0].role
        'user'
    """
    if isinstance(record, list):
        record = {"conversations": record}
    messages = require_list(record, "conversations")
    return to_conversation(
        record, [to_message(_renamed(message), index) for index, message in enumerate(messages)]
    )


def _renamed(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    renamed = {_NAMES.get(key, key): value for key, value in message.items()}
    return renamed | {key: message[key] for key in ("role", "content") if key in message}
