"""Streams cut into batches, and threads that work ahead of them: bounded in memory, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any, Generic, TypeVar

from affectlib.conversation import Conversation

_T = TypeVar("_T")
_R = TypeVar("_R")

_CONVERSATIONS = 256
_CHARACTERS = 400_000
_FIRST = 1 / 32
"""Size of the first batch, where batches grow."""


def text_size(item: Any) -> int:
    """Return the number of characters in a conversation, 0 for anything else."""
    if not isinstance(item, Conversation):
        return 0
    return sum(len(message.content) for message in item.messages)


def in_buffers(items: Iterable[_T], *, growing: bool = False) -> Generator[list[_T]]:
    """Cut a stream into lists that are bounded in number and, but for the last item, in characters.

    What `items` raises is raised after the items before. With `growing` the first lists are short,
    so that the first results come soon, and each is twice as long as the one before.
    """
    buffer: list[_T] = []
    characters = 0
    share = _FIRST if growing else 1.0
    problem: Exception | None = None
    try:
        for item in items:
            buffer.append(item)
            characters += text_size(item)
            if len(buffer) >= share * _CONVERSATIONS or characters >= share * _CHARACTERS:
                yield buffer
                buffer, characters, share = [], 0, min(1.0, 2 * share)
    except Exception as error:
        problem = error
    if buffer:
        yield buffer
    if problem is not None:
        raise problem


def ahead(items: Iterable[_T], size: Callable[[_T], int] = text_size) -> Generator[_T]:
    """Run an iterator in a thread of its own, ahead by about one buffer of so many characters.

    What it raises is raised here, after the items before. The thread ends when this generator is
    closed or exhausted.

    Example:
        >>> list(ahead(range(3)))
        [0, 1, 2]
    """
    waiting: deque[tuple[_T, int]] = deque()
    changed = threading.Condition()
    characters, ended, stopped = 0, False, False
    problem: list[BaseException] = []

    def has_room() -> bool:
        return stopped or (len(waiting) < _CONVERSATIONS and characters < _CHARACTERS)

    def run() -> None:
        nonlocal characters, ended
        try:
            for item in items:
                with changed:
                    changed.wait_for(has_room)
                    if stopped:
                        return
                    waiting.append((item, size(item)))
                    characters += waiting[-1][1]
                    changed.notify()
        except BaseException as error:
            problem.append(error)
        finally:
            if isinstance(items, Generator):
                items.close()
            with changed:
                ended = True
                changed.notify()

    thread = threading.Thread(target=run, name="affectlib-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: waiting or ended)
                if not waiting:
                    break
                item, count = waiting.popleft()
                characters -= count
                changed.notify()
            yield item
        if problem:
            raise problem[0]
    finally:
        with changed:
            stopped = True
            changed.notify()
        thread.join()


def map_ahead(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
    """Pair each item with its result, while the next one is computed in another thread.

    A single item needs no thread. What `items` raises is raised after the pairs before.

    Example:
        >>> list(map_ahead(str, [1, 2]))
        [(1, '1'), (2, '2')]
    """
    source = iter(items)
    problem: list[Exception] = []

    def take() -> list[_T]:
        try:
            return [next(source)]
        except StopIteration:
            return []
        except Exception as error:
            problem.append(error)
            return []

    current = take()
    following = take() if current else []
    if not following:
        yield from ((item, function(item)) for item in current)
    else:
        with ThreadPoolExecutor(1, "affectlib-map") as pool:
            result = pool.submit(function, current[0])
            while current:
                done = result.result()
                if following:
                    result = pool.submit(function, following[0])
                yield current[0], done
                current, following = following, take() if following else []
    if problem:
        raise problem[0]


class Background(Generic[_T]):
    """Hands items to a function in a thread of its own; at most `size` of them wait for it."""

    def __init__(self, consume: Callable[[_T], None], size: int) -> None:
        """Start the thread."""
        self._consume = consume
        self._queue: Queue[tuple[_T] | None] = Queue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="affectlib-write", daemon=True)
        self._thread.start()

    def put(self, item: _T) -> None:
        """Hand an item over; raises what the function raised on an earlier one."""
        self._queue.put((item,))
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait until all is done; raises what the function raised."""
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._consume(item[0])
            except BaseException as error:
                self._error = error
