"""OpenAssistant Conversations (OASST1, OASST2): trees of messages, nested or flat.

A tree is a prompt, the replies to it, the replies to these, and so on. By default the best path is
read: at each message the reply with the lowest rank, or the one with the longest path if none has a
rank. With ``branches="all"`` every path from the prompt to a last reply is a conversation. Flat
files, with a row for each message, need not be sorted. Deleted messages are left out and counted.
Reviews, labels and toxicity scores are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, first_text, require_array, require_object
from affectlib.formats._tree import Tree
from affectlib.formats.fields import to_conversation, to_message
from affectlib.formats.grouping import Group
from affectlib.formats.reader import Item, Reading, RecordReader, each, read_groups, with_keys

_Nodes = Mapping[str, Mapping[str, Any]]


def _recognizes_trees(record: Any) -> str | None:
    record = as_dict(record)
    is_tree = "message_tree_id" in record and isinstance(record.get("prompt"), Mapping)
    return 'records with "message_tree_id" and "prompt"' if is_tree else None


def parse_tree(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a nested tree into a conversation, or into one for each branch."""
    record = as_dict(record)
    prompt = require_object(record.get("prompt"), field="prompt")
    yield from _conversations(record.get("message_tree_id"), _flattened(prompt), reading)


def read_flat(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read trees of which each message is a record."""
    return read_groups(
        records, reading, lambda message: to_text(message.get("message_tree_id")), _parse_flat
    )


READERS = (
    RecordReader("oasst", _recognizes_trees, each(parse_tree)),
    RecordReader("oasst_flat", with_keys("message_tree_id", "message_id"), read_flat),
)


def _flattened(prompt: Mapping[str, Any]) -> _Nodes:
    """Lay a nested tree out flat, in the order in which it is written."""
    nodes: dict[str, Mapping[str, Any]] = {}
    waiting: list[tuple[Any, str | None]] = [(prompt, None)]
    while waiting:
        message, parent = waiting.pop()
        message = require_object(message, field="replies")
        name = to_text(message.get("message_id")) or f"message {len(nodes)}"
        while name in nodes:
            name += "'"
        replies = require_array(message.get("replies") or [], "replies")
        nodes[name] = {**message, "parent_id": parent, "replies": None}
        waiting.extend((reply, name) for reply in reversed(replies))
    return nodes


def _parse_flat(group: Group, reading: Reading) -> Iterator[Conversation]:
    nodes: dict[str, Mapping[str, Any]] = {}
    for message in reading.rows(group):
        name = to_text(message.get("message_id"))
        if name is None:
            raise ConversationError("the message has none", field="message_id")
        if name in nodes:
            reading.drop("duplicate")
        else:
            nodes[name] = {**message, "parent_id": to_text(message.get("parent_id"))}
    yield from _conversations(group.key, nodes, reading)


def _conversations(identifier: Any, nodes: _Nodes, reading: Reading) -> Iterator[Conversation]:
    shown = {name for name, message in nodes.items() if not message.get("deleted")}
    reading.drop("deleted", len(nodes) - len(shown))
    tree = Tree.of({name: message.get("parent_id") for name, message in nodes.items()}, shown)
    for branch, path in tree.paths(_best_end(nodes, tree), reading):
        on_path = [nodes[name] for name in path]
        messages = [_message(node, index, reading) for index, node in enumerate(on_path)]
        first = on_path[0] if on_path else {}
        about = {
            "id": identifier,
            "user_id": first.get("user_id"),
            "lang": first.get("lang"),
            "created_date": messages[0].timestamp if messages else None,
            "model": first_text(node.get("model_name") for node in on_path),
            "source": "oasst",
        }
        yield to_conversation(about, messages, branch=branch)


def _message(node: Mapping[str, Any], index: int, reading: Reading) -> Message:
    fields = {
        "role": node.get("role"),
        "content": node.get("text"),
        "id": to_text(node.get("message_id")),
        "created_date": node.get("created_date"),
    }
    return to_message(fields, index, reading.time)


def _best_end(nodes: _Nodes, tree: Tree) -> str | None:
    """Follow the best-ranked replies from the first prompt to the end."""
    replies: dict[str | None, list[str]] = {}
    for name in tree.shown:
        replies.setdefault(tree.above[name], []).append(name)
    reach = dict(tree.depths)
    for name in sorted(tree.shown, key=tree.depths.__getitem__, reverse=True):
        above = tree.above[name]
        if above is not None:
            reach[above] = max(reach[above], reach[name])
    end = None
    while end in replies:
        end = min(replies[end], key=lambda name: (_rank(nodes[name]), -reach[name]))
    return end


def _rank(message: Mapping[str, Any]) -> float:
    rank = message.get("rank")
    return float(rank) if isinstance(rank, int | float) and abs(rank) < 1e9 else float("inf")
