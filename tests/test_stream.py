"""Streams of conversations through the classifier."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib import _batching
from affectlib._batching import _CHARACTERS, _CONVERSATIONS
from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.errors import InputTypeError, NoUserTextError, OptionError
from affectlib.model.scoring import WindowCache
from affectlib.predictions import ConversationFailure, ConversationPrediction
from tests.conftest import CHAT, SINGLE_MESSAGE, TASK, WORDS, user


def test_stream_keeps_order_and_number(tiny_classifier):
    chats = [
        Conversation(
            (Message("user", f"{SINGLE_MESSAGE if i % 3 else TASK} " + "word " * (i % 7)),),
            id=f"{i}",
        )
        for i in range(2 * _CONVERSATIONS + 5)
    ]
    predictions = list(tiny_classifier.stream(iter(chats)))
    assert [prediction.id for prediction in predictions] == [chat.id for chat in chats]
    assert predictions == tiny_classifier.predict(chats)
    assert [p.label for p in predictions[:4]] == ["task", "emotional", "emotional", "task"]


def test_stream_records_failures_in_their_place(tiny_classifier):
    unread = ConversationFailure("u", "half a line")
    items = [
        Conversation((Message("user", TASK),), id="a"),
        unread,
        Conversation((Message("assistant", "hello"),), id="b"),
        [user(None)],
        [user(SINGLE_MESSAGE)],
    ]
    outcomes = list(tiny_classifier.stream(items, on_error="record"))
    assert [type(outcome) for outcome in outcomes] == [
        ConversationPrediction,
        ConversationFailure,
        ConversationFailure,
        ConversationFailure,
        ConversationPrediction,
    ]
    assert outcomes[1] is unread
    assert (outcomes[2].id, outcomes[3].id) == ("b", None)
    assert outcomes[2].error.startswith("NoUserTextError: no message of the user has text")
    assert outcomes[3].error == "ConversationError: messages[0].content: expected text, got null"


def test_stream_raises_at_the_place_after_what_came_before(tiny_classifier):
    stream = tiny_classifier.stream(
        [[user(SINGLE_MESSAGE)], ConversationFailure(None, "x"), [], CHAT], on_error="raise"
    )
    assert next(stream).label == "emotional"
    assert next(stream) == ConversationFailure(None, "x")
    with pytest.raises(NoUserTextError, match=r"^conversation 2: the conversation is empty"):
        next(stream)


@pytest.mark.parametrize("on_error", ["raise", "record"])
@pytest.mark.parametrize(
    ("items", "named"),
    [
        (SINGLE_MESSAGE, "got str"),
        ([SINGLE_MESSAGE, CHAT], "item 1 is list and the first is str"),
        (CHAT, "item 0 is dict, a message; give conversations"),
        ([[user(SINGLE_MESSAGE)], 5], "item 1 is int and the first is list"),
        (Conversation(()), "got Conversation"),
    ],
)
def test_stream_refuses_other_types(tiny_classifier, on_error, items, named):
    with pytest.raises(InputTypeError, match=named):
        list(tiny_classifier.stream(items, on_error=on_error))


def test_stream_refuses_options_before_it_reads(tiny_classifier):
    with pytest.raises(OptionError, match="record or raise"):
        tiny_classifier.stream(pytest.fail, on_error="skip")


@pytest.mark.parametrize(
    ("chat", "first", "most"),
    [
        ([user("hello")], 8 + 16, 2 * _CONVERSATIONS),
        ([user("word " * (_CHARACTERS // 10))], 2, 4),
    ],
)
def test_stream_reads_ahead_a_bounded_number(tiny_classifier, chat, first, most):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield chat

    stream = tiny_classifier.stream(endless())
    assert taken == 0, "nothing is read before it is asked for"
    next(stream)
    assert taken == first, "the first one does not wait for many"
    ahead = [taken - done for done, _ in enumerate(islice(stream, 3 * most), 1)]
    assert max(ahead) == most
    stream.close()


def test_same_windows_are_computed_once(counting):
    classifier, engine = counting
    predictions = list(
        classifier.stream([[user(SINGLE_MESSAGE)], [user(TASK)], [user(SINGLE_MESSAGE)]] * 10)
    )
    assert len(engine.windows) == len(set(engine.windows)) == 2
    assert len(predictions) == 30
    assert predictions[0] == predictions[2] == predictions[27]


def test_same_windows_are_computed_once_across_buffers(counting):
    classifier, engine = counting
    chats = [[user(SINGLE_MESSAGE)], [user(TASK)]] * _CONVERSATIONS
    assert len(list(classifier.stream(chats))) == len(chats)
    assert len(engine.windows) == 2


def test_the_cache_drops_what_was_not_used_for_longest():
    cache = WindowCache(size=2)
    for key in (b"a", b"b"):
        cache.put({key: np.zeros(1, np.float32)})
    assert [*cache.take([b"a", b"x"])] == [b"a"]
    cache.put({b"c": np.ones(1, np.float32)})
    assert [*cache.take([b"a", b"b", b"c"])] == [b"a", b"c"]


def test_what_was_read_before_an_exception_is_labelled(tiny_classifier):
    def broken():
        yield from ([user(SINGLE_MESSAGE)] for _ in range(_CONVERSATIONS + 3))
        raise OSError("the disk is gone")

    stream = tiny_classifier.stream(broken())
    for _ in range(_CONVERSATIONS + 3):
        assert next(stream).label == "emotional"
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


@pytest.fixture(scope="module")
def bert(bert_folder):
    return lambda: AffectClassifier.from_pretrained(bert_folder, device="cpu", engine="onnx")


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=15).map(" ".join)


@given(texts=st.lists(sentences, min_size=2, max_size=12), data=st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_results_depend_on_neither_order_nor_buffer_nor_mates(bert, texts, data):
    chats = [[user(text)] for text in texts]
    alone = bert()
    expected = {text: alone.predict(text) for text in texts}
    order = data.draw(st.permutations(range(len(chats))))
    size = data.draw(st.integers(1, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_batching, "_CONVERSATIONS", size)
        found = [*bert().stream([chats[place] for place in order])]
    for place, prediction in zip(order, found, strict=True):
        (turn,) = prediction.messages
        assert turn.label == expected[texts[place]].label
        assert turn.probability == pytest.approx(expected[texts[place]].probability, abs=1e-5)
