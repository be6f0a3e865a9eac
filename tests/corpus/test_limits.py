"""Few file handles, little memory, folders that vanish: clear errors, and nothing that is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from affectlib.corpus import label_file as corpus
from affectlib.errors import OutputExistsError
from affectlib.predictions import ConversationFailure
from tests.conftest import SINGLE_MESSAGE, TASK
from tests.corpus.test_label_file import label, record, rows_of, source

ROOT = Path(__file__).parents[2]
RECORDS = 60

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs limits of POSIX systems")

LIMITED = """
import resource, sys
name, limit = sys.argv[1], int(sys.argv[2])
resource.setrlimit(getattr(resource, name), (limit, limit))
from affectlib.corpus import label_file
label_file._SHARD = 5
from affectlib.cli import main
sys.exit(main(sys.argv[3:]))
"""

PATIENCE = 60.0
"""Seconds. Where no thread can be started for want of memory, those of the tokenizer's library may
wait for each other for ever."""


def limited(
    folder: Path, limit: str, value: int, *command: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with a limit of the system; if it hangs, it is killed."""
    words = [sys.executable, "-W", "ignore", "-c", LIMITED, limit, str(value), *command]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        return subprocess.run(
            words, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, -signal.SIGKILL, "", "")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of many files, a record in each."""
    (tmp_path / "many").mkdir()
    for number in range(RECORDS):
        one = record(SINGLE_MESSAGE if number % 3 else TASK, "sorry", id=f"{number:02d}")
        (tmp_path / "many" / f"{number:02d}.jsonl").write_text(json.dumps(one) + "\n")
    return tmp_path


def model(folder: Path) -> list[str]:
    return ["--model", str(folder), "--device", "cpu"]


@pytest.mark.parametrize("name", ["out", "out.parquet", "out.csv"])
def test_many_files_and_shards_need_few_handles(many: Path, tiny_folder: Path, name: str) -> None:
    command = ["label", "many", "-o", name, "--level", "both", *model(tiny_folder)]
    done = limited(many, "RLIMIT_NOFILE", 32, *command)
    assert done.returncode == 0, done.stderr
    folder = many / name if not Path(name).suffix else None
    if folder is not None:
        assert len([*folder.rglob("part-*")]) == 2 * RECORDS // 5
        figures = limited(many, "RLIMIT_NOFILE", 32, "prevalence", f"{name}/conversations")
        assert figures.returncode == 0, figures.stderr


def test_too_few_handles_are_told_and_the_run_goes_on_later(many: Path, tiny_folder: Path) -> None:
    command = ["label", "many", "-o", "out.jsonl", *model(tiny_folder), "--resume"]
    told = []
    for handles in range(4, 32):
        done = limited(many, "RLIMIT_NOFILE", handles, *command)
        if done.returncode == 0:
            break
        assert "Too many open files" in done.stderr
        told.append(done.stderr.count("\n"))
    assert len(told) > 1
    assert {*told} == {1}, "in a line"
    assert [row["conversation_id"] for row in rows_of(many / "out.jsonl")] == [
        f"{number:02d}" for number in range(RECORDS)
    ]


@pytest.mark.slow
def test_with_little_memory_the_output_is_complete_absent_or_resumable(
    many: Path, tiny_folder: Path
) -> None:
    command = ["label", "many", "-o", "out.jsonl", *model(tiny_folder)]
    assert limited(many, "RLIMIT_NOFILE", 64, *command).returncode == 0
    whole = (many / "out.jsonl").read_bytes()
    statuses = []
    for megabytes in (200, 230, 250, 260, 270, 280, 290, 300, 400, 600, 8000):
        for left in many.glob("out.jsonl*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        done = limited(many, "RLIMIT_AS", megabytes << 20, *command)
        statuses.append(done.returncode)
        if done.returncode == 0:
            assert (many / "out.jsonl").read_bytes() == whole
            continue
        assert not (many / "out.jsonl").exists(), megabytes
        assert limited(many, "RLIMIT_NOFILE", 64, *command, "--resume").returncode == 0
        assert (many / "out.jsonl").read_bytes() == whole, megabytes
    assert statuses[-1] == 0
    assert statuses[0] != 0


def test_want_of_memory_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from affectlib import cli

    monkeypatch.setattr(corpus, "_SHARD", 4)
    monkeypatch.chdir(tmp_path)
    src = source(tmp_path, *(record(TASK, id=str(n)) for n in range(30)))

    def stream(_: Any, items: Any, **__: Any) -> Any:
        for number, _ in enumerate(items):
            if number == 9:
                raise MemoryError
            yield ConversationFailure(None, "x")

    monkeypatch.setattr("affectlib.classifier.AffectClassifier.stream", stream)
    assert cli.main(["label", str(src), "-o", "out"]) == 2
    assert capsys.readouterr().err == (
        "affectlib: there is not enough memory; "
        "what was labelled until then is in out, and can be resumed\n"
    )


def during(records: int, act: Any) -> Any:
    """Return a progress that does something when so many records are labelled."""

    def progress(summary: Any) -> None:
        if summary.conversations == records:
            act()

    return progress


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
@pytest.mark.parametrize("records", [2, 30, 59, 60])
def test_an_output_that_vanishes_is_not_said_to_be_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, records: int
) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 5)
    monkeypatch.setattr(corpus, "_WAITING", 1)
    src = source(tmp_path, *(record("so sad", id=str(n)) for n in range(RECORDS)))
    place = tmp_path / (name if name == "out" else f"{name}.partial")
    with pytest.raises(OSError, match="No such file") as caught:
        label(src, tmp_path / name, progress=during(records, lambda: shutil.rmtree(place)))
    assert caught.value.__notes__ == [
        f"{place} was removed or moved during the run, so that it cannot be resumed"
    ]
    assert not (tmp_path / name).exists()
    assert label(src, tmp_path / name, resume=True).conversations == RECORDS


@pytest.mark.parametrize("lost", ["_manifest.jsonl", "conversations/part-000000000000.jsonl"])
def test_a_file_of_the_output_that_vanishes_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 5)
    monkeypatch.setattr(corpus, "_WAITING", 1)  # so that writing keeps up with labelling
    src = source(tmp_path, *(record("so sad", id=str(n)) for n in range(RECORDS)))
    dst = tmp_path / "out"
    options = {"output_format": "jsonl"}
    with pytest.raises(OSError, match="No such file") as caught:
        label(src, dst, progress=during(50, (dst / lost).unlink), **options)
    (note,) = caught.value.__notes__
    if lost == "_manifest.jsonl":
        assert note.startswith(f"{dst} was removed or moved")
        with pytest.raises(OutputExistsError, match="holds something else"):
            label(src, dst, **options)
    else:
        assert note == f"what was labelled until then is in {dst}, and can be resumed"
        assert label(src, dst, resume=True, **options).conversations == RECORDS
