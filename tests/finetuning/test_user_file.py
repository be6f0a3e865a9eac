from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from affectlib.errors import TranscriptFormatError
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.taxonomy import CUES, OUTPUTS
from tests.conftest import assistant, user

CHAT = [user("fix my code"), assistant("Done."), user("I feel lost"), assistant("I am here.")]
LONELY = {"shares_feelings", "seeks_company"}


def write_jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, *rows: tuple[str, ...], header: str = "") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((header or "conversation_id role content label").split())
        writer.writerows(rows)
    return path


def emotional(by_message: dict[int, list[float]]) -> dict[int, float]:
    """The target of the label for each message of which it is known."""
    place = OUTPUTS.index("emotional")
    return {i: values[place] for i, values in by_message.items() if values[place] == values[place]}


def test_jsonl_with_turns_and_cues(tmp_path: Path) -> None:
    row = {"id": 5, "messages": CHAT, "label": "emotional", "turns": [2], "cues": sorted(LONELY)}
    [labelled] = read_labelled_file(write_jsonl(tmp_path / "mine.jsonl", row))
    assert labelled.emotional
    assert labelled.turns_known
    assert labelled.charged == {2}
    assert labelled.cues == LONELY
    assert labelled.conversation.id == "5"
    targets = dict(zip(OUTPUTS, labelled.targets()[2], strict=True))
    assert {name for name in CUES if targets[name] == 1} == LONELY
    assert emotional(labelled.targets()) == {0: 0.0, 2: 1.0}


def test_without_turns_it_is_not_known_which_of_several_messages_are_charged(
    tmp_path: Path,
) -> None:
    messages = [user("hi"), assistant("A very long answer, longer than all."), user("I feel lost")]
    rows = [{"messages": messages, "label": label} for label in ("emotional", "task")]
    charged, plain = read_labelled_file(write_jsonl(tmp_path / "mine.jsonl", *rows))
    assert not charged.turns_known
    assert emotional(charged.targets()) == {}
    assert plain.turns_known
    assert emotional(plain.targets()) == {0: 0.0, 2: 0.0}
    chosen = charged.with_charged({2})
    assert chosen.turns_known
    assert emotional(chosen.targets()) == {0: 0.0, 2: 1.0}


def test_the_only_message_of_an_emotional_conversation_is_charged(tmp_path: Path) -> None:
    row = {"messages": [user("I feel lost"), assistant("I see.")], "label": "emotional"}
    [labelled] = read_labelled_file(write_jsonl(tmp_path / "mine.jsonl", row))
    assert labelled.charged == {0}


def test_other_fields_are_kept_but_no_text(tmp_path: Path) -> None:
    row = {"messages": CHAT, "label": "task", "user_id": "u1"}
    [labelled] = read_labelled_file(write_jsonl(tmp_path / "mine.jsonl", row))
    assert labelled.row["user_id"] == "u1"
    assert "messages" not in labelled.row
    path = tmp_path / "mine.csv"
    path.write_text("conversation_id,role,content,label,cues,who\nc1,user,hi,task,x,u2\n")
    [labelled] = read_labelled_file(path)
    assert labelled.row["who"] == "u2"
    assert "content" not in labelled.row
    assert labelled.cues is None


def test_an_id_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    rows = [{"id": name, "messages": CHAT, "label": "task"} for name in ("a", "b", "a")]
    path = write_jsonl(tmp_path / "mine.jsonl", *rows)
    with pytest.raises(TranscriptFormatError, match=r"line 3: .*'a' is also that of line 1"):
        list(read_labelled_file(path))


def test_jsonl_may_have_empty_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    line = json.dumps({"messages": CHAT, "label": "task"})
    (tmp_path / "mine.jsonl").write_text(f"\ufeff{line}\n\n{line}\n", encoding="utf-8")
    assert len([*read_labelled_file(tmp_path / "mine.jsonl")]) == 2


VALID = {"messages": CHAT, "label": "task"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([], '"messages"'),
        ({"label": "task"}, '"messages"'),
        ({**VALID, "messages": "secret words"}, '"messages"'),
        ({**VALID, "messages": []}, "empty"),
        ({**VALID, "messages": [assistant("secret words")]}, "no message of the user"),
        ({**VALID, "messages": [user("a"), user(None)]}, "messages[1].content"),
        ({**VALID, "messages": [{"role": "boss", "content": "secret words"}]}, "messages[0].role"),
        ({**VALID, "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": CHAT}, '"label"'),
        ({**VALID, "label": "sad"}, '"label"'),
        ({**VALID, "label": ["task"]}, '"label"'),
        ({**VALID, "label": "emotional", "turns": [3]}, '"turns": expected a list of numbers'),
        ({**VALID, "label": "emotional", "turns": [0]}, '"turns"'),
        ({**VALID, "label": "emotional", "turns": 2}, '"turns"'),
        ({**VALID, "label": "emotional", "turns": ["2"]}, '"turns"'),
        ({**VALID, "turns": [1]}, '"turns": 1 charged turns in a conversation labelled task'),
        ({**VALID, "label": "emotional", "turns": []}, '"turns": 0 charged turns'),
        ({**VALID, "cues": ["U1"]}, '"cues"'),
        ({**VALID, "cues": "in_crisis"}, '"cues"'),
        ({**VALID, "cues": [["in_crisis"]]}, '"cues"'),
    ],
)
def test_malformed_row_of_jsonl_is_named_with_file_line_and_field(
    tmp_path: Path, row: Any, problem: str
) -> None:
    path = write_jsonl(tmp_path / "mine.jsonl", VALID, row)
    with pytest.raises(TranscriptFormatError, match="line 2") as caught:
        list(read_labelled_file(path))
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "secret words" not in str(caught.value)


@pytest.mark.parametrize(
    "broken", [b'{"messages": [', b"[" * 100_000, b'{"label": "caf\xe9"}', b"[1, 2"]
)
def test_line_that_is_not_json_is_named(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(json.dumps(VALID).encode() + b"\n" + broken)
    with pytest.raises(TranscriptFormatError, match=r"mine\.jsonl, line 2: not JSON"):
        list(read_labelled_file(path))


def test_csv_labels_each_message_of_the_user(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "mine.csv",
        ("c1", "Human", "fix my code", "task"),
        ("c2", "user", "sort a list", "task"),
        ("c1", "assistant", "Done.", ""),
        ("c1", "prompter", "I feel lost", "emotional"),
        ("c1", "user", "thanks", ""),
    )
    first, second = read_labelled_file(path)
    assert first.conversation.id == "c1"
    assert [m.role for m in first.conversation.messages] == ["user", "assistant", "user", "user"]
    assert first.emotional
    assert first.charged == {2}
    assert not second.emotional
    assert second.charged == set()
    assert second.cues is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("c2", "user", "secret words", "sad"), 'field "label"'),
        (("c2", "user", "secret words", ""), 'field "label"'),
        (("c2", "user", "secret words"), 'field "label"'),
        (("c2", "boss", "secret words", "task"), "messages[0].role"),
        (("c2", "user"), "messages[0].content"),
        (("c2", "assistant", "secret words", ""), "no message of the user"),
        (("c2", "user", " ", "task"), "no message of the user"),
    ],
)
def test_malformed_row_of_csv_is_named_with_file_and_conversation(
    tmp_path: Path, row: tuple[str, ...], problem: str
) -> None:
    path = write_csv(tmp_path / "mine.csv", ("c1", "user", "hi", "task"), row)
    with pytest.raises(TranscriptFormatError, match="conversation 'c2'") as caught:
        list(read_labelled_file(path))
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "secret words" not in str(caught.value)


def test_csv_without_a_column_or_an_id_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", header="conversation_id role text")
    with pytest.raises(TranscriptFormatError, match=r"mine\.csv: missing columns content, label"):
        list(read_labelled_file(path))
    path = write_csv(tmp_path / "mine.csv", ("c1", "user", "hi", "task"), ("", "user", "a", "task"))
    with pytest.raises(TranscriptFormatError, match=r'mine\.csv, line 3: field "conversation_id"'):
        list(read_labelled_file(path))


def test_csv_may_have_long_messages(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", ("c1", "user", "x" * 200_000, "task"))
    [labelled] = read_labelled_file(path)
    assert len(labelled.conversation.messages[0].content) == 200_000


def test_csv_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(b"conversation_id,role,content,label\nc1,user,caf\xe9,task\n")
    with pytest.raises(
        TranscriptFormatError, match=r"mine\.csv, after line \d+: cannot be read as CSV"
    ):
        list(read_labelled_file(path))
