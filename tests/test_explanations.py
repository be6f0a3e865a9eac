"""Shares of turns and words, with the tiny artifact: logits are sums over words."""

from __future__ import annotations

import json
import math
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.errors import ConversationError, InputTypeError, NoUserTextError, OptionError
from affectlib.explanations import STRETCHES
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
from affectlib.model.text.legible import legible
from tests.conftest import (
    ALONE,
    BIAS,
    CHAT,
    TASK,
    WINDOWS,
    WORD_LOGITS,
    WORDS,
    assistant,
    user,
    write_manifest,
)

TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
CHATS = st.lists(TEXT.map(user), min_size=1, max_size=6)
share_the_classifier = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def word_logit(word: str) -> float:
    return WORD_LOGITS.get(word, {}).get("emotional", 0.0)


# Turns.


def test_shares_of_turns(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain(CHAT)
    prediction = tiny_classifier.predict(CHAT)
    assert explanation.prediction == prediction
    assert [turn.index for turn in explanation.turns] == [1, 3]
    task, alone = explanation.turns
    assert (task.label, alone.label) == ("task", "emotional")
    assert task.probability == prediction.messages[0].probability
    # Alone, a turn has both weights (0.75 and 0.25) and the logarithm of 1.
    assert logit(task.without) == pytest.approx(BIAS + 6)
    assert logit(alone.without) == pytest.approx(BIAS - 4)
    for turn in explanation.turns:
        assert turn.share == pytest.approx(prediction.probability - turn.without)


def test_a_lone_turn_is_held_against_the_prevalence(tiny_classifier: AffectClassifier) -> None:
    (turn,) = tiny_classifier.explain("i am sad").turns
    assert turn.without == tiny_classifier.artifact.prevalence
    assert turn.share == pytest.approx(turn.probability - turn.without)


@share_the_classifier
@given(chat=CHATS, data=st.data())
def test_without_a_turn_is_what_the_others_give(
    tiny_classifier: AffectClassifier, chat: list[Any], data: st.DataObject
) -> None:
    # Windows of the tiny artifact hold no context, so that a turn that is left out is just gone.
    turns = tiny_classifier.explain(chat).turns
    assert len(turns) == len(chat)
    left_out = data.draw(st.integers(0, len(chat) - 1))
    others = chat[:left_out] + chat[left_out + 1 :]
    if others:
        expected = tiny_classifier.predict(others).probability
        assert turns[left_out].without == pytest.approx(expected)


@share_the_classifier
@given(chat=st.lists(st.sampled_from(WORDS).map(user), min_size=2, max_size=5))
def test_signs_of_shares(tiny_classifier: AffectClassifier, chat: list[Any]) -> None:
    turns = sorted(tiny_classifier.explain(chat).turns, key=lambda turn: turn.probability)
    shares = [turn.share for turn in turns]
    assert all(a <= b + 1e-12 for a, b in pairwise(shares))
    if len({turn.probability for turn in turns}) > 1 and len(turns) == 2:
        assert shares[0] < 0 < shares[1]


def test_neutral_turns_among_charged_ones_have_no_share(tiny_classifier: AffectClassifier) -> None:
    chat = [user(ALONE)] * 3 + [user("a word"), user(TASK)]
    *charged, word, task = tiny_classifier.explain(chat).turns
    assert abs(word.share) < 0.01
    assert task.share == word.share
    # Three that say the same cover for each other, so none of them has a share to speak of.
    assert all(abs(turn.share) < 0.05 for turn in charged)
    (_, alone) = tiny_classifier.explain([user(TASK), user(ALONE)]).turns
    assert alone.share > 0.5


def test_many_turns(tiny_classifier: AffectClassifier) -> None:
    chat = [user(TASK), assistant("hello")] * 5000 + [user(ALONE)]
    explanation = tiny_classifier.explain(chat)
    assert len(explanation.turns) == 5001
    assert max(explanation.turns, key=lambda turn: turn.share).index == 10_000
    assert len(explanation.to_html()) < 50_000


def test_thresholds_can_be_chosen(tiny_classifier: AffectClassifier) -> None:
    labels = [
        tiny_classifier.explain("i am sad", operating_point=point).prediction.label
        for point in ("high_recall", "high_precision")
    ]
    assert labels == ["emotional", "task"]


# Words.


@share_the_classifier
@given(text=TEXT)
def test_shares_of_words(tiny_classifier: AffectClassifier, text: str) -> None:
    explanation = tiny_classifier.explain_words(text)
    words = [text[word.start : word.stop] for word in explanation.words]
    assert words == text.split()
    for word, share in zip(words, explanation.words, strict=True):
        assert share.share == pytest.approx(word_logit(word), abs=1e-5)
    expected = 1 / (1 + math.exp(-BIAS - sum(map(word_logit, words))))
    assert explanation.probability == pytest.approx(expected, abs=1e-5)


@share_the_classifier
@given(text=st.text(max_size=80).filter(lambda text: legible(text).strip()))
def test_every_text_has_its_words(tiny_classifier: AffectClassifier, text: str) -> None:
    explanation = tiny_classifier.explain_words(text)
    assert "".join(explanation.text[w.start : w.stop] for w in explanation.words) == "".join(
        explanation.text.split()
    )
    assert all(math.isfinite(word.share) for word in explanation.words)
    assert [word.start for word in explanation.words] == sorted(w.start for w in explanation.words)


def test_the_most_charged_message_is_explained(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain_words(CHAT)
    assert explanation.index == 3
    assert explanation.top(1) == [("alone", pytest.approx(6.0))]
    assert tiny_classifier.explain_words(CHAT, 1).top(1) == [("csv", pytest.approx(-4.0))]


def test_cues_are_explained(tiny_classifier: AffectClassifier) -> None:
    chat = [user(ALONE), user("i am sad sad")]
    explanation = tiny_classifier.explain_words(chat, output="shares_feelings")
    assert (explanation.index, explanation.output) == (1, "shares_feelings")
    assert explanation.top(2) == [("sad", pytest.approx(4.0))] * 2
    found = tiny_classifier.predict(chat).messages[1].cues["shares_feelings"]
    assert explanation.probability == pytest.approx(found)


def test_the_message_is_read_in_its_context(bert_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_folder, tmp_path / "model")
    context = {"target_tokens": 8, "context_messages": 2, "assistant_context_tokens": 0}
    artifact = load_artifact(write_manifest(folder, windows=WINDOWS | context))
    classifier = AffectClassifier(artifact, load_engine(artifact, device="cpu"))
    before = [user(TASK), user("hello a word"), assistant("sorry"), user("sad")]
    shares = classifier.explain_words([*before, user(ALONE)], 4).words
    whole, less = (
        logit(classifier.predict([*before, user(text)]).messages[-1].probability or 0.0)
        for text in (ALONE, "i am so ")
    )
    assert shares[-1].share == pytest.approx(whole - less, abs=1e-4)
    assert shares[-1].share != pytest.approx(classifier.explain_words(ALONE).words[-1].share)


@pytest.mark.parametrize("words", [STRETCHES, STRETCHES + 1, 3000])
def test_long_messages_are_explained_by_stretches(counting: Any, words: int) -> None:
    classifier, engine = counting
    text = "alone " + "a word " * (words // 2)
    explanation = classifier.explain_words(text)
    assert STRETCHES / 2 < len(explanation.words) <= STRETCHES
    assert explanation.words[0].start == 0
    assert explanation.words[-1].stop == len(text.rstrip())
    assert explanation.top(1)[0][0].startswith("alone")
    assert len(engine.windows) <= (STRETCHES + 2) * classifier.artifact.windows.max_windows


def test_windows_are_batched(counting: Any) -> None:
    classifier, engine = counting
    calls = []
    logits = engine.logits
    engine.logits = lambda ids, mask: calls.append(len(ids)) or logits(ids, mask)
    classifier.explain_words("i am so alone a word the csv file")
    assert len(calls) <= 3
    assert sum(calls) == len(engine.windows)


def test_long_words_are_cut(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain_words("alone " + "x" * 60)
    assert [word.stop - word.start for word in explanation.words] == [5, 24, 24, 12]


# What both refuse, and how both show.


@pytest.mark.parametrize("name", ["explain", "explain_words"])
def test_other_things_are_refused(tiny_classifier: AffectClassifier, name: str) -> None:
    explain = getattr(tiny_classifier, name)
    for listed in ([ALONE], [[user(ALONE)]], [], (ALONE, TASK)):
        with pytest.raises(InputTypeError):
            explain(listed)
    with pytest.raises(NoUserTextError):
        explain([assistant("hello")])
    with pytest.raises(ConversationError, match=r"messages\[0\]"):
        explain([{"role": "user"}])


def test_unknown_options_are_refused(tiny_classifier: AffectClassifier) -> None:
    for message in (0, 2, 5, 6, -1):
        with pytest.raises(OptionError, match=rf"message {message} .* are 1, 3"):
            tiny_classifier.explain_words(CHAT, message)
    for output in ("shows_empathy", "anger"):
        with pytest.raises(OptionError, match="use emotional, shares_feelings"):
            tiny_classifier.explain_words(CHAT, output=output)
    with pytest.raises(OptionError, match="operating point"):
        tiny_classifier.explain(CHAT, operating_point="best")


def test_data_are_plain_and_text_is_not_printed(tiny_classifier: AffectClassifier) -> None:
    turns, words = tiny_classifier.explain(CHAT), tiny_classifier.explain_words(CHAT)
    for explanation in (turns, words):
        assert json.loads(json.dumps(explanation.to_dict())) == explanation.to_dict()
        assert "alone" not in repr(explanation)
    assert "alone" not in json.dumps(turns.to_dict())
    assert words.to_dict()["words"][-1]["word"] == "alone"
