"""What every reader needs: fields of a record made into the types of a `Conversation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from affectlib._values import to_text, to_time
from affectlib.conversation import Conversation, Message, parse_message
from affectlib.errors import ConversationError
from affectlib.formats._objects import as_dict, first_of, first_text
from affectlib.formats.columns import FIELDS, is_conversation_id

_IDS = (
    "id",
    # What a record has under "conversation" is its text.
    *(name for name in FIELDS["conversation_id"] if name != "conversation"),
    "uuid",
    "conversation_hash",
    "message_tree_id",
)
"""Keys of the conversation's id in a record; in a table, "id" and "uuid" may be those of rows."""
_ItemT = TypeVar("_ItemT")

Timer: TypeAlias = Callable[[Any], datetime | None]
"""Makes a time of a value."""


def to_message(message: Any, index: int, time: Timer = to_time) -> Message:
    """Parse one ``{"role", "content"}`` mapping, the message at `index`, and its time."""
    parsed = parse_message(message, index)
    return replace(
        parsed,
        id=to_text(message.get("id")),
        timestamp=time(first_of(message, FIELDS["timestamp"])),
    )


def named_message(message: Any) -> Any:
    """Give a message's role and content these names, whatever their usual others."""
    if not isinstance(message, Mapping):
        return message
    found = dict(message)
    for field in ("role", "content"):
        name = next((name for name in FIELDS[field] if name in found), field)
        if name in found:
            found[field] = found.pop(name)
    return found


def to_messages(messages: Sequence[Any], time: Timer = to_time) -> list[Message]:
    """Parse messages whose role and content may have any of the usual names."""
    return [to_message(named_message(each), index, time) for index, each in enumerate(messages)]


def to_conversation(
    record: Mapping[str, Any],
    messages: Sequence[Message],
    time: Timer = to_time,
    *,
    branch: str = "",
) -> Conversation:
    """Put messages together with what the record says about the conversation as a whole.

    If there is an id, `branch`, such as ``#1``, is added to it.
    """
    started_at = time(first_of(record, FIELDS["timestamp"]))
    identifier = record_id(record)
    return Conversation(
        tuple(messages),
        id=identifier and identifier + branch,
        user_id=to_text(first_of(record, FIELDS["user_id"])),
        title=to_text(record.get("title")),
        model=to_text(record.get("model")),
        language=to_text(first_of(record, FIELDS["language"])),
        source=to_text(record.get("source")),
        metadata={} if started_at is None else {"started_at": started_at},
    )


def record_id(record: Any) -> str | None:
    """Return the conversation's id, or None if the record has none."""
    return first_text(map(as_dict(record).get, _IDS))


def in_order(items: Sequence[_ItemT], keys: Sequence[Any]) -> list[_ItemT]:
    """Sort items by their keys, such as times; a list that is newest first is reversed first.

    So items with equal keys stay in the order in which things happened, the question before the
    answer. A list is newest first if its first key is greater than its last.
    """
    places = range(len(items))
    if items and keys[0] > keys[-1]:
        places = places[::-1]
    return [items[place] for place in sorted(places, key=keys.__getitem__)]


def require_one_conversation(messages: Sequence[Any]) -> None:
    """Refuse a list of messages that say that they belong to several conversations."""
    known: dict[str, str] = {}
    for index, message in enumerate(messages):
        for name, value in as_dict(message).items():
            text = to_text(value)
            if text and is_conversation_id(name) and known.setdefault(name, text) != text:
                raise ConversationError(
                    "it differs from one message to the next, so that they are not of one "
                    "conversation; to read each as a row of a table, name the column: "
                    f"`columns={{'conversation': {name!r}}}`",
                    index=index,
                    field=name,
                )
