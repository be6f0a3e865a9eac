"""What fine-tuning made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FineTuned"]


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A fine-tuned model, and how it does on the held-out conversations.

    Attributes:
        folder: The new model; `affectlib.AffectClassifier.from_pretrained` loads it.
        name: Its name.
        base: Name and version of the model that it was made from.
        conversations: Labelled conversations that were read.
        emotional: How many of them are emotional.
        held_out: How many were held out.
        held_out_emotional: How many of these are emotional.
        share: Share of the new weights in their average with the base's; 0 where the base was best.
        fitted: Whether calibration and thresholds were fitted to the held-out conversations; else
            those of the base stay.
        figures: A row for each operating point and measure: ``operating_point`` (None for what
            needs none), ``measure``, ``before, before_low, before_high`` (the base), ``after,
            after_low, after_high`` (the new model, cross-fitted as its card says), ``change,
            change_low, change_high``; None where it is not defined.
        notes: What should be known before it is used.
        seconds: How long it took.
    """

    folder: Path
    name: str
    base: str
    conversations: int
    emotional: int
    held_out: int
    held_out_emotional: int
    share: float
    fitted: bool
    figures: tuple[Mapping[str, Any], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def figure(self, measure: str, operating_point: str | None = None) -> Mapping[str, Any]:
        """Return the row of a measure.

        Raises:
            KeyError: There is none.
        """
        for row in self.figures:
            if (row["measure"], row["operating_point"]) == (measure, operating_point):
                return row
        raise KeyError(measure)
