"""Processes that work side by side; waiting for one never hangs.

The parent has one pipe to each process and no thread. A process has a thread that takes from the
pipe whatever comes, also while it works or waits for its result to be taken: so the parent is
never stuck in sending, and two that send to each other at once cannot block each other. That
thread also sees the parent end, and ends the process. A process that dies closes its end of the
pipe, which ends every waiting of the parent.
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

_IN_FLIGHT = 2  # one that is worked on, and the next
_PATIENCE = 10.0


class Answer(Generic[_R]):
    """A result that will come."""

    def __init__(self, receive: Callable[[], None]) -> None:
        """Know how to wait."""
        self._receive = receive
        self._values: list[_R] = []

    def give(self, value: _R) -> None:
        """Let it come."""
        self._values.append(value)

    def result(self) -> _R:
        """Wait for it; raises what any of the processes raised, or `WorkerError` if one died."""
        while not self._values:
            self._receive()
        return self._values[0]


class Processes(Generic[_T, _R]):
    """Processes that run; see `running`."""

    def __init__(self, start: Callable[[], _Member[_T, _R]], count: int) -> None:
        """Know how one is started, and how many may be."""
        self._start = start
        self._count = count
        self._members: list[_Member[_T, _R]] = []

    def submit(self, piece: _T) -> Answer[_R]:
        """Give work to the process that has the least, and wait if all of them have plenty.

        Another process is started if all have some, so that there are no more than there is work
        for.

        Raises:
            WorkerError: One of the processes died.
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
        """Take the results that are there; wait for one unless `timeout` (seconds) says not to."""
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
            theirs.close()  # else its end would not be seen
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
        self.pending.popleft().give(value)

    def close(self) -> None:
        """End the process, whatever it is doing; it holds nothing that would be lost."""
        self._process.kill()
        self.connection.close()
        self._process.join(_PATIENCE)


@contextmanager
def running(load: Callable[[], Callable[[_T], _R]], count: int) -> Iterator[Processes[_T, _R]]:
    """Start processes as there is work, and end them when the block is left, whatever they do.

    Args:
        load: Run once in each, returns what works on a piece. Both must be fit for pickling, as
            must the pieces and results.
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
    """What a process raised.

    Attributes:
        error: The exception; a `WorkerError` that names it if it cannot be sent.
        traceback: Where it was raised.
    """

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
    """Work on what comes until the parent ends the process, or ends itself."""
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
