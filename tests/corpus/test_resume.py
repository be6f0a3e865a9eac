"""Outputs that are there already: finished, unfinished, changed, damaged, or somebody else's."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib import _version
from affectlib.corpus import label_file as corpus
from affectlib.errors import OptionError, OutputExistsError, ResumeError
from affectlib.formats import Limits, ReadOptions
from tests.corpus.test_label_file import label, record, rows_of, source
from tests.fake_classifier import FakeClassifier

MANY = [record("so sad" if n % 3 else "csv", "oh", id=str(n)) for n in range(23)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four records a shard, so that few records make several."""
    monkeypatch.setattr(corpus, "_SHARD", 4)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return source(tmp_path, *MANY[:10], "{", *MANY[10:])


def stop_after(src: Any, dst: Any, records: int, **options: Any) -> None:
    """Label until a number of records, of this run, is done, and be interrupted."""
    seen = 0

    def progress(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == records:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(src, dst, progress=progress, **options)


def files_of(dst: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table of an output."""
    if dst.suffix:
        paths = {path.name: [path] for path in dst.parent.glob(f"{dst.stem}*{dst.suffix}")}
    else:
        paths = {
            folder.name: sorted(folder.iterdir()) for folder in dst.iterdir() if folder.is_dir()
        }
    return {name: [row for p in parts for row in rows_of(p)] for name, parts in paths.items()}


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl", "out.csv", "out"])
@pytest.mark.parametrize("level", ["conversation", "both"])
def test_resuming_gives_the_rows_of_one_run(
    tmp_path: Path, src: Path, name: str, level: Any
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = label(src, whole / name, level=level)
    dst = tmp_path / name
    for records in (3, 6, 1, 9):
        stop_after(src, dst, records, level=level, resume=True)
        assert dst.exists() == (not dst.suffix), "a file appears when it is complete"
    summary = label(src, dst, level=level, resume=True)
    assert summary.resumed == 3 + 6 + 1 + 9
    assert summary.conversations == expected.conversations == 24
    assert (summary.failed, summary.emotional) == (1, expected.emotional)
    assert files_of(dst) == files_of(whole / name)
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out"))}
    assert left <= {name, "out.messages" + dst.suffix, f"{name}.manifest"}


def test_both_levels_are_two_tables(tmp_path: Path, src: Path) -> None:
    label(src, tmp_path / "out.parquet", level="both")
    for level, name in (("conversation", "out.parquet"), ("message", "out.messages.parquet")):
        label(src, tmp_path / "alone.parquet", level=level, overwrite=True)
        alone = pq.read_table(tmp_path / "alone.parquet")
        assert pq.read_table(tmp_path / name).equals(alone, check_metadata=True)


def test_a_folder_is_read_as_one_table(tmp_path: Path, src: Path) -> None:
    label(src, f"{tmp_path}/labels/", level="both")
    parts = sorted((tmp_path / "labels" / "conversations").iterdir())
    assert [part.name for part in parts][:2] == [
        "part-000000000000.parquet",
        "part-000000000004.parquet",
    ]
    assert pq.read_table(tmp_path / "labels" / "conversations")["record"].to_pylist() == [
        *range(24)
    ]
    label(src, tmp_path / "lines", output_format="jsonl")
    assert {path.suffix for path in (tmp_path / "lines" / "conversations").iterdir()} == {".jsonl"}


@pytest.mark.parametrize("name", ["out.csv", "out"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_second_run_does_nothing_and_says_so(
    tmp_path: Path, src: Path, name: str, resume: bool
) -> None:
    first = label(src, tmp_path / name)
    before = files_of(tmp_path / name)
    unused = FakeClassifier()
    unused.stream = None  # type: ignore[method-assign,assignment]
    second = label(src, tmp_path / name, classifier=unused, resume=resume)
    assert second.finished_before
    assert not first.finished_before
    assert second.conversations == second.resumed == first.conversations
    assert second.emotional == first.emotional
    assert files_of(tmp_path / name) == before


@pytest.mark.parametrize("name", ["out.parquet", "out"])
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("input", r"input\.bytes was .*input\.sha256 was"),
        ("model", r'model\.fingerprint was "f00", is "f01".*; name another'),
        ("version", r'model\.version was ".*", is "9\.9".*; use affectlib .*, name another'),
        ("point", r'options\.operating_point was "balanced", is "high_recall"'),
        ("level", r'options\.level was "conversation", is "both"'),
    ],
)
def test_other_input_model_or_options_are_refused(
    tmp_path: Path,
    src: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    finished: bool,
    change: str,
    named: str,
) -> None:
    dst = tmp_path / name
    if finished:
        label(src, dst)
    else:
        stop_after(src, dst, 6)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*part-*")}
    classifier = FakeClassifier()
    options: dict[str, Any] = {"classifier": classifier}
    if change == "input":
        src.write_text(src.read_text() + "{}\n")
    elif change == "model":
        classifier.artifact.fingerprint = "f01"
    elif change == "version":
        monkeypatch.setattr(_version, "__version__", "9.9")
    elif change == "point":
        classifier.operating_point = "high_recall"
    else:
        options["level"] = "both"
    with pytest.raises(ResumeError, match=named):
        label(src, dst, resume=True, **options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*part-*")} == before
    summary = label(src, dst, overwrite=True, **options)
    assert (summary.resumed, summary.conversations) == (0, 24 + (change == "input"))


@pytest.mark.parametrize("name", ["out.parquet", "out"])
@pytest.mark.parametrize("finished", [True, False])
def test_an_output_is_not_continued_with_other_limits(
    tmp_path: Path, src: Path, name: str, finished: bool
) -> None:
    dst = tmp_path / name
    few = ReadOptions(limits=Limits(record_characters=103))
    if finished:
        assert label(src, dst, options=few).failed > 1
    else:
        stop_after(src, dst, 6, options=few)
    with pytest.raises(ResumeError, match=r"options\.limits\.record_characters was 103, is null"):
        label(src, dst, resume=True)
    more = ReadOptions(limits=Limits(record_characters=104))
    with pytest.raises(ResumeError, match=r"options\.limits\.record_characters was 103, is 104"):
        label(src, dst, resume=True, options=more)
    assert label(src, dst, resume=True, options=few).finished_before == finished
    assert label(src, dst, overwrite=True, options=ReadOptions(limits=Limits())).failed == 1


def test_an_output_of_usual_limits_says_nothing_of_them(tmp_path: Path, src: Path) -> None:
    label(src, tmp_path / "out.csv", options=ReadOptions(limits=Limits()))
    assert "limits" not in (tmp_path / "out.csv.manifest").read_text()
    assert label(src, tmp_path / "out.csv").finished_before


def test_an_unfinished_output_is_not_touched_unasked(tmp_path: Path, src: Path) -> None:
    stop_after(src, tmp_path / "out.csv", 6)
    with pytest.raises(OutputExistsError, match=r"unfinished output of 6 conv.*resume"):
        label(src, tmp_path / "out.csv")
    assert label(src, tmp_path / "out.csv", overwrite=True).resumed == 0


def test_resume_with_nothing_there_begins(tmp_path: Path, src: Path) -> None:
    assert label(src, tmp_path / "out.csv", resume=True).conversations == 24


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("damage", ["deleted", "flipped", "cut"])
def test_damaged_shards_are_named_and_made_again(
    tmp_path: Path, src: Path, finished: bool, damage: str
) -> None:
    label(src, tmp_path / "whole")
    dst = tmp_path / "out"
    if finished:
        label(src, dst)
    else:
        stop_after(src, dst, 14)
    part = dst / "conversations" / "part-000000000004.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "deleted":
        part.unlink()
    else:
        part.write_bytes(content if damage == "flipped" else content[:-1])
    if finished:
        with pytest.raises(OutputExistsError, match=r"part-000000000004.*it "):
            label(src, dst)
    summary = label(src, dst, resume=True)
    (problem,) = summary.repaired
    assert str(part) in problem
    assert summary.resumed == (20 if finished else 10)
    assert files_of(dst) == files_of(tmp_path / "whole")


def test_a_finished_file_that_was_altered_is_named(tmp_path: Path, src: Path) -> None:
    dst = tmp_path / "out.csv"
    label(src, dst)
    dst.write_text(dst.read_text().replace("emotional", "task"))
    with pytest.raises(OutputExistsError, match=r"out\.csv: it has .* bytes.*overwrite"):
        label(src, dst, resume=True)
    dst.unlink()
    assert not label(src, dst).finished_before


def test_a_manifest_cut_short_or_damaged(tmp_path: Path, src: Path) -> None:
    dst = tmp_path / "out"
    stop_after(src, dst, 14)
    manifest = dst / "_manifest.jsonl"
    content = manifest.read_bytes()
    manifest.write_bytes(content[:-9])
    assert label(src, dst, resume=True).resumed == 12
    manifest.write_bytes(b"x".join(content.split(b"\n", 1)))
    with pytest.raises(ResumeError, match=r"_manifest\.jsonl, line 1: the manifest is damaged"):
        label(src, dst, resume=True)
    header = json.loads(content.split(b"\n")[0])
    manifest.write_text(json.dumps({**header, "manifest": 99}) + "\n")
    with pytest.raises(ResumeError, match="made by a version of affectlib"):
        label(src, dst, resume=True)


def test_a_folder_of_something_else_is_never_touched(tmp_path: Path, src: Path) -> None:
    dst = tmp_path / "photos"
    dst.mkdir()
    (dst / "cat.jpg").write_text("meow")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputExistsError, match="holds something else"):
            label(src, dst, **options)
    assert [path.name for path in dst.iterdir()] == ["cat.jpg"]


def test_overwriting_keeps_what_is_not_ours(tmp_path: Path, src: Path) -> None:
    dst = tmp_path / "out"
    label(src, dst, level="both")
    (dst / "notes.txt").write_text("mine")
    label(src, dst, overwrite=True)
    assert sorted(path.name for path in dst.iterdir()) == [
        "_manifest.jsonl",
        "conversations",
        "notes.txt",
    ]


def test_an_output_in_its_own_input_is_refused(tmp_path: Path, src: Path) -> None:
    with pytest.raises(OutputExistsError, match="lies in the input"):
        label(tmp_path, tmp_path / "labels")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.jsonl", "labels.jsonl"),
        ("*", "labels.csv"),
        ("./sub/../*.jsonl", "labels.jsonl"),
        ("**/*.jsonl", "labels.jsonl"),
        ("**/*.jsonl", "sub/labels.jsonl"),
        ("**", "sub/labels.csv"),
        ("*/*.jsonl", "labels"),  # its manifest
        ("**/*.parquet", "labels"),  # its shards
        ("*/*/*.parquet", "labels.parquet"),  # the shards of which it is made
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_a_pattern_would_read_is_refused(
    tmp_path: Path, src: Path, pattern: str, name: str, overwrite: bool
) -> None:
    (tmp_path / "sub" / "sub").mkdir(parents=True)
    for folder in ("sub", "sub/sub"):
        for suffix in (".jsonl", ".parquet"):
            (tmp_path / folder / f"in{suffix}").write_text(src.read_text())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputExistsError, match=r"labels.*match its pattern; name an output else"):
        label(f"{tmp_path}/{pattern}", tmp_path / name, overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.jsonl", "labels.csv"),
        ("*.jsonl", "labels"),
        ("*.jsonl", ".labels.jsonl"),
        ("*.jsonl", "sub/labels.jsonl"),
        ("i*", "labels.jsonl"),
    ],
)
def test_an_output_beside_what_a_pattern_reads_is_found_finished(
    tmp_path: Path, src: Path, pattern: str, name: str
) -> None:
    (tmp_path / "sub").mkdir()
    label(f"{tmp_path}/{pattern}", tmp_path / name)
    assert label(f"{tmp_path}/{pattern}", tmp_path / name).finished_before


def test_a_relative_pattern_and_an_absolute_output(
    tmp_path: Path, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputExistsError, match="match its pattern"):
        label("*.jsonl", tmp_path / "labels.jsonl")


def test_files_that_are_not_read_may_change(tmp_path: Path) -> None:
    chats = tmp_path / "chats"
    (chats / ".cache").mkdir(parents=True)
    source(chats, record("so sad"))
    for name in (".cache/notes.jsonl", ".notes.jsonl"):
        (chats / name).write_text("one")
    label(chats, tmp_path / "out.csv")
    for name in (".cache/notes.jsonl", ".notes.jsonl"):
        (chats / name).write_text("another")
    assert label(chats, tmp_path / "out.csv").finished_before
    (chats / "more.jsonl").write_text((chats / "in.jsonl").read_text())
    with pytest.raises(ResumeError, match="input"):
        label(chats, tmp_path / "out.csv")


def test_one_writer_at_a_time(tmp_path: Path, src: Path) -> None:
    with (
        FileLock(tmp_path / ".out.csv.lock"),
        pytest.raises(OutputExistsError, match="another process is writing it"),
    ):
        label(src, tmp_path / "out.csv")
    label(src, tmp_path / "out.csv")


def test_a_stream_is_labelled_but_not_resumed(tmp_path: Path, src: Path, monkeypatch: Any) -> None:
    with src.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        summary = label("-", tmp_path / "out.csv")
    assert summary.conversations == 24
    with pytest.raises(OptionError, match="cannot be read again"):
        label("-", tmp_path / "out.csv", resume=True)


def pipe(monkeypatch: pytest.MonkeyPatch, *records: Any) -> str:
    """Put records where standard input is read, and return its name."""
    lines = "".join(json.dumps(one) + "\n" for one in records).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    return "-"


def hub(monkeypatch: pytest.MonkeyPatch, *records: Any) -> str:
    """Put records into a data set on the Hub, and return its name."""
    rows = {"train": iter(records)}
    stand_in = SimpleNamespace(load_dataset=lambda *_, **__: rows)
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    return f"hf://datasets/owner/of-{len(records)}"


@pytest.mark.parametrize("stream", [pipe, hub])
@pytest.mark.parametrize("name", ["out.jsonl", "out"])
def test_the_output_of_one_stream_is_not_taken_for_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: Any, name: str
) -> None:
    dst = tmp_path / name
    network = ReadOptions(local_files_only=False)
    options: dict[str, Any] = {"options": network, "output_format": "jsonl"}
    label(stream(monkeypatch, *MANY), dst, **options)
    before = files_of(dst)
    with pytest.raises(OutputExistsError, match=r"out.*: it exists, .* stream, .*; name another"):
        label(stream(monkeypatch, *MANY[:3]), dst, **options)
    assert files_of(dst) == before
    summary = label(stream(monkeypatch, *MANY[:3]), dst, overwrite=True, **options)
    assert (summary.conversations, summary.finished_before) == (3, False)
    (rows,) = files_of(dst).values()
    assert len(rows) == 3


@pytest.mark.parametrize("name", ["out.jsonl", "out"])
def test_what_was_labelled_of_a_stream_is_kept_but_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    dst = tmp_path / name

    def stop(summary: Any) -> None:
        if summary.conversations == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        label(pipe(monkeypatch, *MANY), dst, progress=stop)
    assert caught.value.__notes__[0].startswith("what was labelled until then is in ")
    assert "resume" not in caught.value.__notes__[0]
    kept = sorted(tmp_path.rglob("part-*"))
    assert kept
    with pytest.raises(OutputExistsError, match="overwrite"):
        label(pipe(monkeypatch, *MANY), dst)
    assert sorted(tmp_path.rglob("part-*")) == kept
    assert label(pipe(monkeypatch, *MANY), dst, overwrite=True).conversations == 23


def test_the_manifest_holds_no_text(tmp_path: Path) -> None:
    src = source(tmp_path, record("my secret words", id="a"))
    label(src, tmp_path / "out")
    assert "secret" not in (tmp_path / "out" / "_manifest.jsonl").read_text()


@given(stops=st.lists(st.integers(1, 30), max_size=6), size=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_rows_depend_on_neither_stops_nor_shards(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], size: int
) -> None:
    folder = tmp_path_factory.mktemp("stops")
    src = source(folder, *MANY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_SHARD", size)
        left = len(MANY)
        for records in stops:
            if records > left:
                break
            stop_after(src, folder / "out.jsonl", records, resume=True)
            left -= records
        assert label(src, folder / "out.jsonl", resume=True).resumed == len(MANY) - left
    assert [row["conversation_id"] for row in rows_of(folder / "out.jsonl")] == [
        str(n) for n in range(len(MANY))
    ]
