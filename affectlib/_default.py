"""`affectlib.predict`, and the classifiers that are loaded once in each process."""

from __future__ import annotations

import os
from functools import lru_cache
from inspect import signature
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, overload

from affectlib.errors import InputTypeError

if TYPE_CHECKING:
    from affectlib._inputs import Chat, Chats, OnError, Options, Texts
    from affectlib.classifier import AffectClassifier
    from affectlib.predictions import ConversationPrediction, MessagePrediction, Predictions

__all__ = ["predict"]

Classifier: TypeAlias = "AffectClassifier"
"""A classifier, for annotations in packages that do not import the class itself."""


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
    on_error: OnError = "raise",
    progress: bool = False,
) -> Any:
    """Label texts or conversations with the bundled model, which is loaded once.

    See `AffectClassifier.predict` for the arguments, results and errors.

    Example:
        >>> import affectlib
        >>> affectlib.predict("Convert this CSV to JSON in Python").label
        'task'
    """
    return load_once().predict(
        x, operating_point=operating_point, on_error=on_error, progress=progress
    )


def load_once(**options: Any) -> AffectClassifier:
    """Load a classifier once per process and set of options of `AffectClassifier.from_pretrained`.

    The three last used are kept. One whose folder now holds another model is loaded anew.

    Example:
        >>> load_once() is load_once(model="affect-small", threads=None)
        True
    """
    from affectlib.classifier import AffectClassifier

    arguments = signature(AffectClassifier.from_pretrained).bind(**options)
    arguments.apply_defaults()
    content = _content(options["model"]) if "model" in options else None
    with _loading:
        return _load(content, **arguments.arguments)


def classifier_or_bundled(classifier: AffectClassifier | None) -> AffectClassifier:
    """Return the classifier, or the bundled one for None; refuse anything else."""
    if classifier is None:
        return load_once()
    if not hasattr(classifier, "stream"):
        raise InputTypeError(
            f"classifier: expected an AffectClassifier, got {type(classifier).__name__}; "
            "AffectClassifier.from_pretrained loads one by its name or folder"
        )
    return classifier


def _content(model: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """Return the folder of a model and the fingerprint of its manifest, None for a bundled one."""
    from affectlib.model.artifacts import MANIFEST, bundled_models, sha256

    manifest = Path(model) / MANIFEST
    if model in bundled_models() or not manifest.is_file():
        return None
    return manifest.parent.resolve(), sha256(manifest)


@lru_cache(maxsize=3)
def _load(_content: tuple[Path, str] | None, **options: Any) -> AffectClassifier:
    from affectlib.classifier import AffectClassifier

    return AffectClassifier.from_pretrained(**options)


_loading = RLock()
if hasattr(os, "register_at_fork"):  # so that no child is forked while another thread loads
    os.register_at_fork(
        before=_loading.acquire,
        after_in_parent=_loading.release,
        after_in_child=_loading.release,
    )
