"""Logits to probabilities, probabilities to another prevalence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.errors import OptionError
from affectlib.model.calibration import (
    ConversationCalibration,
    OperatingPoint,
    prior_shift,
    sigmoid,
)

probabilities = st.floats(0, 1)
prevalences = st.floats(0.001, 0.999)


@pytest.mark.parametrize("logit", [-1000.0, -50.0, -1.5, 0.0, 2.0, 1000.0, math.inf, -math.inf])
def test_sigmoid_equals_its_definition_and_never_overflows(logit):
    with np.errstate(over="raise", invalid="raise"):
        value = sigmoid(logit)
    expected = math.exp(logit) / (1 + math.exp(logit)) if logit < 0 else 1 / (1 + math.exp(-logit))
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-12)


def test_sigmoid_of_an_array_keeps_its_shape():
    assert sigmoid(np.zeros((2, 3), np.float32)).tolist() == [[0.5] * 3] * 2


@given(st.floats(-700, 700))
def test_sigmoid_is_symmetric(logit):
    assert sigmoid(logit) + sigmoid(-logit) == pytest.approx(1.0)


def test_sigmoid_keeps_small_probabilities_apart():
    assert 0.0 < sigmoid(-60.0) < sigmoid(-59.0)


@given(probabilities, prevalences)
def test_shift_to_the_same_prevalence_changes_nothing(probability, prevalence):
    same = prior_shift(probability, trained=prevalence, deployed=prevalence)
    assert same == pytest.approx(probability, abs=1e-12)


@given(probabilities, prevalences, prevalences)
def test_shift_back_is_the_inverse(probability, trained, deployed):
    there = prior_shift(probability, trained=trained, deployed=deployed)
    back = prior_shift(there, trained=deployed, deployed=trained)
    assert back == pytest.approx(probability, abs=1e-6)


@given(probabilities, probabilities, prevalences, prevalences)
def test_shift_keeps_ranks(one, other, trained, deployed):
    low, high = sorted((one, other))
    shifted = prior_shift(np.array([low, high]), trained=trained, deployed=deployed)
    assert shifted[0] <= shifted[1] + 1e-12


@given(st.floats(0.01, 0.99), prevalences, prevalences)
def test_shift_scales_the_odds_by_the_ratio_of_the_prior_odds(probability, trained, deployed):
    shifted = prior_shift(probability, trained=trained, deployed=deployed)
    scale = (deployed / (1 - deployed)) / (trained / (1 - trained))
    odds = probability / (1 - probability) * scale
    assert shifted == pytest.approx(odds / (1 + odds))


@given(prevalences, prevalences)
def test_certainty_and_the_prevalence_itself_are_fixed(trained, deployed):
    shift = prior_shift(np.array([0.0, trained, 1.0]), trained=trained, deployed=deployed)
    assert shift == pytest.approx([0.0, deployed, 1.0])


def test_shift_of_one_is_a_float():
    assert type(prior_shift(0.5, trained=0.1, deployed=0.01)) is float


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


def test_conversation_probability():
    calibration = ConversationCalibration(intercept=-1.0, max=0.5, top=0.25, log_turns=-2.0)
    z = -1.0 + 0.5 * 4.0 + 0.25 * 3.0 - 2.0 * math.log(2)
    assert calibration.probability([2.0, 4.0]) == pytest.approx(1 / (1 + math.exp(-z)))


@given(st.floats(-30, 30), st.floats(-5, 5), st.floats(0, 2), st.floats(0, 2), st.floats(-1, 0))
def test_a_single_message_makes_the_conversation(logit, intercept, highest, top, turns):
    calibration = ConversationCalibration(intercept, highest, top, turns)
    assert calibration.probability([logit]) == sigmoid(logit)


def test_conversation_without_a_message_has_no_probability():
    with pytest.raises(ValueError, match="user message"):
        ConversationCalibration(0.0, 1.0, 0.0, 0.0).probability([])


def test_a_single_message_has_the_threshold_of_the_conversation():
    point = OperatingPoint(message=0.1, conversation=0.2, sensitivity=0.8, specificity=0.9)
    assert [point.of_messages(count) for count in (1, 2, 30)] == [0.2, 0.1, 0.1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_conversation_calibration_refuses_what_is_not_finite(bad):
    with pytest.raises(ValueError, match="finite"):
        ConversationCalibration(0.0, bad, 0.0, 0.0)


@pytest.mark.parametrize("name", ["message", "conversation"])
def test_operating_point_refuses_thresholds_that_are_no_probabilities(name):
    thresholds = {"message": 0.5, "conversation": 0.5, name: 1.2}
    with pytest.raises(ValueError, match=name):
        OperatingPoint(**thresholds, sensitivity=0.8, specificity=0.9)


def test_what_failed_stays_unknown() -> None:
    shifted = prior_shift(np.array([0.5, np.nan]), trained=0.1, deployed=0.01)
    assert shifted[0] == pytest.approx(prior_shift(0.5, trained=0.1, deployed=0.01))
    assert np.isnan(shifted[1])
