"""Windows: what the encoder reads of a conversation at once.

A window holds a whole conversation if it fits, so that each message is read in its context. It is
planned here in token counts only, so that what is read, and what is not, can be reasoned about
without a tokenizer:

```
<s> <|user|> what the user says <|assistant|> the reply, cut short <|user|> the next message </s>
```

- Each message is a *turn* of the window, its role token first. One budget holds for all turns of a
  conversation: the largest of `WindowSettings.budgets` under which it fits. A longer message is
  shortened to its beginning and end, and the rest counted.
- A conversation that fits under no budget is read in several windows by the smallest one. They
  overlap by some messages.
- System and tool messages, and messages without text, are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from affectlib.conversation import Role

__all__ = ["Turn", "Window", "WindowSettings", "plan_windows"]


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How windows are made; a setting of the model, whose weights were trained with it.

    Attributes:
        max_tokens: Maximum length of a window, special and role tokens included.
        budgets: Maximum tokens of a user's and of an assistant's message, the largest first.
        overlap: Messages that a window shares with the one before.
    """

    max_tokens: int = 288
    budgets: tuple[tuple[int, int], ...] = (
        (254, 48),
        (128, 32),
        (96, 24),
        (64, 16),
        (48, 12),
        (32, 8),
    )
    overlap: int = 2

    def __post_init__(self) -> None:
        """Refuse settings under which no new message would fit into a window."""
        object.__setattr__(self, "budgets", tuple((user, other) for user, other in self.budgets))
        if not self.budgets or min(map(min, self.budgets)) < 1 or self.overlap < 0:
            raise ValueError("each budget must be at least 1 token, and the overlap 0 messages")
        if 2 + (self.overlap + 1) * (1 + max(self.budgets[-1])) > self.max_tokens:
            raise ValueError("max_tokens must hold one message more than the overlap")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Turn:
    """A message in a window.

    Attributes:
        message: Position of the message in the conversation.
        segments: The places of its tokens that are read, in order.
        truncated_tokens: Tokens of it that are not read.
    """

    message: int
    segments: tuple[range, ...]
    truncated_tokens: int

    def __len__(self) -> int:
        """Number of tokens, with that of the role."""
        return 1 + sum(map(len, self.segments))


Window = tuple[Turn, ...]
"""What the encoder reads at once."""


def plan_windows(
    roles: Sequence[Role], lengths: Sequence[int], settings: WindowSettings
) -> list[Window]:
    """Lay out the windows of a conversation, in reading order; none if there is nothing to read.

    Args:
        roles: The role of each message.
        lengths: The number of tokens of each message.
        settings: The layout.

    Example:
        >>> settings = WindowSettings(max_tokens=24, budgets=((8, 4), (4, 2)))
        >>> plan_windows(["user", "assistant"], [20, 3], settings)[0][0].segments
        (range(0, 6), range(18, 20))
        >>> windows = plan_windows(["user", "assistant"] * 5, [4, 9] * 5, settings)
        >>> [[turn.message for turn in window] for window in windows]
        [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [6, 7, 8, 9]]
    """
    readable = [
        (place, 0 if role == "user" else 1, length)
        for place, (role, length) in enumerate(zip(roles, lengths, strict=True))
        if length and role in ("user", "assistant")
    ]
    turns: list[Turn] = []
    for budget in settings.budgets:
        turns = [_shorten(place, length, budget[of]) for place, of, length in readable]
        if 2 + sum(map(len, turns)) <= settings.max_tokens:
            return [tuple(turns)] if turns else []
    return _split(turns, settings)


def _shorten(message: int, length: int, limit: int) -> Turn:
    """Keep the beginning and the end of a message, two thirds to one."""
    if length <= limit:
        return Turn(message, (range(length),), 0)
    tail = limit // 3
    parts = (range(limit - tail), range(length - tail, length))
    return Turn(message, tuple(filter(len, parts)), length - limit)


def _split(turns: Sequence[Turn], settings: WindowSettings) -> list[Window]:
    """Fill one window after the other, each from the last messages of the one before on."""
    windows = []
    start = end = 0
    while end < len(turns):
        room = settings.max_tokens - 2 - sum(map(len, turns[start:end]))
        while end < len(turns) and len(turns[end]) <= room:
            room -= len(turns[end])
            end += 1
        windows.append(tuple(turns[start:end]))
        start = max(end - settings.overlap, 0)
    return windows
