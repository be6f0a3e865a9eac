"""Threads with bounded queues between them, so that the steps of labelling overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

_PATIENCE = 0.1


class _End:
    """The last thing in a queue: why there is nothing more."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[_T], size: int) -> Generator[_T]:
    """Run an iterator in a thread of its own, at most `size` items ahead.

    What it raises is raised here, after the items before. The thread ends when this generator is
    closed or exhausted.

    Example:
        >>> list(ahead(range(3), 1))
        [0, 1, 2]
    """
    queue: Queue[_T | _End] = Queue(size)
    stopped = threading.Event()

    def put(item: _T | _End) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def run() -> None:
        end = _End()
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            end = _End(error)
        put(end)

    thread = threading.Thread(target=run, name="affectlib-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def map_ahead(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
    """Pair each item with its result, while the next one is computed in another thread.

    A single item needs no thread. What `items` raises is raised after the pairs before.

    Example:
        >>> list(map_ahead(str, [1, 2]))
        [(1, '1'), (2, '2')]
    """
    remaining = _Remaining(items)
    item = remaining.take()
    following = remaining.take()
    if following is None:
        if item is not None:
            yield item[0], function(item[0])
        remaining.raise_problem()
        return
    with ThreadPoolExecutor(1, "affectlib-map") as pool:
        result: Future[_R] | None = None
        while item is not None:
            result = pool.submit(function, item[0]) if result is None else result
            done = result.result()
            result = pool.submit(function, following[0]) if following is not None else None
            yield item[0], done
            item = following
            following = remaining.take() if following is not None else None
    remaining.raise_problem()


class _Remaining(Generic[_T]):
    """An iterator whose end, or exception, can wait."""

    def __init__(self, items: Iterable[_T]) -> None:
        self._items = iter(items)
        self._problem: BaseException | None = None

    def take(self) -> tuple[_T] | None:
        """Return the next item, or None if there is no more."""
        if self._problem is not None:
            return None
        try:
            return (next(self._items),)
        except StopIteration:
            return None
        except Exception as error:
            self._problem = error
            return None

    def raise_problem(self) -> None:
        if self._problem is not None:
            raise self._problem


class Background(Generic[_T]):
    """Hands items to a function that runs in a thread of its own, one after the other.

    Args:
        consume: The function.
        size: Items that may wait for it.
    """

    def __init__(self, consume: Callable[[_T], None], size: int) -> None:
        """Start the thread."""
        self._consume = consume
        self._queue: Queue[_T | _End] = Queue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="affectlib-write", daemon=True)
        self._thread.start()

    def put(self, item: _T) -> None:
        """Hand an item over; raises what the function raised on an earlier one."""
        self._queue.put(item)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait until all is done; raises what the function raised."""
        if self._thread.is_alive():
            self._queue.put(_End())
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not isinstance(item := self._queue.get(), _End):
            try:
                if self._error is None:
                    self._consume(item)
            except BaseException as error:
                self._error = error
