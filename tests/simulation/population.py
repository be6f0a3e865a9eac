"""Users, their conversations, what is true of them and what a classifier makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from affectlib.analysis import Accuracy, sample

SENSITIVITY, SPECIFICITY = 0.8, 0.98
MEASURED_ON = 22, 387
WEEKS = 12
_START = datetime(2025, 3, 3, tzinfo=UTC)
_CONCENTRATION = 6.0
_GROUPS = {"a": 0.5, "b": 1.0, "c": 2.0}


@dataclass(frozen=True)
class Setting:
    """What a corpus is like.

    Attributes:
        users: How many users.
        conversations: How many each has, on average.
        inequality: Standard deviation of the logarithm of that number.
        prevalence: Share of the population's conversations that is charged.
    """

    users: int
    conversations: float
    inequality: float
    prevalence: float


@dataclass(frozen=True)
class Drawn:
    """A corpus.

    Attributes:
        labels: The labels of its conversations, with a column ``group``.
        truth: Whether each is charged.
        setting: What it was drawn from.
    """

    labels: pl.DataFrame
    truth: NDArray[np.bool_]
    setting: Setting


def draw(chance: np.random.Generator, setting: Setting) -> Drawn:
    """Draw users of unequal activity who lean towards charged use or not, and their labels.

    The odds of groups ``a``, ``b``, ``c`` differ; scores are binormal and their probabilities
    calibrated.
    """
    middle = np.log(setting.conversations) - setting.inequality**2 / 2
    sizes = np.exp(middle + setting.inequality * chance.normal(size=setting.users))
    sizes = np.maximum(1, sizes.round()).astype(int)
    group = chance.choice([*_GROUPS], setting.users)
    rate = shares()
    mean = np.array([rate[name] for name in group]) * setting.prevalence
    leaning = chance.beta(_CONCENTRATION * mean, _CONCENTRATION * (1 - mean))
    user = np.repeat(np.arange(setting.users), sizes)
    truth = chance.random(len(user)) < leaning[user]
    distance = norm.ppf(SENSITIVITY) + norm.ppf(SPECIFICITY)
    score = distance**2 / 2 * np.where(truth, 1, -1) + distance * chance.normal(size=len(user))
    called = score >= -(distance**2) / 2 + distance * norm.ppf(SPECIFICITY)
    seconds = _START.timestamp() + chance.random(len(user)) * WEEKS * 7 * 86_400
    odds = setting.prevalence / (1 - setting.prevalence)
    labels = pl.DataFrame(
        {
            "record": np.arange(len(user)),
            "conversation_id": [f"c{place}" for place in range(len(user))],
            "user_id": [f"u{place}" for place in user],
            "group": group[user],
            "started_at": pl.Series((seconds * 1e6).astype(np.int64))
            + int(_START.timestamp() * 1e6),
            "label": np.where(called, "emotional", "task"),
            "probability": expit(score + np.log(odds)),
        }
    ).with_columns(pl.col("started_at").cast(pl.Datetime("us", "UTC")))
    return Drawn(labels, truth, setting)


def shares() -> dict[str, float]:
    """Return how many times as often as overall conversations of each group are charged."""
    mean = sum(_GROUPS.values()) / len(_GROUPS)
    return {name: weight / mean for name, weight in _GROUPS.items()}


def hand_labels(drawn: Drawn, rows: int, seed: int) -> pl.DataFrame:
    """Draw a sheet as `sample` does and fill it in with the truth."""
    sheet = sample(drawn.labels, rows, seed=seed)
    answers = np.where(drawn.truth[sheet["record"].to_numpy()], "emotional", "task")
    return sheet.with_columns(gold=pl.Series(answers))


def measured(chance: np.random.Generator) -> Accuracy:
    """Measure the classifier on a few conversations from elsewhere, as an artifact's card does."""
    charged, others = MEASURED_ON
    found, spared = chance.binomial(charged, SENSITIVITY), chance.binomial(others, SPECIFICITY)
    return Accuracy(found, charged - found, spared, others - spared)
