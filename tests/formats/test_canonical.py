"""The own format: what is written is what was read, and it follows its schema."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError, OptionError, OutputExistsError
from affectlib.formats import ReadReport, canonical, read_conversations
from affectlib.formats.canonical import to_record, write_conversations
from tests.formats.test_fixtures import FIXTURES
from tests.transcript_files import EXAMPLES, chat, lines, read, texts, write

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
_maybe = st.none() | _text
_time = st.none() | st.datetimes(timezones=st.just(UTC))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "system", "tool"]),
    _text,
    id=_maybe,
    timestamp=_time,
    modality=st.sampled_from([None, "text", "voice"]),
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    metadata: dict[str, Any] = draw(st.dictionaries(_text, _json, max_size=3))
    metadata.pop("started_at", None)
    started_at = draw(_time)
    return Conversation(
        tuple(draw(st.lists(_messages, max_size=4))),
        **{name: draw(_maybe) for name in ("id", "user_id", "title", "model", "language")},
        source=draw(_maybe),
        metadata=metadata if started_at is None else {**metadata, "started_at": started_at},
    )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_=st.lists(conversations(), min_size=1, max_size=3))
def test_what_is_written_is_read_the_same(tmp_path: Path, given_: list[Conversation]) -> None:
    path = tmp_path / "out.jsonl"
    assert write_conversations(given_, path, overwrite=True) == len(given_)
    assert read(path) == given_
    schema = Path(canonical.__file__).with_name("conversation.schema.json").read_bytes()
    validator = jsonschema.Draft202012Validator(
        json.loads(schema), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        validator.validate(json.loads(line))


FILES = [
    *sorted(EXAMPLES.glob("*.[jc]*")),
    *sorted(path for path in FIXTURES.glob("*/*") if path.name != "expected.json"),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_format_comes_through_unchanged(tmp_path: Path, path: Path) -> None:
    columns = {"conversation": "chat", "role": "who", "content": "words"}
    options: dict[str, Any] = {"columns": columns} if path.name == "other_names.csv" else {}
    if path.parent.name == "text":  # lines without an order are not told from other files
        options = {"format": "text"}
    read_first = [item for item in read(path, **options) if isinstance(item, Conversation)]
    write_conversations(read_first, tmp_path / "out.jsonl")
    assert read_first == (read(tmp_path / "out.jsonl") if read_first else [])


def test_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Conversation((Message("user", "hé 漢\u2028"),), id="a")
    path = tmp_path / "out.jsonl"
    write_conversations([one], path)
    with pytest.raises(OutputExistsError, match="it exists"):
        write_conversations([one], path)
    with pytest.raises(OptionError, match=r"use \.jsonl"):
        write_conversations([one], tmp_path / "out.json")
    written = io.BytesIO()  # a terminal of Windows with its encoding and its ends of lines
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252", newline="\r\n"))
    sys.stdout.write("before\n")
    assert write_conversations([one, one], "-") == 2
    sys.stdout.flush()
    assert written.getvalue() == b"before\r\n" + path.read_bytes() * 2
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1
    assert path.read_bytes().endswith(b"}\n")


def test_failures_of_the_reading_are_left_out(tmp_path: Path) -> None:
    source = write(tmp_path, lines(chat("a")) + "{broken\n" + lines(chat("b")))
    report = ReadReport()
    path = tmp_path / "out.jsonl"
    assert write_conversations(read_conversations(source, report=report), path) == 2
    assert report.failures == 1
    assert [texts(item) for item in read(path)] == [["a"], ["b"]]


def test_a_failure_leaves_no_half_a_file(tmp_path: Path) -> None:
    def broken() -> Any:
        yield Conversation(())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_conversations(broken(), tmp_path / "out.jsonl")
    assert [*tmp_path.iterdir()] == []


def test_times_and_metadata() -> None:
    naive = Conversation((), metadata={"started_at": datetime(2024, 5, 1, 12)})
    assert to_record(naive)["started_at"] == "2024-05-01T12:00:00Z"
    with pytest.raises(ConversationError, match="metadata: it holds values that JSON cannot"):
        to_record(Conversation((), metadata={"a": float("nan")}))
