"""Shares with intervals that hold for rare events, clustered users and weighted samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from affectlib._extras import requires_extra

__all__ = ["NONE", "Estimate", "adjusted_p", "clustered_mean", "exact_share", "wilson_share"]

_TINY = 1e-12

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; NaN where it is unknown."""

    estimate: float
    low: float
    high: float


NONE = Estimate(nan, nan, nan)


@dataclass(frozen=True, slots=True)
class Spread:
    """The sampling variance of a mean, and the degrees of freedom of that variance."""

    variance: float
    freedom: float

    def quantile(self, confidence: float) -> float:
        """Return how many standard errors an interval reaches."""
        tail = (1 + confidence) / 2
        if np.isfinite(self.freedom):
            return float(stats.t.ppf(tail, max(self.freedom, 1.0)))
        return float(stats.norm.ppf(tail))


def spread(influence: Floats) -> Spread:
    """Return the spread of a mean from what each cluster adds to its error, shape ``[clusters]``.

    The variance is the cluster-robust ("sandwich") one. Its degrees of freedom are Satterthwaite's,
    with the squares in the place of their expectations: few where few clusters carry most of it.
    """
    squares = influence**2
    total = float(squares.sum())
    clusters = len(influence)
    if total < _TINY**2 or clusters < 2:
        return Spread(0.0, np.inf)
    freedom = 2 * total**2 / float((squares**2).sum())
    return Spread(total * clusters / (clusters - 1), freedom)


def clustered_mean(sums: Floats, counts: Floats) -> tuple[float, Spread]:
    """Return the mean over all units from each cluster's `sums` and `counts`, and its spread.

    The variance is that of the jackknife over clusters; its degrees of freedom are those of the
    effective number of clusters (Kish 1965, with squared sizes).
    """
    total = counts.sum()
    mean = float(sums.sum() / total)
    others = total - counts
    if len(counts) < 2 or (others <= 0).any():
        return mean, Spread(0.0, np.inf)
    variance = float((((sums - mean * counts) / others) ** 2).sum())
    if variance < _TINY**2:
        return mean, Spread(0.0, np.inf)
    return mean, Spread(variance, kish(counts**2) - 1)


def effective_size(share: float, found: Spread, otherwise: float, confidence: float) -> float:
    """Return the size of the simple random sample that would be as uncertain.

    It is `otherwise` where the spread says nothing, as with a share of 0 or 1 (Korn and Graubard
    1998).
    """
    inner = share * (1 - share)
    if found.variance <= 0 or not 0 < share < 1:
        return otherwise
    known = Spread(0.0, np.inf).quantile(confidence)
    size = inner / found.variance * (known / found.quantile(confidence)) ** 2
    return max(1.0, size)


def wilson_share(share: float, found: Spread, units: float, confidence: float) -> Estimate:
    """Return a share with Wilson's interval (1927) at its `effective_size`, or else `units`."""
    inside = min(max(share, 0.0), 1.0)
    return _confint(inside, effective_size(inside, found, units, confidence), confidence, "wilson")


def exact_share(
    share: float, found: Spread, units: float, most: float, confidence: float
) -> Estimate:
    """Return a share with the Clopper-Pearson interval at its effective sample size.

    Never too narrow, however rare the event (Korn and Graubard, Survey Methodology 24, 1998, pp.
    193-201). That size is `units` where the spread says nothing, and never exceeds `most`.
    """
    size = min(effective_size(share, found, units, confidence), max(most, 1.0))
    return _confint(share, size, confidence, "beta")


def _confint(share: float, size: float, confidence: float, method: str) -> Estimate:
    with requires_extra("analysis"):
        from statsmodels.stats.proportion import proportion_confint
    low, high = proportion_confint(share * size, size, 1 - confidence, method)
    low = max(float(low), 0.0) if share > 0 else 0.0
    return Estimate(share, low, float(high) if share < 1 else 1.0)


def kish(weight: Floats) -> float:
    """Return the effective number of units with these weights (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0


def adjusted_p(p: pl.Series) -> pl.Series:
    """Return p-values adjusted for how many there are (Benjamini and Hochberg 1995), as ``q``."""
    known = p.is_not_null()
    adjusted = np.full(len(p), np.nan)
    if known.any():
        adjusted[known.to_numpy()] = stats.false_discovery_control(p.drop_nulls().to_numpy())
    return pl.Series("q", adjusted).fill_nan(None)
