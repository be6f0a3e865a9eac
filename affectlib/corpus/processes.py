"""Worker processes for which waiting never hangs, and which end when this process ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from affectlib.errors import WorkerError

_T = TypeVar("_T")
_R = TypeVar("_R")


@contextmanager
def running(
    load: Callable[[], Callable[[_T], _R]], count: int
) -> Iterator[Callable[[_T], Future[_R]]]:
    """Start processes as there is work, and end them when the block is left, whatever they do.

    In the block, a process that dies is a `WorkerError`.

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
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin, (load,))
    try:
        yield lambda piece: pool.submit(_work, piece)
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process died before it was done, killed or out of memory; "
            "continue with `resume=True`, if need be with fewer `workers`"
        ) from error
    finally:
        for process in [*pool._processes.values()]:  # `shutdown` would wait for their work
            process.kill()
        pool.shutdown(cancel_futures=True)


_load: Callable[[], Callable[[Any], Any]]
"""In a worker process, what it was started with."""


@cache
def _loaded() -> Callable[[Any], Any]:
    return _load()


def _begin(load: Callable[[], Callable[[Any], Any]]) -> None:
    global _load
    _load = load
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(piece: Any) -> Any:
    try:
        return _loaded()(piece)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            name = type(error).__name__
            raise WorkerError(f"a worker process raised {name}: {error}") from None
        raise
