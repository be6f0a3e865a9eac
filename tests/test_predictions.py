from __future__ import annotations

import dataclasses
import json

import pytest

from affectlib.predictions import ConversationFailure, ConversationPrediction, MessagePrediction

USER = MessagePrediction(0, "user", "emotional", 0.75, {"in_crisis": 0.5}, truncated_tokens=3)
ASSISTANT = MessagePrediction(1, "assistant", None, None, {"shows_empathy": 0.25})
CHAT = ConversationPrediction(
    id="a1",
    label="emotional",
    probability=0.5,
    messages=(USER, ASSISTANT),
    cues={"in_crisis": 0.5, "shows_empathy": 0.25},
    any=True,
    adjusted=0.75,
    rate=1.0,
    truncated_tokens=3,
)


@pytest.mark.parametrize("prediction", [USER, ASSISTANT, CHAT])
def test_dict_has_every_field_and_survives_json(
    prediction: MessagePrediction | ConversationPrediction,
) -> None:
    values = prediction.to_dict()
    assert values.keys() == {field.name for field in dataclasses.fields(prediction)}
    assert json.loads(json.dumps(values)) == values


def test_dict_of_a_conversation_holds_those_of_its_turns() -> None:
    assert CHAT.to_dict()["messages"] == [USER.to_dict(), ASSISTANT.to_dict()]


def test_dict_is_a_copy() -> None:
    USER.to_dict()["cues"]["in_crisis"] = 0.0
    CHAT.to_dict()["cues"]["in_crisis"] = 0.0
    assert USER.cues == {"in_crisis": 0.5}
    assert CHAT.cues["in_crisis"] == 0.5


def test_rows_are_flat_one_a_message() -> None:
    assert CHAT.to_rows() == [
        {
            "conversation_id": "a1",
            "index": 0,
            "role": "user",
            "label": "emotional",
            "probability": 0.75,
            "truncated_tokens": 3,
            "in_crisis": 0.5,
        },
        {
            "conversation_id": "a1",
            "index": 1,
            "role": "assistant",
            "label": None,
            "probability": None,
            "truncated_tokens": 0,
            "shows_empathy": 0.25,
        },
    ]


@pytest.mark.parametrize("prediction", [USER, CHAT, ConversationFailure("a1", "broken")])
def test_predictions_cannot_be_changed(
    prediction: MessagePrediction | ConversationPrediction | ConversationFailure,
) -> None:
    first = dataclasses.fields(prediction)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(prediction, first, None)
    assert not hasattr(prediction, "__dict__")
