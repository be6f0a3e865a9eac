"""Worker processes for which waiting never hangs.

The parent has a pipe to each process. A thread of the process takes whatever comes from the pipe,
so that the parent is never blocked in sending, and ends the process when the parent has ended. A
process that dies closes its end of the pipe, which the parent sees.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from affectlib.errors import WorkerError

_T = TypeVar("_T")
_R = TypeVar("_R")

_IN_FLIGHT = 2
"""Pieces that a process has at most: the one that it works on, and the next."""
_PATIENCE = 10.0


class Answer(Generic[_R]):
    """A result that will come."""

    def __init__(self, receive: Callable[[], None]) -> None:
        """Begin without a result; `receive` waits for those of any process."""
        self._receive = receive
        self._values: list[_R] = []

    def set(self, value: _R) -> None:
        """Set the result."""
        self._values.append(value)

    def result(self) -> _R:
        """Wait for it; raises what any process raised, or `WorkerError` if one died."""
        while not self._values:
            self._receive()
        return self._values[0]


class Processes(Generic[_T, _R]):
    """Processes that run; see `running`."""

    def __init__(self, start: Callable[[], _Member[_T, _R]], count: int) -> None:
        """Begin without a process; `start` starts one of at most `count`."""
        self._start = start
        self._count = count
        self._members: list[_Member[_T, _R]] = []

    def submit(self, piece: _T) -> Answer[_R]:
        """Give work to the process that has the least, or to a new one if all have some.

        Waits while all of them have enough.
        """
        self._receive(0)
        while True:
            if len(self._members) < self._count and all(m.pending for m in self._members):
                self._members.append(self._start())
            member = min(self._members, key=lambda member: len(member.pending))
            if len(member.pending) < _IN_FLIGHT:
                answer: Answer[_R] = Answer(self._receive)
                member.send(piece, answer)
                return answer
            self._receive()

    def _receive(self, timeout: float | None = None) -> None:
        """Take the results that are there, or wait for one, at most `timeout` seconds."""
        if not self._members:
            return
        connections = {member.connection: member for member in self._members}
        sentinels = [member.sentinel for member in self._members]
        ready = wait([*connections, *sentinels], timeout)
        for connection in connections.keys() & ready:
            connections[connection].receive()
        if not connections.keys() & ready and ready:
            raise _died()


class _Member(Generic[_T, _R]):
    """A process, and the parent's end of the pipe to it."""

    def __init__(self, load: Callable[[], Callable[[_T], _R]]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.pending: deque[Answer[_R]] = deque()
        self._process = context.Process(target=_work, args=(theirs, load), daemon=True)
        try:
            self._process.start()
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()  # else the process's end would not be seen
        self.sentinel = self._process.sentinel

    def send(self, piece: _T, answer: Answer[_R]) -> None:
        try:
            self.connection.send(piece)
        except OSError:
            raise _died() from None
        self.pending.append(answer)

    def receive(self) -> None:
        try:
            value = self.connection.recv()
        except (EOFError, OSError):
            raise _died() from None
        if isinstance(value, _Failure):
            raise value.error from WorkerError(f"in a worker process:\n{value.traceback}")
        self.pending.popleft().set(value)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self.connection.close()
        self._process.join(_PATIENCE)


@contextmanager
def running(load: Callable[[], Callable[[_T], _R]], count: int) -> Iterator[Processes[_T, _R]]:
    """Start processes as there is work, and end them when the block is left, whatever they do.

    Args:
        load: Run once in each process, returns what works on a piece. It must pickle, as must the
            pieces and results.
        count: How many processes at most.

    Example:
        >>> from functools import partial
        >>> with running(partial(partial, pow, 2), 2) as processes:
        ...     answers = [processes.submit(exponent) for exponent in (3, 4)]
        ...     [answer.result() for answer in answers]
        [8, 16]
    """
    with ExitStack() as stack:
        yield Processes(lambda: stack.enter_context(closing(_Member(load))), count)


class _Failure:
    """What a process raised; a `WorkerError` that names it if it cannot be pickled."""

    def __init__(self, error: Exception) -> None:
        self.traceback = "".join(traceback.format_exception(error))
        self.error = error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            self.error = WorkerError(f"a worker process raised {type(error).__name__}: {error}")


def _died() -> WorkerError:
    return WorkerError(
        "a worker process died before it was done, killed or out of memory; "
        "continue with `resume=True`, if need be with fewer `workers`"
    )


def _work(connection: Connection[Any, Any], load: Callable[[], Callable[[Any], Any]]) -> None:
    """Work on what comes until the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    pieces: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_take, args=(connection, pieces), daemon=True).start()
    with suppress(OSError):  # the parent is gone
        try:
            work = load()
            while not isinstance(piece := pieces.get(), _Failure):
                connection.send(work(piece))
            connection.send(piece)
        except Exception as error:
            connection.send(_Failure(error))
    threading.Event().wait()


def _take(connection: Connection[Any, Any], pieces: SimpleQueue[Any]) -> None:
    """Take pieces from the pipe, and end the process when the parent is gone."""
    while True:
        try:
            pieces.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)
        except Exception as error:
            pieces.put(_Failure(error))
