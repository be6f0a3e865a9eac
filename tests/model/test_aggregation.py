"""Windows to messages, messages to the conversation."""

from __future__ import annotations

from itertools import combinations
from math import isclose, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.model.aggregation import (
    adjusted,
    any_charged,
    conversation_features,
    merge_windows,
    rate,
)

logits = st.lists(st.floats(-50, 50), min_size=1, max_size=40)
flags = st.lists(st.booleans(), max_size=80)


def test_features_of_a_known_conversation():
    highest, top, turns = conversation_features([-4.0, 2.0, -1.0, 0.5])
    assert (highest, top) == (2.0, 0.5)
    assert isclose(turns, log(4))


def test_features_of_fewer_messages_than_three_use_those_there_are():
    assert conversation_features([1.0]) == (1.0, 1.0, 0.0)
    assert conversation_features([1.0, 3.0])[:2] == (3.0, 2.0)


def test_features_need_a_message():
    with pytest.raises(ValueError, match="user message"):
        conversation_features([])


@given(logits, st.randoms())
def test_features_do_not_depend_on_order(values, random):
    shuffled = [*values]
    random.shuffle(shuffled)
    assert conversation_features(shuffled) == conversation_features(values)


@given(logits)
def test_top_lies_between_the_mean_and_the_highest(values):
    highest, top, _ = conversation_features(values)
    assert highest == max(values)
    assert np.mean(values) - 1e-9 <= top <= highest + 1e-9


@given(logits, st.data())
def test_a_higher_logit_never_lowers_a_feature(values, data):
    index = data.draw(st.integers(0, len(values) - 1))
    raised = [*values]
    raised[index] += data.draw(st.floats(0, 10))
    before, after = conversation_features(values), conversation_features(raised)
    assert all(b <= a + 1e-9 for b, a in zip(before, after, strict=True))


def test_merged_windows_have_the_highest_logit_of_each_output():
    rows = np.array([[1.0, 5.0], [0.0, 0.0], [2.0, 3.0]])
    merged = merge_windows([(0, 1), (0, 2), (0, 1)], rows)
    assert [*merged] == [(0, 1), (0, 2)]
    assert merged[0, 1].tolist() == [2.0, 5.0]
    assert merged[0, 2].tolist() == [0.0, 0.0]
    assert rows.tolist() == [[1.0, 5.0], [0.0, 0.0], [2.0, 3.0]], "the input is left alone"


def test_merging_refuses_rows_without_keys():
    with pytest.raises(ValueError, match="longer"):
        merge_windows([1], np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("messages", "chance"), [(1, 1.0), (20, 1.0), (25, 0.8), (40, 0.5), (100, 0.2)]
)
def test_adjusted_of_one_emotional_message(messages, chance):
    assert adjusted([True] + [False] * (messages - 1)) == pytest.approx(chance)


def test_aggregations_of_nothing():
    assert (any_charged([]), rate([]), adjusted([])) == (False, 0.0, 0.0)


def test_adjusted_counts_the_samples_that_hold_an_emotional_message():
    given_flags = [True, False, True, False, False, False]
    samples = [*combinations(given_flags, 3)]
    assert adjusted(given_flags, 3) == pytest.approx(np.mean([any(s) for s in samples]))


def test_adjusted_needs_a_sample():
    with pytest.raises(ValueError, match="at least 1"):
        adjusted([True], 0)


@given(flags)
def test_bounds(values):
    assert 0.0 <= rate(values) <= 1.0
    assert rate(values) - 1e-12 <= adjusted(values) <= any_charged(values)
    if len(values) <= 20:
        assert adjusted(values) == any_charged(values)


@given(flags, st.randoms())
def test_order_does_not_matter(values, random):
    shuffled = [*values]
    random.shuffle(shuffled)
    for aggregate in (any_charged, rate, adjusted):
        assert aggregate(shuffled) == aggregate(values)


@given(flags.filter(lambda values: False in values))
def test_one_more_emotional_message_never_lowers_them(values):
    more = [*values]
    more[more.index(False)] = True
    assert any_charged(more) >= any_charged(values)
    assert rate(more) > rate(values)
    assert adjusted(more) >= adjusted(values)


@given(flags)
def test_one_more_task_message_never_raises_them(values):
    assert rate([*values, False]) <= rate(values)
    assert adjusted([*values, False]) <= adjusted(values)
