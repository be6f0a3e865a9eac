"""What label error does to a share, and how it is taken out. All of analysis goes through here.

A share of labels, q, and the true share, p, are related by the classifier's sensitivity and
specificity: ``q = p * sensitivity + (1 - p) * (1 - specificity)`` (Rogan and Gladen, American
Journal of Epidemiology 107, 1978, pp. 71-76). `ErrorRates` holds draws from the distribution of the
two; a figure is computed for every draw, and its interval is what the draws span.

- Without gold labels, the draws come from counts measured elsewhere, spread further for domain
  shift (`ErrorRates.with_domain_shift`).
- With gold labels, they come from the precision among the rows called emotional and the share
  missed among the others, with the measured counts as prior (Gelman and Carpenter, Journal of the
  Royal Statistical Society C 69, 2020, pp. 1269-1283). The prior counts half (a power prior;
  Ibrahim and Chen, Statistical Science 15, 2000, pp. 46-60), and less where the gold labels
  contradict it (a robust mixture prior; Schmidli et al., Biometrics 70, 2014, pp. 1023-1032).
  The estimate leaves out what the interval adds to counts of 0: a third of a row among thousands
  is much of a rare share.

Public functions other than `prevalence` and `themes` know no error rates, and give figures as
labelled. `report` corrects them by the functions at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import inf
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from affectlib.analysis import _intervals
from affectlib.analysis._frames import labels_table, user_keys
from affectlib.analysis._intervals import NONE, Estimate, Floats
from affectlib.analysis.accuracy import Accuracy

__all__ = [
    "Apparent",
    "ErrorRates",
    "GoldUnits",
    "Target",
    "becomes_charged",
    "corrected_share",
    "difference_of",
    "drawn_by_row",
]

Target: TypeAlias = Literal["corpus", "population"]
"""These transcripts, or all that users like these would write."""

_DRAWS = 4000
_KNOTS = 201
_GRID = 80
_SHIFT = (1.2, 1.9)
"""Domain shift: standard deviations of the logits of sensitivity and specificity between kinds of
chats. Chosen so that an interval holds the truth where 0.77 and 0.985 are true and 0.95 and 0.999
were measured; compare `python -m tools.simulation --elsewhere 0.95 0.999`."""
_PRIOR_COUNTS = 0.5
_NEUTRAL = 1 / 3
"""Pseudo-counts of the rates' prior, whose median is the share found (Kerman, Electronic Journal of
Statistics 5, 2011, pp. 1450-1470)."""
_TRUSTED_EVENTS = 3
_LEAST_POWER = 0.05
_SPREAD_OUT = 0.6
_NEARLY_ALL = 1 - 1e-6
_TINY = 1e-12
_CONFIDENCE = 0.95
"""That of the rows that are corrected afterwards."""


@dataclass(frozen=True, slots=True)
class Apparent:
    """The share of `units` that the classifier calls emotional."""

    share: float
    units: float
    size: float = inf
    """The effective sample size for the population; infinite for a figure of the corpus."""

    @classmethod
    def of_users(cls, called: Floats, units: Floats, confidence: float) -> Apparent:
        """Return the share in the population from counts of each user, shape ``[users]``."""
        share, spread = _intervals.clustered_mean(called, units)
        return cls(
            share,
            units.sum(),
            _intervals.effective_size(share, spread, _intervals.kish(units), confidence),
        )


@dataclass(frozen=True, slots=True)
class GoldUnits:
    """Units with a gold label; all arrays have shape ``[gold]``.

    `user` numbers users, `truth` is 1.0 for what is truly emotional, `called` is the label,
    `predicted` the prediction from 0 to 1, and `weight` how many units of the corpus each stands
    for. `by_row` says that rows were drawn one by one; else users were, and each counts as one
    where the spread of its rows is not known.
    """

    user: NDArray[np.uint64]
    truth: Floats
    called: NDArray[np.bool_]
    predicted: Floats
    weight: Floats
    by_row: bool = True

    def of(self, called: bool) -> GoldUnits:
        """Return those that the classifier called emotional, or the others."""
        own = self.called == called
        names = ("user", "truth", "called", "predicted", "weight")
        return replace(self, **{name: getattr(self, name)[own] for name in names})

    @property
    def size(self) -> float:
        """The effective number of draws."""
        if self.by_row:
            return _intervals.kish(self.weight)
        _, places = np.unique(self.user, return_inverse=True)
        return _intervals.kish(np.bincount(places, self.weight).astype(np.float64))


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """What is known about a classifier's errors; draws have shape ``[draws]``.

    Attributes:
        sensitivity: Draws of the sensitivity.
        specificity: Draws of the specificity.
        shares: Draws of the true share in the corpus of the gold labels; None without gold labels.
        anchor: The share called emotional in that corpus, and the estimate of the true one.
        centre: Sensitivity and specificity as they were measured, None with gold labels.
        none_found: Whether there are gold labels, and none of them is emotional.
    """

    sensitivity: Floats
    specificity: Floats
    shares: Floats | None = None
    anchor: tuple[float, float] = (0.0, 0.0)
    centre: tuple[float, float] | None = None
    none_found: bool = False

    @classmethod
    def measured(cls, accuracy: Accuracy) -> ErrorRates | None:
        """Return what counts from elsewhere say; None if they are no better than chance."""
        rates = (
            accuracy.true_positives / accuracy.positives,
            accuracy.true_negatives / accuracy.negatives,
        )
        if sum(rates) <= 1:
            return None
        rng = np.random.default_rng(0)
        found = _beta_draws(accuracy.true_positives, accuracy.false_negatives, rng)
        spared = _beta_draws(accuracy.true_negatives, accuracy.false_positives, rng)
        return cls(found, spared, centre=rates)

    def with_domain_shift(self) -> ErrorRates:
        """Return the errors to expect on chats of another kind; the likeliest rates stay.

        The draws get an extra normal spread on the logit scale, as in a random-effects
        meta-analysis of diagnostic accuracy (Reitsma et al., Journal of Clinical Epidemiology 58,
        2005, pp. 982-990). Errors that gold labels show stay as they are.
        """
        if self.centre is None:
            return self
        rng = np.random.default_rng(4)
        sensitivity, specificity = (
            expit(
                logit(np.clip(rates, _TINY, 1 - _TINY)) + spread * rng.permutation(_normal_places())
            )
            for rates, spread in zip((self.sensitivity, self.specificity), _SHIFT, strict=True)
        )
        return replace(self, sensitivity=sensitivity, specificity=specificity)

    @classmethod
    def updated(
        cls,
        gold: GoldUnits,
        called: Apparent,
        predicted: tuple[float, float],
        prior: Accuracy | None,
    ) -> ErrorRates:
        """Return what gold labels say, with counts from elsewhere as prior.

        `predicted` is the corpus's mean prediction of units called emotional, and of the others.
        """
        counts = [_counts(gold.of(True), predicted[0]), _counts(gold.of(False), predicted[1])]
        estimate = [hits / max(hits + rest, _TINY) for hits, rest in counts]
        grid = _grid(counts)
        sensitivity, specificity, true = _rates_of(called.share, *grid)
        weight = np.ones(len(true))
        if prior is not None:
            anywhere, nowhere, _ = _rates_of(called.share, *_grid([(0.0, 0.0), (0.0, 0.0)]))
            here = _log_likelihood(prior, sensitivity, specificity)
            vague = _log_likelihood(prior, anywhere, nowhere)
            top = max(here.max(), vague.max())
            # The second term is the vague half of the mixture prior: it prevails where the gold
            # labels contradict what was measured.
            otherwise = np.exp(vague - top).mean()
            weight = np.exp(here - top) + otherwise
            known = 1 - otherwise / weight.mean()
            estimate = [
                known * mean + (1 - known) * found
                for mean, found in zip(_means(grid, here), estimate, strict=True)
            ]
        # Systematic resampling.
        order = np.argsort(true, kind="stable")
        cumulated = np.cumsum(weight[order]) / weight.sum()
        drawn = order[np.searchsorted(cumulated, (np.arange(_DRAWS) + 0.5) / _DRAWS)]
        drawn = np.random.default_rng(0).permutation(drawn)
        return cls(
            sensitivity[drawn],
            specificity[drawn],
            true[drawn],
            (called.share, called.share * estimate[0] + (1 - called.share) * estimate[1]),
            none_found=not gold.truth.any(),
        )

    @property
    def rates(self) -> tuple[float, float]:
        """The likeliest sensitivity and specificity."""
        if self.centre is not None:
            return self.centre
        return float(np.median(self.sensitivity)), float(np.median(self.specificity))

    @property
    def youden_index(self) -> Floats:
        """The factor by which errors shrink a difference of shares, in draws."""
        return np.maximum(self.sensitivity + self.specificity - 1, _LEAST_POWER)

    @property
    def likeliest_index(self) -> float:
        """The same factor at the likeliest sensitivity and specificity."""
        return max(sum(self.rates) - 1, _LEAST_POWER)

    def _labels(self, called: Apparent, seed: int = 1) -> Floats:
        """Return draws of the rate of emotional labels."""
        size = self._size(called)
        rng = np.random.default_rng(seed)
        return _beta_draws(called.share * size, (1 - called.share) * size, rng)

    def _true(self, labels: Floats) -> Floats:
        """Return draws of the true share; below 0 where errors explain more labels than that."""
        return np.asarray((labels + self.specificity - 1) / self.youden_index)

    def share(self, called: Apparent, confidence: float, *, whole: bool = False) -> Estimate:
        """Return the true share behind a share of labels; `whole` if of all that gold is from."""
        power = self.likeliest_index
        if self.centre is not None:
            middle = (called.share + self.centre[1] - 1) / power
        else:
            labelled, true = self.anchor
            middle = true + (called.share - labelled) / power
        if whole and self.shares is not None and called.size == inf:
            low, high = _ends(self.shares, confidence)
        else:
            low, high = self._between(called, confidence)
        low = 0.0 if whole and self.none_found else low
        return Estimate(float(np.clip(middle, low, high)), low, high)

    def plausible_range(self, called: Apparent, confidence: float) -> tuple[float, float]:
        """Return between which true shares the known errors give a share of labels, or nearly."""
        draws = self._true(self._labels(called))
        low, high = _ends(draws, confidence)
        nearest = 0.0 if high <= 0 else 1.0
        return _inside(draws, confidence) if low < 1 and high > 0 else (nearest, nearest)

    def _between(self, called: Apparent, confidence: float) -> tuple[float, float]:
        """Return the ends of the interval of the true share behind a share of labels."""
        labels = self._labels(called)
        draws = self._true(labels)
        low, high = _ends(draws, confidence)
        # It is never above the share without false alarms, nor below that without misses: its ends
        # where the known errors cannot give such a share of labels, as errors must be rarer there.
        spared = np.maximum(self.specificity, _LEAST_POWER)
        least, _ = _ends((labels + self.specificity - 1) / spared, confidence)
        _, most = _ends(labels / np.maximum(self.sensitivity, _LEAST_POWER), confidence)
        if high <= 0:
            return 0.0, min(most, 1.0)
        if low >= 1:
            return max(least, 0.0), 1.0
        lower, upper = _inside(draws, confidence)
        return max(lower, min(least, low)), min(upper, max(most, high))

    def difference(self, estimate: float, error: float, confidence: float) -> Estimate:
        """Return the true difference behind one of labels, given its standard error."""
        noise = np.random.default_rng(2).permutation(_normal_places()) * error
        draws = np.clip((estimate + noise) / self.youden_index, -1.0, 1.0)
        middle = estimate / self.likeliest_index
        return Estimate(float(np.clip(middle, -1.0, 1.0)), *_ends(draws, confidence))

    def alternatives(self, count: int) -> Iterator[tuple[float, float]]:
        """Yield sensitivities and specificities that span the draws, the weakest first."""
        order = np.argsort(self.sensitivity + self.specificity)
        places = ((np.arange(count) + 0.5) / count * len(order)).astype(int)
        for place in order[places]:
            yield float(self.sensitivity[place]), float(self.specificity[place])

    def calibrated(
        self, rates: Floats, units: Floats, at: tuple[float, float] | None = None
    ) -> tuple[Floats, float]:
        """Return users' true rates by regression calibration, and how reliable the given ones are.

        A regression on these is not drawn towards 0, as one on rates of labels is (Carroll et al.,
        Measurement Error in Nonlinear Models, 2006, chapter 4). The reliability is the part of
        their variance that is not label error.

        `rates` are the shares of each user's `units` that are called emotional, both of shape
        ``[users]``, NaN without units; `at` has sensitivity and specificity, if not the likeliest.
        """
        known = np.isfinite(rates) & (units > 0)
        found, spared = at or self.rates
        power = max(found + spared - 1, _LEAST_POWER)
        called = (rates[known] @ units[known]) / units[known].sum()
        _, by_error = _by_error(called, found, spared)
        error = by_error / np.where(known, units, np.nan)
        varies = float(np.var(rates[known], ddof=1))
        between = max(varies - float(error[known].mean()), 0.0)
        middle = rates[known].mean()
        near = middle + between / np.maximum(between + error, _TINY) * (rates - middle)
        return np.asarray((near + spared - 1) / power), between / max(varies, _TINY)

    def onset_share(
        self, whole: Apparent, first: Apparent, of_first: ErrorRates, confidence: float
    ) -> Estimate:
        """Return how often a conversation that does not begin emotionally becomes emotional.

        Where a conversation is emotional if one of its messages is, that is the share of emotional
        conversations (`whole`) less those with an emotional first message (`first`), among the
        others. The errors with conversations and with messages (`of_first`) are measured apart, so
        each share is corrected by its own.
        """
        all_of = self._true(self._labels(whole))
        # The draws of the two kinds of errors come in the same order.
        at_first = of_first._true(of_first._labels(first, seed=2))
        at_first = np.clip(np.random.default_rng(3).permutation(at_first), 0.0, _NEARLY_ALL)
        low, high = _inside((all_of - at_first) / (1 - at_first), confidence)
        middle = self.share(whole, confidence).estimate
        begun = of_first.share(first, confidence).estimate
        later = (middle - begun) / (1 - min(begun, _NEARLY_ALL))
        return Estimate(float(np.clip(later, low, high)), low, high)

    def _size(self, called: Apparent) -> float:
        """Return the effective number of labels that the rate of emotional labels rests on."""
        found, spared = float(np.median(self.sensitivity)), float(np.median(self.specificity))
        power = max(found + spared - 1, _LEAST_POWER)
        true, by_error = _by_error(called.share, found, spared)
        inner = max(called.share * (1 - called.share), _TINY)
        if called.size == inf:  # a corpus, in which it varies by label error only
            return called.units * max(inner / max(by_error, _TINY), 1.0)
        if self.shares is None:
            return called.size
        least = power**2 * true * (1 - true) / called.units
        between = max(inner / called.size - by_error / called.units, least, _TINY)
        return float(np.clip(inner / between, called.size, called.units))


def _by_error(called: float, found: float, spared: float) -> tuple[float, float]:
    """Return the true share behind a share of labels, and a label's variance by error."""
    power = max(found + spared - 1, _LEAST_POWER)
    true = float(np.clip((called + spared - 1) / power, 0, 1))
    return true, true * found * (1 - found) + (1 - true) * spared * (1 - spared)


def drawn_by_row(units: Floats, users: int, rows: int) -> bool:
    """Tell whether gold labels are of about as many `users` as `rows` drawn one by one would be."""
    expected = (1 - (1 - units / units.sum()) ** rows).sum()
    return bool(users >= _SPREAD_OUT * expected)


def _beta_draws(hits: float, rest: float, rng: np.random.Generator) -> Floats:
    """Return the quantiles of a beta distribution in random order, by interpolation."""
    places = _normal_places()
    knots = np.linspace(places[0], places[-1], _KNOTS)
    values = stats.beta.ppf(stats.norm.cdf(knots), hits + 0.5, rest + 0.5)
    return rng.permutation(np.interp(places, knots, values))


@cache
def _normal_places() -> Floats:
    return np.asarray(stats.norm.ppf((np.arange(_DRAWS) + 0.5) / _DRAWS))


def _grid(counts: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    """Return equally likely precisions and shares missed, from counts of emotional rows and others.

    The first of `counts` are among those called emotional, the second among the rest.
    """
    places = (np.arange(_GRID) + 0.5) / _GRID
    each = (stats.beta.ppf(places, hits + _NEUTRAL, rest + _NEUTRAL) for hits, rest in counts)
    precision, missed = (rates.ravel() for rates in np.meshgrid(*each, indexing="ij"))
    return precision, missed


def _rates_of(share: float, precision: Floats, missed: Floats) -> tuple[Floats, Floats, Floats]:
    """Return sensitivities and specificities, and the true share with each, of a share called."""
    true = share * precision + (1 - share) * missed
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity = np.nan_to_num(share * precision / true)
        specificity = np.nan_to_num((1 - share) * (1 - missed) / (1 - true))
    return sensitivity, specificity, true


def _means(grid: Sequence[Floats], likelihood: Floats) -> list[float]:
    """Return the means of rates by a log-likelihood (``[points]``) and without their own prior.

    With Haldane's prior in its place (Mathematical Proceedings of the Cambridge Philosophical
    Society 28, 1932, pp. 55-61), the mean of a rate is the share found, which is unbiased. With
    their own, the rates of `grid` are equally likely.
    """
    log = likelihood - sum(_log_times(_NEUTRAL, rate * (1 - rate)) for rate in grid)
    weight = np.exp(log - log.max())
    return [float(weight @ rate / weight.sum()) for rate in grid]


def _log_likelihood(prior: Accuracy, sensitivity: Floats, specificity: Floats) -> Floats:
    """Return the log-likelihood of what was measured elsewhere, which counts half."""
    return _PRIOR_COUNTS * (
        _log_times(prior.true_positives, sensitivity)
        + _log_times(prior.false_negatives, 1 - sensitivity)
        + _log_times(prior.true_negatives, specificity)
        + _log_times(prior.false_positives, 1 - specificity)
    )


def _log_times(count: float, share: Floats) -> Floats:
    return count * np.log(np.maximum(share, _TINY)) if count else np.zeros_like(share)


def _ends(draws: Floats, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _inside(draws: Floats, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval of a share, of which draws may lie outside of 0 to 1.

    Where the median does, the interval keeps its width and moves to 0 or 1: cut off, next to
    nothing would be left of it.
    """
    low, high = _ends(draws, confidence)
    middle = float(np.median(draws))
    low, high = low - max(middle - 1, 0.0), high - min(middle, 0.0)
    return float(np.clip(low, 0.0, 1.0)), float(np.clip(high, 0.0, 1.0))


def _counts(gold: GoldUnits, mean: float) -> tuple[float, float]:
    """Return how many emotional rows, and how many others, the gold labels are worth.

    The share is the weighted one, moved by what the predictions of the drawn rows miss from those
    of all rows (prediction-powered inference; Angelopoulos et al., Science 382, 2023, pp. 669-674,
    with the power tuning of PPI++, arXiv:2311.01453). Its variance gives the number of rows, and is
    taken from the effective sample size where there are few events.
    """
    if not len(gold.truth):
        return 0.0, 0.0
    weight = gold.weight / gold.weight.sum()
    share = float(weight @ gold.truth)
    size = gold.size
    events = min(size, len(gold.truth) * min(gold.truth.mean(), 1 - gold.truth.mean()))
    trust = events / (events + _TRUSTED_EVENTS)
    away = gold.predicted - weight @ gold.predicted
    squared = weight**2
    slope = (squared * (gold.truth - share) * away).sum() / max((squared * away**2).sum(), _TINY)
    slope = trust * float(np.clip(slope, 0.0, 1.0))
    share = float(np.clip(share + slope * (mean - weight @ gold.predicted), 0.0, 1.0))
    inner = share * (1 - share)
    if not events > 0 or inner <= 0:
        return share * size, (1 - share) * size
    residual = weight * (gold.truth - weight @ gold.truth - slope * away)
    _, places = np.unique(gold.user, return_inverse=True)
    by_user = np.bincount(places, residual)
    count = len(residual)
    seen = max((residual**2).sum(), (by_user**2).sum()) * count / max(count - 1, 1)
    plain = inner / size
    variance = trust * seen + (1 - trust) * max(plain, seen)
    worth = inner / variance
    return share * worth, (1 - share) * worth


def corrected_share(errors: ErrorRates, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take label error out of a share of messages."""
    if row["estimate"] is None:
        return row
    share = row["estimate"]
    # How many independent messages would give this interval.
    error = max(_error_of(row), 1e-9)
    inner = max(share * (1 - share), 1.0 / row["units"])
    called = Apparent(share, row["units"], float(min(inner / error**2, row["units"])))
    return {**row, **asdict(errors.share(called, _CONFIDENCE))}


def difference_of(errors: ErrorRates, row: Mapping[str, Any]) -> dict[str, Any]:
    """Take label error out of a difference of shares of labels with its interval."""
    found = errors.difference(row["estimate"], _error_of(row), _CONFIDENCE)
    return {**row, **asdict(found)}


def _error_of(row: Mapping[str, Any]) -> float:
    """Return the standard error that an interval of a row stands for."""
    return float((row["high"] - row["low"]) / 2 / stats.norm.ppf((1 + _CONFIDENCE) / 2))


def becomes_charged(
    labels: pl.LazyFrame,
    messages: pl.LazyFrame,
    errors: ErrorRates,
    message_errors: ErrorRates,
    min_users: int,
) -> dict[str, Any] | None:
    """Estimate the share of conversations with a charged turn among those that begin with a task.

    It is None if no conversation has two turns.
    """
    source = user_keys(labels_table(labels).labelled())
    turns = labels_table(messages, "messages").labelled()
    keys = [name for name in source.conversation_keys() if name in turns.conversation_keys()]
    begun = turns.rows.group_by(keys).agg(
        pl.col("charged").sort_by("message").first().alias("first"), pl.len().alias("turns")
    )
    by_user = (
        source.rows.select(*keys, "_user", "charged")
        .join(begun.filter(pl.col("turns") > 1), on=keys, nulls_equal=True)
        .group_by("_user")
        .agg(pl.len().alias("units"), pl.col("charged", "first").sum())
        .select(pl.col("_user"), pl.col("units", "charged", "first").cast(pl.Float64))
        .sort("_user")
        .collect(engine="streaming")
    )
    if by_user.is_empty():
        return None
    units = by_user["units"].to_numpy()
    whole, first = (
        Apparent.of_users(by_user[name].to_numpy(), units, _CONFIDENCE)
        for name in ("charged", "first")
    )
    hidden = len(by_user) < min_users
    found = NONE if hidden else errors.onset_share(whole, first, message_errors, _CONFIDENCE)
    counts = {"units": int(units.sum()), "users": len(by_user)}
    return asdict(found) | (dict.fromkeys(counts) if hidden else counts) | {"suppressed": hidden}
