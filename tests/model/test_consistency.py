"""A conversation and its parts are judged alike, on chats that are made up of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.formats import read_conversations
from affectlib.taxonomy import EMOTIONAL

CALM = (
    ("Can you convert 3 miles to km?", "3 miles is about 4.83 km."),
    ("thanks, now sort the list by date", "Done, it is sorted by date."),
    ("Peux-tu me donner une recette de crêpes ?", "Bien sûr : farine, lait, œufs, sel."),
)
CHARGED = (
    ("I feel so alone since she left, can we just talk?", "I'm here."),
    ("je n'en peux plus, je pleure tous les soirs", "Je suis là."),
)


@pytest.fixture(scope="module")
def classifier():
    return AffectClassifier.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def chats():
    return [*read_conversations("examples/transcripts.jsonl")]


@pytest.fixture(scope="module")
def before(classifier, chats):
    return classifier.predict(chats)


def extended(chat: Conversation, exchange: tuple[str, str], at_end: bool) -> Conversation:
    added = (Message("user", exchange[0]), Message("assistant", exchange[1]))
    return Conversation((*chat.messages, *added) if at_end else (*added, *chat.messages))


def test_a_chat_of_one_message_has_one_answer(classifier):
    rows = Path("training/evaluation/robustness.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(row)["text"] for row in rows[::8]]
    found = classifier.predict([[{"role": "user", "content": text}] for text in texts])
    assert len(found) == 60
    for chat in found:
        (message,) = chat.messages
        assert (message.probability, message.label) == (chat.probability, chat.label)


def test_a_conversation_is_charged_where_one_of_its_messages_is(before):
    differ = [
        chat
        for chat in before
        if (chat.label == EMOTIONAL) != any(m.label == EMOTIONAL for m in chat.messages)
    ]
    assert len(differ) <= 1


@pytest.mark.parametrize(("exchange", "at_end"), [*zip(CALM, (True, False, True), strict=True)])
def test_a_calm_exchange_more_changes_no_label(classifier, chats, before, exchange, at_end):
    found = classifier.predict([extended(chat, exchange, at_end) for chat in chats])
    assert [chat.label for chat in found] == [chat.label for chat in before]
    raised = [
        new.probability > old.probability + 0.05 for new, old in zip(found, before, strict=True)
    ]
    assert sum(raised) <= 2


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("exchange", CHARGED)
def test_a_charged_exchange_more_makes_it_charged(classifier, chats, before, exchange, at_end):
    found = classifier.predict([extended(chat, exchange, at_end) for chat in chats])
    calm = [place for place, chat in enumerate(before) if chat.label != EMOTIONAL]
    assert sum(found[place].label == EMOTIONAL for place in calm) >= 0.8 * len(calm)
    assert all(found[place].probability > before[place].probability for place in calm)
