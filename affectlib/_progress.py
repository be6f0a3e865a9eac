"""Progress bars, on a terminal or in a notebook: how far, how fast, how long to go."""

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
"""Seconds after which the bar says that it goes on."""


class Bar:
    """A progress bar over texts or conversations, with messages a second.

    Speed and time left are those since its beginning: what comes in bursts is no surprise to them.

    Args:
        total: How many there are, or None if that is not known yet.
        done: How many of them an earlier run had done.
    """

    def __init__(self, total: int | None = None, done: int = 0) -> None:
        """Show it, on standard error or in the notebook."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notebook without ipywidgets gets a plain bar
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total, initial=done, unit="", dynamic_ncols=True, leave=False, smoothing=0
            )
        self._begun = time.monotonic()

    def show(self, done: int, messages: int, *, total: int | None = None, more: str = "") -> None:
        """Move it.

        Args:
            done: How many are done, those of an earlier run included.
            messages: Messages of those that this run did.
            total: How many there are, as far as is known now; what was known before if None.
            more: What else is shown.
        """
        self._bar.total = self._bar.total if total is None else max(total, done)
        seconds = time.monotonic() - self._begun
        rate = messages / seconds if seconds else 0.0
        self._bar.set_postfix_str(f"{rate:,.0f} messages/s{more}", refresh=False)
        self._bar.update(done - self._bar.n)

    def begin(self, done: int) -> None:
        """Begin with the number that an earlier run had done."""
        self._bar.initial = self._bar.n = done
        self._begun = time.monotonic()

    def note(self, words: str) -> None:
        """Show something instead of the figures, until the bar next moves."""
        self._bar.set_postfix_str(words)

    def close(self) -> None:
        """Take it away."""
        self._bar.close()


def with_bar(outcomes: Iterable[_T], total: int | None) -> Iterator[_T]:
    """Show a progress bar while predictions are taken.

    Args:
        outcomes: The predictions, and what stands in the place of those that failed.
        total: How many there will be, or None if that is not known.
    """
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
    """Show a progress bar of what `LabelSummary` says while the block lasts.

    Args:
        wanted: Whether to show one; nothing takes summaries if not.
        windows_run: Returns how many messages were read so far, by which the bar also moves within
            a long conversation.
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
