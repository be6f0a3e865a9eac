"""Claude's export, ``conversations.json``: ``chat_messages`` from ``human`` and ``assistant``.

The file can be read by itself, or in the ZIP archive as downloaded. The text comes from the content
blocks; ``text``, which repeats it, or says in place of a tool that it is not supported, is used
only if there are none. A long paste is stored as an attachment without a file name, and is read as
part of the message. Other attachments and files, tool calls and their results, and thoughts are
left out and counted. If messages name their parents, edits and regenerations are branches, as in
ChatGPT's export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError
from affectlib.formats._blocks import split_blocks
from affectlib.formats._objects import as_dict, as_list, require_list
from affectlib.formats._tree import Tree
from affectlib.formats.fields import to_conversation, to_message
from affectlib.formats.reader import Reading, RecordReader, each, with_keys

_PASTED = re.compile(r"(pasted?([ _-]?text)?[ _-]?\d*(\.txt)?)?", re.IGNORECASE)


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn one conversation of the export into a `Conversation`, or one for each branch."""
    given = require_list(record, "chat_messages")
    messages = [_message(message, index, reading) for index, message in enumerate(given)]
    about = {
        **record,
        "title": record.get("name"),
        "user_id": as_dict(record.get("account")).get("uuid"),
        "source": record.get("source") or "claude",
    }
    for branch, path in _paths(given, record.get("current_leaf_message_uuid"), reading):
        kept = [messages[index] for index in path]
        yield to_conversation(about, kept, reading.time, branch=branch)


READERS = (RecordReader("claude", with_keys("chat_messages"), each(parse)),)


def _paths(
    messages: Sequence[Mapping[str, Any]], current: Any, reading: Reading
) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield the positions of the messages on each path; one path if there are no parents."""
    places = {to_text(message.get("uuid")): index for index, message in enumerate(messages)}
    above = [to_text(message.get("parent_message_uuid")) for message in messages]
    if None in places or len(places) < len(messages) or not any(name in places for name in above):
        yield "", range(len(messages))
        return
    parents = {str(uuid): above[index] for uuid, index in places.items()}
    for branch, path in Tree.of(parents, parents.keys()).paths(current, reading):
        yield branch, [places[uuid] for uuid in path]


def _message(message: Any, index: int, reading: Reading) -> Message:
    if not isinstance(message, Mapping):
        return to_message(message, index)
    if "sender" not in message:
        raise ConversationError('the message has no "sender"', index=index, field="sender")
    blocks = as_list(message.get("content"))
    content = split_blocks(blocks, reading)[0] if blocks else [message.get("text") or ""]
    for attachment in map(as_dict, as_list(message.get("attachments"))):
        text = attachment.get("extracted_content")
        name = attachment.get("file_name") or ""
        if isinstance(text, str) and isinstance(name, str) and _PASTED.fullmatch(name):
            content.append(text)
        else:
            reading.drop("not_text")
    reading.drop("not_text", len(as_list(message.get("files"))))
    fields = {**message, "role": message["sender"], "content": content}
    return replace(to_message(fields, index, reading.time), id=to_text(message.get("uuid")))
