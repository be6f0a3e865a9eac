"""The part of a user's file that is held out: how it is chosen, and what it decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectlib.model.recalibration import FOLDS, Rows, fit_line, folds

__all__ = ["SHARE", "SHARES", "choose_share", "cross_fitted", "hold_out"]

SHARE = 0.3
"""Share of the conversations that is held out."""
SHARES = (0.0, 0.125, 0.25, 0.5, 0.75)
"""Shares of the new weights in their average with the base's that are tried."""
HALF = 20
"""Emotional conversations held out with which at most half of the new weights are taken."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def hold_out(truth: Flags, groups: NDArray[np.intp], *, seed: int) -> Flags:
    """Choose what is held out: about the same share of both labels, and only whole groups.

    Groups are gone through at random, the large ones first; one is held out if both labels are
    nearer to the wanted share with it.

    Args:
        truth: Whether each conversation is emotional, shape ``[conversations]``.
        groups: Number of each one's group, from 0, shape ``[conversations]``.
        seed: Seed of the order.

    Returns:
        Whether each is held out, shape ``[conversations]``.

    Example:
        >>> held = hold_out(np.array([True] * 10 + [False] * 20), np.arange(30), seed=1)
        >>> int(held[:10].sum()), int(held[10:].sum())
        (3, 6)
    """
    sizes = np.stack([np.bincount(groups, kind) for kind in (~truth, truth)], axis=1)
    goal = SHARE * sizes.sum(0)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order].sum(1), kind="stable")]
    found = np.zeros(2)
    held = np.zeros(len(sizes), bool)
    for number in order:
        with_it = found + sizes[number]
        if _distance(with_it, goal) < _distance(found, goal):
            found = with_it
            held[number] = True
    return np.asarray(held[groups])


def _distance(found: Floats, goal: Floats) -> float:
    return float((((found - goal) / np.maximum(goal, 1.0)) ** 2).sum())


def choose_share(z: Floats, truth: Flags, groups: NDArray[np.intp], pivot: float) -> int:
    """Return which share of the new weights is best, in doubt the smallest above none.

    Each is judged by the likelihood of the labels, after a line through its logits that is fitted
    as calibration does it. The smallest above none is taken that is no worse than the best by more
    than a standard error of their difference (the rule of Breiman et al. 1984, "Classification and
    regression trees"), so that a few conversations do not choose at random, and what the base knew
    is kept. None is taken where all are worse by more than that. How much is forgotten elsewhere
    does not show here: with `n` emotional ones, no share above ``n / (n + 20)`` is taken, except
    the smallest.

    Args:
        z: Logits of the conversations by share, shape ``[shares, conversations]``.
        truth: Whether each is emotional, shape ``[conversations]``.
        groups: Number of each one's group, shape ``[conversations]``.
        pivot: Logit at which labels part.

    Returns:
        Its place in `z`; 0 if all are of one label.
    """
    if truth.all() or not truth.any():
        return 0
    weight = np.ones(len(truth))
    gains = []
    for values in z:
        line = fit_line(Rows(values, truth, weight, groups), pivot)
        moved = line.intercept + line.slope * values
        gains.append(np.bincount(groups, truth * moved - np.logaddexp(0.0, moved)))
    likelihood = np.array(gains)
    best = likelihood[likelihood.sum(1).argmax()]
    for place, own in enumerate(likelihood[1:], 1):
        behind = best - own
        if behind.sum() <= np.sqrt(len(behind)) * behind.std():
            emotional = int(truth.sum())
            most = max(SHARES[1], emotional / (emotional + HALF))
            return min(place, sum(share <= most for share in SHARES) - 1)
    return 0


def cross_fitted(z: Floats, truth: Flags, groups: NDArray[np.intp], pivot: float) -> Floats:
    """Return the logits of the share that is chosen without each one's fold; see `choose_share`.

    Returns:
        The logits, shape ``[conversations]``.
    """
    fold = folds(truth, groups)
    crossed = np.empty(len(truth))
    for number in range(FOLDS):
        own = fold == number
        if own.any():
            others = np.unique(groups[~own], return_inverse=True)[1]
            crossed[own] = z[choose_share(z[:, ~own], truth[~own], others, pivot), own]
    return crossed
