"""ChatGPT's export, ``conversations.json``: a tree of nodes for each conversation.

Edits and regenerations are branches of the tree. What the user last saw is the path from
``current_node`` up to the root, so that path is read; where ``current_node`` is missing, the
deepest one. Nodes that the interface does not show are left out: system and tool messages,
messages to tools, thoughts, browsing, custom instructions, and what is hidden or has no weight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from affectlib.conversation import (
    Conversation,
    Message,
    clean_text,
    join_text_blocks,
    parse_role,
)
from affectlib.errors import ConversationError
from affectlib.formats._fields import kind_of, to_conversation, to_text, to_time

__all__ = ["parse", "recognizes"]

_HIDDEN_CONTENT = frozenset(
    {
        "app_pairing_content",
        "computer_output",
        "execution_output",
        "model_editable_context",
        "reasoning_recap",
        "sonic_webpage",
        "super_widget",
        "system_error",
        "tether_browsing_code",
        "tether_browsing_display",
        "tether_quote",
        "thoughts",
        "user_editable_context",
    }
)
_CITATION = re.compile("\ue200.*?\ue201|【\\d+(?::\\d+)?†[^】]*】", re.DOTALL)


def recognizes(record: Any) -> bool:
    """Whether the record has this format, by its keys.

    Example:
        >>> recognizes({"mapping": {}}), recognizes({"messages": []})
        (True, False)
    """
    return isinstance(record, Mapping) and "mapping" in record


def parse(record: Any) -> Conversation:
    """Turn one conversation of the export into a `Conversation`.

    Raises:
        ConversationError: It is malformed; the error names the node and the field.

    Example:
        >>> node = {"author": {"role": "user"}, "content": {"parts": ["hi"]}}
        >>> parse({"mapping": {"a": {"message": node}}, "current_node": "a"}).messages[0].content
        'hi'
    """
    if not isinstance(record, Mapping):
        raise ConversationError(f"expected an object, got {kind_of(record)}")
    mapping = record.get("mapping")
    if not isinstance(mapping, Mapping):
        raise ConversationError(f"expected an object, got {kind_of(mapping)}", field="mapping")
    shown = [
        (node, message)
        for node in _path(mapping, record.get("current_node"))
        if (message := _shown_message(mapping[node])) is not None
    ]
    messages = [_parse(message, node) for node, message in shown]
    models = (to_text(_mapping(message.get("metadata")).get("model_slug")) for _, message in shown)
    model = to_text(record.get("default_model_slug")) or next(filter(None, models), None)
    return replace(
        to_conversation(record, messages),
        model=model,
        source=to_text(record.get("source")) or "chatgpt",
    )


def _path(mapping: Mapping[str, Any], current: Any) -> list[str]:
    """Return the nodes from the root to the current one, or else to the deepest one."""
    if not (isinstance(current, str) and current in mapping):
        current = _deepest(mapping)
    return [*_ancestry(mapping, current)][::-1]


def _ancestry(mapping: Mapping[str, Any], node: Any) -> Iterator[str]:
    """Yield a node, its parent and so on; ends at a missing parent or where a cycle closes."""
    seen = set()
    while isinstance(node, str) and node in mapping and node not in seen:
        seen.add(node)
        yield node
        node = _mapping(mapping[node]).get("parent")


def _deepest(mapping: Mapping[str, Any]) -> str | None:
    """Return the node farthest from its root, of several the one that was written last."""
    depths: dict[str, int] = {}
    for node in mapping:
        way: list[str] = []
        depth = 0
        for ancestor in _ancestry(mapping, node):
            if ancestor in depths:
                depth = depths[ancestor]
                break
            way.append(ancestor)
        for step in reversed(way):
            depths[step] = depth = depth + 1
    return max(reversed(list(mapping)), key=depths.__getitem__, default=None)


def _shown_message(node: Any) -> Mapping[str, Any] | None:
    """Return the node's message if the user wrote or saw it."""
    message = _mapping(node).get("message")
    if not isinstance(message, Mapping):
        return None
    metadata = _mapping(message.get("metadata"))
    role = _mapping(message.get("author")).get("role")
    hidden = (
        metadata.get("is_visually_hidden_from_conversation")
        or metadata.get("is_user_system_message")
        or message.get("weight") == 0
        or role in ("system", "tool")
        or (role == "assistant" and message.get("recipient") not in (None, "all"))
        or (role == "assistant" and message.get("channel") == "analysis")
        or _mapping(message.get("content")).get("content_type") in _HIDDEN_CONTENT
    )
    return None if hidden else message


def _parse(message: Mapping[str, Any], node: str) -> Message:
    place = f"mapping.{clean_text(node)[:40]}"
    role = _mapping(message.get("author")).get("role")
    try:
        parsed_role = parse_role(role)
    except ConversationError as error:
        raise ConversationError(error.problem, field=f"{place}.author.role") from None
    content = message.get("content")
    if content is not None and not isinstance(content, Mapping):
        raise ConversationError(
            f"expected an object, got {kind_of(content)}", field=f"{place}.content"
        )
    text = _text_of(_mapping(content), place)
    if parsed_role == "assistant":
        text = _CITATION.sub("", text)
    return Message(
        parsed_role,
        clean_text(text),
        id=to_text(message.get("id")),
        timestamp=to_time(message.get("create_time")),
    )


def _text_of(content: Mapping[str, Any], place: str) -> str:
    """Join the text of the parts; some kinds of content have ``text`` instead of parts."""
    parts = content.get("parts")
    if parts is None:
        parts = content.get("text")
    if parts is None or isinstance(parts, str):
        return parts or ""
    if not isinstance(parts, list):
        raise ConversationError(
            f"expected a list, got {kind_of(parts)}", field=f"{place}.content.parts"
        )
    return join_text_blocks(parts)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
