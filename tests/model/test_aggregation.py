"""Labels of messages to figures of the conversation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.model.aggregation import adjusted, any_charged, rate

flags = st.lists(st.booleans(), max_size=80)


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
def test_one_more_emotional_message_never_lowers_them_nor_does_a_task_raise_them(values):
    assert rate([*values, False]) <= rate(values)
    assert adjusted([*values, False]) <= adjusted(values)
    more = [*values]
    more[more.index(False)] = True
    assert any_charged(more) >= any_charged(values)
    assert rate(more) > rate(values)
    assert adjusted(more) >= adjusted(values)
