"""Claude Code's session files: JSON Lines with an event on each line.

Each file is usually a session; if a file has several, ``sessionId`` tells them apart. The user's
and the assistant's words are kept. Left out and counted are tool calls and their results (which
have the type ``user``), thoughts, text that the program inserted (``isMeta``, summaries of what
came before, output of commands), messages of sub-agents (``isSidechain``), and other events. The
pieces of an answer are joined. After a rewind, the branch that was written last is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation, Message, join_text_blocks
from affectlib.formats._blocks import split_blocks
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_text, first_text
from affectlib.formats._tree import Tree
from affectlib.formats.fields import to_conversation, to_message
from affectlib.formats.grouping import Group
from affectlib.formats.reader import Item, Reading, RecordReader, read_groups

_TYPES = frozenset(
    {"user", "assistant", "system", "summary", "file-history-snapshot", "progress", "attachment"}
)
_TRACES = frozenset({"sessionId", "parentUuid", "leafUuid", "snapshot"})
_COMMAND = re.compile(r"\s*<(command-|local-command-|bash-|system-reminder)")


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    traces = sorted(_TRACES & record.keys())
    is_event = as_text(record.get("type")) in _TYPES and traces
    return f'events with "type" and "{traces[0]}"' if is_event else None


def read(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read the sessions of a file."""
    session: str | None = None

    def key(event: Mapping[str, Any]) -> str | None:
        nonlocal session
        session = to_text(event.get("sessionId")) or session
        return session

    return read_groups(records, reading, key, _parse)


READERS = (RecordReader("claude_code", _recognizes, read),)


def _parse(group: Group, reading: Reading) -> Iterator[Conversation]:
    shown: dict[str, tuple[str, Message]] = {}
    parents: dict[str, Any] = {}
    last = None
    for number, event in enumerate(reading.rows(group)):
        name = to_text(event.get("uuid")) or f"event {number}"
        parents[name] = event.get("parentUuid") or event.get("logicalParentUuid")
        message = _message(event, len(shown), reading)
        if message is not None:
            shown[name] = message
        if event.get("type") in ("user", "assistant") and not event.get("isSidechain"):
            last = name
    if last is None:
        return
    if not any(isinstance(parent, str) and parent in parents for parent in parents.values()):
        parents = dict(zip(parents, [None, *parents], strict=False))
    model = first_text(as_dict(row.fields.get("message")).get("model") for row in group.rows)
    for branch, path in Tree.of(parents, shown.keys()).paths(last, reading):
        messages = _joined([shown[name] for name in path])
        about = {
            "id": group.key,
            "model": model,
            "timestamp": messages[0].timestamp if messages else None,
            "source": "claude_code",
        }
        yield to_conversation(about, messages, branch=branch)


def _message(event: Mapping[str, Any], index: int, reading: Reading) -> tuple[str, Message] | None:
    """Return an answer's id and the message in an event, or None if it has none to keep."""
    message = event.get("message")
    if event.get("type") not in ("user", "assistant") or not isinstance(message, Mapping):
        reading.drop("event")
        return None
    if event.get("isSidechain") or event.get("isMeta") or event.get("isCompactSummary"):
        reading.drop("hidden")
        return None
    content = message.get("content")
    if isinstance(content, list):
        content, reason = split_blocks(content, reading)
        if reason is not None and reason != "not_text":
            return None
    text = join_text_blocks(content) if isinstance(content, list) else as_text(content)
    if event["type"] == "user" and _COMMAND.match(text):
        reading.drop("hidden")
        return None
    fields = {
        "role": event["type"],
        "content": content,
        "id": to_text(event.get("uuid")),
        "timestamp": event.get("timestamp"),
    }
    return to_text(message.get("id")) or "", to_message(fields, index, reading.time)


def _joined(messages: list[tuple[str, Message]]) -> list[Message]:
    joined: list[Message] = []
    before = None
    for answer, message in messages:
        if joined and answer and (answer, message.role) == before:
            first = joined[-1]
            text = "\n".join(filter(None, (first.content, message.content)))
            joined[-1] = Message(first.role, text, first.id, first.timestamp)
        else:
            joined.append(message)
        before = (answer, message.role)
    return joined
