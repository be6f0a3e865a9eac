"""`affectlib.predict`, and the classifiers that are loaded once in each process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, lru_cache
from inspect import Signature, signature
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack, overload

from affectlib.errors import InputTypeError
from affectlib.model.engines.forks import renew_in_children

if TYPE_CHECKING:
    from affectlib._inputs import Chat, Chats, OnError, Options, Texts
    from affectlib.classifier import AffectClassifier
    from affectlib.predictions import ConversationPrediction, MessagePrediction, Predictions

__all__ = ["predict"]


@overload
def predict(x: str, **options: Unpack[Options]) -> MessagePrediction: ...  # type: ignore[overload-overlap]
@overload
def predict(x: Chat, **options: Unpack[Options]) -> ConversationPrediction: ...  # type: ignore[overload-overlap]
@overload
def predict(x: Texts, **options: Unpack[Options]) -> Predictions[MessagePrediction]: ...  # type: ignore[overload-overlap]
@overload
def predict(x: Chats, **options: Unpack[Options]) -> Predictions[ConversationPrediction]: ...
def predict(
    x: Any,
    *,
    operating_point: str | None = None,
    on_error: OnError = "record",
    progress: bool = False,
) -> Any:
    """Label texts or conversations with the bundled model, which is loaded once.

    Args:
        x: See `AffectClassifier.predict`.
        operating_point: The name of the thresholds, ``balanced`` if None.
        on_error: What becomes of one of several that cannot be labelled, ``record`` or ``raise``.
        progress: Whether to show a progress bar.

    Returns:
        See `AffectClassifier.predict`, also for the errors.

    Raises:
        InputTypeError: `x`, or something in it, is of another type.

    Example:
        >>> import affectlib
        >>> affectlib.predict("Convert this CSV to JSON in Python").label
        'task'
    """
    return load_once().predict(
        x, operating_point=operating_point, on_error=on_error, progress=progress
    )


def load_once(**options: Any) -> AffectClassifier:
    """Load a classifier once per process; the three last used are kept.

    One whose folder holds another model than before is loaded anew.

    Args:
        options: Arguments of `AffectClassifier.from_pretrained`, whose errors it raises. Those
            that are left out are the same as its defaults.

    Example:
        >>> load_once() is load_once(model="affect-small", threads=None)
        True
    """
    return _loader.load(options)


def classifier_or_bundled(classifier: AffectClassifier | None) -> AffectClassifier:
    """Return what labels: what was given, or the bundled classifier if that is None.

    Raises:
        InputTypeError: It is not a classifier.
    """
    if classifier is None:
        return load_once()
    if not hasattr(classifier, "stream"):
        raise InputTypeError(
            f"classifier: expected an AffectClassifier, got {type(classifier).__name__}; "
            "AffectClassifier.from_pretrained loads one by its name or folder"
        )
    return classifier


class _Loader:
    """Loads classifiers, one at a time."""

    def __init__(self) -> None:
        """Take a lock."""
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a lock that no thread of a parent process holds."""
        self._lock = Lock()

    def load(self, options: Mapping[str, Any]) -> AffectClassifier:
        arguments = _signature().bind(**options)
        arguments.apply_defaults()
        with self._lock:
            return _load(_content(arguments.arguments["model"]), **arguments.arguments)


@cache
def _signature() -> Signature:
    """Return the arguments of `AffectClassifier.from_pretrained`."""
    from affectlib.classifier import AffectClassifier

    return signature(AffectClassifier.from_pretrained)


def _content(model: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """Return the folder that a model is in and the fingerprint of what is there, if it is one."""
    from affectlib.model.artifacts import MANIFEST, sha256

    manifest = Path(model) / MANIFEST
    return (manifest.parent.resolve(), sha256(manifest)) if manifest.is_file() else None


@lru_cache(maxsize=3)
def _load(content: tuple[Path, str] | None, **options: Any) -> AffectClassifier:
    from affectlib.classifier import AffectClassifier

    return AffectClassifier.from_pretrained(**options)


_loader = _Loader()
