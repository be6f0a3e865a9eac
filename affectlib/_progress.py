"""Progress bars, on a terminal or in a notebook."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, TypeVar

from affectlib.predictions import ConversationPrediction

_T = TypeVar("_T")

_TICK = 1.0
"""Seconds after which the bar shows that a long conversation is being read."""


class Bar:
    """A progress bar over texts or conversations, with messages a second since it began."""

    def __init__(self, total: int | None = None) -> None:
        """Show it, on standard error or in the notebook."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notebook without ipywidgets gets a plain bar
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, unit="", dynamic_ncols=True, leave=False, smoothing=0)
        self._begun = time.monotonic()

    def show(self, done: int, messages: int, *, total: int | None = None, more: str = "") -> None:
        """Move it to `done`, including an earlier run's; `messages` are those of this run only."""
        self._bar.total = self._bar.total if total is None else max(total, done)
        seconds = time.monotonic() - self._begun
        rate = messages / seconds if seconds else 0.0
        self._bar.set_postfix_str(f"{rate:,.0f} messages/s{more}", refresh=False)
        self._bar.update(done - self._bar.n)

    def begin(self, done: int) -> None:
        """Begin with the number that an earlier run did."""
        self._bar.initial = self._bar.n = done
        self._begun = time.monotonic()

    def note(self, text: str) -> None:
        """Show a text instead of the figures, until the bar next moves."""
        self._bar.set_postfix_str(text)

    def close(self) -> None:
        """Remove it."""
        self._bar.close()


def with_bar(outcomes: Iterable[_T], total: int | None) -> Iterator[_T]:
    """Show a progress bar while predictions, and failures, are taken; `total` None if unknown."""
    bar = Bar(total)
    messages = 0
    try:
        for done, outcome in enumerate(outcomes, 1):
            yield outcome
            messages += len(outcome.messages) if isinstance(outcome, ConversationPrediction) else 1
            bar.show(done, messages)
    finally:
        bar.close()


@contextmanager
def summary_bar(
    wanted: bool, windows_run: Callable[[], int] = int
) -> Iterator[Callable[[Any], None] | None]:
    """Show a progress bar that takes `LabelSummary`s while the block lasts.

    Args:
        wanted: Whether to show one; yields None if not.
        windows_run: Returns how many messages were read so far, to show that a long conversation
            is being read.
    """
    if not wanted:
        yield None
        return
    begun: list[Any] = []
    moved, ended = Event(), Event()

    def tick() -> None:
        seen = windows_run()
        while not ended.wait(_TICK):
            read = windows_run()
            if not moved.is_set() and read > seen and begun:
                begun[0].note(f"{read - seen:,} messages of the next ones")
            seen = read if moved.is_set() else seen
            moved.clear()

    def show(summary: Any) -> None:
        moved.set()
        bar, before = begun
        if before is None:
            before = begun[1] = summary.messages
            bar.begin(summary.resumed)
        bar.show(
            summary.conversations,
            summary.messages - before,
            total=summary.expected,
            more=f", {summary.emotional_share:.1%} emotional, {summary.failed} errors",
        )

    begun.extend((Bar(), None))
    thread = Thread(target=tick, name="affectlib-progress", daemon=True)
    thread.start()
    try:
        yield show
    finally:
        ended.set()
        thread.join()
        begun[0].close()
