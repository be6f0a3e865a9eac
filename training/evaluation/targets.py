"""What the model is meant to reach, beside what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.evaluation.ablations import find
from training.evaluation.length import FILLINGS


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of the results and the bound that is set for it.

    Attributes:
        what: What is measured.
        path: Where it is in the results.
        least: The least value that is good enough; None for no such bound.
        most: The greatest value that is good enough; None for no such bound.
    """

    what: str
    path: tuple[str, ...]
    least: float | None = None
    most: float | None = None

    def value(self, results: Mapping[str, Any]) -> Any:
        """Return the estimate (or the plain number); None if it was not measured."""
        return find(results, self.path)

    def met(self, results: Mapping[str, Any]) -> bool | None:
        """Return whether the value is within the bounds; None if it was not measured."""
        found = self.value(results)
        if found is None:
            return None
        value = found["value"] if isinstance(found, dict) else found
        low = self.least is None or value >= self.least
        return bool(low and (self.most is None or value <= self.most))

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        signs = (("≥", self.least), ("≤", self.most))
        return " and ".join(f"{sign} {bound:,.12g}" for sign, bound in signs if bound is not None)


def _real(point: str, metric: str, least: float) -> Target:
    return Target(
        f"real, {point}: {metric}", ("groups", "real transcripts", point, metric), least=least
    )


def _each(what: str, *path: str, least: float | None = None, most: float | None = None) -> Target:
    return Target(what, path, least, most)


TARGETS = (
    _each("real: average precision", "groups", "real transcripts", "average_precision", least=0.9),
    _real("balanced", "recall", 0.88),
    _real("balanced", "specificity", 0.995),
    _real("high_precision", "recall", 0.65),
    _real("high_precision", "specificity", 0.999),
    _real("high_recall", "recall", 0.97),
    _real("high_recall", "specificity", 0.95),
    _each("corpus dev: accuracy", "corpus", "accuracy", least=0.93),
    _each("corpus dev: pairs with both right", "corpus", "pairs_both_right", least=0.88),
    _each("corpus dev: F1 of charged turns", "corpus", "turn_f1", least=0.85),
    _each(
        "corpus dev: accuracy in French less in English",
        *("languages", "french_less_english", "accuracy"),
        least=-0.02,
    ),
    _each("dev: cues, macro F1", "cues", "macro_f1", least=0.65),
    _each("corpus test: accuracy", "test", "corpus", "accuracy", least=0.93),
    _each("corpus test: pairs with both right", "test", "corpus", "pairs_both_right", least=0.88),
    _each("corpus test: F1 of charged turns", "test", "corpus", "turn_f1", least=0.85),
    _each(
        "corpus test: accuracy in French less in English",
        *("test", "french_less_english", "accuracy"),
        least=-0.02,
    ),
    _each("corpus test: cues, macro F1", "test", "cues", "macro_f1", least=0.65),
    *(
        _each(f"calibration error: {what}", "calibration", "error", what, most=0.02)
        for what in (
            "real transcripts, as it is",
            "corpus dev, as it is",
            "corpus dev, shifted to its own share",
            "all dev, weighted to the assumed share",
        )
    ),
    _each(
        "calibration error: all dev, weighted to 3%",
        *("calibration", "error", "all dev, weighted to 3%"),
        most=0.03,
    ),
    *(
        _each(f"change by {kind} replies: {name}", "replies", f"{kind} for as written", name,
              most=0.02)
        for kind in ("warm", "cold")
        for name in ("real transcripts", "corpus dev")
    ),
    *(
        _each(f"source probe, {pair}", "source", f"uncharged: {pair}", most=0.65)
        for pair in ("real or corpus", "ShareGPT or Arena, WildChat")
    ),
    _each(
        "fall of accuracy without pronouns",
        *("pronouns", "English and French", "fall"),
        most=0.03,
    ),
    *(
        _each(f"rank correlation with length: {name}", "drift", name, least=-0.1, most=0.1)
        for name in ("real transcripts", "corpus dev")
    ),
    *(
        _each(
            f"charged turn in 20 less in 4 turns, {filling}, as a {level}",
            *("late", filling, "20 less 4 turns", level),
            least=-0.05,
            most=0.05,
        )
        for filling in FILLINGS
        for level in ("message", "conversation")
    ),
    _each("bytes of the artifact", "sizes", "total", most=75e6),
    _each("times as fast as 6 layers of 384", "speed", "times_as_fast", least=1.0),
    _each("int8 and fp32: same label", "engines", "same_label", least=0.997),
    _each("int8 and fp32: mean gap", "engines", "mean_gap", most=0.02),
)  # fmt: skip
"""The targets, in the order of the tables."""
