"""From logits to probabilities, and from probabilities to labels."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import OptionError

__all__ = [
    "Line",
    "OperatingPoint",
    "Recalibration",
    "WindowCombination",
    "expected_charge",
    "finite_logit",
    "logit",
    "prior_shift",
    "reproducible",
    "sigmoid",
]

_TINY = 1e-9
_DECIMALS = 5

Numbers = TypeVar("Numbers", float, NDArray[Any])
"""One number, or an array of them: what is given is what comes back."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Thresholds, the specificity they were chosen for, and what was measured of them.

    Attributes:
        message: Probability from which a message is emotional, if it is one of several of its user.
            It has the same specificity for messages as the other has for conversations.
        conversation: Probability from which a conversation is emotional. It also holds for the
            only message of a user, such as a text by itself.
        sensitivity: Share of the emotional conversations found (recall).
        specificity: Share of the other conversations that are not flagged.
        target: The specificity that the thresholds were chosen for, which calibration aims at; if
            None, `specificity` is.
    """

    message: float
    conversation: float
    sensitivity: float
    specificity: float
    target: float | None = None

    def __post_init__(self) -> None:
        """Refuse thresholds that are not probabilities, and round them as probabilities are."""
        for name in ("message", "conversation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the {name} threshold must lie between 0 and 1")
            object.__setattr__(self, name, reproducible(getattr(self, name)))

    @property
    def aim(self) -> float:
        """The specificity that a calibration aims at."""
        return self.specificity if self.target is None else self.target

    def of_messages(self, count: int) -> float:
        """Return the threshold of a user's messages.

        Args:
            count: How many the conversation has. A single one is the whole conversation, and has
                its threshold, so that both have one label.

        Example:
            >>> point = OperatingPoint(0.1, 0.2, sensitivity=0.8, specificity=0.98)
            >>> point.of_messages(1), point.of_messages(2)
            (0.2, 0.1)
        """
        return self.conversation if count == 1 else self.message


@dataclass(frozen=True, slots=True)
class WindowCombination:
    """How the windows of a long conversation make one logit.

    Attributes:
        log_windows: What is added to the highest logit for each unit of the logarithm of the number
            of windows; 0 or less, as more windows are more chances of a false alarm.
    """

    log_windows: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a number that would let every window count."""
        if not (isfinite(self.log_windows) and self.log_windows <= 0):
            raise ValueError("log_windows must be finite and at most 0")

    def logits(self, windows: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logits of a conversation, shape ``[outputs]``.

        Args:
            windows: Those of its windows, shape ``[windows, outputs]``; a single row stays as it
                is.

        Example:
            >>> windows = np.array([[1.0, 0.0], [3.0, -2.0]])
            >>> WindowCombination(-1.0).logits(windows).round(2).tolist()
            [2.31, -0.69]
        """
        highest = np.asarray(windows, dtype=np.float64).max(axis=0)
        return np.asarray(highest + self.log_windows * log(len(windows)))


@dataclass(frozen=True, slots=True)
class Line:
    """A rising line through the logits of an output.

    Attributes:
        intercept: Where it begins.
        slope: How steep it is, above 0.
    """

    intercept: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a line that does not rise."""
        if not (isfinite(self.intercept) and isfinite(self.slope) and self.slope > 0):
            raise ValueError("the intercept must be finite, and the slope too and above 0")


@dataclass(frozen=True, slots=True)
class Recalibration(Line):
    """A rising line through logits, fitted on a user's own labels; by default all stays as it is.

    It is applied to the probability of a conversation and of each message of the user alike, so
    that one text keeps one answer. What the intensity is made of besides, P(charge >= 1) and
    P(charge >= 3), moves along the same line: labels of two kinds say nothing of them, and a rising
    line keeps their order.
    """

    def probability(self, probability: float) -> float:
        """Return what a probability becomes.

        Example:
            >>> Recalibration().probability(0.3)
            0.3
            >>> round(Recalibration(intercept=1.0).probability(0.5), 3)
            0.731
        """
        if self == _UNCHANGED:
            return probability
        return sigmoid(self.intercept + self.slope * logit(probability))

    def after(self, first: Recalibration) -> Recalibration:
        """Return the line that does what `first` does and then this one.

        Example:
            >>> Recalibration(1.0, 2.0).after(Recalibration(0.5, 3.0))
            Recalibration(intercept=2.0, slope=6.0)
        """
        return Recalibration(
            self.intercept + self.slope * first.intercept, self.slope * first.slope
        )


_UNCHANGED = Recalibration()


def expected_charge(at_least_1: float, at_least_2: float, at_least_3: float) -> float:
    """Return the intensity: the charge that is expected, from 0 to 3.

    It is the sum of the three probabilities. They are cumulative: the first is taken to be no lower
    than the second, and the third no higher. So the second, which decides on the label, is used as
    it is, and the intensity rises with it.

    Example:
        >>> expected_charge(0.75, 0.5, 0.25), expected_charge(0.25, 0.5, 0.75)
        (1.5, 1.5)
    """
    return max(at_least_1, at_least_2) + at_least_2 + min(at_least_3, at_least_2)


def logit(probability: Numbers) -> Numbers:
    """Return the logarithm of the odds, the inverse of `sigmoid`; infinite at 0 and 1.

    Example:
        >>> logit(0.5)
        0.0
    """
    values = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return _as_given(probability, np.log(values) - np.log1p(-values))


def finite_logit(probability: Numbers) -> Numbers:
    """Return the logarithm of the odds, finite at 0 and 1 too.

    Example:
        >>> finite_logit(0.0) > -21
        True
    """
    kept = np.clip(np.asarray(probability, dtype=np.float64), _TINY, 1 - _TINY)
    return logit(_as_given(probability, kept))


def sigmoid(logit: Numbers) -> Numbers:
    """Return the logistic function of a logit, or of each of an array; never overflows.

    Example:
        >>> sigmoid(0.0)
        0.5
        >>> sigmoid(-1000.0)
        0.0
    """
    return _as_given(logit, np.exp(-np.logaddexp(0.0, -np.asarray(logit, dtype=np.float64))))


def _as_given(given: Numbers, values: NDArray[np.float64]) -> Numbers:
    """Return values as what they were computed from is: an array, or one number."""
    return cast(Numbers, values if np.ndim(given) else float(values))


def reproducible(probability: float) -> float:
    """Return a probability, threshold or intensity without the digits that are noise.

    What an engine computes depends on the processor in the sixth digit. All that is written or
    compared with a threshold is rounded first, so that every run gives the same bytes.

    Example:
        >>> reproducible(0.18481049)
        0.18481
    """
    return round(float(probability), _DECIMALS)


def prior_shift(probability: Numbers, *, trained: float, deployed: float) -> Numbers:
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
    return _as_given(probability, np.asarray(emotional / (emotional + task)))
