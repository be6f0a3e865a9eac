"""Metrics, and the intervals beside them.

`evaluate.load` fetches its modules from a hub by name; the one that training asks for is defined
here, so that it works offline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import Any, TypeAlias

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata, spearmanr
from sklearn.metrics import average_precision_score, cohen_kappa_score

Column: TypeAlias = Sequence[Any] | NDArray[Any]
BINS = 15
RESAMPLES = 1000


class Ranking(evaluate.Metric):  # type: ignore[misc]
    """Average precision, and area under the ROC curve, of scores against binary references."""

    def _info(self) -> evaluate.MetricInfo:
        kinds = {"predictions": "float64", "references": "int64"}
        features = datasets.Features({name: datasets.Value(kind) for name, kind in kinds.items()})
        return evaluate.MetricInfo(str(self.__doc__), citation="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        ranked = np.array(references), np.array(predictions)
        return {metric.__name__: metric(*ranked) for metric in (average_precision, auroc)}


def average_precision(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the average precision; NaN without a positive."""
    return float(average_precision_score(truth, scores)) if truth.any() else nan


def auroc(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the area under the ROC curve; NaN if all are of one class.

    By ranks, it takes a twentieth of scikit-learn's time, and intervals need thousands.
    """
    ranks = rankdata(scores)[truth.astype(bool)]
    pairs = len(ranks) * (len(truth) - len(ranks))
    return float(ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs if pairs else nan


def auroc_within(truth: NDArray[Any], scores: NDArray[Any], groups: NDArray[Any]) -> float:
    """Return the share of pairs in order, one of each class, that are of the same group.

    NaN if no group has both classes. Scores of several calibrations, such as those of folds, have
    no common scale, and an area over all of them is too low (Forman and Scholz 2010,
    "Apples-to-apples in cross-validation studies").

    Example:
        >>> truth, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.3, 0.1])
        >>> auroc(truth, scores), auroc_within(truth, scores, np.array([0, 0, 1, 1]))
        (0.75, 1.0)
    """
    right = pairs = 0.0
    for group in np.unique(groups):
        of_group = truth[groups == group]
        number = float(of_group.sum() * (len(of_group) - of_group.sum()))
        if number:
            right += number * auroc(of_group, scores[groups == group])
            pairs += number
    return right / pairs if pairs else nan


def spearman(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Spearman's rank correlation; NaN where one of both is constant."""
    if len(first) < 2 or min(np.ptp(first), np.ptp(second)) == 0:
        return nan
    return float(spearmanr(first, second).statistic)


def kappa(first: NDArray[Any], second: NDArray[Any], weights: str | None = None) -> float:
    """Return Cohen's kappa of two readers; NaN where both give one and the same answer."""
    if len(np.union1d(first, second)) < 2:
        return nan
    return float(cohen_kappa_score(first, second, weights=weights))


def calibration_error(truth: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the expected calibration error over `BINS` bins of equal width.

    Method: Naeini, Cooper and Hauskrecht, AAAI 2015, for the positive class.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gap = np.abs(np.bincount(bins, truth - probabilities, BINS))
    return float(gap.sum() / len(truth))


def share(values: NDArray[Any]) -> float:
    """Return the mean, as a metric of one column; NaN without values."""
    return float(values.mean()) if len(values) else nan


def recall(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
    """Return the share of positives that are found; NaN without a positive."""
    return share(decisions[truth == 1])


def accuracy(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
    """Return the share of labels that are right; NaN without any."""
    return share(truth.astype(bool) == decisions.astype(bool))


def f1(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
    """Return the harmonic mean of precision and recall; 0 if nothing is right."""
    hits = float((truth.astype(bool) & decisions.astype(bool)).sum())
    total = float(truth.astype(bool).sum() + decisions.astype(bool).sum())
    return 2 * hits / total if total else nan


def recall_at(truth: NDArray[Any], scores: NDArray[Any], *, least: float) -> float:
    """Return the recall where at least that share of the negatives is not flagged."""
    if not 0 < truth.sum() < len(truth):
        return nan
    threshold = np.quantile(scores[truth == 0], least, method="inverted_cdf")
    return recall(truth, scores > threshold)


def draw(
    metric: Callable[..., float], *columns: Column, groups: Column | None = None
) -> NDArray[np.float64]:
    """Return a metric's values on `RESAMPLES` bootstrap resamples; see `estimate`."""
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    members = [] if groups is None else _members(groups)
    generator = np.random.default_rng(0)
    values = np.empty(RESAMPLES)
    for resample in range(len(values)):
        if 0 < len(members) < n:
            drawn = generator.integers(0, len(members), len(members))
            rows = np.concatenate([members[i] for i in drawn])
        else:
            rows = generator.integers(0, n, n)
        values[resample] = metric(*(array[rows] for array in arrays))
    return values


def _members(groups: Column) -> list[NDArray[np.intp]]:
    """Return the rows of each group."""
    _, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])


def estimate(
    metric: Callable[..., float], *columns: Column, groups: Column | None = None
) -> dict[str, Any]:
    """Return a metric of columns with its 95 % percentile bootstrap interval.

    Rows are resampled, or whole groups (Field and Welsh 2007, "Bootstrapping clustered data"), such
    as the turns of a person. Resamples in which the metric is NaN are left out.
    """
    arrays = [np.asarray(column) for column in columns]
    return summary(metric(*arrays), draw(metric, *arrays, groups=groups), len(arrays[0]))


def summary(value: float, drawn: NDArray[np.float64], n: int) -> dict[str, Any]:
    """Return a value of n rows with the 95 % interval of draws; NaN where all are alike."""
    defined = drawn[~np.isnan(drawn)]
    low, high = nan, nan
    if len(defined) and np.ptp(defined) != 0:
        low, high = map(float, np.percentile(defined, [2.5, 97.5]))
    return {"value": value, "low": low, "high": high, "n": n}


def proportion(hits: NDArray[Any], groups: NDArray[Any] | None = None) -> dict[str, Any]:
    """Return a share with its 95 % interval: Wilson's, or the bootstrap's over groups.

    Where all values are alike, and where each group is a single row, it is Wilson's.

    Example:
        >>> round(proportion(np.array([True] * 20))["low"], 3)
        0.839
    """
    hits, n = np.asarray(hits), len(hits)
    low, high = nan, nan
    if groups is not None and 0 < hits.sum() < n and len(np.unique(groups)) < n:
        return estimate(share, hits.astype(float), groups=groups)
    if n:
        interval = binomtest(int(hits.sum()), n).proportion_ci(method="wilson")
        low, high = float(interval.low), float(interval.high)
    return {"value": share(hits), "low": low, "high": high, "n": n}
