"""Input that is meant to do harm, or does it by accident: bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from affectlib.conversation import Conversation
from affectlib.errors import TranscriptFormatError
from affectlib.formats import Limits, ReadOptions, read_conversations
from tests.transcript_files import chat, error_of, lines, read, texts, write
from tools.fuzz.exports import _chatgpt

SMALL = Limits(record_characters=100_000)
TOO_LONG = "longer than the limit (record_characters)"


def huge_field(layout: str, size: int) -> str:
    good = json.dumps(chat("good"))
    huge = '{"messages": [{"role": "user", "content": "' + 'x\\"[' * (size // 4) + '"}]}'
    if layout == "lines":
        return f"{good}\n{huge}\n{good}\n"
    if layout == "table":
        cell = "x" * size
        return f"conversation_id,role,content\n1,user,good\n2,user,{cell}\n3,user,good\n"
    if layout == "quoted table":
        cell = "x\n" * (size // 2)
        return f'conversation_id,role,content\n1,user,good\n2,user,"{cell}"\n3,user,good\n'
    return f"[{good},{huge},{good}]" if layout == "array" else f"{good}\n\n{huge}\n\n{good}"


@pytest.mark.parametrize("layout", ["lines", "array", "table", "documents"])
def test_a_huge_field_costs_its_record_only(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path, huge_field(layout, 5_000_000))
    tracemalloc.start()
    try:
        found = [*read_conversations(path, ReadOptions(limits=SMALL))]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    good = [texts(item) for item in found if isinstance(item, Conversation)]
    (bad,) = (item for item in found if not isinstance(item, Conversation))
    assert good == [["good"], ["good"]]
    assert TOO_LONG in error_of(bad)
    assert peak < 3_000_000


def test_a_conversation_of_too_many_rows(tmp_path: Path) -> None:
    rows = "".join(f"1,user,word {number}\n" for number in range(10_000))
    path = write(tmp_path, f"conversation_id,role,content\n{rows}2,user,good\n")
    bad, good = read(path, limits=SMALL)
    assert TOO_LONG in error_of(bad)
    assert (bad.id, texts(good)) == ("1", ["good"])


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("layout", ["lines", "array"])
def test_deep_nesting_costs_its_record_only(tmp_path: Path, opening: str, layout: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    deep = opening * 10_000 + ("1" if closing == "}" else "") + closing * 10_000
    good = chat("good")
    record = json.dumps(good | {"metadata": 0}).replace('"metadata": 0', f'"metadata": {deep}')
    records = [json.dumps(good), record, json.dumps(good)]
    content = "\n".join(records) if layout == "lines" else f"[{','.join(records)}]"
    first, bad, last = read(write(tmp_path, content))
    assert (texts(first), texts(last)) == (["good"], ["good"])
    assert "nested too deeply" in error_of(bad)


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "9" * 4000, "[]", "{}", "true"])
@pytest.mark.parametrize("field", ["id", "user_id", "title", "timestamp", "model", "messages"])
def test_odd_values_in_fields(tmp_path: Path, field: str, value: str) -> None:
    record = json.dumps(chat("good") | {field: 0}).replace(f'"{field}": 0', f'"{field}": {value}')
    (found, after) = read(write(tmp_path, record + "\n" + lines(chat("after"))), format="openai")
    assert texts(after) == ["after"]
    if field == "messages":
        assert not isinstance(found, Conversation) or value == "[]"
    else:
        assert texts(found) == ["good"]


def test_of_a_key_that_stands_there_twice_the_last_counts(tmp_path: Path) -> None:
    content = (
        '{"id": "a", "id": "b", "messages": [], "messages": [{"role": "user", "content": "x"}]}'
    )
    (found,) = read(write(tmp_path, content))
    assert (found.id, texts(found)) == ("b", ["x"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_wide_encodings_cut_anywhere(tmp_path: Path, encoding: str, cut: int) -> None:
    data = lines(chat("café 🙂"), chat("b")).replace("\n", "\r\n").encode(encoding)
    found = read(write(tmp_path, data[: len(data) - cut]))
    assert texts(found[0]) == ["café 🙂"]


@pytest.mark.parametrize("branches", ["active", "all", "longest"])
def test_a_tree_of_many_branches(tmp_path: Path, branches: str) -> None:
    record = _chatgpt("a", [("user", f"{number}") for number in range(3000)])
    leaves = {
        f"leaf{number}": {**record["mapping"]["n2999"], "parent": f"n{number}"}
        for number in range(3000)
    }
    record["mapping"] |= leaves
    path = write(tmp_path, json.dumps([record]))
    begun = time.process_time()
    found = read(path, branches=branches, limits=Limits(branches=50))
    assert len(found) == (50 if branches == "all" else 1)
    assert time.process_time() - begun < 20


def test_white_space_without_end(tmp_path: Path) -> None:
    begun = time.process_time()
    content = "{" + " " * 3_000_000 + '"messages": []}'
    (found,) = read(write(tmp_path, content), limits=SMALL, format="openai")
    assert TOO_LONG in error_of(found)
    assert time.process_time() - begun < 20


# --- sizes that people have ----------------------------------------------------------------------

_STATUS = Path("/proc/self/status")
_MEASURE = f"""
import sys
from affectlib.formats import read_conversations
kinds = [type(item).__name__ for item in read_conversations(sys.argv[1])]
peak = next(line.split()[1] for line in open("{_STATUS}") if line.startswith("VmHWM"))
print(len(kinds), kinds.count("Conversation"), peak)
"""


def measure(path: Path) -> tuple[int, int, float]:
    """Return how many items and conversations there are, and the memory taken, in MB."""
    if not _STATUS.exists():
        pytest.skip("the system does not say how much memory a process took")
    command = [sys.executable, "-c", _MEASURE, str(path)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(found[0]), int(found[1]), int(found[2]) / 1000


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["lines", "array"])
def test_a_gigabyte_in_one_field(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "in.json"
    start, between, end = {"lines": ("", "\n", "\n"), "array": ("[", ",", "]")}[layout]
    with path.open("w") as file:
        file.write(start + json.dumps(chat("good")) + between)
        file.write('{"messages": [{"role": "user", "content": "')
        for _ in range(1000):
            file.write("x" * 1_000_000)
        file.write('"}]}' + between + json.dumps(chat("good")) + end)
    items, conversations, memory = measure(path)
    assert (items, conversations) == (3, 2)
    assert memory < 800


def test_a_huge_header(tmp_path: Path) -> None:
    path = write(tmp_path, f"conversation_id,role,content,{'x' * 200_000}\n1,user,a,b\n")
    with pytest.raises(TranscriptFormatError, match="the first line is longer than the limit"):
        read(path, limits=SMALL)
