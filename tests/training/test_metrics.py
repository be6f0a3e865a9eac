from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("evaluate", reason="training needs affectlib[train]")
from scipy.stats import spearmanr
from sklearn import metrics as reference

from training.evaluation import metrics

TRUTH = np.array([1, 0, 1, 0, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.4, 0.2])
DECISIONS = np.array([1, 1, 0, 0, 0])


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 300)


def bootstrap(metric: Any, *columns: Any, groups: Any = None) -> Any:
    return SimpleNamespace(**metrics.estimate(metric, *columns, groups=groups))


def interval_of(hits: Any, groups: Any = None) -> Any:
    return SimpleNamespace(**metrics.proportion(hits, groups))


def test_calibration_error_by_hand() -> None:
    # Two bins: mean probability 0.02 with no positive, and 0.98 with one of two.
    truth = np.array([0, 0, 1, 0])
    probabilities = np.array([0.01, 0.03, 0.98, 0.98])
    assert metrics.calibration_error(truth, probabilities) == pytest.approx(0.5 * (0.02 + 0.48))


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    truth = np.array([0, 1])
    assert metrics.calibration_error(truth, np.array([0.0, 1.0])) == 0
    assert metrics.calibration_error(truth, np.array([1.0, 0.0])) == 1


def test_probabilities_that_come_true_have_little_calibration_error() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(size=50_000)
    truth = (generator.uniform(size=50_000) < probabilities).astype(int)
    assert metrics.calibration_error(truth, probabilities) < 0.01
    assert metrics.calibration_error(truth, probabilities**3) > 0.1


rows = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=4, max_size=40)


@settings(deadline=None)
@given(rows)
def test_agrees_with_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([label for label, _ in [*pairs, (True, 3), (False, 4)]], int)
    scores = np.array([score / 20 for _, score in [*pairs, (True, 3), (False, 4)]])
    decisions = (scores >= 0.15).astype(int)
    expected: list[tuple[Callable[..., float], float]] = [
        (metrics.recall, reference.recall_score(truth, decisions)),
        (metrics.accuracy, reference.accuracy_score(truth, decisions)),
        (metrics.f1, reference.f1_score(truth, decisions)),
    ]
    for metric, value in expected:
        assert metric(truth, decisions) == pytest.approx(value), metric.__name__
    assert metrics.auroc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores))
    assert metrics.average_precision(truth, scores) == pytest.approx(
        reference.average_precision_score(truth, scores)
    )


@pytest.mark.parametrize(
    ("metric", "truth", "second"),
    [
        (metrics.auroc, [0, 0], [0.1, 0.2]),
        (metrics.auroc, [1, 1], [0.1, 0.2]),
        (metrics.average_precision, [0, 0], [0.1, 0.2]),
        (metrics.recall, [0, 0], [1, 0]),
        (metrics.f1, [0, 0], [0, 0]),
    ],
)
def test_undefined_metric_is_nan_without_a_warning(
    metric: Callable[..., float], truth: list[int], second: list[float]
) -> None:
    assert math.isnan(metric(np.array(truth), np.array(second)))
    estimate = bootstrap(metric, truth, second)
    assert math.isnan(estimate.value)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_evaluate_module_works_offline_at_once_and_in_batches() -> None:
    expected = {
        "average_precision": metrics.average_precision(TRUTH, SCORES),
        "auroc": metrics.auroc(TRUTH, SCORES),
    }
    assert metrics.Ranking().compute(predictions=SCORES, references=TRUTH) == expected
    in_batches = metrics.Ranking()
    for part in (slice(0, 2), slice(2, 5)):
        in_batches.add_batch(predictions=SCORES[part], references=TRUTH[part])
    assert in_batches.compute() == expected


def sample(n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    truth = generator.integers(0, 2, n)
    return truth, truth + generator.normal(0, 1.2, n)


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("metric", [metrics.auroc, metrics.average_precision])
def test_interval_contains_the_value_and_is_reproducible(
    metric: Callable[..., float], n: int
) -> None:
    estimate = bootstrap(metric, *sample(n))
    assert estimate.value == metric(*sample(n))
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n == n
    assert bootstrap(metric, *sample(n)) == estimate


def test_interval_narrows_as_one_over_the_root_of_n() -> None:
    def width(n: int) -> float:
        estimate = bootstrap(metrics.auroc, *sample(n))
        return estimate.high - estimate.low

    assert width(100) / width(1600) == pytest.approx(4, rel=0.35)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        estimate = bootstrap(lambda x: float(x.mean()), generator.normal(3, 1, 60))
        covered += estimate.low <= 3 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_columns_are_resampled_together() -> None:
    def mean(a: Any, b: Any) -> float:
        return float(a.mean()) if (a == b).all() else -1.0

    estimate = bootstrap(mean, range(50), range(50))
    assert 15 < estimate.low < estimate.value == 24.5 < estimate.high < 35


def test_where_all_resamples_are_alike_there_is_no_interval() -> None:
    estimate = bootstrap(metrics.accuracy, np.ones(9), np.ones(9))
    assert math.isnan(estimate.low)


def test_rows_of_a_group_are_resampled_together() -> None:
    hits = np.repeat([0.0, 1.0], 500)
    apart = bootstrap(metrics.share, hits)
    together = bootstrap(metrics.share, hits, groups=np.arange(1000) // 100)
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 5 * (apart.high - apart.low)
    alone = bootstrap(metrics.share, hits, groups=range(1000))
    assert alone.high - alone.low == pytest.approx(apart.high - apart.low, rel=0.3)


def test_share_of_which_all_values_are_alike_is_not_certain() -> None:
    none, every = interval_of(np.zeros(20, bool)), interval_of(np.ones(20, bool))
    assert (none.value, none.low, none.high, none.n) == (0, 0, pytest.approx(0.161, abs=1e-3), 20)
    assert (every.value, every.low, every.high) == (1, pytest.approx(0.839, abs=1e-3), 1)
    assert interval_of(np.ones(20, bool), np.arange(20) // 5) == every
    assert math.isnan(interval_of(np.array([], bool)).value)


def test_share_of_people_is_less_sure_than_that_of_as_many_chats() -> None:
    hits = np.arange(100) % 20 < 10
    chats = interval_of(hits)
    assert interval_of(hits, np.arange(100)) == chats  # one chat a person
    people = interval_of(hits, np.arange(100) // 10)  # of each person all chats are alike
    assert people.value == chats.value == 0.5
    assert people.high - people.low > 2 * (chats.high - chats.low)


@given(rows)
def test_rank_correlation_is_that_of_scipy_or_undefined(pairs: list[tuple[bool, int]]) -> None:
    first, second = np.array(pairs, int).T
    found = metrics.spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic)


def test_kappa_by_hand() -> None:
    # Three of four agree (0.75); by chance two would (0.5).
    first, second = np.array([1, 0, 1, 0]), np.array([1, 0, 0, 0])
    assert metrics.kappa(first, second) == pytest.approx(0.5)
    assert math.isnan(metrics.kappa(first[:1], second[:1]))


def test_recall_where_a_share_of_the_negatives_is_left_alone() -> None:
    truth = np.array([0] * 10 + [1] * 10)
    scores = np.array([*range(10), *range(5, 15)])
    # Above 8 lies one negative of ten; so do six positives.
    assert metrics.recall_at(truth, scores, least=0.9) == 0.6
    assert math.isnan(metrics.recall_at(truth[:5], scores[:5], least=0.9))


def test_resamples_in_which_the_metric_is_undefined_are_left_out() -> None:
    truth, decisions = np.array([1, 1, 0, 0, 0]), np.array([1, 0, 0, 0, 0])
    estimate = bootstrap(metrics.recall, truth, decisions)
    assert (estimate.low, estimate.value, estimate.high) == (0, 0.5, 1)


def test_estimate_without_examples_is_undefined() -> None:
    estimate = bootstrap(metrics.recall, np.array([]), np.array([]))
    assert estimate.n == 0
    assert all(map(math.isnan, (estimate.value, estimate.low, estimate.high)))


def test_area_within_groups_counts_pairs_of_one_group_alone() -> None:
    generator = np.random.default_rng(3)
    truth, groups = generator.integers(0, 2, 60), generator.integers(0, 4, 60)
    scores = generator.normal(size=60) + truth
    pairs = [
        (scores[a] > scores[b])
        for a in range(60)
        for b in range(60)
        if truth[a] > truth[b] and groups[a] == groups[b]
    ]
    assert metrics.auroc_within(truth, scores, groups) == pytest.approx(np.mean(pairs))
    # A calibration of each group's own changes nothing.
    moved = scores * (1 + groups) - 5 * groups
    assert metrics.auroc_within(truth, moved, groups) == pytest.approx(np.mean(pairs))
    alone = np.zeros(60)
    assert metrics.auroc_within(truth, scores, alone) == pytest.approx(metrics.auroc(truth, scores))
    assert np.isnan(metrics.auroc_within(truth, scores, truth))


def test_rank_metrics_by_hand() -> None:
    # Of the six pairs of a positive and a negative one is in the wrong order.
    assert metrics.auroc(TRUTH, SCORES) == pytest.approx(5 / 6)
    # Precision 1/1 at the first positive, 2/3 at the second.
    assert metrics.average_precision(TRUTH, SCORES) == pytest.approx((1 + 2 / 3) / 2)


def test_decision_metrics_by_hand() -> None:
    assert metrics.recall(TRUTH, DECISIONS) == 1 / 2
    assert metrics.accuracy(TRUTH, DECISIONS) == 3 / 5
    assert metrics.f1(TRUTH, DECISIONS) == 1 / 2
