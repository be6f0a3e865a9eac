"""Whole chats to logits: batches change nothing, and one chat has one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.model import scoring
from affectlib.model.artifacts import load_artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine, load_engine
from affectlib.model.scoring import Scores, WindowCache, score
from tests.conftest import SINGLE_MESSAGE, TASK, WORDS, CountingEngine, assistant, user

calm = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
said = st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map(" ".join)
messages = st.builds(Message, st.sampled_from(["user", "assistant", "system"]), said)
chats = st.lists(messages, min_size=1, max_size=7).map(lambda m: Conversation(tuple(m)))


class Reader:
    """A tiny BERT that reads whole chats."""

    def __init__(self, folder: Path) -> None:
        artifact = load_artifact(folder)
        self.encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
        self.engine: Engine = load_engine(artifact, engine="onnx", device="cpu", threads=1)

    def __call__(self, given: list[Conversation], **options: Any) -> list[Scores]:
        return score(given, self.encoder, self.engine, **options)


@pytest.fixture(scope="module")
def reader(bert_folder):
    return Reader(bert_folder)


def same(one: Scores, other: Scores) -> None:
    np.testing.assert_allclose(one.windows, other.windows, atol=2e-5)
    assert [*one.messages] == [*other.messages]
    for place, row in one.messages.items():
        np.testing.assert_allclose(row, other.messages[place], atol=2e-5)
    assert one.truncated == other.truncated


@calm
@given(given=st.lists(chats, min_size=1, max_size=6), tokens=st.integers(1, 400))
def test_no_chat_depends_on_its_batch_mates(reader, given, tokens):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "CPU_BATCH_TOKENS", tokens)
        together = reader(given)
    assert len(together) == len(given)
    for chat, found in zip(given, together, strict=True):
        same(found, reader([chat])[0])


@calm
@given(chat=chats)
def test_every_message_that_can_be_read_has_logits_in_order(reader, chat):
    (found,) = reader([chat])
    read = [i for i, m in enumerate(chat.messages) if m.role != "system"]
    assert sorted(found.messages) == [*found.messages] == [*found.truncated] == read
    (windows,) = reader.encoder.encode([chat])
    assert len(found.windows) == len(windows)


def test_a_message_of_two_windows_has_the_highest_logit_of_each_output(reader):
    chat = Conversation((Message("user", "i am so alone the csv file hello sad"),) * 4)
    (windows,) = reader.encoder.encode([chat])
    assert len(windows) > 1
    (found,) = reader([chat])
    rows = [
        one.messages[place]
        for one, window in zip(
            scoring.score_windows([[w] for w in windows], reader.engine, reader.encoder.pad_id),
            windows,
            strict=True,
        )
        for place in window.messages
        if place == 1
    ]
    assert len(rows) == 2
    np.testing.assert_allclose(found.messages[1], np.max(rows, axis=0), atol=2e-5)


def test_windows_that_are_the_same_are_run_once(reader):
    chat = Conversation((Message("user", "hello"), Message("assistant", "sorry")))
    counting = CountingEngine(reader.engine)
    known = WindowCache()
    first = score([chat] * 3, reader.encoder, counting, known=known)
    again = score([chat], reader.encoder, counting, known=known)
    assert len(counting.windows) == known.run == 1
    for found in (*first, *again):
        same(found, first[0])


def test_the_cache_drops_what_was_not_used_for_longest():
    known = WindowCache(size=2)
    row = np.zeros((2, 1), np.float32)
    known.put({b"a": row, b"b": row})
    known.take([b"a"])
    known.put({b"c": row})
    assert [*known.take([b"a", b"b", b"c"])] == [b"a", b"c"]


@calm
@given(text=said, replies=st.lists(said, max_size=2))
def test_a_user_s_only_message_has_the_answer_of_the_chat(bert_classifier, text, replies):
    found = bert_classifier.predict([user(text), *map(assistant, replies)])
    (message,) = (one for one in found.messages if one.role == "user")
    assert (message.probability, message.label) == (found.probability, found.label)
    assert message.intensity == found.intensity
    assert dict(message.themes) == dict(found.themes)
    if not replies:
        alone = bert_classifier.predict(text)
        assert alone.probability == pytest.approx(found.probability, abs=1e-6)


@pytest.fixture(scope="module")
def bert_classifier(bert_folder):
    return AffectClassifier.from_pretrained(bert_folder, device="cpu", engine="onnx")


@calm
@given(calm_turns=st.integers(0, 40), place=st.integers(0, 40))
def test_calm_turns_do_not_change_a_chat_and_a_charged_one_raises_it(
    tiny_classifier, calm_turns, place
):
    """For a model whose windows say what the highest of their messages does."""
    task = [user(TASK), assistant("hello")] * (1 + calm_turns)
    calm_chat = tiny_classifier.predict(task)
    assert calm_chat.label == "task"
    place = min(place, len(task))
    charged = tiny_classifier.predict([*task[:place], user(SINGLE_MESSAGE), *task[place:]])
    assert charged.label == "emotional"
    assert charged.probability == tiny_classifier.predict(SINGLE_MESSAGE).probability
    assert [m.index for m in charged.messages if m.label == "emotional"] == [place]
