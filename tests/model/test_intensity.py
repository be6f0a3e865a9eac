"""The expected charge: of messages, of conversations, and with models that do not give it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Message
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import Recalibration, expected_charge, sigmoid
from affectlib.model.decisions import build_prediction
from affectlib.model.scoring import Scores
from affectlib.predictions import ConversationPrediction
from affectlib.taxonomy import CHARGES, OUTPUTS
from tests.conftest import BIAS, CHAT, SINGLE_MESSAGE, TASK, user

probabilities = st.floats(0, 1)
logits = st.floats(-12, 12)
turns = st.lists(st.tuples(logits, logits, logits), min_size=1, max_size=6)
lines = st.builds(Recalibration, st.floats(-4, 4), st.floats(0.2, 4))
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def predicted(artifact: Artifact, *charges: tuple[float, ...]) -> ConversationPrediction:
    """What a chat is taken for whose user's messages have these logits of the charges."""
    rows = np.full((len(charges), len(OUTPUTS)), BIAS, np.float32)
    rows[:, [OUTPUTS.index(name) for name in CHARGES]] = charges
    scores = Scores(
        rows.max(axis=0)[None], dict(enumerate(rows)), dict.fromkeys(range(len(rows)), 0)
    )
    chat = Conversation(tuple(Message("user", "word") for _ in charges))
    return build_prediction(artifact, chat, scores, artifact.operating_points["balanced"])


@given(probabilities, probabilities, probabilities)
def test_it_lies_where_cumulative_probabilities_let_it(p1, p2, p3):
    found = expected_charge(p1, p2, p3)
    assert 2 * p2 - 1e-12 <= found <= 1 + 2 * p2 + 1e-12
    if p1 >= p2 >= p3:
        assert found == pytest.approx(p1 + p2 + p3)


@given(probabilities, probabilities, probabilities, probabilities)
def test_it_rises_with_the_probability(p1, low, high, p3):
    low, high = sorted((low, high))
    assert expected_charge(p1, low, p3) <= expected_charge(p1, high, p3)


@quick
@given(turns=turns, line=lines)
def test_every_prediction_has_one_that_fits_its_probability(tiny_artifact, turns, line):
    # With a user's own calibration too: P1 >= P2 >= P3 bounds their sum by the second.
    found = predicted(replace(tiny_artifact, recalibration=line), *turns)
    for one in (found, *found.messages):
        assert one.probability is not None
        assert one.intensity is not None
        assert 0 <= one.intensity <= 3
        assert 2 * one.probability - 1e-9 <= one.intensity <= 1 + 2 * one.probability + 1e-9
    if len(turns) == 1:
        assert found.intensity == found.messages[0].intensity


@quick
@given(turns=turns, raised=st.floats(0, 8))
def test_a_more_probable_chat_has_no_lower_one(tiny_artifact, turns, raised):
    more = [(one, two + raised, three) for one, two, three in turns]
    low, high = predicted(tiny_artifact, *turns), predicted(tiny_artifact, *more)
    assert high.probability >= low.probability
    assert (high.intensity or 0) >= (low.intensity or 0) - 1e-9


@quick
@given(line=lines, charges=st.tuples(logits, logits, logits))
def test_a_calibration_moves_all_three_alike(tiny_artifact, line, charges):
    ordered = sorted(charges, reverse=True)
    found = predicted(replace(tiny_artifact, recalibration=line), tuple(ordered))
    expected = sum(line.probability(sigmoid(float(np.float32(z)))) for z in ordered)
    assert found.intensity == pytest.approx(expected, abs=2e-5)


def test_it_is_low_for_a_task_and_high_for_a_chat_about_it(tiny_classifier):
    calm, sad, alone = tiny_classifier.predict([TASK, "sad", SINGLE_MESSAGE])
    assert calm.label == "task"
    assert calm.intensity < 0.1
    assert sad.label == "task"
    assert 1 < sad.intensity < 1.5
    assert alone.intensity > 2.5
    assert alone.intensity == pytest.approx(sum(sigmoid(BIAS + z) for z in (7, 6, 4)), abs=2e-5)
    assert tiny_classifier.predict([user(SINGLE_MESSAGE)]).intensity == alone.intensity
    long = tiny_classifier.predict([user(SINGLE_MESSAGE), *[user(TASK)] * 19])
    assert long.intensity == alone.intensity > calm.intensity


def test_the_assistant_has_none(tiny_classifier):
    found = tiny_classifier.predict(CHAT)
    assert [one.intensity is None for one in found.messages] == [False, True, False, True]


def test_one_of_the_outputs_is_not_enough(tiny_artifact):
    artifact = replace(tiny_artifact, outputs=("emotional", "charge_3"))
    chat = Conversation((Message("user", "word"),))
    row = np.zeros(2, np.float32)
    scores = Scores(row[None], {0: row}, {0: 0})
    found = build_prediction(artifact, chat, scores, artifact.operating_points["balanced"])
    assert found.intensity is None
