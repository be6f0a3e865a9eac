from __future__ import annotations

import dataclasses
import json

import pytest

from affectlib.errors import InputTypeError
from affectlib.predictions import (
    ConversationFailure,
    ConversationPrediction,
    MessagePrediction,
    Predictions,
    to_frame,
)

USER = MessagePrediction(
    0,
    "user",
    "emotional",
    0.75,
    {"in_crisis": 0.5},
    truncated_tokens=3,
    shown_cues=("in_crisis",),
    threshold=0.5,
    intensity=1.75,
    themes={"grief": 0.75, "money": 0.25},
    shown_themes=("grief",),
)
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
    shown_cues=("in_crisis",),
    threshold=0.4,
    intensity=1.25,
    themes={"grief": 0.75, "money": 0.25},
    shown_themes=("grief",),
)
FAILED = ConversationFailure("a2", "broken")


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
    CHAT.to_dict()["themes"]["grief"] = 0.0
    assert CHAT.themes["grief"] == 0.75
    assert USER.cues == {"in_crisis": 0.5}
    assert CHAT.cues["in_crisis"] == 0.5


@pytest.mark.parametrize("prediction", [USER, CHAT, FAILED])
def test_predictions_cannot_be_changed(
    prediction: MessagePrediction | ConversationPrediction | ConversationFailure,
) -> None:
    first = dataclasses.fields(prediction)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(prediction, first, None)
    assert not hasattr(prediction, "__dict__")


def test_what_failed_has_neither_label_nor_probability() -> None:
    assert (FAILED.label, FAILED.probability, FAILED.status) == (None, None, "error")


def test_frame_of_conversations() -> None:
    empty = ConversationFailure(None, "nobody wrote", "empty")
    frame = to_frame(iter([CHAT, FAILED, empty]))
    assert frame["conversation_id"].tolist()[:2] == ["a1", "a2"]
    assert frame["status"].tolist() == ["ok", "error", "empty"]
    assert frame["error"].fillna("").tolist() == ["", "broken", ""]
    assert frame["label"].fillna("").tolist() == ["emotional", "", ""]
    assert frame.loc[0, ["any", "adjusted", "rate", "truncated_tokens"]].tolist() == [
        True,
        0.75,
        1.0,
        3,
    ]
    assert frame["in_crisis"].tolist()[0] == 0.5
    assert frame["intensity"].tolist()[0] == 1.25
    assert frame["shows_empathy"].isna().tolist() == [False, True, True]
    scores = ["in_crisis", "shows_empathy", "theme_money", "theme_grief"]
    assert [*frame.columns][-4:] == scores
    assert frame["theme_grief"].tolist()[0] == 0.75
    assert frame["theme_grief"].isna().tolist() == [False, True, True]


def test_frame_of_texts() -> None:
    found = Predictions([USER, ConversationFailure(None, "it is missing", "empty")])
    frame = found.to_frame()
    assert [*frame.columns] == [
        "status", "error", "label", "probability", "intensity", "truncated_tokens", "in_crisis",
        "theme_money", "theme_grief",
    ]  # fmt: skip
    assert frame["probability"].tolist()[0] == 0.75
    assert frame["probability"].isna().tolist() == [False, True]
    assert to_frame([]).shape == (0, 6)


@pytest.mark.parametrize("mixed", [[USER, CHAT], [USER, None], ["emotional"]])
def test_frame_of_other_things(mixed: list[object]) -> None:
    with pytest.raises(InputTypeError, match="expected predictions of texts or of conversations"):
        to_frame(mixed)
