from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from affectlib.corpus.processes import running
from affectlib.errors import MissingExtraError, WorkerError
from tests import stand_in_workers
from tests.stand_in_workers import load

HUGE = 1 << 23
"""Many times what a pipe holds."""


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Kill the processes of a test that hangs, and fail it."""
    late = threading.Event()

    def end() -> None:
        late.set()
        for child in psutil.Process().children():
            child.kill()

    timer = threading.Timer(100, end)
    timer.start()
    yield
    timer.cancel()
    assert not late.is_set(), "the test hung"


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if psutil.pid_exists(pid)}


def results(pieces: list[str], count: int = 2) -> list[bytes]:
    with running(load, count) as submit:
        return [answer.result() for answer in [submit(piece) for piece in pieces]]


def test_results_belong_to_their_pieces_whoever_is_faster() -> None:
    pieces = ["wait", *("x" * n for n in range(9)), "wait a little", "y"]
    assert [*map(len, results(pieces))] == [*map(len, pieces)]


def test_huge_pieces_and_huge_results_at_once_do_not_block_each_other() -> None:
    pieces = ["x" * HUGE] * 8
    assert [*map(len, results(pieces))] == [HUGE] * 8


@pytest.mark.parametrize(("pieces", "expected"), [(0, 0), (1, 1), (3, 3), (9, 5)])
def test_there_are_no_more_processes_than_work(pieces: int, expected: int) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with running(load, 5) as submit:
        answers = [submit("wait") for _ in range(pieces)]
        started = {
            child.pid
            for child in psutil.Process().children()
            if "resource_tracker" not in " ".join(child.cmdline())
        }
        assert len(started - before) == expected
        for answer in answers:
            answer.result()


def test_processes_end_in_the_midst_of_their_work() -> None:
    started = time.monotonic()

    def leave() -> None:
        with running(load, 2) as submit:
            pids.add(int(submit("pid").result()))
            for _ in range(4):
                submit("sleep")
            raise KeyboardInterrupt

    pids: set[int] = set()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert alive(pids) == set()
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("piece", ["die", "die " + "x" * HUGE])
def test_a_process_that_dies_is_told_while_others_work(piece: str) -> None:
    with pytest.raises(WorkerError, match="a worker process died before it was done"):
        results(["sleep", piece])


def test_a_process_that_dies_is_told_while_it_is_sent_to() -> None:
    with pytest.raises(WorkerError, match="died before it was done"):
        results(["die", *["x" * HUGE] * 5])


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2])
def test_a_process_that_dies_in_the_midst_of_an_answer_is_told(seconds: float) -> None:
    with pytest.raises(WorkerError, match="died before it was done"), running(load, 2) as submit:  # noqa: PT012
        pid = int(submit("pid").result())
        answers = [submit("x" * HUGE) for _ in range(50)]
        time.sleep(seconds)
        psutil.Process(pid).kill()
        for answer in answers:
            answer.result()


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2])
def test_processes_end_in_the_midst_of_an_answer(seconds: float) -> None:
    with pytest.raises(KeyboardInterrupt), running(load, 2) as submit:  # noqa: PT012
        submit("wait").result()
        for _ in range(50):
            submit("x" * HUGE)
        time.sleep(seconds)
        raise KeyboardInterrupt


def test_a_process_that_dies_with_all_its_work_done_is_told() -> None:
    with pytest.raises(WorkerError), running(load, 2) as submit:  # noqa: PT012
        pid = int(submit("pid").result())
        psutil.Process(pid).kill()
        for _ in range(100):  # its death may take a moment
            submit("wait").result()


@pytest.mark.parametrize(
    ("begin", "error", "words"),
    [
        (stand_in_workers.fail_to_load, MissingExtraError, r"affectlib\[audio\]"),
        (stand_in_workers.die_in_loading, WorkerError, "died before it was done"),
    ],
)
def test_a_failure_in_loading_is_told(
    begin: Callable[[], Callable[[str], bytes]], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words), running(begin, 2) as submit:
        submit("x" * HUGE).result()


def test_what_a_process_raises_is_raised_and_says_where() -> None:
    with pytest.raises(ValueError, match="no such order") as caught:
        results(["wait", "raise"])
    assert "stand_in_workers.py" in str(caught.value.__cause__)


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(WorkerError, match="CannotBeSentError: at home"):
        results(["unsendable"], 1)
