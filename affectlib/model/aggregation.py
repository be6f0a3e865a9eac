"""From the labels of messages to figures of the conversation.

`any_charged`, `adjusted` and `rate` are the aggregations of OpenAI's EmoClassifiers
(https://github.com/openai/emoclassifiers), over the user's messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

__all__ = ["adjusted", "any_charged", "rate"]


def any_charged(flags: Sequence[bool]) -> bool:
    """Return whether any message is emotional.

    Example:
        >>> any_charged([False, True])
        True
    """
    return any(flags)


def rate(flags: Sequence[bool]) -> float:
    """Return the share of messages that are emotional, 0.0 if there is none.

    Example:
        >>> rate([False, True, False, False])
        0.25
    """
    return sum(map(bool, flags)) / len(flags) if flags else 0.0


def adjusted(flags: Sequence[bool], sample: int = 20) -> float:
    """Return the chance that a sample of the messages includes an emotional one.

    Makes conversations of different length comparable: in a longer one, `any_charged` has more
    chances to be true. The sample is drawn without replacement, so the chance is hypergeometric.

    Args:
        flags: Whether each message is emotional.
        sample: How many are drawn; all if there are fewer.

    Raises:
        ValueError: `sample` is less than 1.

    Example:
        >>> [adjusted([True] + [False] * others) for others in (9, 24, 39, 99)]
        [1.0, 0.8, 0.5, 0.2]
    """
    if sample < 1:
        raise ValueError(f"sample must be at least 1, got {sample}")
    drawn = min(sample, len(flags))
    draws = comb(len(flags), drawn)
    without = comb(len(flags) - sum(map(bool, flags)), drawn)
    return (draws - without) / draws
