"""From windows to messages, and from messages to the conversation.

`any_charged`, `adjusted` and `rate` are the aggregations of OpenAI's EmoClassifiers
(https://github.com/openai/emoclassifiers), over the user's messages.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import comb, log
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["TOP", "adjusted", "any_charged", "conversation_features", "merge_windows", "rate"]

TOP = 3
"""Logits of a conversation that count by themselves, the highest."""

_Key = TypeVar("_Key", bound=Hashable)


def conversation_features(logits: ArrayLike) -> tuple[float, float, float]:
    """Return what the conversation's probability is computed from; order does not matter.

    Args:
        logits: The emotional logits of the user's messages, at least one.

    Returns:
        The highest logit, the mean of the three highest (of all if they are fewer), and the
        logarithm of the number of messages.

    Raises:
        ValueError: There is no logit.

    Example:
        >>> conversation_features([-4.0, 2.0, -1.0, 0.5])
        (2.0, 0.5, 1.3862943611198906)
    """
    values = np.sort(np.asarray(logits, dtype=np.float64))[::-1]
    if not values.size:
        raise ValueError("a conversation has features only if a user message was read")
    return float(values[0]), float(values[:TOP].mean()), log(values.size)


def merge_windows(keys: Sequence[_Key], logits: NDArray[Any]) -> dict[_Key, NDArray[Any]]:
    """Merge the windows of each message: for every output, the highest logit counts.

    Args:
        keys: Which message each window covers.
        logits: The windows' logits, shape ``[windows, outputs]``.

    Returns:
        The logits of each message, shape ``[outputs]``, in the order of the keys.

    Example:
        >>> merge_windows(["a", "b", "a"], np.array([[1, 5], [0, 0], [2, 3]]))
        {'a': array([2, 5]), 'b': array([0, 0])}
    """
    merged: dict[_Key, NDArray[Any]] = {}
    for key, row in zip(keys, logits, strict=True):
        merged[key] = np.maximum(merged[key], row) if key in merged else row
    return merged


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
