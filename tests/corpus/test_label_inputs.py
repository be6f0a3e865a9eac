"""Conversations in place of a file, columns that are kept, and the progress bar."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas
import pyarrow.parquet as pq
import pytest

from affectlib.conversation import Conversation, Message
from affectlib.errors import (
    InputTypeError,
    OptionError,
    OutputExistsError,
    TranscriptFormatError,
)
from affectlib.formats import ReadOptions
from tests.corpus.test_label_file import RECORDS, label, rows_of, source


def test_conversations_in_place_of_a_file(tmp_path: Path) -> None:
    chats = [
        Conversation((Message("user", "so sad"),), id="a", metadata={"topic": 7}),
        [{"role": "user", "content": "sum"}],
        {"id": "c", "topic": "x", "messages": [{"role": "user", "content": "sad"}]},
        None,
        [{"role": "robot", "content": "x"}],
    ]
    for given in (chats, iter(chats), pandas.Series(chats)):
        dst = tmp_path / "out.jsonl"
        summary = label(given, dst, keep=["topic"], overwrite=True)
        rows = rows_of(dst)
        assert [row["conversation_id"] for row in rows] == ["a", None, "c", None, None]
        assert [row["status"] for row in rows] == ["ok", "ok", "ok", "empty", "error"]
        assert [row["topic"] for row in rows] == ["7", None, "x", None, None]
        assert (summary.conversations, summary.failed, summary.empty) == (5, 1, 1)
        with pytest.raises(OutputExistsError, match="nothing tells whether it was made from it"):
            label(given, dst)
    with pytest.raises(OptionError, match="conversations: a stream cannot be read again"):
        label(chats, dst, resume=True)
    texts = label(iter(["so sad", "sum"]), tmp_path / "texts.csv")
    assert (texts.conversations, texts.emotional) == (2, 1)
    with pytest.raises(InputTypeError, match="label_table"):
        label(pandas.DataFrame({"text": ["sad"]}), tmp_path / "frame.csv")
    with pytest.raises(TranscriptFormatError, match=r"^conversations: record 4:"):
        label(chats, tmp_path / "raise.csv", on_error="raise")


def test_records_say_of_themselves_what_the_same_in_a_file_say(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "so sad", "timestamp": "2024-05-01T10:00:00Z"},
        {"role": "assistant", "content": "oh", "created_at": 1714557660},
    ]
    about = {"user": "ana", "model": "m-1", "lang": "fr", "source": "app"}
    records = [
        {"chat_id": 7, "messages": messages, **about, "created_at": "2024-05-01T09:59:00Z"},
        {"id": "b", "messages": messages, "model": None, "metadata": {"topic": "loss"}},
        {"thread_id": "c", "messages": [{"role": "user", "content": 3}], **about},
    ]
    (tmp_path / "file").mkdir()
    for given, dst in (
        (records, tmp_path / "out.jsonl"),
        (source(tmp_path, *records), tmp_path / "file" / "out.jsonl"),
    ):
        label(given, dst, level="both", keep=["lang", "topic"])
    assert rows_of(tmp_path / "out.jsonl")[0]["started_at"] == "2024-05-01T09:59:00+00:00"
    for name in ("out.jsonl", "out.messages.jsonl"):
        as_list, as_file = (rows_of(folder / name) for folder in (tmp_path, tmp_path / "file"))
        for row in as_file[-1:]:  # an error names the place in its file
            row["error"] = row["error"].replace("line 3: ", "")
        assert as_list == as_file


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_columns_of_a_long_table_are_kept(tmp_path: Path, suffix: str) -> None:
    src = tmp_path / f"in{suffix}"
    rows = [
        {"conversation_id": "1", "role": "user", "content": "so sad", "topic": "", "user_id": "u"},
        {"conversation_id": "1", "role": "user", "content": "x", "topic": "love", "user_id": "u"},
        {
            "conversation_id": "2",
            "role": "user",
            "content": "sum",
            "topic": "maths",
            "user_id": "v",
        },
    ]
    if suffix == ".csv":
        with src.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)
    else:
        src.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dst = tmp_path / "out.parquet"
    summary = label(src, dst, keep=["topic"], level="both")
    assert summary.not_kept == ()
    assert pq.read_schema(dst).names[-1] == "topic"
    assert [row["topic"] for row in rows_of(dst)] == ["love", "maths"]
    assert [row["topic"] for row in rows_of(tmp_path / "out.messages.parquet")] == [
        "love", "love", "maths",
    ]  # fmt: skip
    with pytest.raises(OptionError, match="there is no column 'topc'; the table has conv"):
        label(src, tmp_path / "other.csv", keep=["topc"])
    with pytest.raises(OptionError, match="the output has a column 'user_id' of its own"):
        label(src, tmp_path / "other.csv", keep=["user_id"])
    with pytest.raises(InputTypeError, match="keep must be a list of names"):
        label(src, tmp_path / "other.csv", options=ReadOptions(keep="topic"))


def test_a_column_whose_name_has_a_line_break_is_kept(tmp_path: Path) -> None:
    name = 'Chat\n"no"\r\n'
    src = source(tmp_path, *({**one, name: n} for n, one in enumerate(RECORDS[:1] * 2001)))
    label(src, tmp_path / "out.csv", keep=[name])
    label(src, tmp_path / "out.jsonl", keep=[name])
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row[name] for row in rows] == [str(n) for n in range(2001)]
    assert [row["label"] for row in rows] == [r["label"] for r in rows_of(tmp_path / "out.jsonl")]


@pytest.mark.parametrize("finished", [".csv", ""])
def test_a_run_that_had_nothing_to_do_misses_no_column(tmp_path: Path, finished: str) -> None:
    src = source(tmp_path, *({**one, "topic": "x"} for one in RECORDS[:1]))
    first = label(src, tmp_path / f"out{finished}", keep=["topic", "absent"])
    second = label(src, tmp_path / f"out{finished}", keep=["topic", "absent"])
    assert (first.finished_before, first.not_kept) == (False, ("absent",))
    assert (second.finished_before, second.not_kept) == (True, ())


def test_progress_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = source(tmp_path, *RECORDS)
    label(src, tmp_path / "quiet.csv")
    assert capsys.readouterr().err == ""
    label(src, tmp_path / "out.csv", progress=True)
    assert "\r" in capsys.readouterr().err
