"""Shares with intervals that hold for rare events, clustered users and weighted samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

__all__ = [
    "NONE",
    "Estimate",
    "adjusted_p",
    "clustered_mean",
    "exact_share",
    "prediction_powered_share",
    "rogan_gladen_share",
    "wilson_share",
]

_TINY = 1e-12

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; NaN where it cannot be had."""

    estimate: float
    low: float
    high: float


NONE = Estimate(nan, nan, nan)


@dataclass(frozen=True, slots=True)
class Spread:
    """How uncertain a mean is.

    Attributes:
        variance: Its sampling variance.
        freedom: Degrees of freedom of that variance, infinite if it were known.
    """

    variance: float
    freedom: float

    def quantile(self, confidence: float) -> float:
        """Return how many standard errors an interval reaches."""
        tail = (1 + confidence) / 2
        if np.isfinite(self.freedom):
            return float(stats.t.ppf(tail, max(self.freedom, 1.0)))
        return float(stats.norm.ppf(tail))


def spread(influence: Floats) -> Spread:
    """Return the spread of a mean from what each cluster adds to its error.

    The variance is the sum of squares (the cluster-robust or "sandwich" one). Its degrees of
    freedom are Satterthwaite's with the squares themselves in the place of their expectations:
    few where few clusters, or few rare events, carry most of it.

    Args:
        influence: The clusters' shares in the error, shape ``[clusters]``, adding up to 0.
    """
    squares = influence**2
    total = float(squares.sum())
    clusters = len(influence)
    if total < _TINY**2 or clusters < 2:
        return Spread(0.0, np.inf)
    freedom = 2 * total**2 / float((squares**2).sum())
    return Spread(total * clusters / (clusters - 1), freedom)


def clustered_mean(sums: Floats, counts: Floats) -> tuple[float, Spread]:
    """Return the mean over all units, and its spread over the clusters they belong to.

    Args:
        sums: Sum of the units of each cluster, shape ``[clusters]``.
        counts: Number (or weight) of the units of each, shape ``[clusters]``.
    """
    mean = float(sums.sum() / counts.sum())
    return mean, spread((sums - mean * counts) / counts.sum())


def effective_size(share: float, found: Spread, otherwise: float, confidence: float) -> float:
    """Return the size of the simple random sample that would be as uncertain.

    Args:
        share: The share found.
        found: Its spread.
        otherwise: The size where the spread says nothing, as with a share of 0 or 1.
        confidence: The interval's, for the degrees of freedom (Korn and Graubard 1998).
    """
    inner = share * (1 - share)
    if found.variance <= 0 or not 0 < share < 1:
        return otherwise
    known = Spread(0.0, np.inf).quantile(confidence)
    size = inner / found.variance * (known / found.quantile(confidence)) ** 2
    return max(1.0, size)


def wilson_share(share: float, found: Spread, units: float, confidence: float) -> Estimate:
    """Return a share with Wilson's interval (1927) at its effective sample size.

    Args:
        share: The share found; outside 0 to 1 it counts as 0 or 1.
        found: Its spread.
        units: The sample size where the spread says nothing, as with a share of 0 or 1.
        confidence: Of the interval.
    """
    inside = min(max(share, 0.0), 1.0)
    z = Spread(0.0, np.inf).quantile(confidence)
    size = effective_size(inside, found, units, confidence)
    centre = (inside + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z * sqrt(inside * (1 - inside) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)
    low = 0.0 if inside == 0 else max(0.0, centre - reach)
    high = 1.0 if inside == 1 else min(1.0, centre + reach)
    return Estimate(inside, low, high)


def exact_share(
    share: float, found: Spread, units: float, most: float, confidence: float
) -> Estimate:
    """Return a share with the Clopper-Pearson interval at its effective sample size.

    Never too narrow, however rare the event. Method: Korn and Graubard, Survey Methodology 24,
    1998, pp. 193-201.

    Args:
        share: The share found.
        found: Its spread.
        units: The sample size where the spread says nothing, that of the clusters.
        most: The sample size that the effective one never exceeds, that of the units.
        confidence: Of the interval.
    """
    size = min(effective_size(share, found, units, confidence), max(most, 1.0))
    tail = (1 - confidence) / 2
    hits = share * size
    low = 0.0 if share <= 0 else float(stats.beta.ppf(tail, hits, size - hits + 1))
    high = 1.0 if share >= 1 else float(stats.beta.ppf(1 - tail, hits + 1, size - hits))
    return Estimate(share, low, high)


def rogan_gladen_share(
    apparent: float,
    size: float,
    found: tuple[float, float],
    spared: tuple[float, float],
    confidence: float,
) -> Estimate:
    """Return the true share behind an apparent one.

    Estimate: Rogan and Gladen, American Journal of Epidemiology 107, 1978, pp. 71-76, cut to 0
    to 1. Interval: Lang and Reiczigel, Preventive Veterinary Medicine 113, 2014, pp. 13-22, which
    carries the uncertainty of sensitivity and specificity through.

    Args:
        apparent: Share that the classifier calls emotional.
        size: Effective number of units behind it.
        found: Emotional units called so, and emotional units in all, of the measurement.
        spared: Task units called so, and task units in all, of the measurement.
        confidence: Of the interval.

    Returns:
        The estimate; `NONE` if the classifier was measured to be no better than chance.
    """
    if not found[1] or not spared[1] or found[0] / found[1] + spared[0] / spared[1] <= 1:
        return NONE
    plain = (apparent + spared[0] / spared[1] - 1) / (
        found[0] / found[1] + spared[0] / spared[1] - 1
    )
    z = Spread(0.0, np.inf).quantile(confidence)
    sensitivity, specificity = ((hits + 1) / (total + 2) for hits, total in (found, spared))
    observed = (size * apparent + z**2 / 2) / (size + z**2)
    power = sensitivity + specificity - 1
    if power <= 0:
        return NONE
    centre = (observed + specificity - 1) / power
    of_sensitivity = sensitivity * (1 - sensitivity) / (found[1] + 2)
    of_specificity = specificity * (1 - specificity) / (spared[1] + 2)
    moved = centre + 2 * z**2 * (centre * of_sensitivity - (1 - centre) * of_specificity)
    reach = (z / power) * sqrt(
        observed * (1 - observed) / (size + z**2)
        + centre**2 * of_sensitivity
        + (1 - centre) ** 2 * of_specificity
    )
    low, high, inside = (
        float(min(max(value, 0.0), 1.0)) for value in (moved - reach, moved + reach, plain)
    )
    return Estimate(inside, low, high)


@dataclass(frozen=True, slots=True)
class GoldUnits:
    """Units with a gold label.

    Attributes:
        cluster: Position of each one's cluster, shape ``[gold]``.
        truth: 1.0 if it is truly emotional, shape ``[gold]``.
        predicted: What the classifier makes of it, from 0 to 1, shape ``[gold]``.
        weight: How many units of the corpus it stands for, shape ``[gold]``.
    """

    cluster: Codes
    truth: Floats
    predicted: Floats
    weight: Floats

    @property
    def of_clusters(self) -> Floats:
        """The weight of each cluster, without those that have none."""
        sums = np.bincount(self.cluster, self.weight).astype(float)
        return sums[sums > 0]


def kish(weight: Floats) -> float:
    """Return the number of equally weighted units that are worth as much (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def prediction_powered_share(
    sums: Floats, counts: Floats, gold: GoldUnits, confidence: float
) -> Estimate:
    """Return the true share, from predictions for all units and gold labels for some.

    The predictions' mean, plus the weighted mean error that gold labels show. Method:
    prediction-powered inference (Angelopoulos et al., Science 382, 2023, pp. 669-674), with the
    power tuning of PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453) and inverse
    inclusion probabilities as weights, as in the difference estimator of survey sampling
    (Sarndal, Swensson and Wretman 1992). The interval is Wilson's at the effective sample size
    that the spread over clusters leaves; gold labels of one cluster say nothing of that spread.

    Args:
        sums: Sum of the predictions of each cluster, shape ``[clusters]``.
        counts: Number of its units, shape ``[clusters]``.
        gold: The units with a gold label, which are among those counted.
        confidence: Of the interval.
    """
    units, weight = counts.sum(), gold.weight.sum()
    mean = sums.sum() / units
    truth = (gold.weight * gold.truth).sum() / weight
    away = gold.predicted - (gold.weight * gold.predicted).sum() / weight
    squared = gold.weight**2
    tuning = (squared * (gold.truth - truth) * away).sum() / max((squared * away**2).sum(), _TINY)
    tuning = float(np.clip(tuning, 0.0, 1.0))
    error = gold.truth - tuning * gold.predicted
    mean_error = (gold.weight * error).sum() / weight
    share = float(tuning * mean + mean_error)
    influence = tuning * (sums - mean * counts) / units
    np.add.at(influence, gold.cluster, gold.weight * (error - mean_error) / weight)
    held = gold.of_clusters
    found = spread(influence) if len(held) > 1 else Spread(0.0, np.inf)
    return wilson_share(share, found, kish(held), confidence)


def adjusted_p(p: pl.Series) -> pl.Series:
    """Return p-values adjusted for how many there are (Benjamini and Hochberg 1995), as ``q``."""
    known = p.is_not_null()
    adjusted = np.full(len(p), np.nan)
    if known.any():
        adjusted[known.to_numpy()] = stats.false_discovery_control(p.drop_nulls().to_numpy())
    return pl.Series("q", adjusted).fill_nan(None)
