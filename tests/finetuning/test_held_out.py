from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Message
from affectlib.finetuning import run
from affectlib.finetuning.held_out import SHARES, choose_share, cross_fitted, hold_out
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.reading import Labelled
from affectlib.finetuning.thresholds import FEWEST_HELD_OUT, can_be_fitted, decide, pivot_of
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import logit, sigmoid

pytest.importorskip("scipy", reason="calibration needs affectlib[analysis]")

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=150)


@given(rows, st.integers(0, 5))
def test_no_group_is_split(rows: list[tuple[bool, int]], seed: int) -> None:
    truth = np.array([t for t, _ in rows])
    groups = np.unique([g for _, g in rows], return_inverse=True)[1]
    held = hold_out(truth, groups, seed=seed)
    parts = defaultdict(set)
    for group, own in zip(groups, held, strict=True):
        parts[group].add(bool(own))
    assert all(len(found) == 1 for found in parts.values())
    assert np.array_equal(held, hold_out(truth, groups, seed=seed))


@given(st.integers(10, 60), st.integers(10, 200), st.integers(0, 5))
def test_both_labels_are_held_out_alike(emotional: int, task: int, seed: int) -> None:
    truth = np.array([True] * emotional + [False] * task)
    held = hold_out(truth, np.arange(len(truth)), seed=seed)
    assert abs(held[truth].sum() - 0.3 * emotional) <= 1
    assert abs(held[~truth].sum() - 0.3 * task) <= 1


@given(st.integers(2, 6), st.integers(0, 5))
def test_large_groups_are_held_out_as_far_as_they_fit(size: int, seed: int) -> None:
    truth = np.tile([True, False], 60)
    groups = np.arange(len(truth)) // (2 * size)
    held = hold_out(truth, groups, seed=seed)
    assert abs(held[truth].mean() - 0.3) <= size / 60
    assert abs(held[~truth].mean() - 0.3) <= size / 60


def by_share(gain: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits by share that tell emotional from task the better the larger the share."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) < n // 3
    noise = rng.normal(size=n)
    z = np.array([(1 + gain * share) * (2 * truth - 1) + noise for share in SHARES])
    return z, truth, np.arange(n)


def test_ties_go_to_the_smallest_share_above_none() -> None:
    z, truth, groups = by_share(0.0, 60, 1)
    assert choose_share(z, truth, groups, 0.0) == 1


def test_of_what_is_much_better_more_is_taken() -> None:
    assert all(choose_share(*by_share(2.0, 150, seed), 0.0) > 1 for seed in range(10))


def test_few_emotional_ones_take_little() -> None:
    """However much better it looks: 4 of 12, 10 of 30, 20 of 60 and 100 of 300 are emotional."""
    taken = [choose_share(*by_share(9.0, n, 0), 0.0) for n in (12, 30, 60, 300)]
    assert taken == sorted(taken)
    assert SHARES[taken[0]] <= 0.125
    assert SHARES[taken[1]] <= 0.25
    assert SHARES[taken[2]] <= 0.5
    assert SHARES[taken[3]] >= 0.5


def test_one_label_chooses_nothing() -> None:
    z, truth, groups = by_share(2.0, 60, 1)
    assert choose_share(z, np.ones_like(truth), groups, 0.0) == 0
    empty = np.zeros((len(SHARES), 0))
    assert choose_share(empty, np.zeros(0, bool), np.zeros(0, np.intp), 0.0) == 0


def test_what_is_worse_is_not_taken() -> None:
    """Chance makes weights that are a little worse look better in few of a hundred samples."""
    little = [choose_share(*by_share(-0.3, 30, seed), 0.0) for seed in range(100)]
    assert sum(share > 1 for share in little) <= 5
    assert all(choose_share(*by_share(-4.0, 150, seed), 0.0) == 0 for seed in range(10))


def test_each_is_judged_by_a_share_that_was_chosen_without_it() -> None:
    z, truth, groups = by_share(2.0, 150, 3)
    crossed = cross_fitted(z, truth, groups, 0.0)
    assert all(value in z[:, place] for place, value in enumerate(crossed))
    one = cross_fitted(z[:1], truth, groups, 0.0)
    assert np.array_equal(one, z[0])


def scored(charged: int, others: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(charged + others) < charged
    return sigmoid(rng.normal(size=len(truth)) + 2.0 * truth - 1.0), truth


def test_with_few_held_out_the_thresholds_are_the_base_s(tiny_artifact: Artifact) -> None:
    before, truth = scored(FEWEST_HELD_OUT - 1, 40)
    after = sigmoid(logit(before) - 1.5)
    found = decide(tiny_artifact, before, after, after, truth, np.arange(len(truth)))
    assert not found.fitted
    assert found.operating_points == tiny_artifact.operating_points
    assert found.prevalence == tiny_artifact.prevalence
    # Weights that only give all less are the same model, and decide the same.
    assert found.probability == pytest.approx(before)
    assert found.line.intercept == pytest.approx(1.5)
    counts = found.measured["balanced"]
    assert counts["true_positives"] + counts["false_negatives"] == pytest.approx(truth.sum())


def test_with_few_held_out_each_is_judged_by_weights_that_were_chosen_without_it(
    tiny_artifact: Artifact,
) -> None:
    crossed, truth = scored(FEWEST_HELD_OUT - 1, 40)
    after = sigmoid(logit(crossed) + 3.0 * truth)  # better, but chosen with the same labels
    found = decide(tiny_artifact, crossed, after, crossed, truth, np.arange(len(truth)))
    assert found.probability == pytest.approx(crossed)
    assert np.array_equal(found.called["balanced"], crossed >= 0.5)
    assert found.measured["balanced"]["true_positives"] == (crossed >= 0.5)[truth].sum()
    assert found.line.intercept == pytest.approx((logit(crossed) - logit(after)).mean())


@pytest.mark.parametrize("people", [1, 2, 30])
def test_of_too_few_people_the_thresholds_are_the_base_s(
    tiny_artifact: Artifact, people: int
) -> None:
    """All charged ones are of one person, however many others there are."""
    before, truth = scored(40, 80)
    groups = np.where(truth, 0, np.arange(len(truth)) % people)
    assert not can_be_fitted(truth, groups)
    found = decide(tiny_artifact, before, before, before, truth, groups)
    assert not found.fitted
    assert found.operating_points == tiny_artifact.operating_points


def test_with_enough_held_out_thresholds_are_fitted(tiny_artifact: Artifact) -> None:
    before, truth = scored(FEWEST_HELD_OUT, 40)
    found = decide(tiny_artifact, before, before, before, truth, np.arange(len(truth)))
    assert found.fitted
    assert 0.2 < found.prevalence < 0.5


def test_a_better_model_finds_no_fewer_charged_ones(tiny_artifact: Artifact) -> None:
    """Where the base left fewer alone than it promised, that many are left alone, not more."""
    for seed in range(5):
        before, truth = scored(60, 140, seed)
        after = sigmoid(logit(before) + 1.5 * truth - 0.5)
        found = decide(tiny_artifact, before, after, after, truth, np.arange(len(truth)))
        for name, point in tiny_artifact.operating_points.items():
            was = (before >= point.conversation)[truth].mean()
            assert found.called[name][truth].mean() >= was


@pytest.mark.parametrize("charged", [10, 25, 60])
def test_a_model_that_is_the_base_ranks_neither_better_nor_worse(
    tiny_artifact: Artifact, charged: int
) -> None:
    for seed in range(5):
        before, truth = scored(charged, 3 * charged, seed)
        chat = Conversation((Message("user", "hello"),))
        kept = Labelled(
            [LabelledConversation(chat, "file", charge=2 if own else 0) for own in truth],
            [*range(len(truth))],
        )
        decided = decide(tiny_artifact, before, before, before, truth, kept.codes)
        figures = [*run._figures(tiny_artifact, decided, before, before, kept, 0.95)]
        ranking = {row["measure"]: row for row in figures if row["operating_point"] is None}
        assert [*ranking] == ["average precision", "AUROC", "calibration error"]
        for measure in ("average precision", "AUROC"):
            assert ranking[measure]["change"] == 0
        error = ranking["calibration error"]
        assert error["after"] < error["before"] or not decided.fitted


def test_nothing_held_out_decides_nothing(tiny_artifact: Artifact) -> None:
    none = np.zeros(0)
    found = decide(tiny_artifact, none, none, none, none.astype(bool), none.astype(np.intp))
    assert found.line.intercept == 0
    assert found.measured == {}


def test_pivot_is_the_middle_threshold(tiny_artifact: Artifact) -> None:
    assert pivot_of(tiny_artifact) == 0.0
