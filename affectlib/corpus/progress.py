"""Progress bars, on a terminal or in a notebook: how far, how fast, how long still."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from affectlib.predictions import ConversationPrediction

_T = TypeVar("_T")


class Bar:
    """A progress bar over texts or conversations, with messages a second.

    Speed and time left are those since its beginning: what comes in bursts is no surprise to them.

    Args:
        total: How many there are, None if that is not known yet.
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

    def close(self) -> None:
        """Take it away."""
        self._bar.close()


def with_bar(outcomes: Iterable[_T], total: int | None) -> Iterator[_T]:
    """Show a progress bar while predictions are taken.

    Args:
        outcomes: The predictions, and what stands in the place of those that failed.
        total: How many there will be, None if that is not known.
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
def summary_bar(wanted: bool) -> Iterator[Callable[[Any], None] | None]:
    """Show a progress bar of what `affectlib.LabelSummary` says while the block lasts.

    Args:
        wanted: Whether to show one; nothing takes summaries if not.
    """
    if not wanted:
        yield None
        return
    begun: list[Any] = []

    def show(summary: Any) -> None:
        if not begun:
            begun.extend((Bar(summary.expected, summary.resumed), summary.messages))
        bar, before = begun
        bar.show(
            summary.conversations,
            summary.messages - before,
            total=summary.expected,
            more=f", {summary.emotional_share:.1%} emotional, {summary.failed} errors",
        )

    try:
        yield show
    finally:
        for bar in begun[:1]:
            bar.close()
