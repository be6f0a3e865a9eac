"""Plain text in which turns begin with names: whose words are whose, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.errors import TranscriptFormatError
from affectlib.formats import ReadReport
from tests.transcript_files import SECRET, error_of, read, write

TWO = "Alice: salut\nLuna: coucou\nAlice: je pleure\n"
THREE = (
    "Alice: salut\nLuna: coucou\nPaul: je pleure toutes les nuits\n"
    "Alice: comment convertir un pdf ?\nPaul: je suis triste\n"
)


def turns_of(path: Path, **options: Any) -> list[tuple[str, str]]:
    (found,) = read(path, **options)
    assert isinstance(found, Conversation), found
    return [(message.role, message.content) for message in found.messages]


@pytest.mark.parametrize("format", ["auto", "plain"])
@pytest.mark.parametrize("options", [{"users": ["Alice"]}, {"assistants": ["Luna"]}])
def test_one_side_named_leaves_everyone_else_on_the_other(
    tmp_path: Path, options: dict[str, Any], format: str
) -> None:
    turns = [("user", "salut"), ("assistant", "coucou"), ("user", "je pleure")]
    assert turns_of(write(tmp_path, TWO), format=format, **options) == turns
    lower = write(tmp_path, TWO.lower())
    named = {option: [names[0].lower()] for option, names in options.items()}
    assert turns_of(lower, format=format, **named) == turns


def test_both_sides_named_leave_out_everyone_else(tmp_path: Path) -> None:
    report = ReadReport()
    path = write(tmp_path, THREE)
    assert turns_of(path, users=["Alice"], assistants=["Luna"], report=report) == [
        ("user", "salut"),
        ("assistant", "coucou"),
        ("user", "comment convertir un pdf ?"),
    ]
    dropped = report.dropped["not_a_person"]
    assert (dropped.count, dropped.places) == (2, ["line 3", "line 5"])


_person = st.sampled_from(["Alice", "Luna", "Paul", "Dr. Ana Braun", "P07"])
_words = st.text("abcdé ,.!?", max_size=20).map(lambda text: f"x{text.strip()}")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(st.tuples(_person, _words), min_size=1, max_size=8))
def test_where_every_line_has_a_name_nobody_gets_the_words_of_another(
    tmp_path: Path, lines: list[tuple[str, str]]
) -> None:
    lines = [("Alice", "first"), ("Luna", "second"), *lines, *lines]
    path = write(tmp_path, "".join(f"{name}: {words}\n" for name, words in lines))
    report = ReadReport()
    both = {"Alice": "user", "Luna": "assistant"}
    found = turns_of(path, users=["Alice"], assistants=["Luna"], report=report)
    assert found == [(both[name], words) for name, words in lines if name in both]
    strangers = sum(name not in both for name, _ in lines)
    assert sum(tally.count for tally in report.dropped.values()) == strangers
    one = [("user" if name == "Alice" else "assistant", words) for name, words in lines]
    assert turns_of(path, users=["Alice"]) == one


def test_a_line_that_begins_like_a_name_stays_where_it_is_not_sure(tmp_path: Path) -> None:
    text = (
        "P07: help me\nQuestion: what is 2+2?\nand this:\nQuestion: why?\n"
        "Bot: 4.\nNote: see http://x.y\nhttp://x.y: too\nP07: thanks\n"
    )
    report = ReadReport()
    assert turns_of(write(tmp_path, text), users=["P07"], report=report) == [
        ("user", "help me\nQuestion: what is 2+2?\nand this:\nQuestion: why?"),
        ("assistant", "4.\nNote: see http://x.y\nhttp://x.y: too"),
        ("user", "thanks"),
    ]
    dropped = report.dropped["speaker"]
    assert (dropped.count, dropped.places) == (2, ["line 2", "line 4"])


@pytest.mark.parametrize(
    ("text", "options", "missing"),
    [
        (f"Alice: hi\nmore\nLuna: {SECRET}\n", {"users": ["Alice"]}, "the assistant"),
        (f"Luna: hi\nmore\n{SECRET.split()[1].title()}: x\n", {"assistants": ["Luna"]}, "the user"),
        ("User: hi\nLuna: hello\nUser: I feel sad\n", {}, "the assistant"),
    ],
)
def test_a_side_that_cannot_be_told_is_a_failure(
    tmp_path: Path, text: str, options: dict[str, Any], missing: str
) -> None:
    (bad,) = read(write(tmp_path, text), format="plain", **options)
    assert f"no line is known to begin a turn of {missing}" in error_of(bad)
    assert "line " in error_of(bad)
    assert "(`users`, `assistants`)" in error_of(bad)
    names = {"users": ["Alice", "Secret", "User"], "assistants": ["Luna"]}
    assert len(turns_of(write(tmp_path, text), format="plain", **names)) >= 2


def test_other_words_for_a_role(tmp_path: Path) -> None:
    every = "User: hi\nAI: hello\nUser: what is 2+2\nAssistant: 4. I feel so alone\nUser: ok\n"
    assert turns_of(write(tmp_path, every))[3:] == [
        ("assistant", "4. I feel so alone"),
        ("user", "ok"),
    ]
    report = ReadReport()
    some = every.replace("hi\n", "hi\nthere\n")
    found = turns_of(write(tmp_path, some), report=report)
    assert found[2] == ("user", "what is 2+2\nAssistant: 4. I feel so alone")
    assert report.dropped["speaker"].places == ["line 5"]
    assert turns_of(write(tmp_path, some), assistants=["AI", "Assistant"])[3][0] == "assistant"


def test_a_dialogue_in_a_copied_page_is_not_counted(tmp_path: Path) -> None:
    report = ReadReport()
    page = "You said:\nwrite one\nChatGPT said:\nUser: a\nAssistant: b\nUser: c\nYou said:\nok\n"
    assert len(turns_of(write(tmp_path, page), report=report)) == 3
    assert not report.dropped


@pytest.mark.parametrize(
    ("heading", "is_read"),
    [
        ("Therapist notes\n", True),
        ("# Session 3\n\nin the morning\n\n", True),
        ("a\nb\nc\nd\ne\nf\n", False),
        ("Title: notes\n", False),
        ("id,text\n", False),
    ],
)
def test_a_heading_before_the_first_turn(tmp_path: Path, heading: str, is_read: bool) -> None:
    path = write(tmp_path, heading + "User: hi\nAI: hello\n")
    report = ReadReport()
    if is_read:
        assert turns_of(path, report=report) == [("user", "hi"), ("assistant", "hello")]
        assert report.dropped["event"].count == 1
    else:
        with pytest.raises(TranscriptFormatError):
            read(path)


def test_a_table_of_texts_is_no_chat_under_a_heading(tmp_path: Path) -> None:
    path = write(tmp_path, "text\nUser: hi\nAI: hello\n")
    assert len(read(path, columns={"content": "text"})) == 2


def test_text_that_may_be_a_chat_says_how_to_name_who_speaks(tmp_path: Path) -> None:
    for text in (TWO, f"Alice: salut, {SECRET}\nmore\nLuna: coucou\n"):
        with pytest.raises(TranscriptFormatError, match="lines begin with a name") as caught:
            read(write(tmp_path, text))
        assert "name both sides (`users`, `assistants`" in str(caught.value)
        assert not {"Alice", "Luna", SECRET} & {*str(caught.value).split()}


@pytest.mark.parametrize("end", ["", "Lu"])
def test_one_name_is_enough_however_long_the_text(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, TWO * 3000 + end)  # more than what the format is told by
    if end:
        (bad,) = read(path, users=["Alice"])
        assert "no line is known to begin a turn of the assistant" in error_of(bad)
    else:
        assert len(turns_of(path, users=["Alice"])) == 9000
