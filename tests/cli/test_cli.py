from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from affectlib import __version__, cli
from affectlib.errors import NoUserTextError
from affectlib.taxonomy import OUTPUTS
from tests.corpus.test_label_file import RECORDS, SECRET, record, rows_of, source
from tests.fake_classifier import FakeClassifier

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.usefixtures("made")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"affectlib {__version__}\n"


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = "import sys; from affectlib.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {*done.stdout.splitlines()[-1].split()}
    assert not modules & {"affectlib.cli.predict", "affectlib.formats", "numpy", "polars"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["wat"],
        ["predict"],
        ["label", "in.jsonl"],
        ["label", "in", "-o", "out.csv", "--level", "turn"],
        ["label", "in", "-o", "out.csv", "--columns", "role"],
        ["label", "in", "-o", "out.csv", "--columns", "role="],
        ["predict", "x", "--engine", "jax"],
        ["info", "-o", "out.jsonl"],
        ["evaluate", "labels.parquet"],
        ["evaluate", "--agreement", "sheet.csv"],
        ["evaluate", "labels.csv", "--gold=g", "--threshold=0.5", "--operating-point=balanced"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: affectlib" in captured.err


def test_predict(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "so sad"]) == 0
    captured = capsys.readouterr()
    first, *cues = captured.out.splitlines()
    assert first == "emotional  (probability of emotional 0.900, intensity 2.50 of 3)"
    assert any("Shares feelings" in line for line in cues)
    assert any("theme: Grief and loss" in line for line in cues)
    assert captured.err == ""
    assert cli.main(["predict", "sum of column C"]) == 0
    said = "task  (probability of emotional 0.100, intensity 0.25 of 3)"
    assert capsys.readouterr().out.splitlines() == [said]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
def test_predict_reads_standard_input_in_every_encoding_that_files_have(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    given = io.BytesIO("café\r\nso sad\r\n".encode(encoding))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given, "utf-8"))
    assert cli.main(["predict", "-", "--explain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["label"], found["probability"]) == ("emotional", 0.9)
    assert found["words"][0] == {"word": "café", "start": 0, "stop": 4, "share": 0.0}
    assert found["words"][1]["start"] == 5


def test_predict_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "\x1b[31mso sad", "--explain"]) == 0
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["+2.000", "sad"]
    assert second.split() == ["+0.000", "so"]
    assert cli.main(["predict", "so sad", "--explain", "--json"]) == 0
    words = json.loads(capsys.readouterr().out)["words"]
    assert words[1] == {"word": "sad", "start": 3, "stop": 6, "share": 2.0}


def test_predict_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", ""]) == 2
    assert capsys.readouterr().err.startswith("affectlib: no message of the user has text")


def test_predict_of_a_file_says_how_files_are_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chats = tmp_path / "my chats.jsonl"
    chats.write_text("{}", encoding="utf-8")
    assert cli.main(["predict", str(chats)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"affectlib label '{chats}' -o OUT" in captured.err
    assert cli.main(["predict", "so sad " * 1000]) == 0


@pytest.mark.parametrize("quiet", [False, True])
def test_label(tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    src, dst = str(EXAMPLES / "transcripts.jsonl"), tmp_path / "labels.parquet"
    assert cli.main(["label", src, "-o", str(dst), *["--quiet"] * quiet]) == 0
    out, err = capsys.readouterr()
    assert len(rows_of(dst)) == 40
    assert out == ""
    assert not quiet or err == ""
    for said in () if quiet else ("40 conversations", "of 40 labelled", str(dst)):
        assert said in err


def test_label_with_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src, dst, summary = source(tmp_path, *RECORDS), tmp_path / "labels.csv", tmp_path / "s.json"
    assert cli.main(["label", str(src), "-o", str(dst), "--summary", str(summary)]) == 1
    told = capsys.readouterr().err
    for said in ("failed     2;", "empty      1 ", "2 of 3 labelled (66.7%)"):
        assert said in told
    assert SECRET not in told
    assert len(rows_of(dst)) == 6
    figures = json.loads(summary.read_text())
    counts = {name: figures[name] for name in ("conversations", "failed", "empty", "emotional")}
    assert counts == {"conversations": 6, "failed": 2, "empty": 1, "emotional": 2}
    assert figures["emotional_share"] == pytest.approx(2 / 3)


def test_label_to_standard_output_keeps_it_clean(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.main(["label", str(source(tmp_path, record("x"))), "-o", "-"]) == 0
    captured = capfdbinary.readouterr()
    assert [json.loads(line)["label"] for line in captured.out.splitlines()] == ["task"]
    assert b"standard output" in captured.err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("label in.jsonl -o in.jsonl --overwrite", "this is the input"),
        ("label in.jsonl -o out.csv --summary in.jsonl", "this is the input"),
        ("info in.jsonl -o in.jsonl --overwrite", "this is the input"),
        ("info in.jsonl -o link.jsonl --overwrite", "this is the input"),
        *(
            (f"label in.jsonl -o {output} --level both --summary {summary}", "this is the output")
            for output, summary in (
                ("out.csv", "out.csv"),
                ("out.csv", "out.messages.csv"),
                ("out.csv", "out.csv.manifest"),
                ("out.csv", "out.csv.partial/s.json"),
                ("out.csv", ".out.csv.lock"),
                ("out.csv", "link/out.messages.csv"),
                ("link/out.csv", "out.csv.manifest"),
                ("out.csv", "to-messages"),
                ("out", "out/_manifest.jsonl"),
                ("out", "out/messages/part-000000002000.parquet"),
                ("out", "link/out/conversations/part-000000000000.parquet"),
            )
        ),
        ("label none.jsonl -o out.csv", "No such file"),
        ("label . -o out.csv", "lies in the input"),
        ("label text.jsonl -o out.csv", "neither JSON nor a table"),
        ("label in.jsonl -o out.txt", "unknown suffix"),
        ("label in.jsonl -o none/out.csv", "does not exist"),
        ("label bad.jsonl -o out.csv --on-error raise", "record 0"),
        ("label in.jsonl -o out.csv --model nowhere", "no model"),
        ("label in.jsonl -o out.csv --resume --overwrite", "--resume and --overwrite"),
        ("label in.jsonl -o out.csv --summary none/s.json", "folder of the summary does not exist"),
        ("label in.jsonl -o out.csv --summary .", "this is a folder; name a file"),
    ],
)
def test_errors_are_one_line_and_nothing_is_replaced(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    src = source(tmp_path, record("x"))
    Path("text.jsonl").write_text("text\n")
    Path("bad.jsonl").write_text("{}\n" + src.read_text())
    Path("link").symlink_to(tmp_path, target_is_directory=True)
    Path("link.jsonl").symlink_to(src)
    Path("to-messages").symlink_to("out.messages.csv")
    before = src.read_bytes()
    assert cli.main(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("affectlib: ")
    assert message in line
    assert src.read_bytes() == before
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_files_skipped_are_told_even_if_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: list[str]
) -> None:
    folder, summary = tmp_path / "chats", tmp_path / "s.json"
    folder.mkdir()
    source(folder, record("x"))
    (folder / "prose.jsonl").write_text(f"{SECRET}\n{json.dumps(record('x'))}\n")
    (folder / "README.txt").write_text("What is in this folder.\n")
    command = ["label", str(folder), "-o", str(tmp_path / "out.csv"), "--summary", str(summary)]
    assert cli.main([*command, *quiet]) == 0
    told = capsys.readouterr().err.splitlines()
    skipped = told[told.index("files skipped") :]
    assert skipped == told if quiet else len(skipped) < len(told)
    assert "it has no known format (README.txt, prose.jsonl)" in skipped[1]
    assert sum(json.loads(summary.read_text())["skipped"].values()) == 2
    assert SECRET not in "".join(told)


def test_a_second_run_says_that_there_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dst = tmp_path / "labels"
    command = ["label", str(source(tmp_path, record("x"))), "-o", f"{dst}/"]
    assert cli.main([*command, "--summary", str(dst / "s.json")]) == 0  # the folder that is made
    assert json.loads((dst / "s.json").read_text())["conversations"] == 1
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().err.startswith("nothing to do: ")


def test_damage_is_told_even_if_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels"
    command = ["label", str(source(tmp_path, record("x"))), "-o", str(labels), "--quiet"]
    assert cli.main(command) == 0
    (part,) = (labels / "conversations").iterdir()
    part.unlink()
    assert cli.main(command) == 2
    assert "part-000000000000.parquet: it is missing" in capsys.readouterr().err
    assert cli.main([*command, "--resume"]) == 0
    assert "it is missing; its records were labelled again" in capsys.readouterr().err


def test_options_reach_their_places(
    tmp_path: Path, made: list[FakeClassifier], capsys: pytest.CaptureFixture[str]
) -> None:
    src = tmp_path / "in.csv"
    src.write_text("chat,who,words\n7,user,so sad\n7,bot,oh\n")
    dst = tmp_path / "labels.jsonl"
    dst.write_text("old")
    options = ["--level", "message", "--format", "table", "--overwrite"]
    options += ["--columns", "conversation_id=chat,role=who,content=words"]
    options += ["--operating-point", "high_recall", "--model", "m", "--device", "cpu"]
    options += ["--engine", "onnx"]
    assert cli.main(["label", str(src), "-o", str(dst), *options]) == 0
    assert [row["role"] for row in rows_of(dst)] == ["user", "assistant"]
    assert made[0].options == {
        "model": "m", "device": "cpu", "engine": "onnx", "operating_point": "high_recall",
        "screen": True, "local_files_only": True,
    }  # fmt: skip


def test_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FakeClassifier._outcome

    def outcome(self: FakeClassifier, item: Any, on_error: str) -> Any:
        if item.id == "3":
            raise KeyboardInterrupt
        return original(self, item, on_error)

    monkeypatch.setattr(FakeClassifier, "_outcome", outcome)
    src = source(tmp_path, *(record("x", id=str(n)) for n in range(5)))
    dst = tmp_path / "labels.jsonl"
    assert cli.main(["label", str(src), "-o", str(dst)]) == 130
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    kept = Path(f"{dst}.partial")
    assert line == (
        f"affectlib: interrupted; what was labelled until then is in {kept}, and can be resumed"
    )
    (part,) = (kept / "conversations").iterdir()
    assert len(rows_of(part)) == 3


def test_progress_bar_on_a_terminal_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    src = source(tmp_path, *RECORDS)
    cli.main(["label", str(src), "-o", str(tmp_path / "pipe.csv")])
    assert "\r" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    cli.main(["label", str(src), "-o", str(tmp_path / "terminal.csv")])
    shown = capsys.readouterr().err
    assert "\r" in shown
    cli.main(["label", str(src), "-o", str(tmp_path / "quiet.csv"), "--quiet"])
    assert capsys.readouterr().err == ""


def test_the_bar_shows_share_and_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tqdm.auto

    shown: list[str] = []
    totals: list[float | None] = []

    class Bar(tqdm.auto.tqdm):  # type: ignore[type-arg]
        def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
            shown.append(s)
            totals.append(self.total)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    cli.main(["label", str(source(tmp_path, *RECORDS)), "-o", str(tmp_path / "out.csv")])
    assert len(shown) == 7, "once at the beginning, and after each record"
    assert totals[-1] == 6
    assert re.fullmatch(r"[\d,]+ messages/s, 66\.7% emotional, 2 errors", shown[-1])


def test_the_bar_moves_within_a_long_conversation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from affectlib import _progress as command

    original = FakeClassifier._outcome

    def outcome(self: FakeClassifier, item: Any, on_error: str) -> Any:
        for _ in range(8):  # as an engine does that reads on and on
            self.windows_run += 100
            time.sleep(0.06)
        return original(self, item, on_error)

    monkeypatch.setattr(command, "_TICK", 0.05)
    monkeypatch.setattr(FakeClassifier, "_outcome", outcome)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    cli.main(["label", str(source(tmp_path, record("x"))), "-o", str(tmp_path / "out.csv")])
    assert "00 messages of the next ones" in capsys.readouterr().err


def test_info(capsys: pytest.CaptureFixture[str], made: list[FakeClassifier]) -> None:
    assert cli.main(["info", "--model", "m"]) == 0
    out = capsys.readouterr().out
    for fact in (__version__, "fake 1", "f00", "en, fr", "cpu, with fake"):
        assert fact in out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "balanced * conversation 0.500 0.800 (8/10) 0.970 (97/100)" in rows
    assert "message 0.400 - -" in rows
    assert "it does not say on what they were measured" in out
    assert made[0].options == {"model": "m", "local_files_only": True}


def stand_in(monkeypatch: pytest.MonkeyPatch) -> FakeClassifier:
    """Put a fake in the place of the classifier that is loaded."""
    stand = FakeClassifier()
    monkeypatch.setattr("affectlib.cli._options.load_classifier", lambda *_, **__: stand)
    return stand


@pytest.mark.parametrize(
    ("outputs", "given"),
    [(OUTPUTS, "label, intensity, 11 cues, 14 themes"), (OUTPUTS[:1], "label")],
)
def test_info_says_what_a_model_gives(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    outputs: tuple[str, ...],
    given: str,
) -> None:
    stand_in(monkeypatch).artifact.outputs = outputs
    cli.main(["info"])
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("gives"))
    assert line.split(maxsplit=1)[1] == given


def test_info_shows_shared_logs_and_personal_chats_side_by_side(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("true_positives", "false_negatives", "true_negatives", "false_positives")
    counts = dict(zip(names, (9, 1, 3, 1), strict=True))
    weighted = dict(zip(names, (17.31, 3.97, 1180.04, 23.1), strict=True))
    measured = {"balanced": {"conversation": weighted, "studies": counts}}
    stand_in(monkeypatch).artifact.description["measured"] = measured
    cli.main(["info"])
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if "shared logs" in line)
    kinds, header, row = lines[at : at + 3]
    assert kinds.split("  ")[-1].strip() == "personal chats"
    assert header.index("recall") == kinds.index("shared logs")
    assert header.rindex("recall") == kinds.index("personal chats") == row.rindex("0.900 (9/10)")
    assert row.endswith("0.750 (3/4)")
    assert "0.813 (17.3/21.3)" in row
    assert "0.981 (1180/1203.1)" in row


def test_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["model"], facts["version"], facts["fingerprint"]) == ("fake", "1", "f00")
    assert facts["operating_points"]["balanced"]["conversation"] == 0.5
    assert facts["cue_thresholds"]["in_crisis"] == 0.5
    assert facts["measured"]["balanced"]["conversation"]["true_positives"] == 8


@pytest.mark.parametrize("command", [["predict", "x"], ["info"], ["label", "in.jsonl", "-o", "-"]])
def test_a_model_of_the_hub_is_downloaded_where_the_network_is_allowed(
    command: list[str],
    made: list[FakeClassifier],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    source(tmp_path, record("so sad"))
    assert cli.main([*command, "--model", "user/name"]) == 0
    assert made[-1].options["local_files_only"] is True
    assert cli.main([*command, "--model", "user/name", "--network"]) == 0
    assert made[-1].options["local_files_only"] is False


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain é 🙂\ttab", "plain é 🙂\ttab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b]0;never closed", ""),
        ("\x1bcreset", "reset"),
        ("a\rb\x08c\x07d\x9be\x7f", "abcde"),
        ("left\u202eright\u2066", "leftright"),
        ("end\x1b", "end"),
    ],
)
def test_nothing_printed_steers_the_terminal(
    raw: str, clean: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> Any:
        raise NoUserTextError(raw)

    monkeypatch.setattr("affectlib.cli._options.load_classifier", fail)
    cli.main(["predict", "x"])
    shown = capsys.readouterr().err
    assert "".join(shown.split()) == "".join(f"affectlib: {clean}".split())
    stand_in(monkeypatch).artifact.name = raw
    cli.main(["info"])
    out = capsys.readouterr().out
    assert "".join(clean.split()) in "".join(out.split())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out)


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


@pytest.mark.parametrize("records", [0, 1, 3000])
def test_a_reader_that_stops_early_is_no_crash(tmp_path: Path, records: int) -> None:
    src = source(tmp_path, *(record("x", id="i" * 500) for _ in range(records)))
    arguments = ["label", str(src), "-o", "-", "--quiet"] if records else ["predict", "x"]
    code = (
        "import sys, types; from tests.fake_classifier import FakeClassifier as F;"
        "F.from_pretrained = classmethod(lambda cls, **_: cls());"
        "m = types.ModuleType('affectlib.classifier'); m.AffectClassifier = F;"
        "sys.modules['affectlib.classifier'] = m;"
        "from affectlib.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": ""},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if records > 1:
        process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert errors == b""
