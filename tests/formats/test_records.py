from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from affectlib.conversation import Conversation
from affectlib.formats import ReadReport
from tests.transcript_files import (
    SECRET,
    chat,
    error_of,
    lines,
    read,
    texts,
    write,
)

# --- fields of openai records --------------------------------------------------------------------


def test_openai_fields(tmp_path: Path) -> None:
    record = chat(
        "hi",
        conversation_id=12,
        user_id="u1",
        model="gpt-4o",
        lang="en",
        title="T",
        source="s",
        timestamp=1700000000,
    )
    record["messages"][0]["timestamp"] = "2024-02-03T04:05:06+02:00"
    (found,) = read(write(tmp_path, lines(record)))
    assert isinstance(found, Conversation)
    assert (found.id, found.user_id, found.model) == ("12", "u1", "gpt-4o")
    assert (found.language, found.title, found.source) == ("en", "T", "s")
    assert found.metadata["started_at"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found.messages[0].timestamp == datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC)


def test_ids_that_are_no_text(tmp_path: Path) -> None:
    ids = [None, "", 7, 7.0, float("nan"), ["x"], "a\ud800b"]
    found = read(write(tmp_path, lines(*(chat("hi", id=value) for value in ids))))
    assert [item.id for item in found] == [None, None, "7", "7", None, None, "a\ufffdb"]


@pytest.mark.parametrize("role", ["role", "from", "speaker", "sender", "author"])
@pytest.mark.parametrize("content", ["content", "value", "text", "message", "utterance", "body"])
@pytest.mark.parametrize("name", ["id", "session_id", "dialogue_id"])
def test_records_know_the_names_that_columns_have(
    tmp_path: Path, role: str, content: str, name: str
) -> None:
    messages = [{role: "user", content: "I cry"}, {role: "bot", content: [{"text": "oh"}]}]
    (found,) = read(write(tmp_path, json.dumps([{name: "s1", "messages": messages}])))
    assert isinstance(found, Conversation)
    assert [(m.role, m.content) for m in found.messages] == [("user", "I cry"), ("assistant", "oh")]
    assert found.id == "s1"


def test_of_two_usual_names_the_likelier_counts(tmp_path: Path) -> None:
    both = [{"role": "user", "content": "kept", "text": "other", "author": "assistant"}]
    (found,) = read(write(tmp_path, lines({"messages": both})))
    assert (found.messages[0].role, texts(found)) == ("user", ["kept"])  # type: ignore[union-attr]


BAD = {
    "null content": ({"role": "user", "content": None}, "messages[0].content"),
    "number content": ({"role": "user", "content": 5}, "messages[0].content"),
    "no content": ({"role": "user"}, "messages[0].content"),
    "no role": ({"content": SECRET}, "messages[0].role"),
    "null role": ({"role": None, "content": SECRET}, "messages[0].role"),
    "unknown role": ({"role": "narrator", "content": SECRET}, "messages[0].role"),
    "no mapping": (SECRET, "messages[0]"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_costs_its_record_only(tmp_path: Path, name: str) -> None:
    message, place = BAD[name]
    records = [chat("a"), {"id": "bad", "messages": [message]}, chat("b")]
    first, bad, last = read(write(tmp_path, lines(*records)))
    assert (texts(first), texts(last)) == (["a"], ["b"])
    assert bad.id == "bad"
    assert error_of(bad).startswith("ConversationError: line 2: ")
    assert place in error_of(bad)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f'{{"messages": [{{"role": "user", "content": "{SECRET}', "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "number"),
        ("7", "expected an object, got a number"),
        ("null", "expected an object, got null"),
        ('{"text": "a"}', 'the record has no "messages"'),
        ('{"messages": "a"}', "messages: expected a list, got text"),
    ],
)
def test_a_bad_line_costs_itself_only(tmp_path: Path, line: str, what: str) -> None:
    good = lines(chat("good"))
    first, bad, last = read(write(tmp_path, good + line + "\n" + good))
    assert (texts(first), texts(last)) == (["good"], ["good"])
    assert "line 2: " in error_of(bad)
    assert what in error_of(bad)


@pytest.mark.parametrize("cut", [3, 25])
def test_half_an_array_keeps_what_came_before(tmp_path: Path, cut: int) -> None:
    content = json.dumps([chat("a", id="1"), chat("b", id="2")])
    found = read(write(tmp_path, content[:-cut]))
    assert texts(found[0]) == ["a"]
    assert "record 1: not valid JSON" in error_of(found[-1])
    (good, end) = read(write(tmp_path, json.dumps([chat("a")])[:-1]))
    assert texts(good) == ["a"]
    assert "cut short" in error_of(end)


def test_control_characters_nul_and_surrogates(tmp_path: Path) -> None:
    raw = b'{"messages": [{"role": "user", "content": "a\x00b\x07\\u0000 \\ud83d c"}]}\n'
    (found,) = read(write(tmp_path, raw))
    assert texts(found) == ["a\ufffdb\x07\ufffd \ufffd c"]


def thread(*messages: tuple[str, int | None]) -> list[dict[str, Any]]:
    roles = {"q": "user", "a": "assistant"}
    return [
        {
            "object": "thread.message",
            "thread_id": "t",
            "created_at": time,
            "role": roles[text[0]],
            "content": [{"type": "text", "text": {"value": text}}],
        }
        for text, time in messages
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([("a2", 5), ("q2", 5), ("a1", 3), ("q1", 3)], "q1 a1 q2 a2"),
        ([("q1", 3), ("a1", 3), ("q2", 5), ("a2", 5)], "q1 a1 q2 a2"),
        ([("a1", 3), ("q1", 3)], "q1 a1"),
        ([("q2", 3), ("a1", 3), ("q1", 3)], "q1 a1 q2"),
        ([("q1", 3), ("a1", 3)], "q1 a1"),
        ([("q1", None), ("a1", None), ("q2", None)], "q1 a1 q2"),
    ],
)
def test_messages_of_a_thread_are_in_the_order_in_which_they_were_written(
    tmp_path: Path, messages: list[tuple[str, int | None]], expected: str
) -> None:
    given = thread(*messages)
    for content in (json.dumps(given), json.dumps({"object": "list", "data": given})):
        (found,) = read(write(tmp_path, content))
        assert texts(found) == expected.split()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("web_search_call", "tool_call"),
        ("computer_call_output", "tool"),
        ("mcp_list_tools", "tool_call"),
        ("mcp_approval_request", "tool_call"),
        ("custom_tool_call_output", "tool"),
        ("item_reference", "tool_call"),
        ("function_call", "tool_call"),
        ("function_call_output", "tool"),
        ("reasoning", "reasoning"),
    ],
)
def test_items_of_tools_are_left_out_of_responses_and_counted(
    tmp_path: Path, kind: str, reason: str
) -> None:
    item = {"type": kind, "id": "i1", "status": "completed"}
    asked = {"type": "message", "role": "user", "content": "hi"}
    answer = {"type": "message", "role": "assistant", "content": "Hello!"}
    report = ReadReport()
    record = {"input": [asked, item], "output": [item, answer]}
    (found,) = read(write(tmp_path, lines(record)), report=report)
    assert texts(found) == ["hi", "Hello!"]
    assert {name: tally.count for name, tally in report.dropped.items()} == {reason: 2}


@pytest.mark.parametrize("kind", ["message", "human", "text", None, 7])
def test_what_may_be_somebodys_words_is_not_taken_for_an_item_of_a_tool(
    tmp_path: Path, kind: Any
) -> None:
    record = {"input": [{"type": kind, "content": SECRET}], "output": []}
    (bad,) = read(write(tmp_path, lines(record)))
    assert 'the message has no "role"' in error_of(bad)


# --- sharegpt ------------------------------------------------------------------------------------


def test_sharegpt_with_gaps_and_without_a_record(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "h"}, {"from": "gpt", "value": None}]
    records = [
        {"id": "a", "conversations": turns},
        {"id": "b", "conversations": [{"from": "human", "value": None}]},
        {"id": "c", "conversations": []},
    ]
    first, bad, empty = read(write(tmp_path, lines(*records)))
    assert (texts(first), texts(empty)) == (["h", ""], [])
    assert "messages[0].content" in error_of(bad)
    nothing, after = read(write(tmp_path, "[]\n" + lines(records[0])))
    assert (texts(nothing), texts(after)) == ([], ["h", ""])
    (bare,) = read(write(tmp_path, lines(turns)))
    assert texts(bare) == ["h", ""]


# --- ChatGPT export ------------------------------------------------------------------------------


def node(
    parent: str | None, role: Any = "user", parts: Any = ("text",), **message: Any
) -> dict[str, Any]:
    content = message.pop("content", {"content_type": "text", "parts": parts})
    return {
        "parent": parent,
        "message": {"author": {"role": role}, "content": content, **message},
    }


def export(mapping: Any, current: Any = None, **fields: Any) -> str:
    return json.dumps([{"mapping": mapping, "current_node": current, **fields}])


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        (None, "mapping: expected an object, got null"),
        ([], "mapping: expected an object, got a list"),
        ({"n1": node(None, "narrator")}, "mapping.n1.author.role: unknown role"),
        ({"n1": node(None, None)}, "mapping.n1.author.role: expected text"),
        ({"n1": node(None, content=SECRET)}, "mapping.n1.content: expected an object"),
        ({"n1": node(None, parts=5)}, "mapping.n1.content.parts: expected a list"),
    ],
)
def test_bad_chatgpt_nodes_are_named(tmp_path: Path, mapping: Any, field: str) -> None:
    (found,) = read(write(tmp_path, export(mapping, "n1", id="k")))
    assert found.id == "k"
    assert f"record 0: {field}" in error_of(found)


@pytest.mark.parametrize(
    ("current", "texts"),
    [
        ("first", ["question", "first"]),
        ("hidden", ["question", "first"]),  # the message above it ends the active path
        (None, ["question", "second"]),  # of two branches of one length, the later
    ],
)
def test_the_active_branch_of_a_tree(tmp_path: Path, current: Any, texts: list[str]) -> None:
    mapping = {
        "top": node(None, parts=["question"]),
        "first": node("top", "assistant", ["first"]),
        "second": node("top", "assistant", ["second"]),
        "hidden": node("first", "tool", ["a search"]),
    }
    (found,) = read(write(tmp_path, export(mapping, current)))
    assert isinstance(found, Conversation)
    assert [message.content for message in found.messages] == texts


def test_chatgpt_fields_and_wrapping(tmp_path: Path) -> None:
    record = {
        "mapping": {"a": node(None, "assistant", metadata={"model_slug": "gpt-5"}, id="m")},
        "current_node": "a",
        "conversation_id": "k",
        "title": None,
        "create_time": 1700000000.5,
    }
    wrapped = [
        json.dumps([record, record]),
        json.dumps({"conversations": [record, record]}),
        json.dumps({"conversations": [record, record]}, indent=1),
        json.dumps({"version": 1, "conversations": [record, record]}),
        json.dumps({"version": 1, "conversations": [record, record]}, indent=1),
        lines(record, record),
    ]
    for content in wrapped:
        first, second = read(write(tmp_path, content))
        assert first == second
        assert isinstance(first, Conversation)
        assert (first.id, first.model, first.source) == ("k", "gpt-5", "chatgpt")
        assert first.metadata["started_at"].year == 2023
    assert read(write(tmp_path, export({}, None))) == [Conversation((), source="chatgpt")]


# --- claude --------------------------------------------------------------------------------------


def test_what_claude_writes_in_place_of_a_tool_is_not_read(tmp_path: Path) -> None:
    notice = "```\nThis block is not supported on your current device yet.\n```"
    blocks = [{"type": "tool_use", "name": "f"}, {"type": "tool_result", "content": []}]
    record = {
        "chat_messages": [
            {"sender": "human", "text": "hi", "content": []},
            {"sender": "assistant", "text": notice, "content": blocks},
            {"sender": "assistant", "text": "Hello!"},
        ]
    }
    report = ReadReport()
    (found,) = read(write(tmp_path, lines(record)), report=report)
    assert texts(found) == ["hi", "", "Hello!"]
    assert {name: tally.count for name, tally in report.dropped.items()} == {
        "tool_call": 1,
        "tool": 1,
    }


def test_a_bad_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    bad, good = read(write(tmp_path, '{"messages": [{"role": "us\n' + lines(chat("good"))))
    assert "line 1: not valid JSON" in error_of(bad)
    assert texts(good) == ["good"]
