"""How far fine-tuning is, and how long it still takes: one line over all its stages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from affectlib.finetuning.held_out import SHARE, SHARES
from affectlib.model.engines import Engine, Floats, Ids

__all__ = ["CountedEngine", "Progress", "expected_work"]

_IN_MEMORY = 3.0
"""How much longer the model in memory takes to read a window than the base's engine, on a CPU."""
_PASS = 10.0
"""The same for learning a window once."""
_WRITING = 30.0
"""The same for writing the model."""


def expected_work(windows: int, epochs: float) -> dict[str, float]:
    """Return how much work each stage is likely to be, in windows that the base's engine reads."""
    held = SHARE * windows
    learnt = windows - held
    return {
        "preparing": _IN_MEMORY * learnt,
        "learning": _PASS * epochs * learnt,
        "choosing": _IN_MEMORY * len(SHARES) * held,
        "writing": _WRITING,
        "reading": held,
        "checking": held,
    }


class Progress:
    """A line that moves from the first stage to the last; no line if none is wanted."""

    def __init__(self, wanted: bool) -> None:
        """Wait for the plan."""
        self._wanted = wanted
        self._stages: dict[str, tuple[float, float]] = {}
        self._stage = ""
        self._bar: Any = None

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.close()

    def plan(self, work: Mapping[str, float]) -> None:
        """Begin; ``work`` is how much each stage is, in their order."""
        ends = [*accumulate(work.values())]
        self._stages = dict(zip(work, zip([0.0, *ends], work.values(), strict=False), strict=True))
        if self._wanted:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=ends[-1],
                leave=False,
                smoothing=0,
                mininterval=0.1 if sys.stderr.isatty() else 10.0,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
            )

    def show(self, stage: str, share: float) -> None:
        """Show that all stages before one are done, and this share of it, from 0 to 1."""
        if self._bar is None:
            return
        begin, size = self._stages[stage]
        if stage != self._stage:
            self._stage = stage
            self._bar.set_description_str(stage)
        self._bar.update(max(begin + share * size - self._bar.n, 0.0))

    def say(self, text: str) -> None:
        """Print a line above it."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)

    def of(self, stage: str) -> Callable[[float], None]:
        """Return what shows how much of a stage is done."""
        return partial(self.show, stage)


class CountedEngine:
    """An engine that says how much of what it has to read is done; see `Engine`."""

    def __init__(
        self, engine: Engine, windows: Sequence[Sequence[object]], report: Callable[[float], None]
    ) -> None:
        """Keep the engine, and count what it has to read."""
        self._engine = engine
        self._report = report
        self._total = max(sum(map(len, windows)), 1)
        self._done = 0
        self.name, self.device = engine.name, engine.device

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch."""
        found = self._engine.logits(input_ids, attention_mask, turns)
        self._done += len(found)
        self._report(min(self._done / self._total, 1.0))
        return found
