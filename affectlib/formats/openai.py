"""OpenAI-style records: ``{"messages": [{"role", "content"}, …]}``, or that list alone.

A record may also have ``id`` (or ``conversation_id``), ``user_id``, ``model``, ``language``,
``title``, ``source`` and ``timestamp``; a message may have ``id`` and ``timestamp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affectlib.conversation import Conversation
from affectlib.formats._fields import require_list, to_conversation, to_message

__all__ = ["parse", "recognizes"]


def recognizes(record: Any) -> bool:
    """Whether the record has this format, by its keys.

    Example:
        >>> recognizes({"messages": []}), recognizes({"mapping": {}})
        (True, False)
    """
    if isinstance(record, Mapping):
        return "messages" in record
    return isinstance(record, list) and all(
        isinstance(message, Mapping) and "role" in message for message in record
    )


def parse(record: Any) -> Conversation:
    """Turn a record into a conversation.

    Raises:
        ConversationError: It is malformed; the error names the message and the field.

    Example:
        >>> parse({"id": 7, "messages": [{"role": "user", "content": "hi"}]}).id
        '7'
    """
    if isinstance(record, list):
        record = {"messages": record}
    messages = require_list(record, "messages")
    return to_conversation(
        record,
        [to_message(_with_content(message), index) for index, message in enumerate(messages)],
    )


def _with_content(message: Any) -> Any:
    """Give a message that only calls tools the null content that some clients leave out."""
    if isinstance(message, Mapping) and ("tool_calls" in message or "function_call" in message):
        return {"content": None, **message}
    return message
