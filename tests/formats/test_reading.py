from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.errors import InputTypeError, OptionError, TranscriptFormatError
from affectlib.formats import ReadOptions, read_conversations
from tests.transcript_files import (
    EXAMPLES,
    LAYOUTS,
    SECRET,
    chat,
    error_of,
    lines,
    read,
    texts,
    write,
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bare", [False, True])
def test_every_json_layout_reads_the_same(tmp_path: Path, layout: str, bare: bool) -> None:
    records: list[Any] = [chat("one", "two"), chat("three"), chat("vier ä\u2028 [}")]
    if bare:
        records = [record["messages"] for record in records]
    found = read(write(tmp_path, LAYOUTS[layout](records)))
    assert [texts(item) for item in found] == [["one", "two"], ["three"], ["vier ä\u2028 [}"]]


_text = st.text(max_size=40)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    conversations=st.lists(st.lists(_text, min_size=1, max_size=4), min_size=1, max_size=4),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_any_text_survives_any_layout(
    tmp_path: Path, conversations: list[list[str]], layout: str
) -> None:
    records = [chat(*conversation) for conversation in conversations]
    found = read(write(tmp_path, LAYOUTS[layout](records)))
    expected = [[text.replace("\x00", "\ufffd") for text in one] for one in conversations]
    assert [texts(item) for item in found] == expected


def test_one_pretty_printed_list_of_messages_is_one_conversation(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(chat("a", "b")["messages"], indent=1))
    assert [texts(item) for item in read(path)] == [["a", "b"]]


def test_records_larger_than_the_read_buffer(tmp_path: Path) -> None:
    long = "é" * 200_000
    records = [chat(long, id="a"), chat("b" * 70_000, long, id="b"), chat("c", id="c")]
    for layout in LAYOUTS.values():
        found = read(write(tmp_path, layout(records)))
        assert [texts(item)[0] for item in found] == [long, "b" * 70_000, "c"]


def test_a_long_array_is_read_in_the_memory_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    record = json.dumps(chat("word " * 2000))
    with path.open("w") as file:
        file.write("[" + ",".join([record] * 1500) + "]")  # about 15 MB
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Conversation) for item in read_conversations(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1500
    assert peak < 4_000_000


def test_it_reads_no_further_than_needed(tmp_path: Path) -> None:
    path = write(tmp_path, lines(chat("first")) + "x" * 10 + "\n" + lines(chat("last")))
    items = read_conversations(path)
    assert isinstance(items, Iterator)
    assert texts(next(items)) == ["first"]
    items.close()  # type: ignore[attr-defined]


def test_empty_arrays_and_empty_conversations(tmp_path: Path) -> None:
    assert read(write(tmp_path, "[]")) == []
    assert [texts(i) for i in read(write(tmp_path, '[]\n[{"role":"user","content":"a"}]\n'))] == [
        [],
        ["a"],
    ]
    assert [texts(i) for i in read(write(tmp_path, lines(chat())))] == [[]]


# --- encodings, compression, standard input ------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with mark"])
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_encodings(tmp_path: Path, encoding: str, kind: str) -> None:
    text = (
        json.dumps(chat("café 🙂"), ensure_ascii=False) + "\n"
        if kind == "json"
        else "conversation_id,role,content\n1,user,café 🙂\n"
    )
    data = (
        text.encode(encoding) if "with" not in encoding else ("\ufeff" + text).encode("utf-16-be")
    )
    (found,) = read(write(tmp_path, data))
    assert texts(found) == ["café 🙂"]


def test_other_bytes_are_read_as_windows_1252(tmp_path: Path) -> None:
    latin = '{"messages": [{"role": "user", "content": "café"}]}'.encode("latin-1")
    assert texts(read(write(tmp_path, latin))[0]) == ["café"]
    table = "conversation_id,role,content\n1,user,café au lait\n".encode("latin-1")
    assert texts(read(write(tmp_path, table))[0]) == ["café au lait"]
    table = "conversation_id,role,content\n1,user,“dévasté” à 5 € — ça non\n".encode("cp1252")
    assert texts(read(write(tmp_path, table))[0]) == ["“dévasté” à 5 € — ça non"]
    mixed = '{"messages": [{"role": "user", "content": "café 🙂 '.encode() + b'\xe9t\xe9 \x81"}]}'
    assert texts(read(write(tmp_path, mixed))[0]) == ["café 🙂 été \ufffd"]


@pytest.mark.parametrize("name", ["transcripts.jsonl", "conversations.json", "chats.csv"])
def test_gzip_whatever_its_name(tmp_path: Path, name: str) -> None:
    plain = EXAMPLES / name
    packed = write(tmp_path, gzip.compress(plain.read_bytes()), "packed")
    assert read(packed) == read(plain)


def test_damaged_gzip(tmp_path: Path) -> None:
    content = lines(*(chat(f"{n} {n * 7919 % 10007}") for n in range(30_000)))
    packed = gzip.compress(content.encode())
    *good, _, bad = read(write(tmp_path, packed[: len(packed) // 2]))
    assert len(good) > 1000
    assert all(isinstance(item, Conversation) for item in good)
    assert "compressed data is damaged" in error_of(bad)
    with pytest.raises(TranscriptFormatError, match="compressed data is damaged"):
        read(write(tmp_path, packed[:12]))


class Pipe(io.RawIOBase):
    """Bytes that come in small pieces and cannot be sought."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(7, len(buffer))
        piece, self.data = self.data[:size], self.data[size:]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["transcripts.jsonl", "conversations.json", "chats.csv", None])
def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str | None, packed: bool
) -> None:
    data = (
        pd.read_csv(EXAMPLES / "chats.csv").to_parquet()
        if name is None
        else (EXAMPLES / name).read_bytes()
    )
    expected = read(write(tmp_path, data))
    pipe = io.BufferedReader(Pipe(gzip.compress(data) if packed else data))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    assert read("-") == expected
    assert len(expected) >= 3
    assert not pipe.closed


# --- what is no transcript -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "empty"),
        ("  \n ", "neither JSON nor a table"),
        (f"{SECRET}\nand more\n", "neither JSON nor a table"),
        (f"name,age\nAna,{SECRET}\n", "columns name, age"),
        (f"{SECRET}, I feel alone\n", "2 that are not all plain names"),
        ('{"a": 1, "b": 2}\n', "keys a, b"),
        (json.dumps({SECRET: 1}), "1 that are not all plain names"),
        ("[1, 2, 3]", "record 0 is a number"),
        ("{broken\n", "not valid JSON"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
        (b"\x89PNG\r\n\x1a\n\x00\x00,\x00\t", "neither JSON nor a table"),
        (b"PAR1 and no Parquet", "damaged"),
    ],
)
def test_unknown_formats(tmp_path: Path, content: str | bytes, found: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(TranscriptFormatError) as caught:
        read(path)
    assert found in str(caught.value)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_wrong_arguments(tmp_path: Path) -> None:
    path = write(tmp_path, lines(chat("a")))
    with pytest.raises(OptionError, match="unknown format 'xml'"):
        read(path, format="xml")
    with pytest.raises(OptionError, match="no column 'who'; the table has messages"):
        read(path, columns={"role": "who"})
    with pytest.raises(OptionError, match="file is JSON of the format openai"):
        read(path, columns={"role": "who"}, format="openai")
    with pytest.raises(OptionError, match="unknown branches 'some'"):
        ReadOptions(branches="some")  # type: ignore[arg-type]
    for option in ("users", "assistants"):
        with pytest.raises(InputTypeError, match=f"{option} must be a list of names"):
            ReadOptions(**{option: "Ana"})  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.jsonl")


def test_a_named_format_is_taken_at_its_word(tmp_path: Path) -> None:
    path = write(tmp_path, "garbage of a split file\n" + lines(chat("a")))
    bad, good = read(path, format="openai")
    assert "line 1" in error_of(bad)
    assert texts(good) == ["a"]
    (other,) = read(write(tmp_path, lines(chat("a"))), format="sharegpt")
    assert 'the record has no "conversations"' in error_of(other)
    (other,) = read(write(tmp_path, lines(chat("a"))), format="chatgpt")
    assert "mapping" in error_of(other)
    assert read(write(tmp_path, ""), format="openai") == []
    assert read(write(tmp_path, ""), format="table") == []


# --- the examples --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"), [("transcripts.jsonl", 40), ("conversations.json", 3), ("chats.csv", 3)]
)
def test_the_examples_can_be_read(name: str, count: int) -> None:
    found = read(EXAMPLES / name)
    assert len(found) == count
    assert len({item.id for item in found}) == count
    for item in found:
        assert isinstance(item, Conversation)
        item.require_user_text()
