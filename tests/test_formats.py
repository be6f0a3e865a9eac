from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.errors import TranscriptFormatError
from affectlib.formats import read_conversations
from affectlib.predictions import ConversationFailure

EXAMPLES = Path(__file__).parent.parent / "examples"
SECRET = "the secret words of a user"


def chat(*texts: str, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return {"messages": messages, **fields}


def write(folder: Path, content: str | bytes, name: str = "in.dat") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def read(path: Path | str, **options: Any) -> list[Conversation | ConversationFailure]:
    return list(read_conversations(path, **options))


def texts(item: Conversation | ConversationFailure) -> list[str]:
    assert isinstance(item, Conversation), item
    return [message.content for message in item.messages]


def error_of(item: Conversation | ConversationFailure) -> str:
    assert isinstance(item, ConversationFailure), item
    assert SECRET not in item.error
    return item.error


# --- JSON layouts ------------------------------------------------------------------------------

LAYOUTS = {
    "lines": lambda records: lines(*records),
    "lines without a last newline": lambda records: lines(*records).rstrip(),
    "lines with CRLF": lambda records: lines(*records).replace("\n", "\r\n"),
    "lines with blanks": lambda records: "\n" + lines(*records).replace("\n", "\n\n"),
    "array": json.dumps,
    "array, one a line": lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
    "pretty array": lambda records: json.dumps(records, indent=2),
    "pretty documents": lambda records: "\n".join(json.dumps(r, indent=2) for r in records),
}


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1700000000.0, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14 22:13:20", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        (True, None),
        ({"seconds": 1}, None),
        (None, None),
    ],
)
def test_times(tmp_path: Path, value: Any, expected: datetime | None) -> None:
    record = chat("hi")
    record["messages"][0]["timestamp"] = value
    (found,) = read(write(tmp_path, lines(record)))
    assert isinstance(found, Conversation)
    assert found.messages[0].timestamp == expected


def test_ids_that_are_no_text(tmp_path: Path) -> None:
    ids = [None, "", 7, 7.0, float("nan"), ["x"], "a\ud800b"]
    found = read(write(tmp_path, lines(*(chat("hi", id=value) for value in ids))))
    assert [item.id for item in found] == [None, None, "7", "7", None, None, "a\ufffdb"]


def test_multimodal_content_tool_calls_and_assistant_nulls(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "tool_calls": []},
        {"role": "assistant", "content": None},
        {"role": "tool", "content": "42"},
    ]
    (found,) = read(write(tmp_path, lines({"messages": messages})))
    assert texts(found) == ["be brief", "see", "", "", "42"]


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


def test_a_bad_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    bad, good = read(write(tmp_path, '{"messages": [{"role": "us\n' + lines(chat("good"))))
    assert "line 1: not valid JSON" in error_of(bad)
    assert texts(good) == ["good"]


def test_half_a_line_at_the_end(tmp_path: Path) -> None:
    content = lines(chat("a"), chat("b"))
    good, bad = read(write(tmp_path, content[:-20]))
    assert texts(good) == ["a"]
    assert "line 2" in error_of(bad)


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


def test_other_bytes_are_replaced(tmp_path: Path) -> None:
    latin = '{"messages": [{"role": "user", "content": "café"}]}'.encode("latin-1")
    assert texts(read(write(tmp_path, latin))[0]) == ["caf\ufffd"]
    table = "conversation_id,role,content\n1,user,café au lait\n".encode("latin-1")
    assert texts(read(write(tmp_path, table))[0]) == ["caf\ufffd au lait"]


@pytest.mark.parametrize("name", ["transcripts.jsonl", "conversations.json", "chats.csv"])
def test_gzip_whatever_its_name(tmp_path: Path, name: str) -> None:
    plain = EXAMPLES / name
    packed = write(tmp_path, gzip.compress(plain.read_bytes()), "packed")
    assert read(packed) == read(plain)


def test_damaged_gzip(tmp_path: Path) -> None:
    content = lines(*(chat(f"{n} {n * 7919 % 10007}") for n in range(30_000)))
    packed = gzip.compress(content.encode())
    *good, bad = read(write(tmp_path, packed[: len(packed) // 2]))
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
        piece, self.data = self.data[:7], self.data[7:]
        buffer[: len(piece)] = piece
        return len(piece)


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    return frame.to_parquet()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["transcripts.jsonl", "conversations.json", "chats.csv", None])
def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str | None, packed: bool
) -> None:
    data = (
        parquet_bytes(pd.read_csv(EXAMPLES / "chats.csv"))
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
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        read_conversations(path, format="xml")
    with pytest.raises(TranscriptFormatError, match="no table"):
        read(path, columns={"role": "who"})
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


# --- sharegpt ------------------------------------------------------------------------------------


def test_sharegpt_and_its_variants(tmp_path: Path) -> None:
    records = [
        {"id": "x_7", "conversations": [{"from": "gpt", "value": "…and so on"}]},
        {
            "id": "y",
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "h"},
                {"from": "gpt", "value": None},
                {"from": "observation", "value": "o"},
            ],
        },
        {"conversations": [{"role": "user", "content": "r"}, {"from": "user", "text": "t"}]},
        {"id": "z", "conversations": [{"from": "human", "value": None}]},
        {"id": "e", "conversations": []},
    ]
    for layout in ("lines", "array"):
        found = read(write(tmp_path, LAYOUTS[layout](records)))
        assert [item.id for item in found] == ["x_7", "y", None, "z", "e"]
        assert [texts(item) for item in found[:3]] == [
            ["…and so on"],
            ["s", "h", "", "o"],
            ["r", "t"],
        ]
        assert isinstance(found[1], Conversation)
        assert [m.role for m in found[1].messages] == ["system", "user", "assistant", "tool"]
        assert "messages[0].content" in error_of(found[3])
        assert texts(found[4]) == []
    (bare,) = read(write(tmp_path, lines(records[1]["conversations"])))
    assert texts(bare) == ["s", "h", "", "o"]


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


def test_chatgpt_reads_the_branch_last_seen_in_tree_order(tmp_path: Path) -> None:
    mapping = {
        "c": node("b", parts=["third"], create_time=1.0),
        "b": node("a", "assistant", ["second"], create_time=None),
        "b2": node("a", "assistant", ["regenerated"], create_time=9.0),
        "d2": node("b2", parts=["other branch"]),
        "e2": node("d2", "assistant", ["other branch, deeper"]),
        "a": node("root", parts=["first"], create_time=5.0),
        "root": {"parent": None, "message": None},
    }
    current, lost = (
        read(write(tmp_path, export(mapping, where)))[0] for where in ("c", "no such node")
    )
    assert texts(current) == ["first", "second", "third"]
    assert texts(lost) == ["first", "regenerated", "other branch", "other branch, deeper"]


def test_chatgpt_hides_what_the_interface_hides(tmp_path: Path) -> None:
    shown = node(None, parts=["shown"])
    hidden = [
        node("", "system", ["x"]),
        node("", "tool", ["x"]),
        node("", weight=0.0),
        node("", metadata={"is_visually_hidden_from_conversation": True}),
        node("", metadata={"is_user_system_message": True}, parts=[""]),
        node("", "assistant", recipient="browser"),
        node("", "assistant", channel="analysis"),
        node("", "assistant", content={"content_type": "thoughts", "thoughts": [{"content": "x"}]}),
        node("", "assistant", content={"content_type": "tether_quote", "text": "x"}),
        node("", content={"content_type": "user_editable_context", "user_profile": "x"}),
        {"message": None},
        {"message": "text"},
        {},
    ]
    mapping: dict[str, Any] = {"n": shown}
    parent = "n"
    for number, item in enumerate(hidden):
        mapping[f"h{number}"] = item | {"parent": parent}
        parent = f"h{number}"
    mapping["last"] = node(parent, "assistant", ["answer"], recipient="all")
    (found,) = read(write(tmp_path, export(mapping, "last")))
    assert texts(found) == ["shown", "answer"]


def test_chatgpt_parts(tmp_path: Path) -> None:
    voice = {"content_type": "audio_transcription", "text": "spoken"}
    mapping = {
        "a": node(None, parts=["one", {"content_type": "image_asset_pointer"}, voice, None]),
        "b": node("a", parts=[""]),
        "c": node("b", parts=None),
        "d": node("c", "assistant", content={"content_type": "code", "text": "x = 1"}),
        "e": node("d", "assistant", parts=["so\ue200cite\ue202turn0\ue201 it【3†source】 is"]),
        "f": node("e", content=None),
    }
    (found,) = read(write(tmp_path, export(mapping, "f")))
    assert texts(found) == ["one\nspoken", "", "", "x = 1", "so it is", ""]


@pytest.mark.parametrize("current", ["a", None])
def test_chatgpt_cycles_and_dangling_parents_end(tmp_path: Path, current: str | None) -> None:
    cycle = {"a": node("b", parts=["a"]), "b": node("a", "assistant", ["b"]), "c": node("c")}
    (found,) = read(write(tmp_path, export(cycle, current)))
    assert sorted(texts(found)) == ["a", "b"]
    dangling = {"a": node("gone", parts=["a"]), "b": "no object", "c": node(7, parts=["c"])}
    (found,) = read(write(tmp_path, export(dangling, current)))
    assert texts(found) in (["a"], ["c"])


def test_a_chatgpt_conversation_of_many_messages(tmp_path: Path) -> None:
    mapping = {str(n): node(str(n - 1), parts=[str(n)]) for n in range(20_000)}
    (found,) = read(write(tmp_path, export(mapping)))
    assert texts(found) == [str(n) for n in range(20_000)]


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


# --- tables --------------------------------------------------------------------------------------


def rows_of(content: str, tmp_path: Path, **options: Any) -> list[Any]:
    return read(write(tmp_path, content), **options)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiters_quotes_and_line_ends(tmp_path: Path, delimiter: str, ending: str) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ending)
    words = 'several\nlines, "quoted"; and\t|'
    writer.writerows([["Chat ID", "Sender", "Body"], ["1", "human", words], ["1", "bot", "ok"]])
    (found,) = rows_of("\n" + buffer.getvalue() + ending, tmp_path)
    assert texts(found) == [words, "ok"]
    assert found.id == "1"


def test_column_names_and_precedence(tmp_path: Path) -> None:
    content = "author,thread-id,role,text,user_id,lang\nAnn,t,user,hi,u1,fr\n"
    (found,) = rows_of(content, tmp_path)
    assert (found.id, found.user_id, found.language) == ("t", "u1", "fr")
    content = "chat,who,words,role\n9,human,hi,x\n"
    given = {"conversation_id": "chat", "role": "who", "content": "words"}
    (found,) = rows_of(content, tmp_path, columns=given)
    assert (found.id, texts(found)) == ("9", ["hi"])
    with pytest.raises(TranscriptFormatError, match="no column 'nope'"):
        rows_of(content, tmp_path, columns=given | {"role": "nope"})
    with pytest.raises(TranscriptFormatError, match="cannot say where 'wat' is"):
        rows_of(content, tmp_path, columns=given | {"wat": "chat"})


def test_unsorted_rows_are_brought_together(tmp_path: Path) -> None:
    content = (
        "conversation_id,role,content\n"
        "a,user,a1\nb,user,b1\na,assistant,a2\nc,user,c1\nb,assistant,b2\na,user,a3\n"
    )
    found = {item.id: texts(item) for item in rows_of(content, tmp_path)}
    assert found == {"a": ["a1", "a2", "a3"], "b": ["b1", "b2"], "c": ["c1"]}


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([(c, t) for c in "abc" for t in range(4)]))
def test_any_order_of_rows_gives_the_same_conversations(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[str, int]]
) -> None:
    content = "conversation_id,turn,role,content\n" + "".join(
        f"{c},{t},user,{c}{t}\n" for c, t in order
    )
    found = read(write(tmp_path_factory.getbasetemp(), content, "order.csv"))
    assert {item.id: texts(item) for item in found} == {
        c: [f"{c}{t}" for t in range(4)] for c in "abc"
    }


def test_order_within_a_conversation(tmp_path: Path) -> None:
    head = "conversation_id,role,content,turn,created_at\n"
    by_turn = head + "1,user,ten,10,\n1,user,two,2,\n1,assistant,two too,2,\n"
    assert texts(rows_of(by_turn, tmp_path)[0]) == ["two", "two too", "ten"]
    by_time = head + "1,user,late,,2024-01-02\n1,user,early,,2024-01-01\n"
    assert texts(rows_of(by_time, tmp_path)[0]) == ["early", "late"]
    neither = head + "1,user,late,x,\n1,user,early,2,2024-01-01\n"
    assert texts(rows_of(neither, tmp_path)[0]) == ["late", "early"]


def test_numeric_ids_and_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "conversation_id": [12.0, 12.0, 13.0],
            "user_id": [1.0, None, None],
            "role": ["user", "assistant", "user"],
            "content": ["hi", None, None],
            "turn": [1, 2, 1],
            "timestamp": pd.to_datetime(["2024-01-01", None, None]),
        }
    )
    for content in (frame.to_csv(index=False).encode(), parquet_bytes(frame)):
        first, second = read(write(tmp_path, content))
        assert isinstance(first, Conversation)
        assert (first.id, first.user_id, texts(first)) == ("12", "1", ["hi", ""])
        assert first.messages[0].timestamp == datetime(2024, 1, 1, tzinfo=UTC)
        assert (second.id, texts(second)) == ("13", [""])
    frame["content"] = [float("nan"), 2.5, 1.0]
    bad = read(write(tmp_path, parquet_bytes(frame)))
    assert "ConversationError: row 1: messages[1].content: expected text" in error_of(bad[0])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,narrator,hi", "messages[1].role: unknown role"),
        ("1", "the row has 1 cells, the header 3"),
        (f"1,user,unquoted, {SECRET}", "the row has 4 cells, the header 3"),
        (f'1,user,"{SECRET}', "the file ends inside a quoted cell"),
    ],
)
def test_bad_rows_cost_their_conversation_only(tmp_path: Path, row: str, problem: str) -> None:
    content = f"conversation_id,role,content\n1,user,a\n2,user,b\n{row}\n"
    good, bad = rows_of(content, tmp_path)
    assert texts(good) == ["b"]
    assert bad.id == "1"
    assert error_of(bad).startswith("ConversationError: line ")
    assert problem in error_of(bad)


def test_rows_without_an_id(tmp_path: Path) -> None:
    content = "conversation_id,role,content\n,user,a\n2,user,b\n,,\n"
    bad, good = sorted(rows_of(content, tmp_path), key=lambda item: item.id or "")
    assert "line 2: conversation_id: the cell is empty" in error_of(bad)
    assert texts(good) == ["b"]


def test_huge_cells_nul_bytes_and_an_empty_table(tmp_path: Path) -> None:
    huge = "x" * 200_000
    content = f"conversation_id,role,content\n1,user,{huge}\n1,assistant,a\x00b\n"
    (found,) = rows_of(content, tmp_path)
    assert texts(found) == [huge, "a\ufffdb"]
    assert rows_of("conversation_id,role,content\n", tmp_path) == []


def test_parquet_lacking_columns_or_cut_short(tmp_path: Path) -> None:
    frame = pd.DataFrame({"conversation_id": ["a"], "text": ["hi"]})
    with pytest.raises(TranscriptFormatError, match="columns conversation_id, text"):
        read(write(tmp_path, parquet_bytes(frame)))
    frame = pd.DataFrame({"chat": ["a"], "who": ["user"], "text": ["hi"]}).astype("category")
    given = {"conversation_id": "chat", "role": "who"}
    (found,) = read(write(tmp_path, parquet_bytes(frame)), columns=given)
    assert texts(found) == ["hi"]
    with pytest.raises(TranscriptFormatError, match="damaged"):
        read(write(tmp_path, parquet_bytes(frame)[:-30]))


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
