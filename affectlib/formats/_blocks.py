"""Content blocks: lists of typed parts, as the interfaces of OpenAI and Anthropic use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from affectlib.formats._objects import as_text

if TYPE_CHECKING:
    from affectlib.formats.reader import Reading

_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use", "function_call")
_RESULTS = ("tool_result", "mcp_tool_result", "web_search_tool_result", "function_call_output")
_HIDDEN_BLOCKS: Mapping[str, str] = {
    **dict.fromkeys(_CALLS, "tool_call"),
    **dict.fromkeys(_RESULTS, "tool"),
    **dict.fromkeys(("thinking", "redacted_thinking", "reasoning"), "reasoning"),
}
"""Why blocks of a type are left out."""


def split_blocks(blocks: Sequence[Any], reading: Reading) -> tuple[list[Any], str | None]:
    """Keep the blocks that have text for the user, and count the others.

    Returns them and, if there are none, the reason why the first block was left out. What is
    neither a string nor a mapping is kept, for an error.
    """
    kept = []
    first = None
    for block in blocks:
        reason = _reason(block)
        if reason is not None:
            first = first or reason
            reading.drop(reason)
        elif isinstance(block, Mapping):
            kept.append({"type": "text", "text": _text(block)})
        else:
            kept.append(block)
    return kept, None if kept else first


def _reason(block: Any) -> str | None:
    if not isinstance(block, Mapping):
        return None
    reason = _HIDDEN_BLOCKS.get(as_text(block.get("type")))
    return reason or (None if isinstance(_text(block), str) else "not_text")


def _text(block: Mapping[str, Any]) -> Any:
    """Return a block's text: as it is, in an object (threads), a refusal or a transcription."""
    text = block.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    found = (text, block.get("refusal"), block.get("transcript"))
    return next((text for text in found if isinstance(text, str)), None)
