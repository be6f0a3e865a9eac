"""Whether 95 % intervals hold the truth 95 % of the time, and those of plain counting do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from affectlib.analysis._intervals import (
    Estimate,
    GoldUnits,
    clustered_mean,
    effective_size,
    exact_share,
    kish,
    prediction_powered_share,
    rogan_gladen_share,
)

SENSITIVITY, SPECIFICITY = 0.7, 0.98
REPETITIONS = 1200


@dataclass(frozen=True)
class Study:
    """What people have: a corpus of some users, and so many gold labels."""

    prevalence: float
    gold: int
    users: int
    conversations: int
    clustered: bool

    def __str__(self) -> str:
        return f"{self.prevalence:.1%}{'-clustered' if self.clustered else ''}"


STUDIES = [
    Study(0.005, 500, 10_000, 1, False),
    Study(0.03, 300, 10_000, 1, False),
    Study(0.2, 200, 10_000, 1, False),
    Study(0.005, 500, 500, 20, True),
    Study(0.03, 300, 500, 20, True),
    Study(0.2, 200, 500, 20, True),
]


def corpus(chance: np.random.Generator, study: Study) -> dict[str, NDArray[Any]]:
    """Draw users, heavy ones among them, and what a binormal classifier makes of their chats."""
    if study.clustered:
        sizes = chance.lognormal(np.log(study.conversations) - 0.5, 1.0, study.users)
        sizes = np.maximum(1, sizes.round()).astype(int)
        leaning = chance.beta(6 * study.prevalence, 6 * (1 - study.prevalence), study.users)
    else:
        sizes = np.full(study.users, study.conversations)
        leaning = np.full(study.users, study.prevalence)
    user = np.repeat(np.arange(study.users), sizes)
    truth = chance.random(len(user)) < leaning[user]
    distance = norm.ppf(SENSITIVITY) + norm.ppf(SPECIFICITY)
    score = distance**2 / 2 * np.where(truth, 1, -1) + distance * chance.normal(size=len(user))
    threshold = -(distance**2) / 2 + distance * norm.ppf(SPECIFICITY)
    return {
        "user": user,
        "truth": truth.astype(float),
        "called": (score >= threshold).astype(float),
        "probability": expit(score + np.log(study.prevalence / (1 - study.prevalence))),
    }


def draw_by_score(
    chance: np.random.Generator, probability: NDArray[Any], size: int, strata: int = 6
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw as many rows from each of six strata of the score, and weight them accordingly."""
    order = np.argsort(probability)
    reach = np.sqrt(probability * (1 - probability))[order].cumsum()
    stratum = np.empty(len(order), int)
    stratum[order] = np.minimum(reach / reach[-1] * strata, strata - 1)
    rows, weights = [], []
    for place in range(strata):
        members = np.flatnonzero(stratum == place)
        count = min(len(members), size // strata)
        rows.append(chance.choice(members, count, replace=False))
        weights.append(np.full(count, len(members) / count))
    return np.concatenate(rows), np.concatenate(weights)


def estimates(chance: np.random.Generator, study: Study) -> Iterator[tuple[str, Estimate]]:
    """Yield what each method says of one corpus."""
    drawn = corpus(chance, study)
    user = drawn["user"]

    def total(values: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.bincount(user, values, study.users).astype(float)

    counts = total()
    apparent, spread = clustered_mean(total(drawn["called"]), counts)
    reach = 1.96 * np.sqrt(apparent * (1 - apparent) / len(user))
    yield "counting", Estimate(apparent, apparent - reach, apparent + reach)
    size = effective_size(apparent, spread, kish(counts), 0.95)
    found, spared = chance.binomial(100, SENSITIVITY), chance.binomial(1000, SPECIFICITY)
    yield (
        "rogan_gladen",
        rogan_gladen_share(apparent, size, (found, 100), (spared, 1000), 0.95),
    )
    rows, weights = draw_by_score(chance, drawn["probability"], study.gold)
    gold = GoldUnits(user[rows], drawn["truth"][rows], drawn["probability"][rows], weights)
    if gold.truth.sum() >= 5:
        every = total(drawn["probability"])
        yield "ppi", prediction_powered_share(every, counts, gold, 0.95)
    even = chance.choice(len(user), study.gold, replace=False)
    held = np.bincount(user[even], drawn["truth"][even], study.users)
    drawn_from = np.bincount(user[even], minlength=study.users).astype(float)
    used = drawn_from > 0
    mean, spread = clustered_mean(held[used], drawn_from[used])
    yield "gold", exact_share(mean, spread, kish(drawn_from), study.gold, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_intervals_cover_the_truth_and_counting_does_not(study):
    chance = np.random.default_rng(12)
    hits: dict[str, list[bool]] = {}
    for _ in range(REPETITIONS):
        for method, estimate in estimates(chance, study):
            hits.setdefault(method, []).append(estimate.low <= study.prevalence <= estimate.high)
    coverage = {method: float(np.mean(each)) for method, each in hits.items()}
    assert len(hits["ppi"]) > 0.97 * REPETITIONS
    assert 0.93 <= coverage["ppi"] <= 0.97, coverage
    assert 0.93 <= coverage["rogan_gladen"] <= 0.97, coverage
    assert coverage["gold"] >= 0.93, coverage
    assert coverage["counting"] < 0.2, coverage
