"""Arrays of records that follow each other in a file: none is lost, and none silently."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectlib.formats import ReadReport
from affectlib.formats._json import iter_records
from tests.transcript_files import SECRET, chat, error_of, lines, read, texts, write

A, B, C = chat("a"), chat("b"), chat("c")
NOT_READ = "the rest of the file was not read"


def page(*records: Any, **others: Any) -> dict[str, Any]:
    return {"count": len(records), "tickets": [*records], "next_page": None, **others}


def pretty(*values: Any) -> str:
    return "\n".join(json.dumps(value, indent=2) for value in values)


@pytest.mark.parametrize("end", ["", "\n", " \r\n\t"])
@pytest.mark.parametrize(
    "content",
    [
        lines([A, B], [C]),
        json.dumps([A]) + json.dumps([B, C]),
        pretty([A, B], [C]),
        json.dumps([A]) + "\r\n\ufeff" + json.dumps([B, C]),
        lines([A], [], [B], [C], []),
        lines(page(A, B), page(C)),
        pretty(page(A, B), page(C)),
        lines(page(A), page(B), page(), page(C), page()),
        lines([A], page(B), [C]),
        lines([A, B], C),
        lines([A], B, [C]),
        lines([A, B], C["messages"]),
        lines(page(A, note=']}"', more={"of": ["it", {}]}), page(B), C),
        lines(page(A, users=[{"id": 1}], results=[B]), page(C)),
    ],
)
def test_all_of_a_file_is_read(tmp_path: Path, content: str, end: str) -> None:
    report = ReadReport()
    found = read(write(tmp_path, content.rstrip("\n") + end), report=report)
    assert [texts(item) for item in found] == [["a"], ["b"], ["c"]]
    assert report.failures == 0


ROWS = [
    {"chat": "a", "role": "user", "content": "one"},
    {"chat": "b", "role": "user", "content": "three"},
    {"chat": "a", "role": "assistant", "content": "two"},
]
BY_CHAT = {"a": ["one", "two"], "b": ["three"]}


def named(name: str) -> list[dict[str, str]]:
    return [{name if key == "chat" else key: row[key] for key in row} for row in ROWS]


def by_id(items: list[Any]) -> dict[str | None, list[str]]:
    return {item.id: texts(item) for item in items}


@pytest.mark.parametrize("layout", [json.dumps, lambda rows: json.dumps({"data": rows}), pretty])
@pytest.mark.parametrize(
    "name",
    ["thread_id", "Conversation ID", "Chat ID", "conversationId", "chatID", "session-id"],
)
def test_rows_are_not_merged_whatever_the_spelling_of_their_id(
    tmp_path: Path, name: str, layout: Callable[[Any], str]
) -> None:
    path = write(tmp_path, layout(named(name)))
    assert by_id(read(path)) == BY_CHAT


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["conversationId", "room", "thread_id"])
def test_an_array_is_of_rows_if_the_caller_says_that_it_is_a_table(
    tmp_path: Path, name: str, indent: int | None
) -> None:
    path = write(tmp_path, json.dumps(named(name), indent=indent))
    assert by_id(read(path, columns={"conversation": name})) == BY_CHAT
    with_format = read(path, columns={"conversation": name}, format="table")
    assert by_id(with_format) == BY_CHAT
    if name != "room":
        assert by_id(read(path, format="table")) == BY_CHAT


def test_messages_that_differ_in_their_conversation_are_never_one(tmp_path: Path) -> None:
    rows = [{"role": "user", "content": SECRET}, *named("threadId")]  # the first names none
    for content in (json.dumps(rows), lines(rows)):
        (bad,) = read(write(tmp_path, content))
        assert "messages[2].threadId: it differs" in error_of(bad)
        assert "columns={'conversation': 'threadId'}" in error_of(bad)
    senders = [{"from": "human", "value": SECRET} | about for about in ({}, {"ID": 1})]
    senders += [{"from": "human", "value": SECRET, "chatId": chat} for chat in "ab"]
    (bad,) = read(write(tmp_path, lines(senders)))
    assert "messages[3].chatId: it differs" in error_of(bad)
    bad, *good = read(write(tmp_path, json.dumps(rows)), columns={"conversation": "threadId"})
    assert "the cell is empty" in error_of(bad)
    assert by_id(good) == BY_CHAT


def test_messages_of_one_thread_stay_one_conversation(tmp_path: Path) -> None:
    def message(thread: str, role: str, text: str) -> dict[str, Any]:
        content = [{"type": "text", "text": {"value": text, "annotations": []}}]
        about = {"object": "thread.message", "thread_id": thread}
        return {**about, "role": role, "content": content}

    one = [message("t", "user", "hi"), message("t", "assistant", "Hello!")]
    for content in (json.dumps(one), json.dumps({"object": "list", "data": one})):
        (found,) = read(write(tmp_path, content))
        assert texts(found) == ["hi", "Hello!"]
    for content in (
        json.dumps([*one, message("u", "user", SECRET)]),
        json.dumps({"data": [*one, message("u", "user", SECRET)]}),
    ):
        path = write(tmp_path, content)
        assert "thread_id: it differs" in error_of(read(path)[0])
        named_columns = read(path, columns={"conversation": "thread_id"})
        assert by_id(named_columns) == {"t": ["hi", "Hello!"], "u": [SECRET]}


@pytest.mark.parametrize(
    "rest",
    [
        SECRET,
        "," + json.dumps([B]),
        "]" + json.dumps([B]),
        "\x00" * 10,
        json.dumps([B])[:-3],
        json.dumps(page(B))[:-1],
        json.dumps(page(B)).replace("],", "] 5 }"),
    ],
)
@pytest.mark.parametrize("first", [[A], page(A)])
def test_what_is_not_read_is_a_failure(tmp_path: Path, first: Any, rest: str) -> None:
    report = ReadReport()
    good, *others, bad = read(write(tmp_path, lines(first) + rest), report=report)
    assert texts(good) == ["a"]
    assert [texts(item) for item in others] in ([], [["b"]])
    assert NOT_READ in error_of(bad) or "it was cut short" in error_of(bad)
    assert report.failures == 1


def test_a_value_that_is_no_record_costs_no_other(tmp_path: Path) -> None:
    found = read(write(tmp_path, lines([A], {"other": SECRET}, 5, [B])))
    assert [texts(found[0]), texts(found[-1])] == [["a"], ["b"]]
    assert "record 1" in error_of(found[1])
    assert "record 2" in error_of(found[2])


@pytest.mark.parametrize("make", [lambda text: [chat(text)], lambda text: page(chat(text))])
def test_many_arrays_take_the_memory_of_one(tmp_path: Path, make: Callable[[str], Any]) -> None:
    line = json.dumps(make("word " * 2000)) + "\n"
    stream = io.StringIO(line * 500)  # about 5 MB
    tracemalloc.start()
    try:
        count = sum(record.problem is None for record in iter_records(stream, limit=1 << 26))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 500
    assert peak < 1_000_000


def test_the_rest_of_an_object_is_bounded() -> None:
    rest = f', "a": "{"x" * 1000}"' * 3000
    stream = io.StringIO(f'{{"tickets": [{json.dumps(A)}]{rest}}}\n{json.dumps([B])}')
    tracemalloc.start()
    try:
        records = list(iter_records(stream, limit=50_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [record.value for record in records] == [A, B]
    assert peak < 1_000_000


def test_many_empty_arrays_take_little_time() -> None:
    begun = time.process_time()
    stream = io.StringIO(json.dumps([A]) + "[]" * 100_000)
    assert len(list(iter_records(stream, limit=1 << 26))) == 1
    assert time.process_time() - begun < 10
