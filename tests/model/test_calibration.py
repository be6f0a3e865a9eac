"""Logits to probabilities, probabilities to another prevalence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.errors import OptionError
from affectlib.model.calibration import (
    Line,
    OperatingPoint,
    Recalibration,
    WindowCombination,
    prior_shift,
    sigmoid,
)

prevalences = st.floats(0.001, 0.999)


@pytest.mark.parametrize("logit", [-1000.0, -50.0, -1.5, 0.0, 2.0, 1000.0, math.inf, -math.inf])
def test_sigmoid_equals_its_definition_and_never_overflows(logit):
    with np.errstate(over="raise", invalid="raise"):
        value = sigmoid(logit)
    expected = math.exp(logit) / (1 + math.exp(logit)) if logit < 0 else 1 / (1 + math.exp(-logit))
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-12)


def test_sigmoid_keeps_shapes_and_small_probabilities_apart():
    assert sigmoid(np.zeros((2, 3), np.float32)).tolist() == [[0.5] * 3] * 2
    assert 0.0 < sigmoid(-60.0) < sigmoid(-59.0)


@given(st.floats(1e-6, 1 - 1e-6), prevalences, prevalences)
def test_shift_scales_the_odds_by_the_ratio_of_the_prior_odds(probability, trained, deployed):
    shifted = prior_shift(probability, trained=trained, deployed=deployed)
    scale = (deployed / (1 - deployed)) / (trained / (1 - trained))
    odds = probability / (1 - probability) * scale
    assert type(shifted) is float
    assert shifted == pytest.approx(odds / (1 + odds))


@given(prevalences, prevalences)
def test_certainty_and_the_prevalence_itself_are_fixed(trained, deployed):
    shift = prior_shift(np.array([0.0, trained, 1.0]), trained=trained, deployed=deployed)
    assert shift == pytest.approx([0.0, deployed, 1.0])


@pytest.mark.parametrize(
    ("probability", "trained", "deployed", "named"),
    [
        (0.5, 0.0, 0.1, "trained"),
        (0.5, 1.0, 0.1, "trained"),
        (0.5, 0.1, 1.5, "deployed"),
        (0.5, 0.1, math.nan, "deployed"),
        (1.5, 0.1, 0.2, "between 0 and 1"),
        (math.nan, 0.1, 0.2, "between 0 and 1"),
    ],
)
def test_shift_refuses_what_is_no_probability(probability, trained, deployed, named):
    with pytest.raises(OptionError, match=named):
        prior_shift(probability, trained=trained, deployed=deployed)


matrices = st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=9).map(
    np.array
)


@given(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), st.floats(-3, 0))
def test_a_single_window_is_the_conversation(row, log_windows):
    assert WindowCombination(log_windows).logits(np.array([row])).tolist() == [*row]


@given(matrices, st.floats(-3, 0), st.randoms())
def test_windows_make_their_highest_logit_or_less_in_any_order(windows, log_windows, random):
    combined = WindowCombination(log_windows).logits(windows)
    expected = windows.max(axis=0) + log_windows * math.log(len(windows))
    assert combined == pytest.approx(expected)
    assert (combined <= windows.max(axis=0)).all()
    rows = windows.tolist()
    random.shuffle(rows)
    assert WindowCombination(log_windows).logits(np.array(rows)).tolist() == combined.tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.1])
def test_more_windows_never_raise_a_conversation(bad):
    with pytest.raises(ValueError, match="log_windows"):
        WindowCombination(bad)


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, math.inf)])
def test_a_line_that_does_not_rise_is_refused(bad):
    for kind in (Line, Recalibration):
        with pytest.raises(ValueError, match="slope"):
            kind(*bad)


def test_a_single_message_has_the_threshold_of_the_conversation():
    point = OperatingPoint(message=0.1, conversation=0.2, sensitivity=0.8, specificity=0.9)
    assert [point.of_messages(count) for count in (1, 2, 30)] == [0.2, 0.1, 0.1]


@pytest.mark.parametrize("name", ["message", "conversation"])
def test_operating_point_refuses_thresholds_that_are_no_probabilities(name):
    thresholds = {"message": 0.5, "conversation": 0.5, name: 1.2}
    with pytest.raises(ValueError, match=name):
        OperatingPoint(**thresholds, sensitivity=0.8, specificity=0.9)


def test_what_failed_stays_unknown():
    shifted = prior_shift(np.array([0.5, np.nan]), trained=0.1, deployed=0.01)
    assert shifted[0] == pytest.approx(prior_shift(0.5, trained=0.1, deployed=0.01))
    assert np.isnan(shifted[1])
