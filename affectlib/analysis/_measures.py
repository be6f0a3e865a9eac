"""Measures of a classifier against gold labels, with intervals for weighted rows of few users.

Each measure but the calibration error is a smooth function of the rows' weights. Its derivative by
a row's weight is that row's influence (the infinitesimal jackknife; Efron, Journal of the Royal
Statistical Society B 54, 1992, pp. 83-127). Sums by user give the spread for
`affectlib.analysis._intervals`. For the area under the ROC curve this is the method of DeLong,
DeLong and Clarke-Pearson (Biometrics 44, 1988, pp. 837-845) with clusters as in Obuchowski
(Biometrics 53, 1997, pp. 567-578).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.analysis._intervals import (
    NONE,
    Codes,
    Estimate,
    Floats,
    exact_share,
    kish,
    spread,
    wilson_share,
)

__all__ = ["BINS", "Measured", "change_rows", "changes", "measures", "ranking_changes"]

BINS = 10
"""Bins of equal width for the calibration error."""
_DRAWS = 2000
_ERROR = "calibration error"
_LARGEST = 3.0
_STEPS = 121


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows with a gold label and what a classifier made of them; all arrays have shape ``[rows]``.

    Attributes:
        truth: Whether each is truly emotional.
        called: Whether the classifier calls it emotional.
        probability: What it gives, NaN where it is not known.
        weight: How many rows of the corpus each stands for.
        user: Number of each one's user from 0.
    """

    truth: NDArray[np.bool_]
    called: NDArray[np.bool_]
    probability: Floats
    weight: Floats
    user: Codes

    def by_user(self, values: Floats) -> Floats:
        """Return the sum over each user's rows."""
        return np.bincount(self.user, values).astype(float)


def measures(rows: Measured, confidence: float) -> Iterator[tuple[str, Estimate]]:
    """Yield the name of each measure and its estimate, `NONE` where it is not defined.

    Rows without a probability count in the shares only.
    """
    for name, (hit, among) in zip(
        ("recall", "specificity", "precision"), _shares(rows), strict=True
    ):
        yield name, _share(rows, hit, among, confidence)
    rows = _ranked(rows)
    known = bool(len(rows.truth))
    both = known and bool(rows.truth.any()) and not rows.truth.all()
    yield "average precision", _area(rows, *_average_precision(rows), confidence) if both else NONE
    yield "AUROC", _area(rows, *_auroc(rows), confidence) if both else NONE
    yield _ERROR, _calibration_error(rows, confidence) if known else NONE


def _ranked(rows: Measured) -> Measured:
    """Return the rows that have a probability."""
    known = ~np.isnan(rows.probability)
    return Measured(*(getattr(rows, part.name)[known] for part in fields(rows)))


def change_rows(
    pairs: Mapping[str, tuple[Measured, Measured]], confidence: float, *, ranking: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table of what changed, by operating point and measure.

    `pairs` are the rows before and after; `ranking` says that it changed too, not decisions only.
    """
    for place, (name, (old, new)) in enumerate(pairs.items()):
        first, then = dict(measures(old, confidence)), dict(measures(new, confidence))
        for measure, change in changes(old, new, confidence):
            yield _row(name, measure, first[measure], then[measure], change)
        if place < len(pairs) - 1:
            continue
        # These are the same at every operating point.
        for measure, change in ranking_changes(old, new, confidence) if ranking else ():
            yield _row(None, measure, first[measure], then[measure], change)
        yield _row(None, _ERROR, first[_ERROR], then[_ERROR], NONE)


def _row(name: str | None, measure: str, *estimates: Estimate) -> dict[str, Any]:
    row: dict[str, Any] = {"operating_point": name, "measure": measure}
    for when, each in zip(("before", "after", "change"), estimates, strict=True):
        row |= {when: each.estimate, f"{when}_low": each.low, f"{when}_high": each.high}
    return row


def changes(before: Measured, after: Measured, confidence: float) -> Iterator[tuple[str, Estimate]]:
    """Yield the change of each share on the same rows, with an interval."""
    for name, (hit, among), (new_hit, new_among) in zip(
        ("recall", "specificity", "precision"), _shares(before), _shares(after), strict=True
    ):
        old, pull = _ratio(before, hit, among)
        new, new_pull = _ratio(after, new_hit, new_among)
        yield name, _change(before, new - old, new_pull - pull, confidence)


def ranking_changes(
    before: Measured, after: Measured, confidence: float
) -> Iterator[tuple[str, Estimate]]:
    """Yield the change of each area on the same rows, with an interval."""
    both = bool(before.truth.any()) and not before.truth.all()
    for name, area in (("average precision", _average_precision), ("AUROC", _auroc)):
        if not both:
            yield name, NONE
            continue
        (old, pull), (new, new_pull) = area(before), area(after)
        yield name, _change(before, new - old, new_pull - pull, confidence)


def _change(rows: Measured, change: float, influence: Floats, confidence: float) -> Estimate:
    if np.isnan(change):
        return NONE
    found = spread(rows.by_user(influence))
    reach = found.quantile(confidence) * float(np.sqrt(found.variance))
    return Estimate(change, max(change - reach, -1.0), min(change + reach, 1.0))


def _shares(rows: Measured) -> tuple[tuple[NDArray[np.bool_], NDArray[np.bool_]], ...]:
    """Return hits and the rows among which they are, for recall, specificity and precision."""
    return (rows.called, rows.truth), (~rows.called, ~rows.truth), (rows.truth, rows.called)


def _ratio(
    rows: Measured, hit: NDArray[np.bool_], among: NDArray[np.bool_]
) -> tuple[float, Floats]:
    """Return a share, NaN of no rows, and each row's influence."""
    weight = np.where(among, rows.weight, 0.0)
    total = weight.sum()
    if not total:
        return nan, weight
    share = float(weight[hit].sum() / total)
    return share, weight * (hit - share) / total


def _share(
    rows: Measured, hit: NDArray[np.bool_], among: NDArray[np.bool_], confidence: float
) -> Estimate:
    share, influence = _ratio(rows, hit, among)
    if np.isnan(share):
        return NONE
    users = rows.by_user(np.where(among, rows.weight, 0.0))
    return exact_share(
        share,
        spread(rows.by_user(influence)[users > 0]),
        kish(users[users > 0]),
        kish(rows.weight[among]),
        confidence,
    )


def _area(rows: Measured, area: float, influence: Floats, confidence: float) -> Estimate:
    """Return an area with its interval; where nothing varies, by the size of the rarer class."""
    users = (rows.by_user(np.where(rows.truth == kind, rows.weight, 0.0)) for kind in (True, False))
    return wilson_share(
        area,
        spread(rows.by_user(influence)),
        min(kish(each[each > 0]) for each in users),
        confidence,
    )


def _levels(rows: Measured) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Return each row's rank by probability, the highest first, and the weights at each rank."""
    _, place = np.unique(-rows.probability, return_inverse=True)
    true = np.bincount(place, np.where(rows.truth, rows.weight, 0.0)).astype(float)
    every = np.bincount(place, rows.weight).astype(float)
    return place, true, every


def _average_precision(rows: Measured) -> tuple[float, Floats]:
    """Return the area under the precision-recall curve, by steps, and each row's influence."""
    place, true, every = _levels(rows)
    found, flagged, total = np.cumsum(true), np.cumsum(every), true.sum()
    precision = found / flagged
    area = float((true * precision).sum() / total)
    gain = np.cumsum((true / flagged)[::-1])[::-1]
    loss = np.cumsum((true * found / flagged**2)[::-1])[::-1]
    pull = rows.truth * (precision[place] - area + gain[place]) - loss[place]
    return area, rows.weight * pull / total


def _auroc(rows: Measured) -> tuple[float, Floats]:
    """Return the share of ordered pairs, one of each class, and each row's influence."""
    place, true, every = _levels(rows)
    false = every - true
    below = (false.sum() - np.cumsum(false) + false / 2) / false.sum()
    above = (np.cumsum(true) - true / 2) / true.sum()
    area = float((true * below).sum() / true.sum())
    pull = np.where(
        rows.truth, (below[place] - area) / true.sum(), (above[place] - area) / false.sum()
    )
    return area, rows.weight * pull


def _calibration_error(rows: Measured, confidence: float) -> Estimate:
    """Return the expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015), less noise.

    Sampling noise inflates it, above all in small samples, and it is never below 0. So the gaps of
    the bins are scaled by one factor until noise gives an error as high as this one in half of all
    samples (the estimate) and in the tails (the interval). The noise is normal, with the users'
    covariance.
    """
    place = np.minimum((rows.probability * BINS).astype(int), BINS - 1)
    users = int(rows.user.max()) + 1
    cells = np.bincount(
        rows.user * BINS + place, rows.weight * (rows.truth - rows.probability), users * BINS
    ).reshape(users, BINS)
    weight = rows.by_user(rows.weight)
    gaps = cells.sum(0) / weight.sum()
    error = float(np.abs(gaps).sum())
    if np.count_nonzero(weight) < 2 or not error:
        return Estimate(error, nan, nan)
    influence = (cells - weight[:, None] * gaps) / weight.sum()
    values, vectors = np.linalg.eigh(influence.T @ influence)
    normal = np.random.default_rng(0).standard_normal((_DRAWS, BINS))
    noise = normal * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    factors = np.linspace(0.0, _LARGEST, _STEPS)
    tail = (1 - confidence) / 2
    reached = np.array(
        [
            np.quantile(np.abs(factor * gaps + noise).sum(1), [1 - tail, 0.5, tail])
            for factor in factors
        ]
    )
    low, middle, high = (
        float(factors[int((curve < error).sum().clip(0, _STEPS - 1))]) * error
        for curve in reached.T
    )
    return Estimate(middle, low, high)
