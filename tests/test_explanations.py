"""Shares of turns and words, with the tiny artifact: logits are sums over words."""

from __future__ import annotations

import json
import math
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.errors import ConversationError, InputTypeError, NoUserTextError, OptionError
from affectlib.model.calibration import logit, sigmoid
from affectlib.model.text.groups import GROUPS, word_groups
from affectlib.model.text.unicode import normalize_unicode
from tests.conftest import (
    BIAS,
    CHAT,
    SINGLE_MESSAGE,
    TASK,
    WORD_LOGITS,
    WORDS,
    assistant,
    user,
)
from tools.marked_phrases import found, marked_messages

TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
CHATS = st.lists(TEXT.map(user), min_size=1, max_size=6)
share_the_classifier = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def word_logit(word: str) -> float:
    return WORD_LOGITS.get(word, {}).get("emotional", 0.0)


# Turns.


def test_shares_of_turns(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain(CHAT)
    prediction = tiny_classifier.predict(CHAT)
    assert explanation.prediction == prediction
    assert explanation.base == tiny_classifier.artifact.prevalence
    assert [turn.index for turn in explanation.turns] == [1, 3]
    task, alone = explanation.turns
    assert (task.label, alone.label) == ("task", "emotional")
    assert task.probability == prediction.messages[0].probability
    # Without the charged message, the highest is the assistant's, which adds nothing to the bias.
    assert logit(task.without) == pytest.approx(BIAS + 6)
    assert logit(alone.without) == pytest.approx(BIAS)
    for turn, itself in ((task, sigmoid(BIAS - 4)), (alone, sigmoid(BIAS + 6))):
        lost, gained = prediction.probability - turn.without, itself - explanation.base
        assert turn.share == pytest.approx((lost + gained) / 2, abs=2e-5)


def test_a_lone_turn_is_held_against_the_prevalence(tiny_classifier: AffectClassifier) -> None:
    (turn,) = tiny_classifier.explain("i am sad").turns
    assert turn.without == tiny_classifier.artifact.prevalence
    assert turn.share == pytest.approx(turn.probability - turn.without, abs=2e-5)


@share_the_classifier
@given(chat=CHATS, data=st.data())
def test_without_a_turn_is_what_the_others_give(
    tiny_classifier: AffectClassifier, chat: list[Any], data: st.DataObject
) -> None:
    turns = tiny_classifier.explain(chat).turns
    assert len(turns) == len(chat)
    left_out = data.draw(st.integers(0, len(chat) - 1))
    others = chat[:left_out] + chat[left_out + 1 :]
    if others:
        expected = tiny_classifier.predict(others).probability
        assert turns[left_out].without == pytest.approx(expected, abs=2e-5)


@share_the_classifier
@given(chat=CHATS)
def test_the_more_charged_a_turn_the_larger_its_share(
    tiny_classifier: AffectClassifier, chat: list[Any]
) -> None:
    turns = sorted(tiny_classifier.explain(chat).turns, key=lambda turn: turn.probability)
    assert all(a.share <= b.share + 2e-5 for a, b in pairwise(turns))
    same = {turn.probability: turn.share for turn in turns}
    assert all(abs(turn.share - same[turn.probability]) < 2e-5 for turn in turns)


def test_turns_that_say_the_same_have_a_share_each(tiny_classifier: AffectClassifier) -> None:
    chat = [user(SINGLE_MESSAGE)] * 3 + [user("a word"), user(TASK)]
    *charged, word, task = tiny_classifier.explain(chat).turns
    assert abs(word.share) < 0.06
    assert abs(task.share) < 0.06
    assert all(turn.share > 0.25 for turn in charged)


def test_only_windows_that_hold_a_turn_are_read_again(counting: Any) -> None:
    classifier, engine = counting
    said = [*map(" ".join, product(WORDS, repeat=3))]

    def work(turns: int) -> int:
        engine.windows.clear()
        classifier.explain([user(text) for text in said[-turns:]])
        return len(engine.windows)

    small = work(100)
    assert work(400) <= 4.4 * small


def test_many_turns(tiny_classifier: AffectClassifier) -> None:
    chat = [user(TASK), assistant("hello")] * 5000 + [user(SINGLE_MESSAGE)]
    explanation = tiny_classifier.explain(chat)
    assert len(explanation.turns) == 5001
    assert max(explanation.turns, key=lambda turn: turn.share).index == 10_000
    assert logit(explanation.turns[-1].without) == pytest.approx(BIAS)
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
    assert " ".join(text[word.start : word.stop] for word in explanation.words) == text
    for share in explanation.words:
        words = text[share.start : share.stop].split()
        assert share.share == pytest.approx(sum(map(word_logit, words)), abs=1e-5)
    expected = 1 / (1 + math.exp(-BIAS - sum(map(word_logit, text.split()))))
    assert explanation.probability == pytest.approx(expected, abs=1e-5)


@share_the_classifier
@given(text=st.text(max_size=80).filter(lambda text: normalize_unicode(text).strip()))
def test_every_text_has_its_words(tiny_classifier: AffectClassifier, text: str) -> None:
    explanation = tiny_classifier.explain_words(text)
    groups = [explanation.text[w.start : w.stop] for w in explanation.words]
    assert "".join("".join(groups).split()) == "".join(explanation.text.split())
    assert all(math.isfinite(word.share) for word in explanation.words)
    assert [word.start for word in explanation.words] == sorted(w.start for w in explanation.words)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("i miss you", ["i miss you"]),
        ("they left me and I was crying", ["they left me", "and I was crying"]),
        (
            "my boss yelled at me. How do I answer his mail?",
            ["my boss", "yelled at me.", "How", "do I answer", "his mail?"],
        ),
        ("je me sens seule\nmerci", ["je me sens", "seule", "merci"]),
        ("you", ["you"]),
        ("...", ["..."]),
    ],
)
def test_groups_of_words(text: str, groups: list[str]) -> None:
    assert [text[start:stop] for start, stop in word_groups(text)] == groups


@share_the_classifier
@given(
    text=st.lists(
        st.sampled_from(["a", "the", "and", "cry", "so", "alone.", "me,", "\n", "x" * 50]),
        max_size=300,
    ).map(" ".join)
)
def test_groups_are_bounded_and_hold_all_words(text: str) -> None:
    groups = word_groups(text)
    assert len(groups) <= GROUPS
    assert "".join("".join(text[slice(*span)].split()) for span in groups) == "".join(text.split())
    assert all(a < b for a, b in groups)


def test_what_is_printed_shows_the_words(tiny_classifier: AffectClassifier) -> None:
    shown = str(tiny_classifier.explain_words("the csv file. i am so alone")).splitlines()
    assert shown[0].startswith("message 0: probability of emotional 0.")
    assert any(line.split() == ["+6.00", "so", "alone"] for line in shown[1:])


def test_the_marked_phrase_has_the_largest_share() -> None:
    messages = marked_messages()
    assert len({message.text for message in messages}) == 200
    some = messages[::5]
    assert sum(found(AffectClassifier.from_pretrained(device="cpu"), some)) >= 0.95 * len(some)


def test_the_most_charged_message_is_explained(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain_words(CHAT)
    assert explanation.index == 3
    assert explanation.top(1) == [("so alone", pytest.approx(6.0))]
    assert tiny_classifier.explain_words(CHAT, 1).top(1) == [("the csv", pytest.approx(-4.0))]


def test_cues_are_explained(tiny_classifier: AffectClassifier) -> None:
    chat = [user(SINGLE_MESSAGE), user("i am sad sad")]
    explanation = tiny_classifier.explain_words(chat, output="shares_feelings")
    assert (explanation.index, explanation.output) == (1, "shares_feelings")
    assert explanation.top(2) == [("i am sad", pytest.approx(4.0)), ("sad", pytest.approx(4.0))]
    found = tiny_classifier.predict(chat).messages[1].cues["shares_feelings"]
    assert explanation.probability == pytest.approx(found)


def test_the_message_is_read_in_its_conversation(bert_folder: Path) -> None:
    classifier = AffectClassifier.from_pretrained(bert_folder, engine="onnx", device="cpu")
    before, after = [user(TASK), assistant("sorry")], [user("sad")]

    def read(text: str) -> float:
        found = classifier.predict([*before, user(text), *after]).messages[2]
        return logit(found.probability or 0.0)

    *_, last = classifier.explain_words([*before, user(SINGLE_MESSAGE), *after], 2).words
    expected = (read(SINGLE_MESSAGE) - read("i am ") + read("so alone") - read("…")) / 2
    assert last.share == pytest.approx(expected, abs=1e-3)
    *_, by_itself = classifier.explain_words(SINGLE_MESSAGE).words
    assert last.share != pytest.approx(by_itself.share, abs=1e-2)


def test_messages_of_which_nothing_is_seen_change_nothing(bert_folder: Path) -> None:
    classifier = AffectClassifier.from_pretrained(bert_folder, engine="onnx", device="cpu")
    plain = classifier.explain_words([user("sad"), user(SINGLE_MESSAGE)], 1)
    blank = [user("\u200b")] * 3
    found = classifier.explain_words([user("sad"), *blank, user(SINGLE_MESSAGE)], 4)
    assert found.words == plain.words


@pytest.mark.parametrize("words", [10, 128, 3000])
def test_long_messages_are_explained_by_longer_groups(counting: Any, words: int) -> None:
    classifier, engine = counting
    text = "alone. " + "a word " * (words // 2)
    explanation = classifier.explain_words(text)
    assert len(explanation.words) <= GROUPS
    assert explanation.words[0].start == 0
    assert explanation.words[-1].stop == len(text.rstrip())
    assert explanation.top(1)[0][0].startswith("alone")
    assert len(engine.windows) <= 2 * GROUPS + 2


def test_windows_are_batched(counting: Any) -> None:
    classifier, engine = counting
    calls = []
    logits = engine.logits
    engine.logits = lambda ids, *others: calls.append(len(ids)) or logits(ids, *others)
    classifier.explain_words("i am so alone a word the csv file")
    assert len(calls) <= 3
    assert sum(calls) == len(engine.windows)


def test_long_words_are_cut(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain_words("alone " + "x" * 60)
    assert explanation.words[-1].stop == len("alone ") + 60
    assert len(explanation.words) > 1


# What both refuse, and how both show.


@pytest.mark.parametrize("name", ["explain", "explain_words"])
def test_other_things_are_refused(tiny_classifier: AffectClassifier, name: str) -> None:
    explain = getattr(tiny_classifier, name)
    for listed in ([SINGLE_MESSAGE], [[user(SINGLE_MESSAGE)]], [], (SINGLE_MESSAGE, TASK)):
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
        with pytest.raises(OptionError, match=r"use emotional, .*shares_feelings, .*joy_and_pride"):
            tiny_classifier.explain_words(CHAT, output=output)
    with pytest.raises(OptionError, match="operating point"):
        tiny_classifier.explain(CHAT, operating_point="best")


def test_data_are_plain_and_text_is_not_printed(tiny_classifier: AffectClassifier) -> None:
    turns, words = tiny_classifier.explain(CHAT), tiny_classifier.explain_words(CHAT)
    for explanation in (turns, words):
        assert json.loads(json.dumps(explanation.to_dict())) == explanation.to_dict()
        assert "alone" not in repr(explanation)
    assert "alone" not in json.dumps(turns.to_dict()) + str(turns)
    assert str(turns).startswith(str(turns.prediction))
    assert f"message {turns.turns[0].index}: probability" in str(turns)
    assert words.to_dict()["words"][-1]["word"] == "so alone"
