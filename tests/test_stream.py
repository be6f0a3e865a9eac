"""Streams of conversations through the classifier."""

from __future__ import annotations

import pytest

from affectlib._inputs import _BUFFER_CHARACTERS, _BUFFER_CONVERSATIONS
from affectlib.conversation import Conversation, Message
from affectlib.errors import InputTypeError, NoUserTextError, OptionError
from affectlib.predictions import ConversationFailure, ConversationPrediction
from tests.conftest import ALONE, CHAT, TASK, user


def test_stream_keeps_order_and_number(tiny_classifier):
    chats = [
        Conversation(
            (Message("user", f"{ALONE if i % 3 else TASK} " + "word " * (i % 7)),), id=f"{i}"
        )
        for i in range(2 * _BUFFER_CONVERSATIONS + 5)
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
        [user(ALONE)],
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
    stream = tiny_classifier.stream([[user(ALONE)], ConversationFailure(None, "x"), [], CHAT])
    assert next(stream).label == "emotional"
    assert next(stream) == ConversationFailure(None, "x")
    with pytest.raises(NoUserTextError, match=r"^conversation 2: the conversation is empty"):
        next(stream)


@pytest.mark.parametrize("on_error", ["raise", "record"])
@pytest.mark.parametrize(
    ("items", "named"),
    [
        ([ALONE], "item 0 is str"),
        (CHAT, "item 0 is dict"),
        ([[user(ALONE)], None], "item 1 is NoneType"),
        (Conversation(()), "got Conversation"),
    ],
)
def test_stream_refuses_other_types(tiny_classifier, on_error, items, named):
    with pytest.raises(InputTypeError, match=named):
        list(tiny_classifier.stream(items, on_error=on_error))


def test_stream_refuses_options_before_it_reads(tiny_classifier):
    with pytest.raises(OptionError, match="raise or record"):
        tiny_classifier.stream(pytest.fail, on_error="skip")


@pytest.mark.parametrize(
    ("chat", "most"),
    [
        ([user("hello")], 2 * _BUFFER_CONVERSATIONS),
        ([user("word " * (_BUFFER_CHARACTERS // 10))], 4),
    ],
)
def test_stream_reads_ahead_a_bounded_number(tiny_classifier, chat, most):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield chat

    stream = tiny_classifier.stream(endless())
    assert taken == 0, "nothing is read before it is asked for"
    next(stream)
    assert taken == most
    stream.close()


def test_same_windows_are_computed_once(counting):
    classifier, engine = counting
    predictions = list(classifier.stream([[user(ALONE)], [user(TASK)], [user(ALONE)]] * 10))
    assert len(engine.windows) == len(set(engine.windows)) == 2
    assert len(predictions) == 30
    assert predictions[0] == predictions[2] == predictions[27]
