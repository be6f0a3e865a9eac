"""The one-liner: `affectlib.predict`, with the bundled model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any, overload

from affectlib._inputs import Messages
from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation
from affectlib.predictions import ConversationPrediction, MessagePrediction

__all__ = ["predict"]


@overload
def predict(x: str, *, operating_point: str | None = None) -> MessagePrediction: ...
@overload
def predict(
    x: list[str] | tuple[str, ...], *, operating_point: str | None = None
) -> list[MessagePrediction]: ...
@overload
def predict(
    x: Conversation | Messages, *, operating_point: str | None = None
) -> ConversationPrediction: ...
@overload
def predict(
    x: Sequence[Conversation | Messages], *, operating_point: str | None = None
) -> list[ConversationPrediction]: ...
def predict(x: Any, *, operating_point: str | None = None) -> Any:
    """Label texts or conversations with the bundled model, which is loaded once.

    Args:
        x: See `AffectClassifier.predict`.
        operating_point: The name of the thresholds, ``balanced`` if None.

    Returns:
        See `AffectClassifier.predict`, also for the errors.

    Raises:
        InputTypeError: `x`, or something in it, is of another type.

    Example:
        >>> import affectlib
        >>> affectlib.predict("Convert this CSV to JSON in Python").label
        'task'
    """
    with _loading:
        classifier = _default()
    return classifier.predict(x, operating_point=operating_point)


_loading = Lock()


@cache
def _default() -> AffectClassifier:
    return AffectClassifier.from_pretrained()
