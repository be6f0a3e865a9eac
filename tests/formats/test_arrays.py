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

from affectlib.formats import Limits, ReadReport
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


def test_lists_of_intercom_one_a_line(tmp_path: Path) -> None:
    source = {"author": {"type": "user", "id": "u"}, "body": "hi"}
    one = {"type": "conversation", "source": source, "conversation_parts": {}}
    page = {"type": "conversation.list", "conversations": [one], "pages": {"page": 1}}
    assert [texts(item) for item in read(write(tmp_path, lines(page, page, page)))] == [["hi"]] * 3


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


def test_places_go_on_from_one_array_to_the_next(tmp_path: Path) -> None:
    bad = {"messages": 5}
    found = read(write(tmp_path, lines([A, B], [], [C, bad])))
    assert "record 3" in error_of(found[-1])


@pytest.mark.parametrize("opening", ["[", '{"data": ['])
def test_space_beyond_the_limit(tmp_path: Path, opening: str) -> None:
    path = write(tmp_path, opening + " " * 200_000 + "]")
    (bad,) = read(path, format="openai", limits=Limits(record_characters=1000))
    assert "longer than the limit (record_characters)" in error_of(bad)


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
