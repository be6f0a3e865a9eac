from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from affectlib.errors import InputTypeError, OptionError, TranscriptFormatError
from affectlib.formats import ReadOptions
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

_text = st.text(max_size=40)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    conversations=st.lists(st.lists(_text, min_size=1, max_size=4), min_size=1, max_size=4),
    layout=st.sampled_from(sorted(LAYOUTS)),
    bare=st.booleans(),
)
@example(conversations=[["one", "two"], ["vier ä\u2028 [}"]], layout="lines", bare=True)
def test_any_text_survives_any_layout(
    tmp_path: Path, conversations: list[list[str]], layout: str, bare: bool
) -> None:
    records: list[Any] = [chat(*conversation) for conversation in conversations]
    if bare and len(records) > 1:  # one list alone is a conversation
        records = [record["messages"] for record in records]
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
