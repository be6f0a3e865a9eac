"""What an artifact is compared with: TF-IDF with logistic regression, and VADER."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from affectlib.conversation import Conversation

CHARACTERS = 500
"""Characters of each message that are read, as a transformer's windows are bounded too."""


class Baseline(Protocol):
    """Scores conversations; the higher, the more emotional."""

    def score(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """Return one score a conversation, shape ``[n]``."""


class TfidfBaseline:
    """TF-IDF of the user's words (1-2) and characters (3-5), with logistic regression."""

    def __init__(self) -> None:
        """Set up the pipeline."""
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        characters = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(3, 5),
            min_df=3,
            sublinear_tf=True,
            max_features=200_000,
        )
        model = LogisticRegression(C=4.0, class_weight="balanced", max_iter=1000)
        self._pipeline: Pipeline = make_pipeline(make_union(words, characters), model)

    def fit(self, conversations: Sequence[Conversation], labels: Sequence[bool]) -> None:
        """Fit on labelled conversations.

        Args:
            conversations: The conversations.
            labels: Whether each is emotional.

        Raises:
            ValueError: All labels are the same, or their number is not that of the conversations.
        """
        self._pipeline.fit([user_text(c) for c in conversations], np.asarray(labels, int))

    def score(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """Return the probability of each conversation; fit first."""
        texts = [user_text(c) for c in conversations]
        return np.asarray(self._pipeline.predict_proba(texts)[:, 1], dtype=np.float64)


class VaderBaseline:
    """VADER (Hutto and Gilbert 2014), a lexicon of sentiment.

    The score of a conversation is the highest absolute compound of its user's messages: joy is as
    much charge as grief is, and one charged message makes a conversation emotional.
    """

    def __init__(self) -> None:
        """Load the lexicon."""
        self._analyzer = SentimentIntensityAnalyzer()

    def score(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """Return the highest absolute compound of each conversation, 0 if the user is silent."""
        return np.array(
            [
                max(
                    (self._strength(m.content[:CHARACTERS]) for m in conversation.user_messages),
                    default=0.0,
                )
                for conversation in conversations
            ],
            dtype=np.float64,
        )

    def _strength(self, text: str) -> float:
        return abs(float(self._analyzer.polarity_scores(text)["compound"]))


def user_text(conversation: Conversation) -> str:
    """Return what the user wrote, message after message, each cut to `CHARACTERS`."""
    return "\n".join(message.content[:CHARACTERS] for message in conversation.user_messages)
