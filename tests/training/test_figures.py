from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import prior_shift
from tests.conftest import SINGLE_MESSAGE, TASK
from tests.judged_chats import TinyModel, labelled
from training.data.sources import read_rows
from training.evaluation import metrics
from training.evaluation.figures import (
    agreement,
    calibration_figures,
    choice,
    corpus_figures,
    cue_figures,
    group_figures,
    study_errors,
    study_figures,
    theme_figures,
)
from training.evaluation.judged import STUDIES, Judged

LOGS = ("sharegpt_dev", "arena_wildchat_dev")


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 60)


@pytest.fixture
def model(tiny_artifact: Artifact) -> TinyModel:
    return TinyModel(tiny_artifact)


def study(*texts: str, number: int, of: str = "duo_ed", **about: Any) -> LabelledConversation:
    """A conversation of a study, by a person of its own unless `writer` says so."""
    chat = labelled(*texts, source=STUDIES, id=f"s{number}", **{"writer": f"w{number}"} | about)
    return replace(chat, row={**chat.row, "source": of})


def twice(charge: int, turns: list[int]) -> dict[str, Any]:
    return {"second_charge": charge, "second_turns": turns}


def test_accuracy_and_languages_of_the_corpus(model: TinyModel) -> None:
    judged = model.judge(
        labelled(SINGLE_MESSAGE, TASK, charged=[0]),
        labelled(TASK),
        labelled("a word", charged=[0]),
        labelled(TASK),
        labelled(SINGLE_MESSAGE),
        labelled(TASK, lang="fr"),
    )
    figures = corpus_figures(judged)
    assert figures["accuracy"]["value"] == pytest.approx(4 / 6)
    assert figures["french_less_english"]["value"] == pytest.approx(1 - 3 / 5)


def test_group_says_what_is_found_and_what_is_not_flagged(model: TinyModel) -> None:
    judged = model.judge(
        labelled(SINGLE_MESSAGE, charged=[0], id="1"),
        labelled(TASK, charged=[0], id="2"),
        *(labelled(text, id=f"n{n}") for n, text in enumerate([SINGLE_MESSAGE, TASK, TASK, TASK])),
    )
    figures = group_figures(judged, ["balanced"])
    assert (figures["n"], figures["emotional"]) == (6, 2)
    point = {name: figures["balanced"][name]["value"] for name in figures["balanced"]}
    assert point == pytest.approx(
        {"recall": 1 / 2, "specificity": 3 / 4, "precision": 1 / 2, "accuracy": 4 / 6}
    )
    assert group_figures([], ["balanced"]) == {"n": 0, "emotional": 0}


def test_studies_tell_charges_sources_and_readers_apart(model: TinyModel) -> None:
    judged = model.judge(
        study(SINGLE_MESSAGE, TASK, number=1, charged=[0], charge=3, labels=twice(2, [1, 2])),
        study(TASK, number=2, charged=[0], charge=2, labels=twice(1, [])),
        study(SINGLE_MESSAGE, number=3, charge=1, labels=twice(2, [1])),
        study(TASK, number=4, charge=1, labels=twice(1, [])),
        study(TASK, number=5, charge=0, labels=twice(0, []), of="coach_de"),
        labelled(SINGLE_MESSAGE, charged=[0]),
    )
    figures = study_figures(judged)
    assert [*figures] == ["all", "duo_ed", "coach_de", "second reader"]
    values = {name: figures["all"][name]["value"] for name in figures["all"]}
    assert values["recall"] == 1 / 2
    assert values["specificity"] == pytest.approx(2 / 3)
    assert (values["flagged_charge_0"], values["flagged_charge_1"]) == (0, 1 / 2)
    # One charged turn of two is found, and one is found that is none.
    assert values["turn_f1"] == 1 / 2
    # The ranks of what is expected (SINGLE_MESSAGE twice, then the others) and of 3, 2, 1, 1, 0.
    assert values["intensity"] == pytest.approx(0.444, abs=0.001)
    second = {name: figures["second reader"][name]["value"] for name in figures["second reader"]}
    assert (second["recall"], second["flagged_charge_1"]) == (1 / 2, 1 / 2)
    # Of five turns that either reader names, one is named by both.
    assert second["turn_f1"] == pytest.approx(2 / 5)
    assert figures["coach_de"]["specificity"]["n"] == 1
    assert math.isnan(figures["coach_de"]["recall"]["value"])
    wrong = [(row["study"], row["charge"], row["second"]) for row in study_errors(judged)]
    assert wrong == [("duo_ed", 1, 2), ("duo_ed", 2, 1)]


def test_recipes_are_chosen_by_a_mean_that_is_surer_with_more_people(model: TinyModel) -> None:
    logs = [
        labelled(SINGLE_MESSAGE if n % 3 == 0 else TASK, charged=[0] if n % 3 == 0 else [],
                 id=f"l{n}", source=LOGS[0])
        for n in range(12)
    ]  # fmt: skip
    ours = [labelled(SINGLE_MESSAGE, charged=[0], id="c1"), labelled(SINGLE_MESSAGE, id="c2")]

    def widths(writers: int) -> tuple[float, float]:
        studies = [
            study(
                SINGLE_MESSAGE if n % 5 else TASK,
                number=n,
                writer=f"w{n % writers}",
                charged=[0] if n % 2 else [],
            )
            for n in range(60)
        ]
        found = choice(model.judge(*logs, *ours, *studies))
        mean = found.pop("mean")
        assert mean["value"] == pytest.approx(np.mean([f["value"] for f in found.values()]))
        assert mean["low"] <= mean["value"] <= mean["high"]
        assert found["average precision, shared logs"]["value"] == 1
        assert found["accuracy, corpus dev"]["value"] == 1 / 2
        f1 = found["F1 of charged turns, studies"]
        return f1["high"] - f1["low"], len(found)

    few, many = widths(6), widths(60)
    assert few[1] == many[1] == 4
    assert few[0] != many[0]


def test_the_figure_of_choice_is_the_mean_over_splits(model: TinyModel) -> None:
    logs = [
        labelled(
            SINGLE_MESSAGE if n < 4 else TASK,
            charged=[0] if n < 4 else [],
            id=f"{n}",
            source=LOGS[0],
        )
        for n in range(12)
    ]
    first = model.judge(*logs)
    second = [replace(j, probability=1 - j.probability) for j in first]
    name = "average precision, shared logs"
    one, other, both = (choice(*splits)[name] for splits in ([first], [second], [first, second]))
    assert one["value"] == 1 > other["value"]
    assert both["value"] == pytest.approx((one["value"] + other["value"]) / 2)
    assert both["low"] <= both["value"] <= both["high"]


def test_without_real_conversations_the_corpus_chooses(model: TinyModel) -> None:
    found = choice(
        model.judge(labelled(SINGLE_MESSAGE, charged=[0], id="1"), labelled(TASK, id="2"))
    )
    assert [*found] == ["mean", "accuracy, corpus dev"]
    assert found["mean"]["value"] == 1


def test_macro_f1_is_the_mean_over_frequent_cues(model: TinyModel) -> None:
    shown = [labelled(SINGLE_MESSAGE, charged=[0], cues=["shares_feelings"]) for _ in range(20)]
    missed = [labelled(TASK, charged=[0], cues=["seeks_support"]) for _ in range(20)]
    rare = [labelled("alone alone alone", charged=[0], cues=["seeks_company"], reply=None)]
    figures = cue_figures(model.judge(*shown, *missed, *rare))
    assert figures["by_name"]["shares_feelings"]["positives"] == 20
    assert figures["by_name"]["seeks_support"]["f1"]["value"] == 0
    assert figures["frequent"] == 2
    of_the_other = figures["by_name"]["shares_feelings"]["f1"]["value"]
    assert of_the_other > 0
    assert figures["macro_f1"]["value"] == pytest.approx(of_the_other / 2)


def test_themes_are_measured_on_charged_chats_whose_themes_are_known(model: TinyModel) -> None:
    def chat(text: str, *themes: str) -> LabelledConversation:
        return labelled(text, charged=[0], labels={"themes": [*themes]})

    lonely = [chat(SINGLE_MESSAGE, "loneliness") for _ in range(20)]
    missed = [chat("sad", "loneliness") for _ in range(20)]
    others = [chat("a word", "grief") for _ in range(3)]
    unknown = [labelled(SINGLE_MESSAGE, charged=[0]), labelled(SINGLE_MESSAGE)]
    figures = theme_figures(model.judge(*lonely, *missed, *others, *unknown))
    assert {*figures["by_name"]} == {"loneliness", "grief"}
    of_loneliness = figures["by_name"]["loneliness"]
    assert of_loneliness["positives"] == 40
    assert of_loneliness["f1"]["value"] == pytest.approx(2 / 3)
    assert figures["frequent"] == 1
    assert figures["macro_f1"]["value"] == of_loneliness["f1"]["value"]


def bare(rows: list[tuple[str, bool, float]]) -> list[Judged]:
    """Conversations of which only the set, the label and the probability count."""
    return [
        cast(
            Judged,
            SimpleNamespace(
                source=source,
                from_logs=source in LOGS,
                of_corpus=source == "corpus",
                emotional=emotional,
                probability=probability,
                cluster=str(place),
            ),
        )
        for place, (source, emotional, probability) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def truthful() -> list[Judged]:
    """Sets of other prevalences, judged as Bayes would who assumes one of 10 %."""
    generator = np.random.default_rng(0)
    rows: list[tuple[str, bool, float]] = []
    for source, n, share in ((LOGS[0], 2000, 0.05), (STUDIES, 1500, 0.6), ("corpus", 1500, 0.5)):
        emotional = generator.uniform(size=n) < share
        # Logits of two normal distributions with unit variance: the likelihood ratio is known.
        z = generator.normal(np.where(emotional, 1.0, -1.0))
        even = 1 / (1 + np.exp(-2 * z))
        found = prior_shift(even, trained=0.5, deployed=0.1)
        rows += zip([source] * n, emotional.tolist(), found, strict=True)
    return bare(rows)


def test_truthful_probabilities_are_calibrated_at_their_own_share(truthful: list[Judged]) -> None:
    error = calibration_figures(truthful, 0.1)["error"]
    for name, n in (("shared logs", 2000), ("studies", 1500), ("corpus dev", 1500)):
        shifted = error[f"{name}, shifted to its own share"]
        assert shifted["error"]["value"] < 0.04
        assert shifted["error"]["n"] == n
        assert shifted["error"]["value"] < 2 * shifted["chance"]
    assert error["studies, as it is"]["error"]["value"] > 0.1


def test_a_hundred_labels_mend_the_calibration(truthful: list[Judged]) -> None:
    error = calibration_figures(truthful, 0.1)["error"]
    refitted = error["studies, refitted to 100 labels"]
    assert refitted["error"]["value"] < error["studies, as it is"]["error"]["value"] / 2
    assert refitted["error"]["n"] == 1400
    assert 0 < refitted["chance"] < refitted["error"]["value"]
    assert "shared logs, refitted to 100 labels" not in error  # a hundred hold five charged ones


def test_too_sure_probabilities_are_not(truthful: list[Judged]) -> None:
    sure = bare([(j.source, j.emotional, float(j.probability > 0.1)) for j in truthful])
    error = calibration_figures(sure, 0.1)["error"]
    assert all(
        found["error"]["value"] > 0.05 for name, found in error.items() if "refitted" not in name
    )


def test_points_of_the_diagram_by_hand() -> None:
    values = [(False, 0.02), (False, 0.04), (True, 0.04), (True, 1.0)]
    bins = calibration_figures(bare([(LOGS[0], *value) for value in values]), 0.5)["bins"]
    (low, high) = bins["shared logs, shifted to its own share"]
    assert (low["n"], high["n"]) == (3, 1)
    assert low["probability"] == pytest.approx(0.1 / 3)
    assert low["share"] == pytest.approx(1 / 3)
    assert low["low"] < 1 / 3 < low["high"]
    assert (high["share"], high["high"]) == (1, 1)
    assert [*bins] == ["shared logs, shifted to its own share"]


def row(charge: int, second: int | None) -> dict[str, Any]:
    return {"labels": {"charge": charge, "second_charge": second}}


def test_rows_that_were_annotated_once_do_not_count() -> None:
    found = agreement([row(3, 2), row(0, 0), row(2, 0), row(1, 0), row(0, None)])
    assert (found["same label"]["value"], found["same label"]["n"]) == (0.75, 4)
    assert found["kappa of the label"]["value"] == pytest.approx(0.5)
    assert agreement([row(2, None)]) == {}


@pytest.mark.parametrize(
    ("file", "n"),
    [("corpus.jsonl", 4000), ("real_dev_labels.jsonl", 400), ("annotations.jsonl", 10_000)],
)
def test_our_annotations_are_stable(file: str, n: int) -> None:
    found = agreement(read_rows(file))
    assert found["same label"]["n"] >= n
    assert found["kappa of the label"]["value"] > 0.8
