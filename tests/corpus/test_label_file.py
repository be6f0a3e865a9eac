from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from affectlib.conversation import Conversation, Message
from affectlib.corpus.label_file import LabelSummary, label_file
from affectlib.corpus.languages import ForeignLanguages
from affectlib.corpus.rows import output_schema
from affectlib.errors import (
    InputTypeError,
    OptionError,
    OutputExistsError,
    TranscriptFormatError,
)
from affectlib.formats import ReadOptions, ReadReport, Tally
from affectlib.predictions import (
    ConversationFailure,
    ConversationPrediction,
)
from affectlib.taxonomy import ASSISTANT_CUES, CUES, THEME_COLUMNS, USER_CUES
from tests.fake_classifier import FakeClassifier
from tests.transcript_files import SECRET
from tests.transcript_files import chat as record

SCORED = (*CUES, *THEME_COLUMNS.values())


def source(folder: Path, *records: Any) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records))
    return path


RECORDS: tuple[Any, ...] = (
    record("so sad " + SECRET, "oh", id="a", user_id="=u1", model="m", language="en", source="s"),
    {"messages": [{"role": "user", "content": None}], "id": "-bad"},
    record("sum of column C", timestamp="2024-01-01T00:00:00+01:00"),
    f'{{"messages": "{SECRET}',
    {"id": "none", "messages": [{"role": "assistant", "content": "hi"}]},
    {
        "id": "mixed",
        "messages": [
            {"role": "system", "content": SECRET},
            {"role": "user", "content": [{"type": "image"}], "timestamp": 1700000000},
            {"role": "assistant", "content": "a plant?"},
            {"role": "tool", "content": SECRET},
            {"role": "user", "content": "sad leaves"},
        ],
    },
)


def label(src: Any, dst: Any, **options: Any) -> LabelSummary:
    options.setdefault("classifier", FakeClassifier())
    return label_file(src, dst, **options)


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_conversation_rows(tmp_path: Path) -> None:
    dst = tmp_path / "out.parquet"
    summary = label(source(tmp_path, *RECORDS), dst)
    table = pq.read_table(dst)
    assert table.schema.equals(output_schema("conversation"))
    rows = table.to_pylist()
    assert [row["record"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["conversation_id"] for row in rows] == ["a", "-bad", None, None, "none", "mixed"]
    assert [row["status"] for row in rows] == ["ok", "error", "ok", "error", "empty", "ok"]
    first = rows[0]
    assert (first["label"], first["probability"], first["any"]) == ("emotional", 0.9, True)
    assert first["intensity"] == 2.5
    assert (first["adjusted"], first["rate"], first["truncated_tokens"]) == (0.75, 0.5, 7)
    assert (first["user_id"], first["model"], first["language"]) == ("=u1", "m", "en")
    assert (first["source"], first["error"], first["started_at"]) == ("s", None, None)
    assert (first["user_messages"], first["assistant_messages"]) == (1, 1)
    assert {first[cue] for cue in CUES} == {0.5}
    assert {first[theme] for theme in THEME_COLUMNS.values()} == {0.75}
    assert rows[2]["started_at"].isoformat() == "2023-12-31T23:00:00+00:00"
    assert rows[5]["started_at"].year == 2023
    assert (rows[5]["user_messages"], rows[5]["assistant_messages"]) == (2, 1)
    assert "line 2: messages[0].content" in rows[1]["error"]
    assert "line 4: not valid JSON" in rows[3]["error"]
    assert rows[4]["error"] is None
    for failed in (rows[1], rows[3], rows[4]):
        assert {failed[name] for name in ("label", "intensity", "any", *SCORED)} == {None}
    seconds = summary.seconds
    assert summary == LabelSummary(
        6, 2, 2, 4, 6, 21, seconds, str(dst), expected=6, dropped={"not_text": 1}, empty=1
    )
    assert summary.emotional_share == pytest.approx(2 / 3)
    assert json.loads(json.dumps(summary.to_dict())) == {
        "conversations": 6,
        "emotional": 2,
        "failed": 2,
        "user_messages": 4,
        "messages": 6,
        "truncated_tokens": 21,
        "seconds": seconds,
        "path": str(dst),
        "resumed": 0,
        "expected": 6,
        "finished_before": False,
        "repaired": [],
        "dropped": {"not_text": 1},
        "empty": 1,
        "not_kept": [],
        "unlike": None,
        "foreign": None,
        "skipped": {},
        "emotional_share": summary.emotional_share,
        "screened": 0,
    }


def test_message_rows(tmp_path: Path) -> None:
    dst = tmp_path / "out.parquet"
    label(source(tmp_path, *RECORDS), dst, level="message")
    table = pq.read_table(dst)
    assert table.schema.equals(output_schema("message"))
    rows = table.to_pylist()
    places = [(row["record"], row["message"], row["role"], row["label"]) for row in rows]
    assert places == [
        (0, 0, "user", "emotional"),
        (0, 1, "assistant", None),
        (1, None, None, None),
        (2, 0, "user", "task"),
        (3, None, None, None),
        (4, None, None, None),
        (5, 1, "user", None),
        (5, 2, "assistant", None),
        (5, 4, "user", "emotional"),
    ]
    user, assistant, silent = rows[0], rows[1], rows[6]
    assert {user[cue] for cue in USER_CUES} == {0.9}
    assert {user[cue] for cue in ASSISTANT_CUES} == {None}
    assert {assistant[cue] for cue in USER_CUES} == {None}
    assert (user["intensity"], assistant["intensity"]) == (2.5, None)
    assert {user[theme] for theme in THEME_COLUMNS.values()} == {0.75}
    assert {assistant[theme] for theme in THEME_COLUMNS.values()} == {None}
    assert {assistant[cue] for cue in ASSISTANT_CUES} == {0.25}
    assert (user["probability"], user["truncated_tokens"], user["user_id"]) == (0.9, 2, "=u1")
    assert silent["status"] == "ok"
    assert silent["probability"] is silent["truncated_tokens"] is None
    assert silent["timestamp"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert rows[2]["status"] == "error"
    assert "messages[0].content" in rows[2]["error"]


@pytest.mark.parametrize("level", ["conversation", "message"])
def test_all_outputs_say_the_same_and_none_holds_text(tmp_path: Path, level: Any) -> None:
    src = source(tmp_path, *RECORDS)
    for suffix in (".parquet", ".jsonl", ".csv"):
        label(src, tmp_path / f"out{suffix}", level=level)
        assert SECRET.encode() not in (tmp_path / f"out{suffix}").read_bytes()
    parquet, lines, cells = (rows_of(tmp_path / f"out{s}") for s in (".parquet", ".jsonl", ".csv"))
    assert len(parquet) > 5
    for exact, plain, cell in zip(parquet, lines, cells, strict=True):
        assert list(exact) == list(plain) == list(cell) == output_schema(level).names
        for name, value in exact.items():
            text = value.isoformat() if hasattr(value, "isoformat") else value
            assert plain[name] == text
            neutral = cell[name].removeprefix("'")
            expected = "" if text is None else str(text)
            assert neutral == (expected.lower() if isinstance(text, bool) else expected)


def test_csv_holds_no_formulas_but_numbers(tmp_path: Path) -> None:
    starts = ("=", "+", "-", "@", "\t", "\r", "a=", "'", "")

    class Odd(FakeClassifier):
        def _outcome(self, item: Any, on_error: str) -> Any:
            if item.id == "low":
                return ConversationPrediction("low", "task", -1.5, (), {}, False, 0.0, 0.0)
            return ConversationFailure(f"{item.id}1+1", f"{item.id}cmd")

    chats = [Conversation((Message("user", "x"),), id=start) for start in (*starts, "low")]
    label(chats, tmp_path / "out.csv", classifier=Odd())
    *rows, low = rows_of(tmp_path / "out.csv")
    for start, row in zip(starts, rows, strict=True):
        neutral = f"'{start}" if start in starts[:6] else start
        assert (row["conversation_id"], row["error"]) == (f"{neutral}1+1", f"{neutral}cmd")
    assert (low["record"], low["probability"]) == ("9", "-1.5")


def test_more_rows_than_a_group_stay_in_order(tmp_path: Path) -> None:
    src = source(tmp_path, *(record("x", "y", "z", id=str(n)) for n in range(1205)))
    for name in ("out.parquet", "out.jsonl"):
        assert label(src, tmp_path / name, level="message").conversations == 1205
        rows = rows_of(tmp_path / name)
        assert [(r["conversation_id"], r["message"]) for r in rows] == [
            (str(n), m) for n in range(1205) for m in range(3)
        ]


def test_memory_does_not_grow_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForeignLanguages, "of", lambda _: None)  # its tables are 80 MB
    src = tmp_path / "in.jsonl"
    line = json.dumps(record("word " * 1000))
    with src.open("w") as file:
        file.writelines(f"{line}\n" for _ in range(3000))  # 15 MB
    tracemalloc.start()
    try:
        label(src, tmp_path / "out.jsonl")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_output_that_is_there_is_kept(tmp_path: Path) -> None:
    src = source(tmp_path, record("x"))
    dst = tmp_path / "out.jsonl"
    dst.write_text("old")
    with pytest.raises(OutputExistsError, match=r"out\.jsonl"):
        label(src, dst)
    assert dst.read_text() == "old"
    label(src, dst, overwrite=True)
    assert rows_of(dst)[0]["label"] == "task"
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["in.jsonl", "out.jsonl", "out.jsonl.manifest"]


@pytest.mark.parametrize("name", ["in.jsonl", "*.jsonl", ""])
def test_the_input_is_never_overwritten(tmp_path: Path, name: str) -> None:
    chats = tmp_path / "chats"
    chats.mkdir()
    src = source(chats, record("x"))
    before = src.read_bytes()
    for dst in (src, chats / "same.jsonl", tmp_path / "outside.jsonl"):
        if dst != src:
            dst.hardlink_to(src)
        with pytest.raises(OutputExistsError, match="this is the input"):
            label(chats / name, dst, overwrite=True)
        assert src.read_bytes() == before


@pytest.mark.parametrize(
    ("dst", "options", "error", "named"),
    [
        ("out.txt", {}, OptionError, r"unknown suffix '\.txt'"),
        ("none/out.csv", {}, FileNotFoundError, "none"),
        ("out.csv", {"level": "turn"}, OptionError, "unknown level 'turn'"),
        ("out.csv", {"on_error": "skip"}, OptionError, "unknown on_error 'skip'"),
        ("out.csv", {"options": ReadOptions(format="xml")}, OptionError, "unknown format 'xml'"),
        ("out.csv", {"classifier": "affect-small"}, InputTypeError, "AffectClassifier, got str"),
        ("out.csv", {"resume": True, "overwrite": True}, OptionError, "contradict"),
        ("out.csv", {"workers": 0}, OptionError, "at least 1"),
        (
            "out",
            {"output_format": "xml"},
            OptionError,
            "unknown output format 'xml'; use parquet, jsonl, csv",
        ),
        (
            "out.csv",
            {"output_format": "jsonl"},
            OptionError,
            "its suffix is not that of the format",
        ),
        ("-", {"level": "both"}, OptionError, "one table"),
        ("-", {"resume": True}, OptionError, "cannot be resumed"),
        ("-", {"output_format": "csv"}, OptionError, "JSON Lines"),
    ],
)
def test_wrong_arguments_fail_before_anything_is_labelled(
    tmp_path: Path, dst: str, options: dict[str, Any], error: type[Exception], named: str
) -> None:
    src = source(tmp_path, record("x"))
    unused = {"classifier": object()}  # would fail if it were asked to label
    with pytest.raises(error, match=named):
        label(src, dst if dst == "-" else tmp_path / dst, **unused | options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("argument", ["users", "assistants", "keep"])
def test_a_name_in_the_place_of_names_is_not_told(argument: str) -> None:
    with pytest.raises(InputTypeError, match=f"{argument} must be a list of names") as error:
        ReadOptions(**{argument: "Ana"})
    assert "Ana" not in str(error.value)


def test_unreadable_input_leaves_nothing_behind(tmp_path: Path) -> None:
    src = source(tmp_path, "no transcript at all")
    with pytest.raises(TranscriptFormatError):
        label(src, tmp_path / "out.parquet")
    with pytest.raises(FileNotFoundError):
        label(tmp_path / "none.jsonl", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_on_error_raise_names_record_and_keeps_what_was_labelled(tmp_path: Path) -> None:
    src = source(tmp_path, *RECORDS)
    named = r"in\.jsonl: record 1 \(id '-bad'\): .*line 2"
    with pytest.raises(TranscriptFormatError, match=named) as caught:
        label(src, tmp_path / "out.jsonl", on_error="raise")
    assert "out.jsonl.partial" in caught.value.__notes__[0]
    assert [row["record"] for row in rows_of_partial(tmp_path / "out.jsonl")] == [0]


def rows_of_partial(dst: Path) -> list[dict[str, Any]]:
    assert not dst.exists()
    assert not [path for path in dst.parent.rglob(".*") if not path.name.endswith(".lock")]
    parts = sorted((dst.parent / f"{dst.name}.partial").glob("conversations/*"))
    return [row for part in parts for row in rows_of(part)]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_interruption_keeps_what_was_labelled(
    tmp_path: Path, suffix: str, stop: type[BaseException]
) -> None:
    src = source(tmp_path, *(record("x", id=str(n)) for n in range(1500)))

    def progress(summary: LabelSummary) -> None:
        if summary.conversations == 1234:
            raise stop

    dst = tmp_path / f"out{suffix}"
    dst.write_text("old")
    with pytest.raises(stop):
        label(src, dst, overwrite=True, progress=progress)
    assert dst.read_text() == "old"
    dst.unlink()
    with pytest.raises(stop) as caught:
        label(src, dst, overwrite=True, progress=progress)
    assert str(dst) + ".partial" in caught.value.__notes__[0]
    assert [row["conversation_id"] for row in rows_of_partial(dst)] == [str(n) for n in range(1234)]


def test_progress_counts_every_record(tmp_path: Path) -> None:
    seen: list[LabelSummary] = []
    last = label(source(tmp_path, *RECORDS), tmp_path / "out.csv", progress=seen.append)
    assert [summary.conversations for summary in seen] == [1, 2, 3, 4, 5, 6]
    assert [(summary.failed, summary.empty) for summary in seen] == [
        (0, 0), (1, 0), (1, 0), (2, 0), (2, 1), (2, 1),
    ]  # fmt: skip
    assert last.seconds >= seen[-1].seconds


def test_progress_while_the_reading_finds_more_to_leave_out(tmp_path: Path) -> None:
    report = ReadReport()

    class Growing(Tally):
        """Another reason turns up whenever this one is looked at, as from another thread."""

        @property
        def count(self) -> int:  # type: ignore[override]
            report.dropped[f"reason {len(report.dropped)}"] = Tally(1)
            return 1

        @count.setter
        def count(self, value: int) -> None: ...

    report.dropped["tool"] = Growing()
    src = source(tmp_path, record("x"), record("y"))
    seen: list[LabelSummary] = []
    summary = label(src, tmp_path / "out.csv", report=report, progress=seen.append)
    assert seen[0].dropped == {"tool": 1}
    assert len(summary.dropped) == 3


def test_an_empty_corpus_has_columns_and_no_rows(tmp_path: Path) -> None:
    src = tmp_path / "in.json"
    src.write_text("[]")
    for suffix in (".parquet", ".jsonl", ".csv"):
        dst = tmp_path / f"out{suffix}"
        summary = label(src, dst)
        assert (summary.conversations, summary.emotional_share) == (0, 0.0)
        assert rows_of(dst) == []
    assert pq.read_schema(tmp_path / "out.parquet").names == output_schema().names
    assert (tmp_path / "out.csv").read_text().startswith("conversation_id,record,")


def test_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = SimpleNamespace(buffer=io.BytesIO())
    src = source(tmp_path, *RECORDS)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        summary = label(src, "-")
    label(src, tmp_path / "out.jsonl")
    assert summary.path == "-"
    assert stdout.buffer.getvalue() == (tmp_path / "out.jsonl").read_bytes()


def test_parquet_says_which_model_made_it(tmp_path: Path) -> None:
    label(source(tmp_path, record("x")), tmp_path / "out.parquet")
    about = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"affectlib"])
    assert (about["model"], about["model_version"], about["fingerprint"]) == ("fake", "1", "f00")
    assert about["operating_point"] == "balanced"


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, affectlib.corpus.label_file, affectlib.cli;"
        "print(sorted({'pyarrow', 'pandas', 'torch', 'transformers', 'onnxruntime', 'tqdm'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("level", ["conversation", "message"])
def test_the_real_classifier(tmp_path: Path, tiny_folder: Path, level: Any) -> None:
    from affectlib.classifier import AffectClassifier

    dst = tmp_path / "out.parquet"
    classifier = AffectClassifier.from_pretrained(tiny_folder, engine="onnx")
    label(source(tmp_path, *RECORDS), dst, classifier=classifier, level=level)
    rows = rows_of(dst)
    statuses = {row["record"]: row["status"] for row in rows}
    assert [*statuses.values()] == ["ok", "error", "ok", "error", "empty", "ok"]
    first = classifier.predict(RECORDS[0]["messages"])
    labelled = first if level == "conversation" else first.messages[0]
    assert (rows[0]["label"], rows[0]["probability"]) == (labelled.label, labelled.probability)
    assert all(SECRET not in str(row) for row in rows)


def test_files_that_were_skipped_are_in_the_summary(tmp_path: Path) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    source(folder, record("so sad"), record("x"))
    prose = folder / "prose.jsonl"
    prose.write_text(f"{SECRET}\n{json.dumps(record('x'))}\n")
    seen: list[LabelSummary] = []
    summary = label(folder, tmp_path / "out.csv", progress=seen.append)
    assert (summary.conversations, summary.failed) == (2, 0)
    assert summary.skipped == {"it has no known format": 1}
    assert summary.to_dict()["skipped"] == summary.skipped
    assert label(folder, tmp_path / "out.csv").skipped == {}  # nothing was done


def test_columns_reach_the_reader(tmp_path: Path) -> None:
    src = tmp_path / "in.csv"
    src.write_text("chat,who,words\n7,user,so sad\n")
    given = {"conversation_id": "chat", "role": "who", "content": "words"}
    assert (
        label(
            src, tmp_path / "out.csv", options=ReadOptions(columns=given, format="table")
        ).emotional
        == 1
    )
