from __future__ import annotations

import math
from typing import Any

import pytest

from affectlib.finetuning.labelled import SEVERAL_TURNS
from affectlib.taxonomy import CHARGES, OUTPUTS, THEMES
from tests.conftest import assistant, user
from training.data.sources import from_gold, from_silver, from_twin, read_corpus, read_rows

CHAT = [user("fix my code"), assistant("Done."), user("I feel lost"), assistant("I am here.")]
LONELY = {"shares_feelings", "seeks_company"}


def gold(cues: list[str], turns: list[int], charge: int, messages: Any = CHAT) -> dict[str, Any]:
    labels = {"charge": charge, "cues": cues, "turns": turns, "decoy": None}
    return {"id": "a-1", "pair": "p1", "messages": messages, "labels": labels}


def targets(row: dict[str, Any]) -> dict[int, dict[str, float]]:
    """The known targets of each message by output; those that are unknown are left out."""
    return named(from_gold(row, "corpus").targets())


def known(by_message: dict[int, list[float]]) -> dict[int, dict[str, float]]:
    return {
        index: {
            name: value
            for name, value in zip(OUTPUTS, values, strict=True)
            if not math.isnan(value)
        }
        for index, values in by_message.items()
    }


def named(by_message: dict[int, list[float]]) -> dict[int, dict[str, float]]:
    """The known targets but those of themes and other charges, which have tests of their own."""
    return {
        index: {
            name: value
            for name, value in values.items()
            if name == "emotional" or name not in {*CHARGES, *THEMES}
        }
        for index, values in known(by_message).items()
    }


def charges(values: dict[str, float]) -> list[float | None]:
    return [values.get(name) for name in CHARGES]


def test_charge_of_a_turn_is_known_as_far_as_the_labels_say() -> None:
    def found(charge: int, turns: list[int], **labels: Any) -> list[list[float | None]]:
        row = gold([], turns, charge)
        row["labels"] |= labels
        by_message = known(from_gold(row, "corpus").targets())
        return [charges(by_message[0]), charges(by_message[2])]

    assert found(0, []) == [[0.0, 0.0, 0.0]] * 2
    assert found(1, []) == [[None, 0.0, 0.0]] * 2  # one of them has a passing touch
    assert found(2, [2]) == [[None, 0.0, 0.0], [1.0, 1.0, 0.0]]
    assert found(3, [2]) == [[None, 0.0, 0.0], [1.0, 1.0, 1.0]]
    assert found(3, [1, 2]) == [[1.0, 1.0, None]] * 2
    assert found(1, [], charges={"2": 1}) == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    single = gold([], [], 1)
    single["messages"] = single["messages"][:1]
    assert charges(known(from_gold(single, "corpus").targets())[0]) == [1.0, 0.0, 0.0]
    exact = found(3, [1, 2], charges={"1": 2, "2": [2, 3]})
    assert exact == [[1.0, 1.0, 0.0], [1.0, 1.0, None]]


def test_themes_are_those_of_charged_messages() -> None:
    row = gold(["U1"], [2], 2)
    row["labels"]["themes"] = ["grief", "family"]
    found = known(from_gold(row, "corpus").targets())
    assert not THEMES.keys() & found[0].keys()
    assert {name for name in THEMES if found[2][name]} == {"grief", "family"}
    row["labels"]["turns"] = [1, 2]
    assert known(from_gold(row, "corpus").targets())[0]["grief"] == SEVERAL_TURNS
    del row["labels"]["themes"]
    assert not THEMES.keys() & known(from_gold(row, "corpus").targets())[2].keys()


def test_a_twin_is_a_real_chat_with_targets_where_it_was_written_anew() -> None:
    row = {"id": "c", "lang": "en", "messages": CHAT, "labels": {"charge": 1}}
    labels = {"charge": 2, "cues": ["U1"], "turns": [2], "themes": ["work_and_study"]}
    twin = {
        "id": "c:weight",
        "of": "c",
        "changed": {"2": "they fired me and I can't breathe"},
        "charges": {"2": 2},
        "labels": labels,
    }
    made = from_twin(row, twin)
    texts = [message.content for message in made.conversation.messages]
    assert texts == ["fix my code", "Done.", "they fired me and I can't breathe", "I am here."]
    found = known(made.targets())
    assert charges(found[0]) == [None, None, None]
    assert charges(found[2]) == [1.0, 1.0, 0.0]
    assert found[2]["work_and_study"] == found[2]["shares_feelings"] == 1.0
    assert (made.emotional, made.charged, made.row["pair"]) == (True, {2}, "c")


def test_twins_and_their_labels_fit_each_other() -> None:
    for twin in read_rows("twins.jsonl"):
        labels = twin["labels"]
        assert set(map(str, labels["turns"])) <= twin["charges"].keys() == twin["changed"].keys()
        highest = max(c if isinstance(c, int) else c[1] for c in twin["charges"].values())
        assert highest == labels["charge"], twin["id"]
        assert bool(labels["turns"]) == (labels["charge"] >= 2)


def shown(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value}


def test_charged_turn_carries_the_label_and_its_cues() -> None:
    found = targets(gold(["U1", "U4"], [2], 2))
    assert shown(found[0]) == {}
    assert shown(found[2]) == {"emotional": 1.0, "shares_feelings": 1.0, "seeks_company": 1.0}
    assert len(found[0]) == len(found[2]) == 10


def test_a_role_has_targets_of_its_own_outputs_alone() -> None:
    found = targets(gold(["U1"], [2], 2))
    assert set(found[1]) == set(found[3]) == {"shows_empathy", "claims_affection"}
    assert not {"shows_empathy", "claims_affection"} & {*found[0], *found[2]}


def test_cue_of_several_charged_turns_is_less_sure_at_each() -> None:
    found = targets(gold(["U1", "A1"], [1, 2], 3))
    for index in (0, 2):
        assert shown(found[index]) == {"emotional": 1.0, "shares_feelings": SEVERAL_TURNS}
    for index in (1, 3):
        assert shown(found[index]) == {"shows_empathy": SEVERAL_TURNS}
    assert 0.5 < SEVERAL_TURNS < 1


def test_cue_of_an_uncharged_conversation_is_unknown_and_others_are_absent() -> None:
    found = targets(gold(["U7", "A1"], [], 1))
    for index in (0, 2):
        assert "humanizes_assistant" not in found[index]
        assert found[index]["emotional"] == 0.0
        assert shown(found[index]) == {}
        assert len(found[index]) == 9
    for index in (1, 3):
        assert found[index] == {"claims_affection": 0.0}


def test_assistant_cue_is_known_only_in_the_answer_to_a_charged_turn() -> None:
    found = targets(gold(["U1", "A1"], [2], 2))
    assert "shows_empathy" not in found[1]
    assert found[3] == {"shows_empathy": 1.0, "claims_affection": 0.0}


def test_assistant_that_speaks_first_answers_no_charged_turn() -> None:
    found = targets(gold(["A2", "U1"], [1], 2, [assistant("Hi, love"), user("I miss you")]))
    assert "claims_affection" not in found[0]
    assert found[0] == {"shows_empathy": 0.0}


def test_cues_labelled_by_turn_hold_for_that_turn_and_its_answer_alone() -> None:
    row = gold(["A1", "U1", "U7"], [2], 2)
    row["labels"]["turn_cues"] = {"1": ["U7"], "2": ["U1", "A1"]}
    found = targets(row)
    assert shown(found[0]) == {"humanizes_assistant": 1.0}
    assert shown(found[1]) == {}
    assert shown(found[2]) == {"emotional": 1.0, "shares_feelings": 1.0}
    assert shown(found[3]) == {"shows_empathy": 1.0}
    assert [len(found[index]) for index in range(4)] == [10, 2, 10, 2]


def test_cues_of_a_turn_hold_for_every_answer_up_to_the_next_one() -> None:
    messages = [assistant("Hello."), user("I feel lost"), assistant("Oh."), assistant("I am here.")]
    row = gold(["A1", "U1"], [1], 2, messages)
    row["labels"]["turn_cues"] = {"1": ["U1", "A1"]}
    found = targets(row)
    assert shown(found[0]) == {}
    assert shown(found[2]) == shown(found[3]) == {"shows_empathy": 1.0}


def test_cues_by_turn_add_up_to_those_of_the_conversation() -> None:
    rows = [row for row in read_corpus() if "turn_cues" in row["labels"]]
    assert len(rows) > 500
    for row in rows:
        codes = {code for of_turn in row["labels"]["turn_cues"].values() for code in of_turn}
        assert codes == set(row["labels"]["cues"]), row["id"]


def test_system_and_tool_messages_have_no_targets_and_do_not_count_as_turns() -> None:
    messages = [{"role": "system", "content": "Be kind."}, user("hi"), user("I feel lost")]
    found = targets(gold(["U1"], [2], 2, messages))
    assert set(found) == {1, 2}
    assert [found[index]["emotional"] for index in (1, 2)] == [0.0, 1.0]


@pytest.mark.parametrize(("charge", "emotional"), [(0, False), (1, False), (2, True), (3, True)])
def test_conversation_is_emotional_from_charge_two(charge: int, emotional: bool) -> None:
    assert from_gold(gold([], [1] if emotional else [], charge), "corpus").emotional is emotional


def test_gold_keeps_what_the_row_says_but_no_text() -> None:
    labelled = from_gold(gold(["U1"], [2], 2), "corpus")
    assert labelled.row["pair"] == "p1"
    assert "messages" not in labelled.row
    assert labelled.conversation.id == "a-1"


def test_corpus_conversation_is_emotional_exactly_if_a_message_is() -> None:
    for row in read_corpus():
        labelled = from_gold(row, "corpus")
        charged = [values[0] for values in labelled.targets().values() if values[0] == 1.0]
        assert bool(charged) is labelled.emotional
        assert len(charged) == len(row["labels"]["turns"])


def test_silver_task_is_uncharged_in_every_message_and_has_no_cue() -> None:
    row = {"id": 7, "messages": CHAT}
    labelled = from_silver(row, "toy")
    found = named(labelled.targets())
    assert all(shown(values) == {} for values in found.values())
    assert [len(found[index]) for index in range(4)] == [10, 2, 10, 2]
    assert labelled.conversation.id == "7"


def test_silver_takes_other_speakers_for_users_and_drops_messages_without_text() -> None:
    messages = [{"role": "other", "content": "hello"}, assistant(None), user("bye")]
    labelled = from_silver({"id": 1, "messages": messages}, "toy")
    assert [(m.role, m.content) for m in labelled.conversation.messages] == [
        ("user", "hello"),
        ("user", "bye"),
    ]


def test_gold_takes_other_speakers_for_users() -> None:
    labels = {"charge": 2, "cues": [], "turns": [1]}
    row = {"id": "l", "messages": [{"role": "other", "content": "I miss her."}], "labels": labels}
    assert shown(named(from_gold(row, "toy").targets())[0]) == {"emotional": 1.0}
