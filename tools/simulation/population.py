"""Users, their conversations, what is true of them and what a classifier makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from affectlib.analysis import Accuracy, sample

SENSITIVITY, SPECIFICITY = 0.8, 0.98
MESSAGE_SENSITIVITY, MESSAGE_SPECIFICITY = 0.7, 0.99
MEASURED_ON = 22, 387
MESSAGES_MEASURED_ON = 59, 1204
WEEKS = 12
_START = datetime(2025, 3, 3, tzinfo=UTC)
_CONCENTRATION = 6.0
_GROUPS = {"a": 0.5, "b": 1.0, "c": 2.0}
_ENDS = 0.3
_FIRST, _LAST = 0.2, 0.8


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
        user: Number of the user of each conversation.
        group: Number of that user's group.
        place: When it was, from 0 to 1.
        truth: Whether it is charged.
        called: Whether it is called so.
        probability: What the classifier gives it.
        setting: What it was drawn from.
    """

    user: NDArray[np.int64]
    group: NDArray[np.int64]
    place: NDArray[np.float64]
    truth: NDArray[np.bool_]
    called: NDArray[np.bool_]
    probability: NDArray[np.float64]
    setting: Setting

    @cached_property
    def labels(self) -> pl.DataFrame:
        """The labels of the conversations, with a column ``group``."""
        start = int(_START.timestamp() * 1e6)
        moments = start + (self.place * WEEKS * 7 * 86_400 * 1e6).astype(np.int64)
        return pl.DataFrame(
            {
                "record": np.arange(len(self.user)),
                "conversation_id": [f"c{place}" for place in range(len(self.user))],
                "user_id": [f"u{place}" for place in self.user],
                "group": np.array([*_GROUPS])[self.group],
                "started_at": pl.Series(moments).cast(pl.Datetime("us", "UTC")),
                "label": np.where(self.called, "emotional", "task"),
                "probability": self.probability,
            }
        )


def draw(rng: np.random.Generator, setting: Setting) -> Drawn:
    """Draw users of unequal activity who lean towards charged use or not, and their labels.

    The odds of groups ``a``, ``b``, ``c`` differ; scores are binormal and their probabilities
    calibrated.
    """
    middle = np.log(setting.conversations) - setting.inequality**2 / 2
    sizes = np.exp(middle + setting.inequality * rng.normal(size=setting.users))
    sizes = np.maximum(1, sizes.round()).astype(int)
    group = rng.integers(0, len(_GROUPS), setting.users)
    mean = np.array([*shares().values()])[group] * setting.prevalence
    leaning = rng.beta(_CONCENTRATION * mean, _CONCENTRATION * (1 - mean))
    user = np.repeat(np.arange(setting.users), sizes)
    truth = rng.random(len(user)) < leaning[user]
    distance = norm.ppf(SENSITIVITY) + norm.ppf(SPECIFICITY)
    score = distance**2 / 2 * np.where(truth, 1, -1) + distance * rng.normal(size=len(user))
    called = score >= -(distance**2) / 2 + distance * norm.ppf(SPECIFICITY)
    odds = setting.prevalence / (1 - setting.prevalence)
    return Drawn(
        user=user,
        group=group[user],
        place=rng.random(len(user)),
        truth=truth,
        called=called,
        probability=expit(score + np.log(odds)),
        setting=setting,
    )


@dataclass(frozen=True)
class Talk:
    """The messages of users in a corpus.

    Attributes:
        conversation: Number of the conversation of each.
        part: In which third of it the message is, from 0.
        length: How many the conversation has.
        first: Whether it is the first.
        truth: Whether it is charged.
        called: Whether it is called so.
    """

    conversation: NDArray[np.int64]
    part: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    called: NDArray[np.bool_]


def talk(rng: np.random.Generator, charged: NDArray[np.bool_]) -> Talk:
    """Draw the messages of conversations; errors with them have nothing to do with each other.

    A charged conversation has at least one charged turn, and more of them towards its end.
    """
    sizes = rng.geometric(_ENDS, len(charged))
    own = np.repeat(np.arange(len(charged)), sizes)
    length = sizes[own]
    place = np.arange(len(own)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rate = _FIRST + (_LAST - _FIRST) * (place + 1) / length
    truth = charged[own] & (rng.random(len(own)) < rate)
    none = charged & (np.bincount(own, truth, len(charged)) == 0)
    truth |= none[own] & (place == length - 1)
    rates = np.where(truth, MESSAGE_SENSITIVITY, 1 - MESSAGE_SPECIFICITY)
    called = rng.random(len(own)) < rates
    return Talk(own, place * 3 // length, length, place == 0, truth, called)


def shares() -> dict[str, float]:
    """Return how many times as often as overall conversations of each group are charged."""
    mean = sum(_GROUPS.values()) / len(_GROUPS)
    return {name: weight / mean for name, weight in _GROUPS.items()}


def hand_labels(drawn: Drawn, rows: int, seed: int) -> pl.DataFrame:
    """Draw a sheet as `sample` does and fill it in with the truth."""
    sheet = sample(drawn.labels, rows, seed=seed)
    answers = np.where(drawn.truth[sheet["record"].to_numpy()], "emotional", "task")
    return sheet.with_columns(gold=pl.Series(answers))


def measured(
    rng: np.random.Generator,
    on: tuple[int, int] = MEASURED_ON,
    rates: tuple[float, float] = (SENSITIVITY, SPECIFICITY),
) -> Accuracy:
    """Measure the classifier on a few rows from elsewhere, as an artifact's card does."""
    charged, others = on
    found, spared = rng.binomial(charged, rates[0]), rng.binomial(others, rates[1])
    return Accuracy(found, charged - found, spared, others - spared)
