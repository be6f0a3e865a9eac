"""How well a classifier does, as counts, and what an artifact says about its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["Accuracy", "measured_accuracy"]

_MOST = 10**15


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a classifier was right and wrong on conversations whose true labels are known.

    Attributes:
        true_positives: Emotional conversations called emotional.
        false_negatives: Emotional ones called task.
        true_negatives: Task ones called task.
        false_positives: Task ones called emotional.

    Raises:
        OptionError: A count is negative, or there are none of one kind.
    """

    true_positives: float
    false_negatives: float
    true_negatives: float
    false_positives: float

    def __post_init__(self) -> None:
        counts = asdict(self).values()
        if not all(isinstance(n, int | float) and 0 <= n <= _MOST for n in counts):
            raise OptionError(f"the counts of an accuracy must lie between 0 and {_MOST:,}")
        if not self.positives or not self.negatives:
            raise OptionError("an accuracy needs both emotional and other conversations")

    @property
    def positives(self) -> float:
        """How many were emotional."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> float:
        """How many were not."""
        return self.true_negatives + self.false_positives


def measured_accuracy(
    artifact: Artifact, operating_point: str = "balanced", level: str = "conversation"
) -> Accuracy | None:
    """Return what an artifact says about its own accuracy on real transcripts.

    Args:
        artifact: The artifact.
        operating_point: Which of its operating points made the labels.
        level: What a row of the labels is, ``conversation`` or ``message``; or ``studies``, for
            conversations of personal chats that people gave to studies.

    Returns:
        The counts under ``measured.<operating point>.<level>`` of its ``affect.json``, None if it
        has none.

    Raises:
        OptionError: There is no such operating point.
    """
    artifact.operating_point(operating_point)
    counts = artifact.description.get("measured", {}).get(operating_point, {}).get(level)
    return None if counts is None else Accuracy(**counts)
