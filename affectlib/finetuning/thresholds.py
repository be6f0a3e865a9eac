"""What is decided on the held-out part: probabilities, thresholds, and how well they do.

A model's operating points promise a specificity: a share of the other conversations that is not
flagged. On a user's transcripts the base may have had a lower one, and found more charged
conversations for it. So the new model must keep the promised specificity only as far as it misses
no more charged conversations than the base did, by a margin for chance. Its specificity must not be
lower than the base's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, Recalibration, finite_logit, sigmoid
from affectlib.model.recalibration import Rows, can_cross_fit, counts_of, recalibrate

__all__ = ["FEWEST_HELD_OUT", "Decided", "can_be_fitted", "decide", "pivot_of"]

FEWEST_HELD_OUT = 20
"""Conversations of each label that must be held out for thresholds of their own."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Decided:
    """What was decided.

    Attributes:
        line: From the probabilities by the base's calibration to the new ones.
        operating_points: The thresholds by name.
        prevalence: The share of emotional conversations that the probabilities assume.
        fitted: Whether it was fitted to labels; else the base's thresholds stay.
        probability: Cross-fitted probability of each held-out conversation; where nothing was
            fitted, only the share of the new weights is cross-fitted.
        called: Whether each is called emotional by cross-fitting, by operating point.
        measured: Counts of these, by operating point; nothing without conversations of both
            labels.
    """

    line: Recalibration
    operating_points: Mapping[str, OperatingPoint]
    prevalence: float
    fitted: bool
    probability: Floats
    called: Mapping[str, Flags]
    measured: Mapping[str, Mapping[str, float]]


def pivot_of(artifact: Artifact) -> float:
    """Return the logit that separates a model's labels: that of its middle threshold."""
    points = artifact.operating_points.values()
    return float(np.median(finite_logit(np.array([point.conversation for point in points]))))


def can_be_fitted(truth: Flags, groups: Codes) -> bool:
    """Return whether held-out conversations are enough, and of enough people, for thresholds.

    Args:
        truth: Whether each is emotional, shape ``[conversations]``.
        groups: Number of each one's group, shape ``[conversations]``.
    """
    enough = min(truth.sum(), (~truth).sum()) >= FEWEST_HELD_OUT
    return bool(enough) and can_cross_fit(truth, groups)


def decide(
    base: Artifact, before: Floats, after: Floats, crossed: Floats, truth: Flags, groups: Codes
) -> Decided:
    """Decide on held-out conversations.

    Args:
        base: The model that the new one is made from.
        before: What the base gives, shape ``[conversations]``.
        after: What the new weights give by the base's calibration, of the same shape.
        crossed: The same by weights that were chosen without each one's fold.
        truth: Whether each is emotional.
        groups: Number of each one's group.
    """
    if not can_be_fitted(truth, groups):
        return _as_the_base(base, before, after, crossed, truth, groups)
    promised = _kept(base, before, after, truth)
    found = recalibrate(promised, after, truth, groups=groups, force=True)
    judged = recalibrate(promised, crossed, truth, groups=groups, force=True)
    points = {
        name: replace(
            point,
            sensitivity=own.sensitivity,
            specificity=own.specificity,
            target=base.operating_points[name].aim,
        )
        for (name, point), own in zip(
            found.operating_points.items(), judged.operating_points.values(), strict=True
        )
    }
    return Decided(
        found.line,
        points,
        found.prevalence,
        True,
        judged.probability,
        judged.called,
        judged.measured,
    )


def _kept(base: Artifact, before: Floats, after: Floats, truth: Flags) -> Artifact:
    """Return the base with what is asked of the new model in the place of its promises."""
    points = {}
    for name, point in base.operating_points.items():
        missed = float((before[truth] < point.conversation).sum())
        most = int(max(missed - np.sqrt(missed), 0.0))
        reached = np.sort(after[truth])[most]
        possible = float((after[~truth] < reached).mean())
        own = float((before[~truth] < point.conversation).mean())
        asked = min(point.aim, max(own, possible))
        points[name] = replace(point, specificity=asked, target=asked)
    return replace(base, operating_points=points)


def _as_the_base(
    base: Artifact, before: Floats, after: Floats, crossed: Floats, truth: Flags, groups: Codes
) -> Decided:
    """Leave thresholds as they are, and move probabilities to where they are on average."""
    z = finite_logit(crossed)
    probability = sigmoid(z + _gap(before, crossed))
    called = {
        name: probability >= point.conversation for name, point in base.operating_points.items()
    }
    rows = Rows(z, truth, np.ones(len(z)), groups)
    both = bool(truth.any()) and not truth.all()
    measured = {name: counts_of(rows, own) for name, own in called.items()} if both else {}
    return Decided(
        Recalibration(_gap(before, after), 1.0),
        base.operating_points,
        base.prevalence,
        False,
        probability,
        called,
        measured,
    )


def _gap(before: Floats, after: Floats) -> float:
    """Return how much higher the logits of one are on average than those of the other."""
    return float((finite_logit(before) - finite_logit(after)).mean()) if len(before) else 0.0
