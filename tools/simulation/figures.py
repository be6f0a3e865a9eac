"""The figures of a report whose truth is known in a simulated corpus.

They are made by the functions that the report makes them with, from sums over users on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib.analysis import Accuracy, concentration
from affectlib.analysis._correction import (
    Apparent,
    ErrorRates,
    GoldUnits,
    corrected_share,
    difference_of,
    drawn_by_row,
)
from affectlib.analysis._intervals import Estimate, Floats, clustered_mean, kish, wilson_share
from affectlib.analysis._measures import Measured, measures
from affectlib.analysis._rate_regression import calibrated_rates, spanned
from affectlib.analysis._trends import slope_of_sums, user_trends
from affectlib.analysis.association import Term, fitted
from affectlib.analysis.groups import difference
from affectlib.analysis.prevalence import gold_share
from affectlib.analysis.sampling import drawn_rows
from tools.simulation.population import (
    MESSAGE_SENSITIVITY,
    MESSAGE_SPECIFICITY,
    MESSAGES_MEASURED_ON,
    SENSITIVITY,
    SPECIFICITY,
    Drawn,
    Setting,
    Talk,
    draw,
    measured,
    shares,
    talk,
)

_CONFIDENCE = 0.95
_SLOPE, _NOISE = 0.5, 0.2
_FEWEST_FOR_TENTHS = 100
_STRATA = 10
_MANY = 400_000
_THEME, _THEME_RATES, _THEME_MEASURED_ON = 0.3, (0.7, 0.97), (30, 150)


@dataclass(frozen=True)
class Found:
    """A figure beside the truth.

    Attributes:
        name: What it is.
        estimate: The figure.
        low: Lower end of its interval.
        high: Upper end.
        truth: What it is an estimate of.
    """

    name: str
    estimate: float
    low: float
    high: float
    truth: float

    @classmethod
    def of(cls, name: str, found: Estimate, truth: float) -> Found:
        """Set an estimate beside the truth."""
        return cls(name, found.estimate, found.low, found.high, truth)


@dataclass(frozen=True)
class Corpus:
    """A simulated corpus and what is known of it.

    Attributes:
        drawn: The corpus.
        talk: Its messages.
        errors: What is known of the errors with conversations.
        message_errors: The same with messages.
        gold: The conversations labelled by hand, None if there are none.
        weight: How many conversations each of these stands for.
    """

    drawn: Drawn
    talk: Talk
    errors: ErrorRates
    message_errors: ErrorRates
    gold: NDArray[np.int64] | None
    weight: Floats | None

    @classmethod
    def of(
        cls,
        rng: np.random.Generator,
        drawn: Drawn,
        rows: int,
        elsewhere: tuple[float, float] | None,
    ) -> Corpus | None:
        """Draw messages, hand labels and what was measured; None if nothing is known of errors."""
        of_messages = (MESSAGE_SENSITIVITY, MESSAGE_SPECIFICITY)
        accuracy = None if elsewhere is None else measured(rng, rates=elsewhere)
        message_errors = ErrorRates.measured(measured(rng, MESSAGES_MEASURED_ON, of_messages))
        gold = weight = None
        if rows:
            gold, weight, _ = drawn_rows(rng, drawn.probability, rows, _STRATA)
        errors = _errors(drawn, gold, weight, accuracy)
        if errors is None or message_errors is None:
            return None
        return cls(drawn, talk(rng, drawn.truth), errors, message_errors, gold, weight)


def _errors(drawn: Drawn, gold: Any, weight: Any, accuracy: Accuracy | None) -> ErrorRates | None:
    if gold is None:
        return None if accuracy is None else ErrorRates.measured(accuracy)
    called, predicted = drawn.called, drawn.probability
    users = len(np.unique(drawn.user[gold]))
    units = GoldUnits(
        user=drawn.user[gold].astype(np.uint64),
        truth=drawn.truth[gold].astype(float),
        called=called[gold],
        predicted=predicted[gold],
        weight=weight,
        by_row=drawn_by_row(np.bincount(drawn.user).astype(float), users, len(gold)),
    )
    means = (
        float(predicted[called].sum() / max(called.sum(), 1)),
        float(predicted[~called].sum() / max((~called).sum(), 1)),
    )
    return ErrorRates.updated(units, Apparent(float(called.mean()), len(called)), means, accuracy)


def figures(corpus: Corpus, rng: np.random.Generator) -> Iterator[Found]:
    """Yield all figures of the report that are corrected for label error."""
    yield from _overall(corpus)
    yield from _by_group(corpus)
    yield _change(corpus)
    yield _difference(corpus)
    yield from _later(corpus)
    yield from _theme(corpus, rng)
    if corpus.gold is None:
        yield from _parts(corpus)
        yield from _coefficient(corpus, rng)
    else:
        yield _by_hand(corpus)
        yield from _quality(corpus)


def _sums(user: NDArray[np.int64], *values: Any) -> tuple[Floats, ...]:
    """Return how many rows each user has that has any, and the sums of values over these."""
    count = np.bincount(user).astype(float)
    there = count > 0
    return count[there], *(np.bincount(user, each)[there] for each in values)


def _overall(corpus: Corpus) -> Iterator[Found]:
    drawn = corpus.drawn
    units, called = _sums(drawn.user, drawn.called)
    for target, truth in (
        ("corpus", float(drawn.truth.mean())),
        ("population", drawn.setting.prevalence),
    ):
        apparent = Apparent(float(drawn.called.mean()), len(drawn.user))
        if target == "population":
            apparent = Apparent.of_users(called, units, _CONFIDENCE)
        yield Found.of(
            f"share, {target}",
            corpus.errors.with_domain_shift().share(apparent, _CONFIDENCE, whole=True),
            truth,
        )


def _by_group(corpus: Corpus) -> Iterator[Found]:
    drawn = corpus.drawn
    share = drawn.setting.prevalence
    parts = [
        ("share of a group", drawn.group == place, share * times)
        for place, times in enumerate(shares().values())
    ]
    if drawn.setting.users >= _FEWEST_FOR_TENTHS:
        tenth = _tenths(np.bincount(drawn.user))[drawn.user]
        parts += [("share of a tenth by usage", tenth == place, share) for place in (0, 9)]
    for name, inside, truth in parts:
        if inside.any():
            units, called = _sums(drawn.user[inside], drawn.called[inside])
            apparent = Apparent.of_users(called, units, _CONFIDENCE)
            errors = corpus.errors.with_domain_shift()
            yield Found.of(name, errors.share(apparent, _CONFIDENCE), truth)


def _tenths(sizes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the tenth of each user by usage, from 0."""
    rank = np.argsort(np.argsort(sizes, kind="stable"), kind="stable")
    return rank * 10 // len(sizes)


def _change(corpus: Corpus) -> Found:
    drawn = corpus.drawn
    place = (drawn.place - drawn.place.min()) / (drawn.place.max() - drawn.place.min())
    slope, error = slope_of_sums(
        *_sums(drawn.user, place, place**2, drawn.called, place * drawn.called)
    )
    return Found.of(
        "change over time",
        corpus.errors.with_domain_shift().difference(slope, error, _CONFIDENCE),
        0.0,
    )


def _difference(corpus: Corpus) -> Found:
    drawn = corpus.drawn
    units, called, group = _sums(drawn.user, drawn.called, drawn.group)
    own, group = called / units, group / units
    row = difference(own[group == 2], own[group == 0], _CONFIDENCE)
    found = difference_of(corpus.errors.with_domain_shift(), row)
    gap = drawn.setting.prevalence * (shares()["c"] - shares()["a"])
    return Found("difference of groups", found["estimate"], found["low"], found["high"], gap)


def _later(corpus: Corpus) -> Iterator[Found]:
    drawn, said = corpus.drawn, corpus.talk
    at = said.first & (said.length > 1)
    own = said.conversation[at]
    units, called, first = _sums(drawn.user[own], drawn.called[own], said.called[at])
    found = corpus.errors.with_domain_shift().onset_share(
        Apparent.of_users(called, units, _CONFIDENCE),
        Apparent.of_users(first, units, _CONFIDENCE),
        corpus.message_errors.with_domain_shift(),
        _CONFIDENCE,
    )
    _, at_first = _of_charged()
    share = drawn.setting.prevalence
    yield Found.of("charged after a task", found, share * (1 - at_first) / (1 - share * at_first))


def _theme(corpus: Corpus, rng: np.random.Generator) -> Iterator[Found]:
    """Yield the share of a theme among the conversations called charged."""
    own, gold = np.flatnonzero(corpus.drawn.called), None
    weight = corpus.weight
    if corpus.gold is not None and weight is not None:
        inside = corpus.drawn.called[corpus.gold]
        gold, weight = np.searchsorted(own, corpus.gold[inside]), weight[inside]
    if not len(own) or (gold is not None and not len(gold)):
        return
    about = corpus.drawn.truth[own] & (rng.random(len(own)) < _THEME)
    found, spared = _THEME_RATES
    shown = rng.random(len(own)) < np.where(about, found, 1 - spared)
    called = replace(
        corpus.drawn,
        user=corpus.drawn.user[own],
        truth=about,
        called=shown,
        probability=shown.astype(float),
    )
    errors = _errors(called, gold, weight, measured(rng, _THEME_MEASURED_ON, _THEME_RATES))
    if errors is None:
        return
    share = corpus.drawn.setting.prevalence
    hits, alarms = share * SENSITIVITY, (1 - share) * (1 - SPECIFICITY)
    units, flagged = _sums(called.user, shown)
    yield Found.of(
        "share of a theme",
        errors.with_domain_shift().share(
            Apparent.of_users(flagged, units, _CONFIDENCE), _CONFIDENCE, whole=True
        ),
        _THEME * hits / (hits + alarms),
    )


def _parts(corpus: Corpus) -> Iterator[Found]:
    said = corpus.talk
    rates, _ = _of_charged()
    for part, rate in enumerate(rates):
        at = (said.length >= 3) & (said.part == part)
        if not at.any():
            continue
        units, called = _sums(corpus.drawn.user[said.conversation[at]], said.called[at])
        mean, spread = clustered_mean(called, units)
        row = asdict(wilson_share(mean, spread, kish(units), _CONFIDENCE)) | {"units": units.sum()}
        found = corrected_share(corpus.message_errors, row)
        truth = corpus.drawn.setting.prevalence * rate
        yield Found(
            "share of messages, by part", found["estimate"], found["low"], found["high"], truth
        )


def _coefficient(corpus: Corpus, rng: np.random.Generator) -> Iterator[Found]:
    """Regress a score that goes with the true rate of charged turns, and with usage."""
    said = corpus.talk
    turns, called, truth = _sums(corpus.drawn.user[said.conversation], said.called, said.truth)
    usage = _tenths(turns) + 1.0
    score = _SLOPE * truth / turns + 0.03 * usage + _NOISE * rng.normal(size=len(turns))
    rates = called / turns
    several = calibrated_rates(rates, turns, corpus.message_errors)
    if several is None:  # the report shows no interval then
        return
    fits = [
        fitted(score, [Term("usage", "usage", usage), Term("rate", "rate", values)], None)
        for values in several
    ]
    low, high = [*spanned(fits[1:])][1]
    yield Found("coefficient of charged use", float(fits[0].coefficients[2]), low, high, _SLOPE)


def _by_hand(corpus: Corpus) -> Found:
    """Return the share of the hand labels, without those of the classifier."""
    drawn, gold = corpus.drawn, corpus.gold
    sample = pl.DataFrame(
        {"_user": drawn.user[gold], "gold": drawn.truth[gold], "weight": corpus.weight}
    )
    return Found.of(
        "share, hand labels alone", gold_share(sample, _CONFIDENCE), drawn.setting.prevalence
    )


def _quality(corpus: Corpus) -> Iterator[Found]:
    drawn, gold = corpus.drawn, corpus.gold
    if gold is None or corpus.weight is None or not 0 < drawn.truth[gold].sum() < len(gold):
        return
    _, user = np.unique(drawn.user[gold], return_inverse=True)
    rows = Measured(
        drawn.truth[gold], drawn.called[gold], drawn.probability[gold], corpus.weight, user
    )
    share = drawn.setting.prevalence
    hits, alarms = share * SENSITIVITY, (1 - share) * (1 - SPECIFICITY)
    truths = (SENSITIVITY, SPECIFICITY, hits / (hits + alarms))
    for (name, found), truth in zip(islice(measures(rows, _CONFIDENCE), 3), truths, strict=True):
        if np.isfinite(found.estimate):
            yield Found.of(name, found, truth)


@cache
def _of_charged() -> tuple[list[float], float]:
    """Return the shares of charged conversations' messages that are charged.

    By third of those of three messages or more; and at first, of those of two or more.
    """
    said = talk(np.random.default_rng(1), np.ones(_MANY, bool))
    long = said.length >= 3
    rates = [float(said.truth[long & (said.part == part)].mean()) for part in range(3)]
    return rates, float(said.truth[(said.length > 1) & said.first].mean())


def per_user(drawn: Drawn, charged: NDArray[np.bool_]) -> pl.DataFrame:
    """Count the charged conversations of each user."""
    _, count = _sums(drawn.user, charged)
    return pl.DataFrame({"charged_turns": count})


def concentrated(drawn: Drawn, truths: dict[str, float]) -> Iterator[Found]:
    """Yield how concentrated labels are, against those of a very large population."""
    if not drawn.called.any():
        return
    for row in concentration(per_user(drawn, drawn.called)).to_dicts():
        if row["estimate"] is not None and row["low"] is not None:
            name = f"labelled: {row['measure']}"
            truth = truths[row["measure"]]
            yield Found(name, row["estimate"], row["low"], row["high"], truth)


def concentrations(setting: Setting, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Return how concentrated labels, and true charge, are in a very large population."""
    large = Setting(_MANY // 4, setting.conversations, setting.inequality, setting.prevalence)
    drawn = draw(rng, large)
    return {
        name: dict(
            concentration(per_user(drawn, charged), min_users=0)["measure", "estimate"].iter_rows()
        )
        for name, charged in (("label", drawn.called), ("truth", drawn.truth))
    }


def false_trend(drawn: Drawn) -> bool:
    """Tell whether any user is said to rise or fall where nobody does."""
    rows = drawn.labels.select(
        "user_id",
        first="started_at",
        turns=pl.lit(1),
        charged=(pl.col("label") == "emotional").cast(pl.Int64),
    )
    return bool((user_trends(rows, 0.05)["direction"] != "flat").any())
