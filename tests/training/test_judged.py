from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.model.calibration import Line, Recalibration, WindowCombination
from affectlib.model.engines import load_engine
from affectlib.taxonomy import OUTPUTS
from tests.conftest import SINGLE_MESSAGE, TASK, CountingEngine
from tests.judged_chats import TinyModel, labelled
from training.data.sources import from_gold, read_corpus
from training.evaluation import judged as module
from training.evaluation.judged import (
    STUDIES,
    Reader,
    judge,
    judge_as_shipped,
    measured,
    uncalibrated,
)


@pytest.fixture
def model(tiny_artifact: Artifact) -> TinyModel:
    return TinyModel(tiny_artifact)


def test_counts_are_those_of_real_conversations_and_of_their_user_messages(
    model: TinyModel,
) -> None:
    real = [
        labelled(SINGLE_MESSAGE, TASK, charged=[0], source="sharegpt_dev"),
        labelled(TASK, "a word", charged=[0, 1], source="sharegpt_dev"),
        labelled(SINGLE_MESSAGE, source="arena_wildchat_dev"),
        labelled(TASK, TASK, TASK, source="arena_wildchat_dev"),
    ]
    # Of what was chosen for being like charged chats, the charged count, the others do not.
    chosen = [
        labelled(SINGLE_MESSAGE, source="sharegpt_dev", pool="enriched"),
        labelled(SINGLE_MESSAGE, TASK, charged=[0], source="sharegpt_dev", pool="enriched"),
    ]
    study = [labelled(SINGLE_MESSAGE, source=STUDIES), labelled(TASK, source=STUDIES)]
    ours = [labelled(SINGLE_MESSAGE, charged=[0]), labelled(SINGLE_MESSAGE)]
    counts = {
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
    assert measured(model.judge(*real, *chosen, *ours), ["balanced"]) == {"balanced": counts}
    counts["studies"] = {
        "true_positives": 0,
        "false_negatives": 0,
        "true_negatives": 1,
        "false_positives": 1,
    }
    judged = model.judge(*real, *chosen, *study, *ours)
    assert measured(judged, ["balanced"]) == {"balanced": counts}


def test_themes_are_counted_where_a_real_chat_is_labelled_emotional(model: TinyModel) -> None:
    def chat(text: str, *themes: str) -> LabelledConversation:
        labels = {"themes": [*themes]} if themes else {}
        return labelled(text, charged=[0], source="sharegpt_dev", labels=labels)

    lonely = [chat(SINGLE_MESSAGE, "loneliness") for _ in range(5)]
    others = [chat(SINGLE_MESSAGE, "family"), chat(SINGLE_MESSAGE), chat(TASK, "loneliness")]
    false = [
        labelled(SINGLE_MESSAGE, source="arena_wildchat_dev"),
        labelled(TASK, source="sharegpt_dev"),
    ]
    counts = measured(model.judge(*lonely, *others, *false), ["balanced"])["balanced"]["themes"]
    # The one whose themes nobody named, and what is labelled task, do not count.
    assert counts == {
        "loneliness": {
            "true_positives": 5,
            "false_negatives": 0,
            "true_negatives": 0,
            "false_positives": 2,
        }
    }


def test_there_are_no_counts_without_real_conversations_of_both_labels(model: TinyModel) -> None:
    ours = [labelled(SINGLE_MESSAGE, charged=[0]), labelled(TASK)]
    assert measured(model.judge(*ours), ["balanced"]) == {}
    real = labelled(TASK, source="sharegpt_dev")
    assert measured(model.judge(*ours, real), ["balanced"]) == {}


def test_reader_runs_no_window_twice(model: TinyModel) -> None:
    counting = CountingEngine(model.reader.engine)
    model.reader.engine = counting
    chats = [
        labelled(SINGLE_MESSAGE, reply=None),
        labelled(TASK, reply=None),
        labelled(SINGLE_MESSAGE, reply=None),
    ]
    first = model.reader.score(chats)
    assert len(counting.windows) == 2
    again = model.reader.score(chats[::-1])
    assert len(counting.windows) == 2
    for a, b in zip(first, again[::-1], strict=True):
        assert np.array_equal(a.scores.windows, b.scores.windows)


def test_outputs_that_an_artifact_lacks_are_nought(tiny_artifact: Artifact) -> None:
    whole = Reader(tiny_artifact)
    fewer = Reader(tiny_artifact)
    fewer._places = [OUTPUTS.index(name) for name in OUTPUTS[::-1]]
    chat = labelled(SINGLE_MESSAGE, reply=None)
    (expected,), (found,) = whole.score([chat]), fewer.score([chat])
    assert found.scores.windows == pytest.approx(expected.scores.windows[:, ::-1])
    assert found.scores.messages[0] == pytest.approx(expected.scores.messages[0][::-1])


def charged_or_not(place: int, **about: str) -> LabelledConversation:
    """Return a conversation of one message, charged if the place is odd."""
    return labelled(
        SINGLE_MESSAGE if place % 2 else TASK, charged=[0] if place % 2 else [], **about
    )


def test_chats_of_a_person_and_pairs_are_judged_by_one_calibration_of_others(
    model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = [
        charged_or_not(
            place, id=f"{name}-{place}", source=source, **{field: f"{name}-{place // 4}"}
        )
        for name, source, field in (("study", STUDIES, "writer"), ("ours", "corpus", "pair"))
        for place in range(40)
    ]
    fitted = []
    original = module.fit

    def fit(scored):
        calibration = original(scored)
        fitted.append((calibration, {id(s.labelled) for s in scored}))
        return calibration

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module, "FOLDS", 4)
    judged = judge(model.reader.score(chats))
    assert [j.scored.labelled for j in judged] == chats
    assert len(fitted) == 4
    used = {id(calibration): seen for calibration, seen in fitted}
    for j in judged:
        together = [
            other
            for other in chats
            if other.source == j.source
            and all(other.row.get(k) == j.row.get(k) for k in ("writer", "pair"))
        ]
        assert len(together) == 4
        assert not {id(other) for other in together} & used[id(j.calibration)]
        # The other folds are nearly all the rest.
        assert len(used[id(j.calibration)]) >= 48


def test_other_languages_are_judged_but_have_no_say(
    model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = [
        charged_or_not(place, source=STUDIES, lang=lang, writer=f"{lang}-{place}")
        for lang in ("en", "fr", "de")
        for place in range(12)
    ]
    seen = set()
    original = module.fit

    def fit(scored):
        seen.update(s.labelled.row["lang"] for s in scored)
        return original(scored)

    monkeypatch.setattr(module, "fit", fit)
    judged = judge(model.reader.score(chats))
    assert seen == {"en", "fr"}
    assert [j.language for j in judged] == [chat.row["lang"] for chat in chats]


def test_trained_model_is_read_before_it_has_thresholds(bert_folder: Path) -> None:
    finished = load_artifact(bert_folder)
    bare = uncalibrated(bert_folder, finished.windows)
    chat = labelled(SINGLE_MESSAGE, TASK)
    (expected,), (found,) = (Reader(a).score([chat]) for a in (finished, bare))
    assert np.array_equal(found.scores.windows, expected.scores.windows)
    assert found.scores.messages.keys() == expected.scores.messages.keys() == {0, 1, 2, 3}
    for place, logits in found.scores.messages.items():
        assert np.array_equal(logits, expected.scores.messages[place])


def test_figures_as_shipped_follow_lines_windows_and_a_users_own_calibration(
    tiny_artifact: Artifact,
) -> None:
    line = {"emotional": Line(-0.4, 0.7)}
    artifact = replace(
        tiny_artifact,
        conversation=WindowCombination(-0.5),
        messages={**tiny_artifact.messages, **line},
        recalibration=Recalibration(0.3, 1.2),
    )
    chats = [labelled(*[TASK] * n, "sad", SINGLE_MESSAGE, charged=[n + 1]) for n in (0, 1, 6)]
    chats.append(labelled("sad", reply=None))
    judged = judge_as_shipped(artifact, Reader(artifact), chats)
    classifier = AffectClassifier(artifact, load_engine(artifact, device="cpu"))
    for j, found in zip(judged, classifier.predict([c.conversation for c in chats]), strict=True):
        assert j.probability == pytest.approx(found.probability, abs=1e-5)
        assert j.flagged("balanced") == (found.label == "emotional")
        users = [m.probability for m in found.messages if m.role == "user"]
        assert j.turns == pytest.approx(users, abs=1e-5)


def test_figures_as_shipped_are_those_of_the_librarys_own_labels() -> None:
    rows = [row for row in read_corpus("test") if row["lang"] in ("en", "fr")][::12]
    artifact = load_artifact()
    judged = judge_as_shipped(
        artifact, Reader(artifact), [from_gold(row, "corpus") for row in rows]
    )
    for point in ("balanced", "high_precision"):
        classifier = AffectClassifier.from_pretrained(operating_point=point, screen=False)
        found = classifier.predict([row["messages"] for row in rows])
        assert [j.flagged(point) for j in judged] == [p.label == "emotional" for p in found]
        assert [j.probability for j in judged] == pytest.approx(
            [p.probability for p in found],
            abs=1e-5,  # the library rounds
        )
        flags = [m.label == "emotional" for p in found for m in p.messages if m.role == "user"]
        assert [bool(f) for j in judged for f in j.flagged_turns(point)] == flags
