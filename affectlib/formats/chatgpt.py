"""ChatGPT's export, ``conversations.json``: a tree of nodes for each conversation.

The file can be read by itself, or in the ZIP archive as downloaded. Edits and regenerations are
branches of the tree. The path from ``current_node`` up to the root is the one that the user last
saw, so that path is read; if ``current_node`` is missing, the longest one is. With
``branches="all"`` every path is a separate conversation: the active one keeps its id, the others
have a number added to it.

Nodes that the interface does not show are left out and counted: system and tool messages, messages
to tools, thoughts, browsing, custom instructions, and nodes that are hidden or have no weight. The
text of message parts is kept; speech is kept as its transcription, with the modality ``voice``.
Citation marks are removed from answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import (
    Conversation,
    Message,
    Modality,
    clean_text,
    join_text_blocks,
    parse_role,
)
from affectlib.errors import ConversationError
from affectlib.formats._objects import as_dict, as_text, first_text, require_array, require_object
from affectlib.formats._tree import Tree
from affectlib.formats.fields import to_conversation
from affectlib.formats.reader import Reading, RecordReader, each, with_keys

_TOOLS = (
    *("app_pairing_content", "computer_output", "execution_output", "sonic_webpage"),
    *("super_widget", "system_error", "tether_browsing_code", "tether_browsing_display"),
    "tether_quote",
)
_HIDDEN_CONTENT: Mapping[str, str] = {
    **dict.fromkeys(_TOOLS, "tool"),
    **dict.fromkeys(("model_editable_context", "user_editable_context"), "context"),
    **dict.fromkeys(("reasoning_recap", "thoughts"), "reasoning"),
}
"""Why content of a type is left out."""
_CITATION = re.compile("\ue200.*?\ue201|【\\d+(?::\\d+)?†[^】]*】", re.DOTALL)


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn one conversation of the export into a `Conversation`, or one for each branch."""
    record = require_object(record)
    mapping = require_object(record.get("mapping"), field="mapping")
    parents: dict[str, Any] = {}
    shown: dict[str, Mapping[str, Any]] = {}
    for node, value in mapping.items():
        parents[node] = as_dict(value).get("parent")
        message = as_dict(value).get("message")
        if not isinstance(message, Mapping):
            continue
        reason = _hidden(message)
        if reason is None:
            shown[node] = message
        else:
            reading.drop(reason)
    tree = Tree.of(parents, shown.keys())
    for branch, path in tree.paths(record.get("current_node"), reading):
        models = (as_dict(shown[node].get("metadata")).get("model_slug") for node in path)
        about = {
            **record,
            "model": first_text([record.get("default_model_slug"), *models]),
            "source": record.get("source") or "chatgpt",
        }
        messages = [_parse(shown[node], node, reading) for node in path]
        yield to_conversation(about, messages, reading.time, branch=branch)


READERS = (RecordReader("chatgpt", with_keys("mapping"), each(parse)),)


def _hidden(message: Mapping[str, Any]) -> str | None:
    """Return why the interface does not show a message, or None if it does."""
    metadata = as_dict(message.get("metadata"))
    role = as_dict(message.get("author")).get("role")
    kind = as_dict(message.get("content")).get("content_type")
    if metadata.get("is_user_system_message"):
        return "context"
    if metadata.get("is_visually_hidden_from_conversation") or message.get("weight") == 0:
        return "system" if role == "system" else "hidden"
    if role in ("system", "tool"):
        return str(role)
    if role == "assistant" and message.get("recipient") not in (None, "all"):
        return "tool_call"
    if role == "assistant" and message.get("channel") == "analysis":
        return "reasoning"
    return _HIDDEN_CONTENT.get(as_text(kind))


def _parse(message: Mapping[str, Any], node: str, reading: Reading) -> Message:
    place = f"mapping.{clean_text(node)[:40]}"
    try:
        role = parse_role(as_dict(message.get("author")).get("role"))
    except ConversationError as error:
        raise ConversationError(error.problem, field=f"{place}.author.role") from None
    content = message.get("content")
    content = {} if content is None else require_object(content, field=f"{place}.content")
    text, modality = _text_of(content, place, reading)
    if as_dict(message.get("metadata")).get("voice_mode_message"):
        modality = "voice"
    if role == "assistant":
        text = _CITATION.sub("", text)
    return Message(
        role,
        text,
        id=to_text(message.get("id")),
        timestamp=reading.time(message.get("create_time")),
        modality=modality,
    )


def _text_of(content: Mapping[str, Any], place: str, reading: Reading) -> tuple[str, Modality]:
    """Join the text of the parts; some kinds of content have ``text`` instead of parts."""
    parts = content.get("parts")
    if parts is None:
        parts = content.get("text")
    if parts is None or isinstance(parts, str):
        return parts or "", "text"
    parts = require_array(parts, f"{place}.content.parts")
    kinds = [str(part.get("content_type")) for part in parts if isinstance(part, Mapping)]
    spoken = "audio_transcription" in kinds
    reading.drop("not_text", sum(not _is_text(kind, spoken) for kind in kinds))
    return join_text_blocks(parts), "voice" if spoken else "text"


def _is_text(kind: str, spoken: bool) -> bool:
    """Whether a part has text; the sound of what was transcribed does not count as left out."""
    return kind == "audio_transcription" or "text" in kind or (spoken and "audio" in kind)
