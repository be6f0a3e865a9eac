"""From logits to probabilities, and from probabilities to labels."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import isfinite
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import OptionError

__all__ = ["ConversationCalibration", "OperatingPoint", "prior_shift", "sigmoid"]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Thresholds, and what they were found to give on conversations kept for choosing them.

    Attributes:
        message: Probability from which a message is emotional. It leaves the same share of messages
            alone as the other does of conversations.
        conversation: Probability from which a conversation is emotional.
        sensitivity: Share of the emotional conversations found (recall).
        specificity: Share of the other conversations left alone.
    """

    message: float
    conversation: float
    sensitivity: float
    specificity: float

    def __post_init__(self) -> None:
        """Refuse thresholds that are no probabilities."""
        for name in ("message", "conversation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the {name} threshold must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class ConversationCalibration:
    """A logistic function of a conversation's features.

    Attributes:
        intercept: Its intercept.
        max: Weight of the highest logit.
        top: Weight of the mean of the highest logits.
        log_turns: Weight of the logarithm of the number of user messages.
    """

    intercept: float
    max: float
    top: float
    log_turns: float

    def __post_init__(self) -> None:
        """Refuse weights that are not finite."""
        if not all(map(isfinite, astuple(self))):
            raise ValueError("the intercept and the weights must be finite")

    def probability(self, features: tuple[float, float, float]) -> float:
        """Return the calibrated P(emotional) of a conversation.

        Args:
            features: What `affectlib.model.aggregation.conversation_features` gives.

        Example:
            >>> ConversationCalibration(-1.0, 0.5, 0.5, 0.0).probability((1.0, 1.0, 0.0))
            0.5
        """
        highest, top, log_turns = features
        return sigmoid(
            self.intercept + self.max * highest + self.top * top + self.log_turns * log_turns
        )


@overload
def sigmoid(logit: float) -> float: ...
@overload
def sigmoid(logit: NDArray[Any]) -> NDArray[np.float64]: ...
def sigmoid(logit: float | NDArray[Any]) -> float | NDArray[np.float64]:
    """Return the logistic function of a logit, or of each of an array; never overflows.

    Example:
        >>> sigmoid(0.0)
        0.5
        >>> sigmoid(-1000.0)
        0.0
    """
    value = np.exp(-np.logaddexp(0.0, -np.asarray(logit, dtype=np.float64)))
    return value if value.ndim else float(value)


@overload
def prior_shift(probability: float, *, trained: float, deployed: float) -> float: ...
@overload
def prior_shift(
    probability: NDArray[Any], *, trained: float, deployed: float
) -> NDArray[np.float64]: ...
def prior_shift(
    probability: float | NDArray[Any], *, trained: float, deployed: float
) -> float | NDArray[np.float64]:
    """Move calibrated probabilities to another prevalence.

    A calibrated probability holds for the prevalence that it was calibrated at. Where emotional
    conversations are rarer or more frequent, Bayes' rule scales the odds by the ratio of the
    prior odds (Saerens, Latinne and Decaestecker 2002). Ranks do not change.

    Args:
        probability: One probability, or an array of them, in which NaN, for what failed, stays.
        trained: The prevalence that they assume (`Artifact.prevalence`).
        deployed: The prevalence of the transcripts at hand.

    Returns:
        The probability at the new prevalence, of the same shape.

    Raises:
        OptionError: A probability lies outside 0 to 1, or a prevalence is not between them.

    Example:
        >>> round(prior_shift(0.5, trained=0.1, deployed=0.01), 4)
        0.0833
    """
    for name, prevalence in (("trained", trained), ("deployed", deployed)):
        if not 0 < prevalence < 1:
            raise OptionError(f"{name} must be more than 0 and less than 1, got {prevalence}")
    values = np.asarray(probability, dtype=np.float64)
    known = values[~np.isnan(values)] if values.ndim else values
    if not np.all((known >= 0) & (known <= 1)):
        raise OptionError("probabilities must lie between 0 and 1")
    emotional = values * (deployed / trained)
    task = (1 - values) * ((1 - deployed) / (1 - trained))
    shifted = np.asarray(emotional / (emotional + task))
    return shifted if shifted.ndim else float(shifted)
