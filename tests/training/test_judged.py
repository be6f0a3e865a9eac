from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.model.artifacts import Artifact
from affectlib.model.engines import load_engine
from tests.conftest import ALONE, TASK, CountingEngine
from tests.judged_chats import TinyModel, labelled
from training.evaluation.figures import corpus_figures, cue_figures, group_figures, language_figures
from training.evaluation.judged import measured
from training.evaluation.scoring import CachedEngine


@pytest.fixture
def model(tiny_artifact: Artifact) -> TinyModel:
    return TinyModel(tiny_artifact)


def test_counts_are_those_of_real_conversations_and_of_their_user_messages(
    model: TinyModel,
) -> None:
    real = [
        labelled(ALONE, TASK, charged=[0], source="sharegpt_dev"),
        labelled(TASK, "a word", charged=[0, 1], source="sharegpt_dev"),
        labelled(ALONE, source="arena_wildchat_dev"),
        labelled(TASK, TASK, TASK, source="arena_wildchat_dev"),
    ]
    # Of what was chosen for being like charged chats, the charged count, the others do not.
    chosen = [
        labelled(ALONE, source="sharegpt_dev", pool="enriched"),
        labelled(ALONE, TASK, charged=[0], source="sharegpt_dev", pool="enriched"),
    ]
    judged = model.judge(*real, *chosen, labelled(ALONE, charged=[0]), labelled(ALONE))
    assert measured(judged, ["balanced"]) == {
        "balanced": {
            "conversation": {
                "true_positives": 2,
                "false_negatives": 1,
                "true_negatives": 1,
                "false_positives": 1,
            },
            "message": {
                "true_positives": 2,
                "false_negatives": 2,
                "true_negatives": 4,
                "false_positives": 1,
            },
        }
    }


def test_there_are_no_counts_without_real_conversations_of_both_labels(model: TinyModel) -> None:
    ours = [labelled(ALONE, charged=[0]), labelled(TASK)]
    assert measured(model.judge(*ours), ["balanced"]) == {}
    real = labelled(TASK, source="sharegpt_dev")
    assert measured(model.judge(*ours, real), ["balanced"]) == {}


def test_cached_engine_gives_the_same_and_runs_no_window_twice(tiny_artifact: Artifact) -> None:
    plain = load_engine(tiny_artifact, engine="onnx", device="cpu")
    counting = CountingEngine(plain)
    cached = CachedEngine(counting)
    ids = np.array([[0, 9, 2, 1], [0, 10, 11, 2], [0, 12, 2, 1]])
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]])
    expected = plain.logits(ids, mask)
    assert cached.logits(ids, mask) == pytest.approx(expected)
    # The same windows in another order and with more padding.
    wide = [np.pad(a[::-1], ((0, 0), (0, 2)), constant_values=v) for a, v in ((ids, 1), (mask, 0))]
    assert cached.logits(*wide) == pytest.approx(expected[::-1])
    assert len(counting.windows) == 3


def test_accuracy_pairs_and_turns_of_the_corpus(model: TinyModel) -> None:
    judged = model.judge(
        labelled(ALONE, TASK, charged=[0], pair="a"),
        labelled(TASK, pair="a"),
        labelled("a word", charged=[0], pair="b"),
        labelled(TASK, pair="b"),
        labelled(ALONE),
    )
    figures = corpus_figures(judged)
    assert figures["accuracy"]["value"] == pytest.approx(3 / 5)
    assert (figures["pairs_both_right"]["value"], figures["pairs_both_right"]["n"]) == (0.5, 2)
    # One charged turn of two is found, and one is found that is none.
    assert figures["turn_f1"]["value"] == pytest.approx(0.5)


def test_french_is_compared_with_english_and_others_are_counted(model: TinyModel) -> None:
    judged = model.judge(
        *(labelled(ALONE, charged=[0]), labelled(TASK)),
        *(labelled(TASK, charged=[0], lang="fr"), labelled(TASK, lang="fr")),
        labelled(TASK, lang="de", source="arena_wildchat_dev"),
    )
    figures = language_figures(judged)
    difference = figures["french_less_english"]
    assert difference["accuracy"]["value"] == -0.5
    assert difference["recall"]["value"] == -1
    assert difference["specificity"]["value"] == 0
    assert difference["accuracy"]["n"] == 4
    assert {name: group["n"] for name, group in figures["others"].items()} == {
        "es": 0,
        "de": 1,
        "it": 0,
        "pt": 0,
    }


def test_macro_f1_is_the_mean_over_frequent_cues(model: TinyModel) -> None:
    shown = [labelled(ALONE, charged=[0], cues=["shares_feelings"]) for _ in range(20)]
    missed = [labelled(TASK, charged=[0], cues=["seeks_support"]) for _ in range(20)]
    rare = [labelled("alone alone alone", charged=[0], cues=["seeks_company"], reply=None)]
    figures = cue_figures(model.judge(*shown, *missed, *rare))
    assert figures["by_cue"]["shares_feelings"]["positives"] == 20
    assert figures["by_cue"]["seeks_support"]["f1"]["value"] == 0
    assert figures["macro_cues"] == 2
    of_the_other = figures["by_cue"]["shares_feelings"]["f1"]["value"]
    assert of_the_other > 0
    assert figures["macro_f1"]["value"] == pytest.approx(of_the_other / 2)
    assert figures["macro_f1"]["low"] <= figures["macro_f1"]["value"] <= figures["macro_f1"]["high"]


def test_cue_of_a_role_that_is_silent_is_not_counted(model: TinyModel) -> None:
    silent = labelled(ALONE, charged=[0], reply=None)
    answered = labelled(ALONE, charged=[0], reply="sorry", cues=["shows_empathy"])
    figures = cue_figures(model.judge(silent, answered))
    assert figures["by_cue"]["shows_empathy"]["f1"] == {"value": 1, "low": 1, "high": 1, "n": 1}


def test_group_without_conversations_has_no_figures() -> None:
    assert group_figures([], ["balanced"]) == {"n": 0, "emotional": 0}
