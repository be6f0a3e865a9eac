"""What goes wrong on the way through a corpus, and what is left of it."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from affectlib import _version
from affectlib.classifier import AffectClassifier
from affectlib.corpus import label_file as corpus
from affectlib.corpus import output as _output
from affectlib.corpus.label_file import label_file
from affectlib.errors import OutputExistsError, WorkerError
from tests.conftest import SINGLE_MESSAGE, TASK
from tests.corpus.test_label_file import label, record, rows_of, source

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


def corpus_of(folder: Path, records: int) -> Path:
    texts = ("so sad", "csv", "hello")
    return source(folder, *(record(texts[n % 3], "oh", id=str(n)) for n in range(records)))


def slowly(src: Path, dst: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.label_slowly", str(src), str(dst), how]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tables(dst: Path) -> list[list[dict[str, Any]]]:
    return [rows_of(dst), rows_of(dst.with_name(f"{dst.stem}.messages{dst.suffix}"))]


@pytest.mark.slow
def test_killed_at_random_moments_no_row_is_lost_and_none_is_there_twice(
    tmp_path: Path,
) -> None:
    src = corpus_of(tmp_path, 9000)
    label(src, tmp_path / "whole.parquet", level="both")
    dst = tmp_path / "out.parquet"
    moments = random.Random(25)
    reached = [0]
    # 25 times, and oftener and later where the machine is too busy to finish a shard in between.
    while len(reached) <= 25 or not reached[-1]:
        assert len(reached) < 100, "no run went on from the one before"
        with slowly(src, dst, "0.001") as process:
            assert process.stdout is not None
            assert process.stdout.readline(), process.communicate()[1]
            time.sleep(moments.uniform(0, 0.02 * max(len(reached), 25)))
            process.kill()
            lines = process.communicate()[0].split()
        reached.append(int(lines[-2]) if len(lines) > 1 else 0)
        assert not dst.exists()
    summary = label(src, dst, level="both", resume=True)
    assert 0 < summary.resumed < 9000
    assert tables(dst) == tables(tmp_path / "whole.parquet")


@pytest.mark.slow
def test_killed_at_every_step_to_the_disk(tmp_path: Path) -> None:
    src = corpus_of(tmp_path, 90)
    dst = tmp_path / "out.jsonl"
    with slowly(src, dst, "points") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert int(output) > 50


def test_control_c_leaves_what_can_be_resumed_and_exits_with_130(
    tmp_path: Path, tiny_folder: Path
) -> None:
    src = corpus_of(tmp_path, 20_000)
    command = [sys.executable, "-m", "affectlib.cli", "label", str(src), "-o", "out.jsonl"]
    command += ["--model", str(tiny_folder), "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        shards = tmp_path / "out.jsonl.partial" / "conversations"
        while not list(shards.glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130, errors
    assert "interrupted; what was labelled until then is in out.jsonl.partial" in errors
    kept = [row for part in sorted(shards.iterdir()) for row in rows_of(part)]
    assert [row["record"] for row in kept] == [*range(len(kept))]
    assert len(kept) >= 2000
    done = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"after {len(kept):,} labelled before" in done.stderr
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["conversation_id"] for row in rows] == [str(n) for n in range(20_000)]


def test_the_broken_tail_of_a_gzip_is_a_row_and_what_comes_before_is_labelled(
    tmp_path: Path,
) -> None:
    src = tmp_path / "in.jsonl.gz"
    noise = random.Random(0)
    lines = [json.dumps(record("csv", id=f"{noise.random()}")) for _ in range(2000)]
    whole = gzip.compress("\n".join(lines).encode())
    src.write_bytes(whole[: len(whole) // 2])
    summary = label(src, tmp_path / "out.jsonl")
    rows = rows_of(tmp_path / "out.jsonl")
    assert summary.failed == 1 or summary.failed == 2, "the tail, and the record it cuts"
    assert len(rows) > 500
    assert {row["status"] for row in rows[: -summary.failed]} == {"ok"}
    assert "damaged or cut short" in rows[-1]["error"]


def test_a_full_disk_is_told_and_what_was_labelled_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 10)
    src = corpus_of(tmp_path, 100)
    label(src, tmp_path / "whole.jsonl")
    dst = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = (tmp_path / "whole.jsonl").stat().st_size // 100 * 11
    long = record("csv", id="x" * 9000)
    with src.open("a") as file:
        file.writelines(f"{json.dumps(long)}\n" for _ in range(10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            label(src, dst, output_format="jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert f"{dst}, and can be resumed" in caught.value.__notes__[0]
    assert not [path for path in dst.rglob("*") if path.name.startswith(".")]
    summary = label(src, dst, output_format="jsonl", resume=True)
    assert (summary.resumed, summary.conversations) == (100, 110)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet", "out"])
@pytest.mark.parametrize("failing", [1, 4, 8])
def test_a_shard_of_which_a_write_failed_is_dropped_and_labelled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failing: int
) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 15)
    monkeypatch.setattr(_output, "_GROUP", 10)
    src, dst = corpus_of(tmp_path, 50), tmp_path / name
    sink = _output._SINKS[dst.suffix or ".parquet"]
    write, calls = sink.write, []

    def full_once(self: Any, rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) == failing:
            write(self, rows[:3])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, rows)

    monkeypatch.setattr(sink, "write", full_once)
    with pytest.raises(OSError, match="No space left"):
        label(src, dst, level="both")
    summary = label(src, dst, level="both", resume=True)
    assert summary.resumed % 15 == 0
    assert summary.conversations == 50
    if dst.suffix:
        records = [row["record"] for row in rows_of(dst)]
    else:
        parts = sorted((dst / "conversations").iterdir())
        records = [row["record"] for part in parts for row in rows_of(part)]
    assert [int(record) for record in records] == [*range(50)]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_SHARD", 100)
    small = tmp_path / "small"
    small.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("this system does not let root mount a tmpfs")
    try:
        src = corpus_of(tmp_path, 6000)
        with pytest.raises(OSError, match="No space left on device") as caught:
            label(src, small / "out.jsonl")
        assert "can be resumed" in caught.value.__notes__[0]
        parts = sorted((small / "out.jsonl.partial" / "conversations").iterdir())
        kept = [row for part in parts for row in rows_of(part)]
        assert kept
        assert [row["record"] for row in kept] == [*range(len(kept))]
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert label(src, small / "out.jsonl", resume=True).resumed == len(kept)
        assert len(rows_of(small / "out.jsonl")) == 6000
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_an_output_that_another_process_is_writing_is_refused(tmp_path: Path, name: str) -> None:
    src, dst = corpus_of(tmp_path, 3000), tmp_path / name
    with slowly(src, dst, "0.1") as process:
        assert process.stdout is not None
        assert process.stdout.readline(), process.communicate()[1]
        for options in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputExistsError, match="another process is writing it"):
                label(src, dst, level="both", **options)
        with slowly(src, dst, "0") as second:
            assert "another process is writing it" in second.communicate()[1]
        assert process.poll() is None, process.communicate()[1]
        process.kill()
    assert label(src, dst, level="both", resume=True).conversations == 3000


def test_an_output_that_this_process_is_writing_is_refused(tmp_path: Path) -> None:
    src, dst = corpus_of(tmp_path, 3), tmp_path / "out.csv"

    def progress(summary: corpus.LabelSummary) -> None:
        with pytest.raises(OutputExistsError, match="is writing it"):
            label(src, dst, overwrite=True)

    assert label(src, dst, progress=progress).conversations == 3
    assert len(rows_of(dst)) == 3


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> AffectClassifier:
    return AffectClassifier.from_pretrained(tiny_folder, device="cpu")


def test_workers_give_the_rows_of_one_process(tmp_path: Path, tiny: AffectClassifier) -> None:
    texts = [f"{SINGLE_MESSAGE if n % 3 else TASK} {'word ' * (n % 5)}" for n in range(700)]
    src = source(tmp_path, *(record(text, "sorry") for text in texts), "{")
    one = label_file(src, tmp_path / "one.jsonl", classifier=tiny, level="both")
    two = label_file(src, tmp_path / "two.jsonl", classifier=tiny, level="both", workers=2)
    assert one.emotional == two.emotional > 100
    assert tables(tmp_path / "one.jsonl") == tables(tmp_path / "two.jsonl")


def test_a_worker_that_is_killed_is_told_and_what_was_labelled_is_kept(
    tmp_path: Path, tiny: AffectClassifier
) -> None:
    src = source(tmp_path, *(record(SINGLE_MESSAGE, id=str(n)) for n in range(3000)))
    dst = tmp_path / "out.jsonl"

    def progress(summary: corpus.LabelSummary) -> None:
        if summary.conversations == 300:
            for child in psutil.Process().children():
                if "resource_tracker" not in " ".join(child.cmdline()):
                    child.kill()

    with pytest.raises(WorkerError, match="a worker process died") as caught:
        label_file(src, dst, classifier=tiny, workers=2, progress=progress)
    assert "can be resumed" in caught.value.__notes__[0]
    summary = label_file(src, dst, classifier=tiny, resume=True)
    assert 300 <= summary.resumed < 3000
    assert [row["conversation_id"] for row in rows_of(dst)] == [str(n) for n in range(3000)]


def test_a_worker_of_another_version_is_refused(
    tmp_path: Path, tiny: AffectClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = source(tmp_path, *(record(SINGLE_MESSAGE, id=str(n)) for n in range(30)))
    monkeypatch.setattr(_version, "__version__", "0.0.1")
    with pytest.raises(WorkerError, match=r'would label differently \(version was "0\.0\.1", is'):
        label_file(src, tmp_path / "out.jsonl", classifier=tiny, workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_workers_end_with_their_parent(tmp_path: Path, tiny_folder: Path) -> None:
    src = source(tmp_path, *(record(SINGLE_MESSAGE, id=str(n)) for n in range(20_000)))
    command = [sys.executable, "-m", "affectlib.cli", "label", str(src), "-o", "out.jsonl"]
    command += ["--model", str(tiny_folder), "--device", "cpu", "--workers", "2"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT) as process:
        deadline = time.monotonic() + 60
        shards = tmp_path / "out.jsonl.partial" / "conversations"
        while not list(shards.glob("part-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
