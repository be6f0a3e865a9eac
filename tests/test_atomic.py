"""Files that appear when they are complete, are private until then, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from affectlib import cli
from affectlib._atomic import attach_filename, locked, replacing, temporary_of
from affectlib.errors import OutputExistsError
from tests.transcript_files import chat, lines, write

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs permissions of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_reads_a_file_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    temporary_of(path).write_text("of a run that was killed")
    temporary_of(path).chmod(0o644)
    mask = os.umask(0o022)
    try:
        with replacing(path) as file:
            file.write(b"x")
            assert mode(temporary_of(path)) == 0o600
        assert (mode(path), path.read_bytes()) == (0o644, b"x")
        os.umask(0o077)
        with replacing(path) as file:
            file.write(b"y")
        assert mode(path) == 0o600
    finally:
        os.umask(mask)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_that_is_not_completed_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    temporary_of(tmp_path / "a.txt").symlink_to(victim)
    with replacing(tmp_path / "a.txt") as file:
        file.write(b"x")
    assert victim.read_text() == "mine"


def test_errors_of_the_system_name_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left on device") as caught,
        attach_filename("labels.csv"),
    ):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == "labels.csv"
    with pytest.raises(FileNotFoundError) as other, attach_filename("labels.csv"):
        (tmp_path / "none").read_text()
    assert other.value.filename == str(tmp_path / "none")


def test_convert_killed_leaves_a_private_file_that_the_next_run_removes(tmp_path: Path) -> None:
    fifo = tmp_path / "in.fifo"
    os.mkfifo(fifo)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "affectlib.cli", "info", str(fifo), "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment) as process, fifo.open("w") as pipe:
        pipe.write(lines(*(chat("so sad", id=str(n)) for n in range(3000))))
        pipe.flush()
        deadline = time.monotonic() + 60
        while not temporary_of(out).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(OutputExistsError, match="another process is writing it"), locked(out):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = (path for path in tmp_path.iterdir() if path.suffix == ".tmp")
    assert mode(left) == 0o600
    assert not out.exists()
    src = write(tmp_path, lines(chat("so sad", id="a")))
    assert cli.main(["info", str(src), "-o", str(out)]) == 0
    assert json.loads(out.read_text())["id"] == "a"
    assert {path.name for path in tmp_path.iterdir()} == {"in.fifo", "in.dat", "out.jsonl"}
