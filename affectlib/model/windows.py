"""Windows: what the encoder reads of a conversation.

A window is a target message with a few messages before it, if the model reads any. It is planned
here in token counts only, so that what is read, and what is not, can be reasoned about without a
tokenizer:

```
<s> <|user|> earlier words <|assistant|> earlier reply <|target|> the message itself </s>
```

- The target is a user's message (label and user cues) or an assistant's (assistant cues).
- Context is the newest messages that fit; each is shortened to its beginning and end.
- A user's message too long for one window is covered by several windows. Each after the first
  repeats the message's beginning, and the last ends where the message ends. If they cannot cover
  it all, the tokens just before the last window's part are left out and counted.
- An assistant's message is shortened to its beginning and end, and the rest counted.
- System and tool messages, and messages without text, are neither targets nor context.

Shortening context is by design and not counted: every message is a target of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from affectlib.conversation import Role

__all__ = ["Segment", "Window", "WindowSettings", "plan_windows"]


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How windows are made; a setting of the model, whose weights were trained with it.

    Attributes:
        max_tokens: Maximum length of a window, special and role tokens included.
        target_tokens: Maximum tokens of the target in one window.
        lead_tokens: Tokens of a long message's beginning that lead each window after the first,
            so that "Translate this:" is not lost from sight.
        max_windows: Maximum number of windows for one user message.
        context_messages: Maximum number of messages before the target, of the roles not left out.
        user_context_tokens: Maximum tokens of each user message in the context; 0 to leave them
            out.
        assistant_context_tokens: Maximum tokens of each assistant message in the context; 0 to
            leave them out.
        assistant_target_tokens: Maximum tokens of an assistant message as target.
    """

    max_tokens: int = 192
    target_tokens: int = 128
    lead_tokens: int = 24
    max_windows: int = 4
    context_messages: int = 3
    user_context_tokens: int = 40
    assistant_context_tokens: int = 24
    assistant_target_tokens: int = 96

    def __post_init__(self) -> None:
        """Refuse settings under which a target would not fit."""
        if min(self.max_windows, self.target_tokens, self.assistant_target_tokens) < 1:
            raise ValueError("max_windows, target_tokens and assistant_target_tokens must be >= 1")
        if not 0 <= self.lead_tokens < self.target_tokens:
            raise ValueError("lead_tokens must be at least 0 and less than target_tokens")
        if max(self.target_tokens, self.assistant_target_tokens) + 3 > self.max_tokens:
            raise ValueError("max_tokens must exceed the target's tokens by at least 3")

    @property
    def context_tokens(self) -> Mapping[Role, int]:
        """Maximum tokens of a message in the context, by its role; 0 if it is left out."""
        return {"user": self.user_context_tokens, "assistant": self.assistant_context_tokens}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WindowSettings:
        """Build settings from a mapping such as `to_dict` returns."""
        return cls(**values)

    def to_dict(self) -> dict[str, int]:
        """Return the settings as a dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one message's tokens, ``start`` included, ``stop`` excluded."""

    message: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Number of tokens."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Window:
    """What the encoder reads at once.

    Attributes:
        message: Position of the target message in the conversation.
        context: Stretches of earlier messages, oldest first; two of one message if its middle
            was left out.
        target: Stretches of the target message, in order.
        truncated_tokens: Tokens of the target message that no window of it reads; the same in
            every window of the message.
    """

    message: int
    context: tuple[Segment, ...]
    target: tuple[Segment, ...]
    truncated_tokens: int

    @property
    def length(self) -> int:
        """Tokens in all, with the role token of each message and the two at the ends."""
        roles = len({segment.message for segment in self.context}) + 1
        return 2 + roles + sum(len(segment) for segment in (*self.context, *self.target))


def plan_windows(
    roles: Sequence[Role],
    lengths: Sequence[int],
    settings: WindowSettings,
    *,
    assistant_targets: bool = True,
) -> Iterator[Window]:
    """Lay out the windows of one conversation, target by target.

    Args:
        roles: The role of each message.
        lengths: The number of tokens of each message.
        settings: The layout.
        assistant_targets: Whether the assistant's messages are targets too.

    Yields:
        The windows in the order of their targets, those of one target in reading order.

    Example:
        >>> settings = WindowSettings(
        ...     max_tokens=16, target_tokens=8, lead_tokens=2, assistant_target_tokens=8
        ... )
        >>> for window in plan_windows(["user", "assistant"], [4, 3], settings):
        ...     print(window.message, window.context, window.target)
        0 () (Segment(message=0, start=0, stop=4),)
        1 (Segment(message=0, start=0, stop=4),) (Segment(message=1, start=0, stop=3),)
    """
    readable = [
        index
        for index, (role, length) in enumerate(zip(roles, lengths, strict=True))
        if length and role in ("user", "assistant")
    ]
    limits = settings.context_tokens
    earlier: deque[int] = deque(maxlen=settings.context_messages)
    for index in readable:
        if roles[index] == "user":
            pieces, truncated = _cover(index, lengths[index], settings)
        elif assistant_targets:
            piece = _shorten(index, lengths[index], settings.assistant_target_tokens)
            pieces, truncated = [piece], lengths[index] - sum(map(len, piece))
        else:
            pieces, truncated = [], 0
        room = settings.max_tokens - 3 - max((sum(map(len, piece)) for piece in pieces), default=0)
        context = _fit_context(earlier, roles, lengths, room, limits)
        for piece in pieces:
            yield Window(index, context, piece, truncated)
        if limits[roles[index]]:
            earlier.append(index)


def _cover(
    index: int, length: int, settings: WindowSettings
) -> tuple[list[tuple[Segment, ...]], int]:
    """Cover a message by pieces, each after the first led by the message's first tokens."""
    size, lead, most = settings.target_tokens, settings.lead_tokens, settings.max_windows
    if length <= size or most == 1:
        piece = _shorten(index, length, size)
        return [piece], length - sum(map(len, piece))
    step = size - lead
    count = min(1 + -(-(length - size) // step), most)
    starts = [size + step * i for i in range(count - 2)] + [length - step]
    later = [(Segment(index, 0, lead), Segment(index, start, start + step)) for start in starts]
    pieces = [(Segment(index, 0, size),), *(tuple(filter(len, piece)) for piece in later)]
    return pieces, max(0, length - size - step * (count - 1))


def _shorten(index: int, length: int, limit: int) -> tuple[Segment, ...]:
    """Keep the beginning and the end, two thirds to one."""
    if length <= limit:
        return (Segment(index, 0, length),)
    tail = limit // 3
    segments = (Segment(index, 0, limit - tail), Segment(index, length - tail, length))
    return tuple(segment for segment in segments if len(segment))


def _fit_context(
    earlier: Iterable[int],
    roles: Sequence[Role],
    lengths: Sequence[int],
    room: int,
    limits: Mapping[Role, int],
) -> tuple[Segment, ...]:
    """Take the newest messages that fit, each shortened, oldest first in the result."""
    context: tuple[Segment, ...] = ()
    for index in reversed([*earlier]):
        limit = min(limits[roles[index]], room - 1)
        if limit < 1:
            break
        segments = _shorten(index, lengths[index], limit)
        context = (*segments, *context)
        room -= 1 + sum(map(len, segments))
    return context
