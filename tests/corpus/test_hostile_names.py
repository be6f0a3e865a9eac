"""Names that attack: the terminal they are printed on, or the spreadsheet that opens the labels."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import agreement, read_labels
from affectlib.cli._terminal import say
from affectlib.conversation import Conversation, Message
from affectlib.corpus.label_file import label_file
from tests.cli.conftest import made  # noqa: F401
from tests.fake_classifier import FakeClassifier
from tests.transcript_files import chat, lines, read, write

STEERING = [
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x1b[31mred",
    "\x9b2J",
    "\u202egnp.exe",
    "\u2066left\u2069",
    "two\nlines",
    "two\r\x0blines\x85",
    "one\u2028two",
    "tag\U000e0061",
]
UNWANTED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
GUARDED = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1+1", "''-2", "'plain", "plain", "a=b"]


@pytest.mark.parametrize("name", STEERING)
def test_ids_and_names_of_files_do_not_steer(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"a{name}b"
    folder.mkdir()
    record = chat("so sad", id=name, user_id=name, title=name, model=name, language=name)
    src = write(folder, lines(record, {"id": name, "messages": 3}), f"{name}.jsonl")
    dst = folder / f"{name}.csv"
    runs: list[list[object]] = [
        ["label", src, "-o", dst],
        ["label", src, "-o", folder / f"{name}.raise.csv", "--on-error", "raise"],
        ["label", src, "-o", folder / f"{name}.unknown"],
        ["label", folder / f"no{name}", "-o", tmp_path / "x.csv"],
        ["info", src],
        ["info", src, "--preview", "1"],
        ["info", src, "--json"],
        ["info", src, "-o", folder / f"{name}.jsonl"],
        ["sample", dst, "-o", folder / f"{name}.txt"],
        ["evaluate", "--agreement", dst, dst],
        ["prevalence", dst, "--by", name],
        ["label", src, "-o", dst, "--columns", name],
        ["label", src, "-o", dst, "--device", name],
        ["predict", name, "--explain"],
        ["predict", "x", name],
        [name],
    ]
    for arguments in runs:
        cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        for printed in (captured.out, captured.err):
            assert UNWANTED.search(printed) is None, arguments
    cli.main(["label", str(src), "-o", str(dst), "--overwrite"])
    assert len(capsys.readouterr().err.splitlines()) < 10


def test_breaks_in_an_id_forge_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = write(tmp_path, lines(chat("hi", id="a\nuser: forged\x0cuser: forged")))
    cli.main(["info", str(src), "--preview", "1"])
    assert not any(line.startswith("user: forged") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_what_the_terminal_cannot_show_is_no_crash(encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    say("label \ud800 and é and 🙂", stream)
    stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert shown.startswith(r"label \ud800 and ")
    assert shown.endswith("\n")


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode there")
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ""])
def test_a_name_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    src = write(tmp_path, lines(chat("so sad")), "\udcff.jsonl")
    assert cli.main(["label", str(src), "-o", str(tmp_path / f"\udcfe{suffix}")]) == 0
    assert rf"\udcfe{suffix}" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode there")
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_chat_whose_file_name_is_no_text_is_labelled_and_found_again(
    tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    for name in ("a.txt", "caf\udce9.txt"):
        write(folder, "User: i am so sad\nAI: oh\n", name)
    labels = tmp_path / f"labels{suffix}"
    label_file(folder, labels, classifier=FakeClassifier(), level="both")  # type: ignore[arg-type]
    ids = [item.id for item in read(folder)]
    assert ids == ["a.txt", "caf\ufffd.txt"]
    messages = read_labels(tmp_path / f"labels.messages{suffix}").collect()
    assert read_labels(labels).collect()["conversation_id"].to_list() == ids
    assert messages["conversation_id"].unique(maintain_order=True).to_list() == ids
    sheet = tmp_path / "sheet.csv"
    command = ["sample", labels, "-n", "2", "-o", sheet, "--transcripts", folder]
    assert cli.main([str(argument) for argument in command]) == 0


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_broken_text_about_a_conversation_costs_no_row(tmp_path: Path, suffix: str) -> None:
    broken = "a\ud800\x00b"
    names = ("id", "user_id", "model", "language", "source")
    whole = Conversation(
        (Message("user", "so sad"),),
        metadata={"topic": broken, "place": [broken]},
        **dict.fromkeys(names, broken),
    )
    empty = Conversation((), id=broken)
    labels = tmp_path / f"labels{suffix}"
    classifier: Any = FakeClassifier()
    summary = label_file(
        [whole, empty], labels, classifier=classifier, level="both", keep=["topic", "place"]
    )
    assert (summary.labelled, summary.empty) == (1, 1)
    for path in (labels, tmp_path / f"labels.messages{suffix}"):
        rows = read_labels(path).collect()
        assert rows["conversation_id"].to_list() == ["a\ufffd\ufffdb"] * 2
        assert rows["user_id"][0] == rows["topic"][0] == "a\ufffd\ufffdb"
    first = read_labels(labels).collect().row(0, named=True)
    assert [first[name] for name in names[2:]] == ["a\ufffd\ufffdb"] * 3


def filled(folder: Path, name: str, path: Path) -> Path:
    """Answer the questions of a sheet as a spreadsheet would, cell by cell."""
    rows = pl.read_csv(path, infer_schema=False)
    answered = rows.with_columns(gold=pl.lit("emotional"))
    answered.write_csv(folder / name)
    return folder / name


def test_csv_is_no_program_and_ids_come_back(tmp_path: Path) -> None:
    fields = ("id", "user_id", "model", "language", "source")
    chats = (
        chat("so sad", **dict.fromkeys(fields, text), timestamp=f"2025-01-{day:02}")
        for day, text in enumerate(GUARDED, 1)
    )
    src = write(tmp_path, lines(*chats))
    labels = tmp_path / "labels.csv"
    label_file(src, labels, classifier=FakeClassifier())  # type: ignore[arg-type]
    raw = pl.read_csv(labels, infer_schema=False)
    for column in ("conversation_id", "user_id", "model", "language"):
        cells = raw[column].to_list()
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
        assert read_labels(labels).collect()[column].to_list() == [i.strip() for i in GUARDED]
    sheet = tmp_path / "sheet.csv"
    assert cli.main(["sample", str(labels), "-n", str(len(GUARDED)), "-o", str(sheet)]) == 0
    one, two = (filled(tmp_path, name, sheet) for name in ("one.csv", "two.csv"))
    assert {*read_labels(one).collect()["conversation_id"]} == {i.strip() for i in GUARDED}
    answers: Any = agreement(read_labels(one), read_labels(two))
    assert answers["units"][0] == len(GUARDED)
    assert cli.main(["prevalence", str(labels), "--gold", str(one)]) == 0


def test_standard_output_of_labels_is_escaped(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    src = write(tmp_path, lines(*(chat("x", id=name) for name in STEERING)))
    cli.main(["label", str(src), "-o", "-", "--quiet"])
    out = capfdbinary.readouterr().out.decode()
    assert UNWANTED.search(out) is None
    assert [json.loads(line)["conversation_id"] for line in out.splitlines()] == [
        name.strip() for name in STEERING
    ]
