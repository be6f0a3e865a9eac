"""Conversations between people and AI assistants, and their strict parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, cast

from affectlib.errors import ConversationError, NoUserTextError

__all__ = ["Conversation", "Message", "Modality", "Role", "clean_text", "parse_conversation"]

Role = Literal["user", "assistant", "system", "tool"]
Modality = Literal["text", "voice"]

_SYNONYMS: Mapping[Role, str] = MappingProxyType(
    {
        "user": "user,human,prompter,customer,utilisateur,utilisatrice",
        "assistant": "assistant,gpt,chatgpt,ai,bot,model,agent,claude,gemini,copilot,grok,deepseek,"
        "le chat,meta ai,chatbot,assistante,ia",
        "system": "system,developer",
        "tool": "tool,function,function_call,observation",
    }
)
_ROLES = {name: role for role, names in _SYNONYMS.items() for name in names.split(",")}

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who wrote it; the usual synonyms (human, bot …) become one of the four.
        content: Its text, cleaned by `clean_text`; empty if it had none (an image, a tool call).
        id: The source's message id.
        timestamp: When it was sent.
        modality: ``text`` or ``voice`` (its content is a transcription), or None if not known.

    Raises:
        ConversationError: The role is unknown, or the content is not text.
    """

    role: Role
    content: str
    id: str | None = None
    timestamp: datetime | None = None
    modality: Modality | None = None

    def __post_init__(self) -> None:
        """Check the role and content once, so that the rest can rely on them."""
        object.__setattr__(self, "role", parse_role(self.role))
        if not isinstance(self.content, str):
            raise ConversationError(f"expected text, got {_kind(self.content)}", field="content")
        object.__setattr__(self, "content", clean_text(self.content))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order, with what the source says about the conversation; immutable.

    Attributes:
        messages: The messages, oldest first.
        id: The source's conversation id.
        user_id: The user, as the source names them.
        title: The conversation's title.
        model: Which assistant answered.
        language: Language code, as the source gives it.
        source: Where it comes from.
        metadata: Anything else, such as ``started_at``.

    Example:
        >>> chat = Conversation((Message("user", "hi"), Message("assistant", "Hello!")), id="a1")
        >>> [message.content for message in chat.user_messages]
        ['hi']
    """

    messages: tuple[Message, ...]
    id: str | None = None
    user_id: str | None = None
    title: str | None = None
    model: str | None = None
    language: str | None = None
    source: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Take messages as mappings too."""
        parsed = (parse_message(message, index) for index, message in enumerate(self.messages))
        object.__setattr__(self, "messages", tuple(parsed))

    @property
    def user_messages(self) -> tuple[Message, ...]:
        """The messages that the user wrote."""
        return tuple(message for message in self.messages if message.role == "user")

    @property
    def modality(self) -> str | None:
        """``text``, ``voice``, or ``mixed`` if the user did both; None if it is not known.

        Example:
            >>> Conversation((Message("user", "hi", modality="voice"),)).modality
            'voice'
        """
        kinds = {message.modality for message in self.user_messages} - {None}
        return kinds.pop() if len(kinds) == 1 else ("mixed" if kinds else None)

    def require_user_text(self) -> None:
        """Raise `NoUserTextError` unless a user message has text."""
        if not self.messages:
            raise NoUserTextError("the conversation is empty; give at least one user message")
        if not any(message.content.strip() for message in self.user_messages):
            raise NoUserTextError(
                "no message of the user has text, so there is nothing to label; "
                'give at least one message with role "user" and text in "content"'
            )


def clean_text(text: str) -> str:
    r"""Return the text with lone surrogates and NUL characters replaced by U+FFFD.

    Both come from broken exports: they cannot be encoded as UTF-8, or break other readers.

    Example:
        >>> clean_text("caf\ud800")
        'caf�'
    """
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def parse_conversation(
    messages: Sequence[Mapping[str, Any] | Message], *, id: str | None = None
) -> Conversation:
    """Turn a list of ``{"role", "content"}`` mappings into a `Conversation`.

    Roles may be synonyms (human, gpt, bot, utilisateur, developer …). ``content`` is a string or a
    list of content blocks, of which the text is kept. It may be null where the user did not write
    it (an assistant's tool call).

    Args:
        messages: The messages, oldest first; keys other than role, content and id are ignored.
        id: An id for the conversation.

    Raises:
        ConversationError: A message is malformed; the error names its index and field.

    Example:
        >>> parse_conversation([{"role": "human", "content": "hi"}]).messages[0].role
        'user'
        >>> parse_conversation([{"role": "user", "content": None}])
        Traceback (most recent call last):
        affectlib.errors.ConversationError: messages[0].content: expected text, got null
    """
    return Conversation(tuple(messages), id=id)  # type: ignore[arg-type]


def parse_message(message: Mapping[str, Any] | Message, index: int) -> Message:
    """Turn one mapping into a `Message`; an error names the `index` and the field."""
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        raise ConversationError(
            f'expected a mapping with "role" and "content", got {type(message).__name__}',
            index=index,
        )
    for key in ("role", "content"):
        if key not in message:
            raise ConversationError(f'the message has no "{key}"', index=index, field=key)
    role = parse_role(message["role"], index)
    content = message["content"]
    if content is None and role != "user":
        content = ""
    identifier = message.get("id")
    return Message(
        role, _parse_content(content, index), None if identifier is None else str(identifier)
    )


def parse_role(role: Any, index: int | None = None) -> Role:
    """Map a role or one of its synonyms to user, assistant, system or tool."""
    if not isinstance(role, str):
        raise ConversationError(f"expected text, got {_kind(role)}", index=index, field="role")
    try:
        return _ROLES[role.strip().lower()]
    except KeyError:
        problem = "unknown role; use user, assistant, system or tool"
        raise ConversationError(problem, index=index, field="role") from None


def is_role(name: Any) -> bool:
    """Whether a name is a role or one of its synonyms.

    Example:
        >>> is_role("Human"), is_role("Ana")
        (True, False)
    """
    return isinstance(name, str) and name.strip().lower() in _ROLES


def join_text_blocks(blocks: Iterable[Any]) -> str:
    """Join the text of content blocks (``{"type": "text", "text": …}`` or plain strings)."""
    texts = []
    for block in blocks:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping) and isinstance(block.get("text"), str):
            texts.append(cast(str, block["text"]))
    return "\n".join(text for text in texts if text)


def _parse_content(content: Any, index: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        for position, block in enumerate(content):
            if not isinstance(block, str | Mapping):
                problem = (
                    f"block {position} of the content is {_kind(block)}, not text or a mapping"
                )
                raise ConversationError(problem, index=index, field="content")
        return join_text_blocks(content)
    raise ConversationError(f"expected text, got {_kind(content)}", index=index, field="content")


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
