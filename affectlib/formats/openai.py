"""OpenAI-style records: ``{"messages": [{"role", "content"}, …]}``, or only that list.

A record may also have ``id`` (or ``conversation_id``), ``user_id``, ``model``, ``language``,
``title``, ``source`` and ``timestamp``; a message may have ``id`` and ``timestamp``, and ``role``
and ``content`` may have other usual names, such as ``sender`` and ``text``. Read as well:

- fine-tuning files, also those with preferences (the preferred answer is kept);
- Batch files: requests (``body``), and results (``response``), which have only the answers;
- logs with a ``request`` and its ``response``, and the Responses interface (``input``, ``output``);
- lists of a thread's messages, with an object around them or not, in the order of their times;
  where these are equal, in the reverse of a list that is newest first, as the interface makes them
  by default, also if all are of one second and the list ends with the user's.

The text of content blocks is kept, refusals and transcriptions included. Images, files and sound
without a transcription are left out and counted, as are messages that only carry a tool's result
under the role ``user``, and items of tools in the Responses interface. A message that only calls
tools stays, without text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from affectlib._values import to_text, to_time
from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError
from affectlib.formats._blocks import split_blocks
from affectlib.formats._objects import as_dict, as_list, as_text, first_of, require_list
from affectlib.formats.fields import (
    in_order,
    named_message,
    require_one_conversation,
    to_conversation,
    to_message,
)
from affectlib.formats.reader import Reading, RecordReader, each

_TOOL_ITEM = re.compile(r"\w+_(?:call|output)|mcp_\w+|item_reference")
"""Types of items that have no role: calls of tools, built in or not, and what they returned."""


def _recognizes(record: Any) -> str | None:
    if isinstance(record, list):
        is_messages = record and all("role" in as_dict(message) for message in record)
        return 'lists of messages with "role"' if is_messages else None
    if not isinstance(record, Mapping):
        return None
    if isinstance(record.get("messages"), list):
        return 'records with "messages"'
    if _is_thread(record):
        return "a list of thread messages"
    for part in ("body", "request", "response", "input"):
        inner = record.get(part)
        if isinstance(inner, Mapping) and (part != "input" or "messages" in inner):
            inner = inner.get("body", inner)
            if isinstance(inner, Mapping) and {"messages", "input", "choices"} & inner.keys():
                return f'records with "{part}"'
    if "custom_id" in record and "response" in record:
        return "results of a batch"
    is_response = "input" in record and isinstance(record.get("output"), list)
    return 'records with "input" and "output"' if is_response else None


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation."""
    about, messages = _unwrapped(record)
    found = (_message(message, index, reading) for index, message in enumerate(messages))
    yield to_conversation(about, [*filter(None, found)], reading.time)


READERS = (RecordReader("openai", _recognizes, each(parse)),)


def _unwrapped(record: Any) -> tuple[Mapping[str, Any], list[Any]]:
    if isinstance(record, list):
        require_one_conversation(record)
        return {}, _by_time(record) if all(map(_is_of_thread, record)) else record
    if not isinstance(record, Mapping) or isinstance(record.get("messages"), list):
        return record, require_list(record, "messages")
    if _is_thread(record):
        require_one_conversation(record["data"])
        return record, _by_time(require_list(record, "data"))
    request = _inner(record, "body") or _inner(record, "request") or _inner(record, "input")
    response = _inner(record, "response")
    if record.get("error"):
        raise ConversationError("the request failed", field="error")
    if not request and not response and "input" not in record:
        return record, require_list(record, "messages")
    request = request or (record if "input" in record else {})
    messages = _asked(request) + _answered(record, response)
    about = {
        "id": first_of(record, ("custom_id", "id")) or request.get("id"),
        "model": first_of(request, ("model",)) or response.get("model"),
        "user_id": first_of(request, ("user", "user_id")) or record.get("user_id"),
        "timestamp": first_of(record, ("timestamp", "created_at"))
        or first_of(response, ("created", "created_at")),
    }
    return about, messages


def _inner(record: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    inner = as_dict(record.get(field))
    return as_dict(inner.get("body")) or inner


def _asked(request: Mapping[str, Any]) -> list[Any]:
    given = request.get("input")
    if isinstance(request.get("messages"), list):
        return [*request["messages"]]
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [*as_list(given)]


def _answered(record: Mapping[str, Any], response: Mapping[str, Any]) -> list[Any]:
    preferred = record.get("preferred_output")
    if isinstance(preferred, list):
        return preferred
    choices = response.get("choices")
    if isinstance(choices, list):
        return [choice.get("message") for choice in choices[:1] if isinstance(choice, Mapping)]
    return as_list(response.get("output", record.get("output")))


def _is_thread(record: Mapping[str, Any]) -> bool:
    data = as_list(record.get("data"))
    return bool(data) and all({"role", "content"} <= as_dict(item).keys() for item in data)


def _is_of_thread(message: Any) -> bool:
    return bool(as_dict(message).get("object") == "thread.message")


def _by_time(messages: list[Any]) -> list[Any]:
    """Put the messages of a thread in order, if each has a time."""
    times = [to_time(message.get("created_at")) for message in messages]
    if None in times:
        return messages
    if len({*times}) == 1 and messages[-1].get("role") == "user":
        return messages[::-1]
    return in_order(messages, times)


def _item_reason(kind: str) -> str | None:
    """Return why an item without a role is left out, by its type; None if it should have a role."""
    if _TOOL_ITEM.fullmatch(kind):
        return "tool" if kind.endswith("_output") else "tool_call"
    return "reasoning" if kind == "reasoning" else None


def _message(message: Any, index: int, reading: Reading) -> Message | None:
    if not isinstance(message, Mapping):
        return to_message(message, index)
    if not {"role", "content"} <= message.keys():
        message = named_message(message)
    reason = None if "role" in message else _item_reason(as_text(message.get("type")))
    if reason is not None:
        reading.drop(reason)
        return None
    content = message.get("content")
    if isinstance(content, list):
        content, reason = split_blocks(content, reading)
        if reason == "tool" and message.get("role") == "user":
            return None
    transcript = to_text(as_dict(message.get("audio")).get("transcript"))
    if "content" in message or {"tool_calls", "function_call", "refusal", "audio"} & message.keys():
        content = content or transcript or to_text(message.get("refusal")) or content
        message = {**message, "content": content}
    parsed = to_message(message, index, reading.time)
    return replace(parsed, modality="voice") if transcript else parsed
