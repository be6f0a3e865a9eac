"""Standard streams that are closed or full: an error where they are used, nothing where not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a shell of POSIX")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    record = {"id": "a", "messages": [{"role": "user", "content": "so sad"}]}
    (tmp_path / "in.jsonl").write_text(json.dumps(record) + "\n")
    return tmp_path


def run(folder: Path, command: str) -> tuple[int, str]:
    """Run a command line in a shell; return the status and what was printed where it can be."""
    line = f"{sys.executable} -W error -m affectlib.cli {command}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("info in.jsonl -o - >&-", "standard output: it is closed"),
        ("info in.jsonl --no-languages >&-", "standard output: it is closed"),
        ("info - -o out.jsonl <&-", "standard input: it is closed"),
        ("info in.jsonl -o - >/dev/full", "standard output: No space left on device"),
        ("info in.jsonl --no-languages >/dev/full", "standard output: No space left on device"),
    ],
)
def test_a_stream_that_is_needed_is_named(chats: Path, command: str, told: str) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    status, printed = run(chats, command)
    assert (status, printed.strip()) == (2, f"affectlib: {told}")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_not_needed_is_not_missed(chats: Path, closed: str) -> None:
    status, _ = run(chats, f"info in.jsonl -o out.jsonl {closed}")
    assert status == 0
    assert json.loads((chats / "out.jsonl").read_text())["id"] == "a", "nothing else is in it"


def test_what_would_go_to_a_closed_standard_error_does_not_go_elsewhere(chats: Path) -> None:
    status, printed = run(chats, "info in.jsonl -o - 2>&-")
    assert status == 0
    assert len(printed.splitlines()) == 1
    assert run(chats, "info nothing.jsonl -o - 2>&-") == (2, "")
