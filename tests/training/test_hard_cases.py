"""Altered messages, short chats, long ones and services; what nobody sees changes no label."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import WindowCombination
from affectlib.model.text.unicode import normalize_unicode
from tests.conftest import SINGLE_MESSAGE, TASK
from tests.judged_chats import CALIBRATION, TinyModel, labelled
from training.data.sources import read_corpus, read_rows
from training.evaluation import hard_cases
from training.evaluation.hard_cases import (
    ALTERATIONS,
    ROBUSTNESS,
    SERVICES,
    SHORT_CHATS,
    WRAPPINGS,
    altered,
    charged_lines,
    consistency,
    long_chats,
    robustness,
    shares_flagged,
    short_chats,
    spread,
    wrappings,
)
from training.evaluation.judged import STUDIES

ROWS, SHORT = ([*read_rows(path)] for path in (ROBUSTNESS, SHORT_CHATS))


def test_messages_are_balanced_and_distinct() -> None:
    kinds = Counter((row["language"], row["label"]) for row in ROWS)
    assert kinds == dict.fromkeys(
        [(language, label) for language in ("en", "fr") for label in ("emotional", "task")], 120
    )
    texts = [row[name].lower() for row in ROWS for name in ("text", "paraphrase")]
    assert len({*texts}) == len({row["id"] for row in ROWS}) * 2 == 960


def test_short_chats_are_short_and_distinct() -> None:
    kinds = Counter((row["language"], row["label"]) for row in SHORT)
    assert len(kinds) == 4
    assert min(kinds.values()) >= 70
    assert len({row["id"] for row in SHORT}) == len({row["text"].lower() for row in SHORT}) == 304
    assert max(len(row["text"].split()) for row in SHORT) <= 7


def test_no_message_is_in_the_corpus() -> None:
    def bare(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.lower()))

    known = {bare(m["content"]) for row in read_corpus() for m in row["messages"]}
    ours = {bare(row[name]) for row in ROWS for name in ("text", "paraphrase")}
    short = {bare(row["text"]) for row in SHORT}
    assert (ours | short) & known == set()


def test_every_alteration_alters() -> None:
    texts = altered(ROWS)
    assert [*texts] == ["original", *ALTERATIONS, "paraphrase"]
    for name, group in texts.items():
        same = sum(a == b for a, b in zip(group, texts["original"], strict=True))
        assert (same == len(group)) if name == "original" else (same < len(group)), name
    assert texts == altered(ROWS)


@pytest.mark.parametrize("name", ["lookalike letters", "invisible characters"])
def test_disguised_messages_are_read_as_they_look(name: str) -> None:
    texts = altered(ROWS)
    assert [normalize_unicode(text) for text in texts[name]] == texts["original"]


def test_disguises_flip_no_label() -> None:
    texts = altered(ROWS[::8])
    classifier = AffectClassifier.from_pretrained(device="cpu", engine="onnx")
    plain = classifier.predict(texts["original"])
    for name in ("lookalike letters", "invisible characters"):
        assert classifier.predict(texts[name]) == plain


def test_flips_are_counted_against_the_original(
    tiny_classifier: AffectClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"id": "1", "label": "emotional", "text": SINGLE_MESSAGE, "paraphrase": TASK},
        {"id": "2", "label": "task", "text": TASK, "paraphrase": "the csv"},
        {"id": "3", "label": "task", "text": SINGLE_MESSAGE, "paraphrase": SINGLE_MESSAGE},
    ]
    monkeypatch.setattr(hard_cases, "read_rows", lambda path: rows)
    found = robustness(tiny_classifier)
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert [*found["flips"]] == [*ALTERATIONS, "paraphrase"]
    assert found["flips"]["paraphrase"]["value"] == pytest.approx(1 / 3)
    assert found["flips"]["lower case"]["value"] == 0
    assert found["worst"]["value"] == max(flip["value"] for flip in found["flips"].values())


class Words:
    """Takes a text with the word "sad" for emotional, unless it is of a kind that it misses."""

    def __init__(self, misses: str) -> None:
        self.misses = misses

    def predict(self, texts: list[str], *, on_error: str) -> list[Any]:
        found = ("sad" in text and self.misses not in text for text in texts)
        return [SimpleNamespace(label="emotional" if flag else "task") for flag in found]


@pytest.mark.parametrize("name", sorted(WRAPPINGS))
def test_a_wrapped_line_still_holds_the_line(name: str) -> None:
    wrapped = WRAPPINGS[name]("i am so sad", random.Random(1))
    assert "i am so sad" in wrapped
    assert wrapped != "i am so sad"


def test_what_the_screen_loses_is_not_counted_for_the_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"id": str(n), "text": text} for n, text in enumerate(["so sad", "sad again", "glad"])]
    monkeypatch.setattr(hard_cases, "charged_lines", lambda: rows)
    found = wrappings(Words("http"), Words("```"))  # type: ignore[arg-type]
    assert found["link before"]["screen"]["value"] == 1.0
    assert found["link before"]["encoder"]["value"] == 0.0
    assert found["in a code fence"]["encoder"]["value"] == 1.0
    assert found["in a code fence"]["screen"]["value"] == 0.0
    assert {row["n"] for each in found.values() for row in each.values()} == {2}  # not "glad"


def test_there_are_charged_lines_in_both_languages() -> None:
    lines = charged_lines()
    assert len(lines) > 300
    assert {row["language"] for row in lines} == {"en", "fr"}


def test_accuracy_of_short_chats_is_that_of_both_kinds(tiny_classifier: AffectClassifier) -> None:
    for values in short_chats(tiny_classifier).values():
        accuracy, recall, specificity = (
            (v["value"], v["n"]) for v in (values[k] for k in ("accuracy", "recall", "specificity"))
        )
        assert accuracy[1] == recall[1] + specificity[1]
        right = recall[0] * recall[1] + specificity[0] * specificity[1]
        assert accuracy[0] * accuracy[1] == pytest.approx(right)


def test_services_are_sampled_and_only_what_is_held_out_counts(
    tiny_classifier: AffectClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(name: str, data: Any) -> Iterator[dict[str, Any]]:
        text = SINGLE_MESSAGE if name == "casino" else TASK
        for number in range(40):
            messages = [{"role": "other", "content": text}, {"role": "other", "content": ""}]
            yield {"id": f"{name}-{number}", "lang": "en", "messages": messages}
        yield {"id": f"{name}-0", "messages": [{"role": "assistant", "content": "hello"}]}

    monkeypatch.setattr(hard_cases, "read_source", rows)
    monkeypatch.setattr(hard_cases, "SAMPLE", 30)
    monkeypatch.setattr(hard_cases, "is_held_out", lambda name, id: id.endswith("7"))
    found = shares_flagged(tiny_classifier, SERVICES, Path())
    counts = {"msre2e": 30, "casino": 30, "multidogo": 4, "sgd": 4, "taskmaster4": 4}
    assert {name: found[name]["n"] for name in counts} == counts
    assert (found["casino"]["value"], found["msre2e"]["value"]) == (1, 0)
    assert found["all"]["value"] == pytest.approx(30 / 72)


def test_services_that_repeat_what_is_trained_on_do_not_count(
    tiny_classifier: AffectClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = "please book me a table for two at seven tonight"

    def rows(name: str, data: Any) -> Iterator[dict[str, Any]]:
        for number in range(20):
            text = phrase if number < 15 else f"{TASK} {number}"
            yield {"id": f"{number}", "messages": [{"role": "user", "content": text}]}

    monkeypatch.setattr(hard_cases, "read_source", rows)
    monkeypatch.setattr(hard_cases, "is_held_out", lambda name, id: int(id) >= 10)
    found = shares_flagged(tiny_classifier, SERVICES, Path())
    assert {name: found[name]["n"] for name in ("casino", "sgd")} == {"casino": 20, "sgd": 5}


@pytest.mark.parametrize(("fall", "found"), [(0.0, 1.0), (-3.0, 0.0)])
def test_charged_turn_is_found_unless_length_hides_it(
    tiny_artifact: Artifact, fall: float, found: float
) -> None:
    model = TinyModel(tiny_artifact)
    calibration = replace(CALIBRATION, combination=WindowCombination(fall))
    judged = model.judge(
        labelled(TASK, SINGLE_MESSAGE, charged=[1]),
        labelled(SINGLE_MESSAGE, charged=[0], lang="fr"),
        *(labelled(SINGLE_MESSAGE, charged=[0], lang="es"), labelled(*[TASK] * 19, lang="es")),
        labelled(*["the csv", TASK] * 10),
        labelled(*[SINGLE_MESSAGE] * 20, labels={"decoy": "D1"}),
        labelled(*["word"] * 20, source="sharegpt_dev"),
        labelled(*[SINGLE_MESSAGE] * 20, charged=[0], source="sharegpt_dev"),
        labelled(*[SINGLE_MESSAGE] * 20, source="arena_wildchat_dev", pool="enriched"),
        labelled(*["word"] * 19, source=STUDIES),
        calibration=calibration,
    )
    figures = long_chats(judged, model.reader)
    assert [*figures] == ["shared logs", "tasks of the corpus"]
    for lengths in figures.values():
        short, long = lengths["4 turns"], lengths["20 turns"]
        # No French turns to put around it and too few Spanish ones; decoys are no tasks.
        assert short["message"]["n"] == 1
        assert (short["message"]["value"], long["message"]["value"]) == (1, 1)
        assert (short["conversation"]["value"], long["conversation"]["value"]) == (1, found)
        assert (short["uncharged"]["value"], long["uncharged"]["value"]) == (0, 0)


def test_false_alarms_that_come_with_length_are_seen(tiny_artifact: Artifact) -> None:
    model = TinyModel(tiny_artifact)
    judged = model.judge(
        *(labelled(SINGLE_MESSAGE, charged=[0], id=f"{n}") for n in range(20)),
        labelled(*[TASK] * 19, SINGLE_MESSAGE, source=STUDIES),
    )
    figures = long_chats(judged, model.reader)["studies"]
    assert 0 < figures["4 turns"]["uncharged"]["value"] < 0.6
    assert figures["20 turns"]["uncharged"]["value"] == 1


def test_both_lengths_hold_the_same_turns_around_the_charged_one(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TinyModel(tiny_artifact)
    judged = model.judge(
        labelled(SINGLE_MESSAGE, charged=[0]), labelled(*(f"{TASK} {'a ' * n}" for n in range(25)))
    )
    chats = []
    original = hard_cases.judge_again

    def keep(judged: Any, conversations: Any, reader: Any) -> Any:
        chats.append(conversations[0])
        return original(judged, conversations, reader)

    monkeypatch.setattr(hard_cases, "judge_again", keep)
    long_chats(judged, model.reader)
    short, short_without, long, long_without = (
        [m.content for m in chat.messages if m.role == "user"] for chat in chats
    )
    assert (len(short), len(long)) == (4, 20)
    assert short == long[-4:]
    assert short[-2] == SINGLE_MESSAGE
    for whole, without in ((short, short_without), (long, long_without)):
        assert [i for i, text in enumerate(whole) if text != without[i]] == [len(whole) - 2]
        assert SINGLE_MESSAGE not in without


def test_a_conversation_is_charged_as_soon_as_an_exchange_is(tiny_artifact: Artifact) -> None:
    model = TinyModel(tiny_artifact)
    judged = model.judge(
        *(labelled(TASK, "the csv"), labelled(TASK, SINGLE_MESSAGE, charged=[1])),
        labelled(TASK, source=STUDIES),
        labelled(TASK, lang="es"),  # nothing to add in its language
    )
    found = consistency(judged, model.reader)
    assert {name: values["disagree"]["n"] for name, values in found.items()} == {
        "shared logs": 0,
        "studies": 1,
        "corpus dev": 2,
    }
    for name, figure, value in (
        ("corpus dev", "disagree", 0),
        ("studies", "raised", 0),
        ("corpus dev", "lowered", 0),
        ("studies", "found", 1),
        ("corpus dev", "found", 1),
    ):
        assert found[name][figure]["value"] == value, (name, figure)


def test_rows_of_measuring_sets_have_no_more_than_they_need() -> None:
    for path in (ROBUSTNESS, SHORT_CHATS):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert {*json.loads(line)} <= {"id", "language", "label", "text", "paraphrase"}


def test_sample_of_a_set_goes_from_its_first_to_its_last_row() -> None:
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread([], 5) == []
