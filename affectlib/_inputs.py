"""What `AffectClassifier` takes, as conversations that are checked and clean."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from affectlib._values import column_values, is_missing
from affectlib.conversation import Conversation, Message, clean_text, parse_message
from affectlib.errors import ConversationError, InputTypeError, NoUserTextError, OptionError
from affectlib.formats._fields import record_id, to_conversation, to_message
from affectlib.predictions import ConversationFailure

Messages: TypeAlias = Sequence[Mapping[str, Any] | Message]
"""A conversation as people hold it: messages, or mappings with role and content."""

Chat: TypeAlias = Conversation | Messages | Mapping[str, Any]
"""A conversation in any form; a mapping has its messages under ``messages``."""

Texts: TypeAlias = Iterable[str | None]
"""Several texts; None stands for one that is missing."""

Chats: TypeAlias = Iterable[Chat | ConversationFailure | None]
"""Several conversations; None stands for one that is missing, a failure for an unreadable one."""

OnError: TypeAlias = Literal["record", "raise"]
"""What becomes of one of several texts or conversations that cannot be labelled."""


class Options(TypedDict, total=False):
    """Options of `AffectClassifier.predict` and `AffectClassifier.stream`."""

    operating_point: str | None
    on_error: OnError
    progress: bool


_ItemT = TypeVar("_ItemT")

_BUFFER_CONVERSATIONS = 256
_BUFFER_CHARACTERS = 400_000
_BUFFER_MESSAGES = 5000
_FIRST = 1 / 32
"""Size of the first buffer, where buffers grow."""
_LONGEST_PATH = 4096
_TAKEN = ("messages", "id", "conversation_id", "user_id")
"""Fields of a mapping that are not metadata."""
_ACCEPTED = (
    "a text, a conversation (a Conversation, a list of messages, or a mapping with "
    '"messages"), or several texts or several conversations'
)
_A_FILE = (
    "is the path of a file; label_file(path, output) labels the conversations in it, and "
    "read_conversations(path) reads them; a text of that name must be given as a conversation, "
    '[{"role": "user", "content": text}]'
)


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A conversation that cannot be labelled."""

    error: ConversationError
    id: str | None = None

    def failure(self) -> ConversationFailure:
        """Return what takes its place in the output."""
        status: Literal["empty", "error"] = (
            "empty" if isinstance(self.error, NoUserTextError) else "error"
        )
        return ConversationFailure(self.id, f"{type(self.error).__name__}: {self.error}", status)


Item: TypeAlias = Conversation | ConversationFailure | Unlabelled


@dataclass(frozen=True, slots=True)
class Input:
    """What `predict` was given: whether texts, whether several, and all as conversations."""

    texts: bool
    listed: bool
    items: list[Item]

    @classmethod
    def read(cls, x: Any) -> Input:
        """Tell by its type what `x` is.

        Raises:
            InputTypeError: It, or something in it, is of another type.
        """
        if isinstance(x, str):
            if _is_file(x):
                raise InputTypeError(f"x {_A_FILE}")
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
        items = [*found]
        return cls(found.texts, True, items)

    def problem(self) -> ConversationError | None:
        """Return the error of the first one that cannot be labelled, with its position."""
        for position, item in enumerate(self.items):
            if isinstance(item, Unlabelled):
                return item.error.in_conversation(position) if self.listed else item.error
        return None


class Readable:
    """The texts or conversations of a stream, checked as they come.

    What is wrong with one is handed on in its place.

    Args:
        items: Only texts, or only conversations; some may be missing (None, NaN), and some
            failures of those that could not be read.

    Raises:
        InputTypeError: It is nothing to go through, or an item is of another type.
    """

    def __init__(self, items: Any) -> None:
        """Refuse what holds no texts or conversations."""
        _require_several(items, "expected texts or conversations")
        if isinstance(items, Sized):  # what is gone through only once is not looked ahead in
            _refuse_files(_values(items))
        self._items = items
        self.texts = False
        """Whether they are texts; known from the first on."""

    def __iter__(self) -> Iterator[Item]:
        """Check the items."""
        first: Any = None
        for position, item in enumerate(_values(self._items)):
            if isinstance(item, ConversationFailure | Unlabelled):
                yield item
                continue
            if item is not None:
                if first is None:
                    first, self.texts = item, isinstance(item, str)
                if not (isinstance(item, str) if self.texts else _is_conversation(item)):
                    raise _wrong(position, item, first)
            yield _readable(item)


def read_one(x: Any) -> Conversation:
    """Read one text or one conversation.

    Raises:
        InputTypeError: `x` is several of them, or of another type.
        ConversationError: The conversation is malformed.
        NoUserTextError: There is no text of a user in it.
    """
    given = Input.read(x)
    if given.listed:
        raise InputTypeError("expected one text or one conversation; got a list of them")
    if (problem := given.problem()) is not None:
        raise problem
    (conversation,) = (item for item in given.items if isinstance(item, Conversation))
    return conversation


def require_on_error(on_error: str) -> None:
    """Refuse an unknown way to deal with what cannot be labelled.

    Raises:
        OptionError: It is unknown.
    """
    if on_error not in ("record", "raise"):
        raise OptionError(f"unknown on_error {on_error!r}; use record or raise")


def _require_several(x: Any, expected: str) -> None:
    """Refuse what cannot be gone through, and name what labels it.

    Raises:
        InputTypeError: It cannot.
    """
    remedy = ""
    if isinstance(x, os.PathLike):
        raise InputTypeError(f"{expected}; a {type(x).__name__} {_A_FILE}")
    if isinstance(x, str):
        if _is_file(x):
            raise InputTypeError(f"{expected}; this text {_A_FILE}")
        remedy = "; a text by itself goes into a list, or to predict"
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


def _refuse_files(values: Iterable[Any]) -> None:
    """Refuse paths in place of texts, if each is that of a file.

    Raises:
        InputTypeError: They are.
    """
    seen = False
    for value in values:
        if not (isinstance(value, str) and _is_file(value)):
            return
        seen = True
    if seen:
        raise InputTypeError(f"each text {_A_FILE}")


def _wrong(position: int, item: Any, first: Any) -> InputTypeError:
    """Say that an item is of another type than the first, or of none that is accepted."""
    if isinstance(item, os.PathLike):
        return InputTypeError(f"item {position}, a {type(item).__name__}, {_A_FILE}")
    found = f"item {position} is {type(item).__name__}"
    if position and item is not first:
        found += f" and the first is {type(first).__name__}"
    if _is_message(item) and item is first:
        found += ", a message; give conversations, each a list of messages"
    return InputTypeError(f"expected only texts or only conversations; {found}")


def _values(x: Any) -> Iterator[Any]:
    """Go through a list, an array, a column or a stream; None stands for what is missing."""
    is_column = any(hasattr(type(x), name) for name in ("to_pylist", "to_list", "tolist"))
    for value in column_values(x) if is_column else x:
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            value = value.tolist()
        yield None if is_missing(value) else value


def _is_file(text: str) -> bool:
    return len(text) < _LONGEST_PATH and "\n" not in text and os.path.isfile(text)


def _is_record(item: Any) -> bool:
    """Whether it is a mapping that has the messages of a conversation."""
    return isinstance(item, Mapping) and "messages" in item and "role" not in item


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping | Message) and not _is_record(item)


def _is_conversation(item: Any) -> bool:
    return isinstance(item, Conversation | list | tuple) or _is_record(item)


def _readable(item: Any) -> Conversation | Unlabelled:
    """Read a text or a conversation of any form, or None if it is missing."""
    try:
        if item is None:
            raise NoUserTextError("it is missing, so there is nothing to label")
        return _read_text(item) if isinstance(item, str) else _read_conversation(item)
    except ConversationError as error:
        return Unlabelled(error, _id_of(item))


def _id_of(item: Any) -> str | None:
    return record_id(item) if isinstance(item, Mapping) else getattr(item, "id", None)


def _read_text(text: str) -> Conversation:
    if not text.strip():
        raise NoUserTextError("the text is blank, so there is nothing to label")
    return Conversation((Message("user", clean_text(text)),))


def _read_conversation(given: Any) -> Conversation:
    """Check a conversation, also one that was put together by hand, and clean its texts."""
    about = given if isinstance(given, Conversation) else Conversation(())
    listed = given.messages if isinstance(given, Conversation) else given
    if isinstance(given, Mapping):
        if not _is_listed(given["messages"]):
            raise ConversationError("expected a list of messages", field="messages")
        listed = [*_values(given["messages"])]
        about = to_conversation(given, ())
        others = {name: value for name, value in given.items() if name not in _TAKEN}
        nested = others.get("metadata")
        if isinstance(nested, Mapping):
            others = {**nested, **others}
        about = replace(about, metadata={**others, **about.metadata})
    messages = tuple(_read_message(message, index) for index, message in enumerate(listed))
    conversation = replace(about, messages=messages)
    conversation.require_user_text()
    return conversation


def _read_message(given: Any, index: int) -> Message:
    """Check a message, also one that was put together by hand, and clean its text."""
    if not isinstance(given, Message):
        return to_message(given, index)
    found = parse_message({"role": given.role, "content": given.content}, index)
    return replace(given, role=found.role, content=found.content)


def _is_listed(messages: Any) -> bool:
    return isinstance(messages, Iterable) and not isinstance(messages, str | bytes | Mapping)


def text_size(item: Any) -> int:
    """Return the number of characters in a conversation, 0 of anything else."""
    if not isinstance(item, Conversation):
        return 0
    return sum(len(message.content) for message in item.messages)


def in_buffers(
    items: Iterable[_ItemT],
    size: Callable[[_ItemT], int] = text_size,
    *,
    growing: bool = False,
) -> Generator[list[_ItemT]]:
    """Cut a stream into lists that are bounded in number and, but for the last item, in size.

    What `items` raises is raised after the items before.

    Args:
        items: The stream.
        size: Returns the size of an item, in characters.
        growing: Whether the first lists are short, so that what becomes of them is known soon, and
            each is twice as long as the one before until they are as long as others.
    """
    buffer: list[_ItemT] = []
    characters = 0
    share = _FIRST if growing else 1.0
    problem: Exception | None = None
    try:
        for item in items:
            buffer.append(item)
            characters += size(item)
            if (
                len(buffer) >= share * _BUFFER_CONVERSATIONS
                or characters >= share * _BUFFER_CHARACTERS
            ):
                yield buffer
                buffer, characters, share = [], 0, min(1.0, 2 * share)
    except Exception as error:
        problem = error
    if buffer:
        yield buffer
    if problem is not None:
        raise problem
