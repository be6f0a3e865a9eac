"""Content blocks: lists of typed parts, as the interfaces of OpenAI and Anthropic use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectlib.formats.reader import Reading

_NOT_FOR_THE_USER: Mapping[str, str] = MappingProxyType(
    {
        "tool_use": "tool_call",
        "server_tool_use": "tool_call",
        "mcp_tool_use": "tool_call",
        "function_call": "tool_call",
        "tool_result": "tool",
        "mcp_tool_result": "tool",
        "web_search_tool_result": "tool",
        "function_call_output": "tool",
        "thinking": "reasoning",
        "redacted_thinking": "reasoning",
        "reasoning": "reasoning",
    }
)
"""Why blocks of a type are left out."""


def split_blocks(blocks: Sequence[Any], reading: Reading) -> tuple[list[Any], str | None]:
    """Keep the blocks that have text for the user, and count the others.

    Args:
        blocks: Strings and mappings with ``type``; what is neither is kept for an error.
        reading: Where they are counted.

    Returns:
        What is kept; and if that is nothing, the reason why the first one was left out.

    Example:
        >>> from affectlib.formats.reader import Reading
        >>> split_blocks([{"type": "tool_result", "content": "42"}], Reading())
        ([], 'tool')
    """
    kept = []
    first = None
    for block in blocks:
        reason = _reason(block)
        if reason is None:
            kept.append(_simple(block))
        else:
            first = first or reason
            reading.drop(reason)
    return kept, None if kept else first


def _reason(block: Any) -> str | None:
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if isinstance(kind, str) and kind in _NOT_FOR_THE_USER:
        return _NOT_FOR_THE_USER[kind]
    return None if isinstance(_text(block), str) else "not_text"


def _simple(block: Any) -> Any:
    return {"type": "text", "text": _text(block)} if isinstance(block, Mapping) else block


def _text(block: Mapping[str, Any]) -> Any:
    """Return a block's text: as it is, in an object (threads), a refusal or a transcription."""
    text = block.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    if not isinstance(text, str):
        text = next(
            (block[key] for key in ("refusal", "transcript") if isinstance(block.get(key), str)),
            None,
        )
    return text
