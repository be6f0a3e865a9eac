"""What `AffectClassifier` takes, as conversations that are checked and clean."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from affectlib.conversation import Conversation, Message, clean_text, parse_conversation
from affectlib.errors import ConversationError, InputTypeError, NoUserTextError
from affectlib.predictions import ConversationFailure

Messages: TypeAlias = Sequence[Mapping[str, Any] | Message]
"""A conversation as people hold it: messages, or mappings with role and content."""

_ItemT = TypeVar("_ItemT")

_BUFFER_CONVERSATIONS = 256
_BUFFER_CHARACTERS = 400_000
_ACCEPTED = (
    "a text, a list of texts, a conversation (a Conversation, or a list of messages), "
    "or a list of conversations"
)


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A conversation that cannot be labelled."""

    error: ConversationError
    id: str | None = None

    def failure(self) -> ConversationFailure:
        """Return what is put out in its place."""
        return ConversationFailure(self.id, f"{type(self.error).__name__}: {self.error}")


@dataclass(frozen=True, slots=True)
class Input:
    """What `predict` was given: whether texts, whether a list, and all as conversations."""

    texts: bool
    listed: bool
    conversations: list[Conversation]

    @classmethod
    def read(cls, x: Any) -> Input:
        """Tell by its type what `x` is."""
        if isinstance(x, str):
            return cls(True, False, [_read_text(x)])
        if isinstance(x, Conversation):
            return cls(False, False, [_read_conversation(x)])
        if not isinstance(x, list | tuple):
            remedy = "; make it a list" if isinstance(x, Iterable) and not _is_message(x) else ""
            raise InputTypeError(f"expected {_ACCEPTED}; got {type(x).__name__}{remedy}")
        tests = (_is_text, _is_message, _is_conversation)
        accepts = next((test for test in tests if x and test(x[0])), None)
        for position, item in enumerate(x):
            if accepts is None or not accepts(item):
                found = f"x[{position}] is {type(item).__name__}"
                if position:
                    found += f" and x[0] is {type(x[0]).__name__}"
                raise InputTypeError(f"expected {_ACCEPTED}; {found}")
        if accepts is _is_message:
            return cls(False, False, [_read_conversation(x)])
        read: Callable[[Any], Conversation] = (
            _read_text if accepts is _is_text else _read_conversation
        )
        conversations = []
        for position, item in enumerate(x):
            try:
                conversations.append(read(item))
            except ConversationError as error:
                raise error.in_conversation(position) from None
        return cls(accepts is _is_text, True, conversations)


def read_one(x: Any) -> Conversation:
    """Read one text or one conversation.

    Raises:
        InputTypeError: `x` is a list of them, or of another type.
        ConversationError: The conversation is malformed.
        NoUserTextError: There is no text of a user in it.
    """
    given = Input.read(x)
    if given.listed:
        raise InputTypeError("expected one text or one conversation; got a list of them")
    return given.conversations[0]


def _is_text(item: Any) -> bool:
    return isinstance(item, str)


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping | Message)


def _is_conversation(item: Any) -> bool:
    return isinstance(item, Conversation | list | tuple)


def _read_text(text: str) -> Conversation:
    if not text.strip():
        raise NoUserTextError("the text is blank, so there is nothing to label")
    return Conversation((Message("user", clean_text(text)),))


def _read_conversation(given: Conversation | Messages) -> Conversation:
    """Check a conversation, also one that was put together by hand, and clean its texts."""
    listed = given.messages if isinstance(given, Conversation) else given
    messages = [
        {"role": message.role, "content": message.content}
        if isinstance(message, Message)
        else message
        for message in listed
    ]
    identifier = given.id if isinstance(given, Conversation) else None
    conversation = parse_conversation(messages, id=identifier)
    conversation.require_user_text()
    return conversation


def readable(items: Any) -> Iterator[Conversation | ConversationFailure | Unlabelled]:
    """Check the items of a stream; what is wrong with one is handed on in its place."""
    if not isinstance(items, Iterable):
        raise InputTypeError(f"expected conversations; got {type(items).__name__}")
    for position, item in enumerate(items):
        if isinstance(item, ConversationFailure):
            yield item
        elif not _is_conversation(item):
            raise InputTypeError(
                f"item {position} is {type(item).__name__}; "
                "stream takes conversations: each a Conversation, or a list of messages"
            )
        else:
            try:
                yield _read_conversation(item)
            except ConversationError as error:
                yield Unlabelled(error, getattr(item, "id", None))


def text_size(item: Any) -> int:
    """Return the number of characters in a conversation, 0 of anything else."""
    if not isinstance(item, Conversation):
        return 0
    return sum(len(message.content) for message in item.messages)


def in_buffers(
    items: Iterable[_ItemT], size: Callable[[_ItemT], int] = text_size
) -> Generator[list[_ItemT]]:
    """Cut a stream into lists that are bounded in number and, but for the last item, in size.

    What `items` raises is raised after the items before.
    """
    buffer: list[_ItemT] = []
    characters = 0
    problem: Exception | None = None
    try:
        for item in items:
            buffer.append(item)
            characters += size(item)
            if len(buffer) >= _BUFFER_CONVERSATIONS or characters >= _BUFFER_CHARACTERS:
                yield buffer
                buffer, characters = [], 0
    except Exception as error:
        problem = error
    if buffer:
        yield buffer
    if problem is not None:
        raise problem
