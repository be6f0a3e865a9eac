"""What the command label says and does beyond labelling: empty chats, columns, texts, errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectlib import cli
from tests.corpus.test_label_file import record, rows_of, source

pytestmark = pytest.mark.usefixtures("made")


def test_empty_chats_are_normal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = source(tmp_path, record("so sad"), {"id": "e", "messages": []}, record(""))
    assert cli.main(["label", str(src), "-o", str(tmp_path / "out.jsonl")]) == 0
    shown = capsys.readouterr().err
    assert "1 of 1 labelled" in shown
    assert "empty      2 without user text" in shown
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["status"] for row in rows] == ["ok", "empty", "empty"]
    assert [row["error"] for row in rows] == [None] * 3


def test_columns_are_carried_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = source(tmp_path, record("so sad", topic="a, b", metadata={"channel": 7}), record("x"))
    dst = tmp_path / "out.csv"
    arguments = ["label", str(src), "-o", str(dst), "--level", "both", "--keep", "topic, channel"]
    assert cli.main(arguments) == 0
    for path in (dst, tmp_path / "out.messages.csv"):
        assert [(row["topic"], row["channel"]) for row in rows_of(path)] == [
            ("a, b", "7"),
            ("", ""),
        ]
    assert "not kept" not in capsys.readouterr().err
    assert cli.main(["label", str(src), "-o", "-", "--keep", "topc"]) == 0
    assert "not kept   topc: no record has it" in capsys.readouterr().err
    assert cli.main(["label", str(src), "-o", "-", "--keep", "label"]) == 2
    assert "--keep: the output has a column 'label' of its own" in capsys.readouterr().err


def test_text_with_one_message_a_line(tmp_path: Path) -> None:
    src = tmp_path / "texts.txt"
    src.write_text('so sad\n{"role": 1}\n\nUser: hi\r\nlast', encoding="utf-8")
    dst = tmp_path / "out.jsonl"
    assert cli.main(["label", str(src), "-o", str(dst), "--format", "text", "--quiet"]) == 0
    rows = rows_of(dst)
    assert [row["record"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["label"] for row in rows] == ["emotional", "task", None, "task", "task"]
    assert rows[2]["status"] == "empty"


def test_errors_name_options_and_no_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    src = tmp_path / "in.csv"
    src.write_text("chat_id,speech\n1,hi\n")
    assert cli.main(["label", str(src), "-o", str(tmp_path / "out.csv")]) == 2
    shown = capsys.readouterr().err
    assert "--columns role=who,content=words" in shown
    assert "columns={" not in shown
    src.write_text("words\nso sad\n")
    arguments = ["label", str(src), "-o", str(tmp_path / "out.csv"), "--columns", "content=words"]
    assert cli.main(arguments) == 0
    assert cli.main([*arguments, "--level", "message"]) == 2
    capsys.readouterr()
    src.write_text("words\nso glad\n")
    assert cli.main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    src.write_text("nothing that has a format\n")
    assert cli.main(["label", str(src), "-o", "-"]) == 2
    shown = capsys.readouterr().err
    assert "--format" in shown
    assert "format=" not in shown
