from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import ConversationCalibration
from tests.conftest import ALONE, TASK
from tests.judged_chats import CALIBRATION, TinyModel, labelled
from training.evaluation.length import drift, late_turn, rank_correlation

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30)


@given(ROWS)
def test_rank_correlation_is_that_of_spearman(rows: list[tuple[int, int]]) -> None:
    first, second = np.array(rows).T
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_drift_is_seen_on_uncharged_chats_alone(tiny_artifact: Artifact) -> None:
    # The longer, the lower for those without charge; a charged one would turn it round.
    chats = [labelled(*["a word"] * n, source="sharegpt_dev") for n in range(1, 9)]
    charged = [labelled(*[ALONE] * n, charged=[0], source="sharegpt_dev") for n in range(9, 30)]
    model = TinyModel(tiny_artifact)
    falling = replace(CALIBRATION, conversation=ConversationCalibration(0.0, 1.0, 0.0, -0.5))
    judged = model.judge(*chats, *charged, calibration=falling)
    assert drift(judged)["real transcripts"]["value"] == pytest.approx(-1)
    assert drift(judged)["real transcripts"]["n"] == 8
    assert "corpus dev" not in drift(judged)
    assert math.isnan(drift(model.judge(*chats))["real transcripts"]["value"])


@pytest.mark.parametrize(("fall", "found"), [(0.0, 1.0), (-3.0, 0.0)])
def test_late_turn_is_found_unless_length_hides_it(
    tiny_artifact: Artifact, fall: float, found: float
) -> None:
    model = TinyModel(tiny_artifact)
    calibration = replace(CALIBRATION, conversation=ConversationCalibration(2.0, 1.0, 0.0, fall))
    judged = model.judge(
        labelled(TASK, ALONE, charged=[1]),
        labelled(ALONE, charged=[0], lang="fr"),
        *(labelled(ALONE, charged=[0], lang="es"), labelled(*[TASK] * 19, lang="es")),
        labelled(*["the csv", TASK] * 10),
        labelled(*[ALONE] * 20, decoy="D1"),
        labelled(*["word"] * 20, source="sharegpt_dev"),
        labelled(*[ALONE] * 20, charged=[0], source="sharegpt_dev"),
        labelled(*[ALONE] * 20, source="arena_wildchat_dev", pool="enriched"),
        calibration=calibration,
    )
    figures = late_turn(judged, model.encoder, model.engine)
    assert [*figures] == ["real chats", "tasks of the corpus"]
    for filled in figures.values():
        _check_late(filled, found)


def _check_late(figures: dict[str, Any], found: float) -> None:
    short, long, difference = figures.values()
    assert [*figures] == ["4 turns", "20 turns", "20 less 4 turns"]
    # No French turns to put around it and too few Spanish ones; decoys are no tasks.
    assert short["message"]["n"] == 1
    assert (short["message"]["value"], long["message"]["value"]) == (1, 1)
    assert (short["conversation"]["value"], long["conversation"]["value"]) == (1, found)
    assert difference["conversation"]["value"] == found - 1
    assert (short["without"]["value"], long["without"]["value"]) == (0, 0)


def test_both_lengths_hold_the_same_turns_around_the_charged_one(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TinyModel(tiny_artifact)
    judged = model.judge(
        labelled(ALONE, charged=[0]), labelled(*(f"{TASK} {'a ' * n}" for n in range(25)))
    )
    chats = []

    def keep(judged: object, conversations: list[object], *rest: object) -> list[object]:
        chats.append(conversations[0])
        return original(judged, conversations, *rest)

    from training.evaluation import length

    original = length.judge_again
    monkeypatch.setattr(length, "judge_again", keep)
    late_turn(judged, model.encoder, model.engine)
    short, short_without, long, long_without = (
        [m.content for m in chat.messages if m.role == "user"] for chat in chats
    )
    assert (len(short), len(long)) == (4, 20)
    assert short == long[-4:]
    assert short[-2] == ALONE
    for whole, without in ((short, short_without), (long, long_without)):
        assert [i for i, text in enumerate(whole) if text != without[i]] == [len(whole) - 2]
        assert ALONE not in without
