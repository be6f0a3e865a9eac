"""Worker processes for which waiting never hangs, and which end when this process ends.

Each process has a pipe of its own, and a thread of this process that sends a piece and waits for
its answer. A process that dies closes its pipe, even in the midst of an answer, and its thread sees
that. The processes of `concurrent.futures` share one pipe for their results: where one of them dies
with half an answer sent, waiting for the others hangs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from affectlib.errors import WorkerError

_T = TypeVar("_T")
_R = TypeVar("_R")


@contextmanager
def running(
    load: Callable[[], Callable[[_T], _R]], count: int
) -> Iterator[Callable[[_T], Future[_R]]]:
    """Start processes as there is work, and end them when the block is left, whatever they do.

    Where a process dies, results that are waited for raise `WorkerError`.

    Args:
        load: Run once in each process, returns what works on a piece. It must pickle, as must the
            pieces and results.
        count: How many processes at most.

    Example:
        >>> from functools import partial
        >>> with running(partial(partial, pow, 2), 2) as submit:
        ...     answers = [submit(exponent) for exponent in (3, 4)]
        ...     [answer.result() for answer in answers]
        [8, 16]
    """
    processes = _Processes(load, count)
    try:
        yield processes.submit
    finally:
        processes.close()


class _Processes(Generic[_T, _R]):
    def __init__(self, load: Callable[[], Callable[[_T], _R]], count: int) -> None:
        self._load = load
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._started: list[multiprocessing.process.BaseProcess] = []
        self._idle: SimpleQueue[Connection[Any, Any]] = SimpleQueue()
        self._unfinished: list[Future[_R]] = []
        self._threads = ThreadPoolExecutor(count)

    def submit(self, piece: _T) -> Future[_R]:
        self._unfinished = [answer for answer in self._unfinished if not answer.done()]
        if len(self._started) < min(self._count, len(self._unfinished) + 1):
            self._start()
        answer = self._threads.submit(self._ask, piece)
        self._unfinished.append(answer)
        return answer

    def close(self) -> None:
        self._kill()
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()
        for process in self._started:
            process.join()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._load), daemon=True)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()  # the process has its own; with two, its death would not be seen
        self._started.append(process)
        self._idle.put(ours)

    def _ask(self, piece: _T) -> _R:
        connection = self._idle.get()
        try:
            connection.send(piece)
            result, failure = connection.recv()
        except (EOFError, OSError):
            self._kill()  # no one waits for the others' work any more
            raise WorkerError(
                "a worker process died before it was done, killed or out of memory; "
                "continue with `resume=True`, if need be with fewer `workers`"
            ) from None
        finally:
            self._idle.put(connection)
        if failure is not None:
            error, where = failure
            raise error from WorkerError(f"in a worker process:\n{where}")
        return result  # type: ignore[no-any-return]

    def _kill(self) -> None:
        for process in self._started:
            process.kill()


def _serve(connection: Connection[Any, Any], load: Callable[[], Callable[[Any], Any]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work = cache(load)
    while True:
        try:
            piece = connection.recv()
        except EOFError:
            return
        try:
            connection.send((work()(piece), None))
        except Exception as error:
            connection.send((None, _failure(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _failure(error: Exception) -> tuple[Exception, str]:
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = WorkerError(f"a worker process raised {type(error).__name__}: {error}")
    return error, where
