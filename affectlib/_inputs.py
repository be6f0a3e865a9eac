"""What `AffectClassifier` takes, made into checked conversations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypedDict

from affectlib._values import column_values, is_missing
from affectlib.conversation import Conversation, Message
from affectlib.errors import (
    ConversationError,
    ConversationFailure,
    InputTypeError,
    NoUserTextError,
    OptionError,
)
from affectlib.formats.fields import record_id, to_conversation, to_message

Messages: TypeAlias = Sequence[Mapping[str, Any] | Message]
"""A conversation as a list of messages, or of mappings with role and content."""

Chat: TypeAlias = Conversation | Messages | Mapping[str, Any]
"""A conversation in any form; a mapping has its messages under ``messages``."""

Texts: TypeAlias = Iterable[str | None]
"""Several texts; None for one that is missing."""

Chats: TypeAlias = Iterable[Chat | ConversationFailure | None]
"""Several conversations; None for one that is missing, a failure for an unreadable one."""

OnError: TypeAlias = Literal["record", "raise"]
"""What to do with an item that cannot be labelled."""

Item: TypeAlias = Conversation | ConversationFailure


class Options(TypedDict, total=False):
    """Options of `AffectClassifier.predict` and `AffectClassifier.stream`."""

    operating_point: str | None
    on_error: OnError
    progress: bool


_TAKEN = ("messages", "id", "conversation_id", "user_id")
"""Fields of a mapping that are not metadata."""
_ACCEPTED = (
    "a text, a conversation (a Conversation, a list of messages, or a mapping with "
    '"messages"), or several texts or several conversations'
)
_PATH = "is a path; label_file(path, output) or read_conversations(path) reads the file"


@dataclass(frozen=True, slots=True)
class Input:
    """What `predict` was given: whether texts, whether several, and all as conversations."""

    texts: bool
    listed: bool
    items: list[Item]

    @classmethod
    def read(cls, x: Any) -> Input:
        """Tell by its type what `x` is."""
        if isinstance(x, str):
            return cls(True, False, [_readable(x)])
        if isinstance(x, Conversation) or _is_record(x):
            return cls(False, False, [_readable(x)])
        _require_several(x, f"expected {_ACCEPTED}")
        values = [*_values(x)]
        first = next((value for value in values if value is not None), None)
        if _is_message(first):
            for position, value in enumerate(values):
                if not _is_message(value):
                    raise _wrong(position, value, first)
            return cls(False, False, [_readable(values)])
        found = Readable(values)
        items = [*found]  # first, as it finds out whether they are texts
        return cls(found.texts, True, items)

    def problem(self) -> ConversationError | None:
        """Return the error of the first item that cannot be labelled, with its position."""
        for position, item in enumerate(self.items):
            if isinstance(item, ConversationFailure) and item.cause is not None:
                return item.cause.in_conversation(position) if self.listed else item.cause
        return None


class Readable:
    """The texts or conversations of a stream, checked as they come; a bad one becomes a failure.

    Args:
        items: Only texts, or only conversations; some may be missing (None, NaN) or failures.
    """

    def __init__(self, items: Any) -> None:
        """Refuse what holds no texts or conversations."""
        _require_several(items, "expected texts or conversations")
        self._items = items
        self.texts = False
        """Whether they are texts; known once the first was read."""

    def __iter__(self) -> Iterator[Item]:
        """Check the items."""
        first: Any = None
        for position, item in enumerate(_values(self._items)):
            if isinstance(item, ConversationFailure):
                yield item
                continue
            if item is not None:
                if first is None:
                    first, self.texts = item, isinstance(item, str)
                if not (isinstance(item, str) if self.texts else _is_conversation(item)):
                    raise _wrong(position, item, first)
            yield _readable(item)


def read_one(x: Any) -> Conversation:
    """Read one text or one conversation, and raise what is wrong with it."""
    given = Input.read(x)
    if given.listed:
        raise InputTypeError("expected one text or one conversation; got a list of them")
    if (problem := given.problem()) is not None:
        raise problem
    (conversation,) = (item for item in given.items if isinstance(item, Conversation))
    return conversation


def require_on_error(on_error: str) -> None:
    """Refuse an unknown `on_error`."""
    if on_error not in ("record", "raise"):
        raise OptionError(f"unknown on_error {on_error!r}; use record or raise")


def _require_several(x: Any, expected: str) -> None:
    """Refuse what is not one-dimensional and iterable, and name the remedy."""
    remedy = ""
    if isinstance(x, os.PathLike):
        raise InputTypeError(f"{expected}; a {type(x).__name__} {_PATH}")
    if isinstance(x, str):
        remedy = "; put a single text into a list; read_conversations(path) reads a file"
    elif any(hasattr(type(x), name) for name in ("columns", "column_names")):
        remedy = (
            "; a table is for label_table(x), and a column of texts or of conversations, "
            "such as x['text'], is for predict"
        )
    elif isinstance(x, Mapping | Message):
        remedy = "; a message by itself goes into a list"
    elif isinstance(x, set | frozenset):
        remedy = ", which has no order; make it a list"
    elif isinstance(x, Iterable) and not isinstance(x, str | bytes | bytearray | Conversation):
        shape = getattr(x, "shape", (0,))
        if len(shape) == 1:
            return
        remedy = f" of {len(shape)} dimensions; give one column"
    raise InputTypeError(f"{expected}; got {type(x).__name__}{remedy}")


def _wrong(position: int, item: Any, first: Any) -> InputTypeError:
    """Return the error for an item of another type than the first, or of none that is accepted."""
    if isinstance(item, os.PathLike):
        return InputTypeError(f"item {position}, a {type(item).__name__}, {_PATH}")
    found = f"item {position} is {type(item).__name__}"
    if position and item is not first:
        found += f" and the first is {type(first).__name__}"
    if _is_message(item) and item is first:
        found += ", a message; give conversations, each a list of messages"
    return InputTypeError(f"expected only texts or only conversations; {found}")


def _values(x: Any) -> Iterator[Any]:
    """Yield the items of a list, an array, a column or a stream; None for missing ones."""
    is_column = any(hasattr(type(x), name) for name in ("to_pylist", "to_list", "tolist"))
    for value in column_values(x) if is_column else x:
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            value = value.tolist()
        yield None if is_missing(value) else value


def _is_record(item: Any) -> bool:
    """Whether it is a mapping with the messages of a conversation."""
    return isinstance(item, Mapping) and "messages" in item and "role" not in item


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping | Message) and not _is_record(item)


def _is_conversation(item: Any) -> bool:
    return isinstance(item, Conversation | list | tuple) or _is_record(item)


def _readable(item: Any) -> Item:
    """Read a text or a conversation of any form; a failure if it is bad or missing (None)."""
    try:
        if item is None:
            raise NoUserTextError("it is missing, so there is nothing to label")
        return _read_text(item) if isinstance(item, str) else _read_conversation(item)
    except ConversationError as error:
        name = record_id(item) if isinstance(item, Mapping) else getattr(item, "id", None)
        return ConversationFailure.of(error, name)


def _read_text(text: str) -> Conversation:
    if not text.strip():
        raise NoUserTextError("the text is blank, so there is nothing to label")
    return Conversation((Message("user", text),))


def _read_conversation(given: Any) -> Conversation:
    conversation: Conversation
    if isinstance(given, Conversation):
        conversation = given
    elif isinstance(given, Mapping):
        messages = given["messages"]
        if not isinstance(messages, Iterable) or isinstance(messages, str | bytes | Mapping):
            raise ConversationError("expected a list of messages", field="messages")
        about = to_conversation(given, _read_messages(_values(messages)))
        others = {name: value for name, value in given.items() if name not in _TAKEN}
        nested = others.get("metadata")
        if isinstance(nested, Mapping):
            others = {**nested, **others}
        conversation = replace(about, metadata={**others, **about.metadata})
    else:
        conversation = Conversation(tuple(_read_messages(given)))
    conversation.require_user_text()
    return conversation


def _read_messages(messages: Iterable[Any]) -> list[Message]:
    return [
        message if isinstance(message, Message) else to_message(message, index)
        for index, message in enumerate(messages)
    ]
