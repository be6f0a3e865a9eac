"""Affect scores as features of scikit-learn; needs the extra ``sklearn``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from affectlib._default import load_once
from affectlib._extras import requires_extra
from affectlib._inputs import Readable
from affectlib._values import column_values
from affectlib.conversation import Conversation
from affectlib.errors import InputTypeError
from affectlib.model.artifacts import DEFAULT_MODEL
from affectlib.predictions import ConversationFailure, by_column
from affectlib.taxonomy import ASSISTANT_CUES, CUES, THEME_COLUMNS

with requires_extra("sklearn"):
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import Tags

__all__ = ["AffectTransformer"]

_SCORES = ("probability", "intensity", "rate", "adjusted")


class AffectTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns texts or conversations into affect scores, for a Pipeline.

    The columns are the calibrated P(emotional), ``intensity``, ``rate`` and ``adjusted`` (see
    `affectlib.ConversationPrediction`), and the probability of each cue and theme (those of themes
    hold for charged talk only). There is nothing to fit. The classifier is loaded at the first
    `transform`, once in each process for all transformers with the same parameters, and never
    pickled or cloned.

    The parameters are those of `affectlib.AffectClassifier.from_pretrained`. The operating point
    only affects ``rate`` and ``adjusted``.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> chats = ["I feel so alone", "Sort this list", "She left me and I cry", "Fix this bug"]
        >>> model = make_pipeline(AffectTransformer(), LogisticRegression())
        >>> model.fit(chats, [1, 0, 1, 0]).predict(["nobody talks to me any more"]).tolist()
        [1]
    """

    def __init__(
        self,
        *,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        device: str = "auto",
        engine: str = "auto",
        operating_point: str = "balanced",
        screen: bool = True,
        threads: int | None = None,
    ) -> None:
        """Keep the parameters; they are checked when the classifier is loaded."""
        self.model = model
        self.device = device
        self.engine = engine
        self.operating_point = operating_point
        self.screen = screen
        self.threads = threads

    def fit(self, X: object, y: object = None) -> AffectTransformer:
        """Do nothing: the model is already trained."""
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Score texts or conversations.

        Args:
            X: Texts (each read as a single message of a user), or conversations (each a
                `affectlib.Conversation` or a list of messages): a list, an array or a column of a
                table, of shape ``[samples]`` or ``[samples, 1]``.

        Returns:
            The scores, shape ``[samples, columns]``. A row is NaN if the text is missing or blank,
            or no user wrote anything in the conversation. A cue of the assistant is 0 if the
            assistant wrote nothing. A score that the model does not give is NaN.

        Raises:
            InputTypeError: `X` is something else.
            ConversationError: A conversation is malformed; the error names its position.

        Example:
            >>> AffectTransformer().transform(["sort this list", ""])[:, 0].round(1)
            array([ 0., nan])
        """
        items = _samples(X)
        classifier = load_once(**self.get_params(deep=False))
        columns = self._columns
        scores = np.full((len(items), len(columns)), np.nan)
        for row, found in enumerate(classifier.stream(_chats(items))):
            if isinstance(found, ConversationFailure):
                continue
            values: dict[str, float | None] = dict.fromkeys(ASSISTANT_CUES, 0.0)
            values |= {name: getattr(found, name) for name in _SCORES}
            values |= {**found.cues, **by_column(found.themes)}
            scores[row] = [values.get(name) for name in columns]
        return scores

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns, ``affect_probability`` and so on.

        Example:
            >>> AffectTransformer().get_feature_names_out()[:3].tolist()
            ['affect_probability', 'affect_intensity', 'affect_rate']
        """
        return np.array([f"affect_{name}" for name in self._columns], dtype=object)

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*_SCORES, *CUES, *THEME_COLUMNS.values())

    def __sklearn_is_fitted__(self) -> bool:
        """It always is."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Take texts, and need no fit."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        return tags


def _chats(items: list[Any]) -> Iterator[Conversation | ConversationFailure]:
    """Return the samples as conversations, with a failure for each that nobody wrote text in."""
    for position, chat in enumerate(Readable(items)):
        if isinstance(chat, ConversationFailure) and chat.status == "error" and chat.cause:
            raise chat.cause.in_conversation(position)
        yield chat


def _samples(X: Any) -> list[Any]:
    """Return the samples of a list, an array, or a table of one column."""
    shape = getattr(X, "shape", ())
    if len(shape) > 1:
        if shape[1:] != (1,):
            raise InputTypeError(f"expected one column of texts or conversations; got {shape}")
        frame = nw.from_native(X, eager_only=True, pass_through=True)
        X = frame[:, 0] if isinstance(frame, nw.DataFrame) else np.asarray(X)[:, 0]
    if isinstance(X, str | bytes) or not isinstance(X, Iterable):
        raise InputTypeError(f"expected texts or conversations; got {type(X).__name__}")
    return column_values(X)
