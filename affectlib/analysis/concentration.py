"""How unevenly affective use is spread over users."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT
from numpy.typing import NDArray
from scipy.special import expit, logit

from affectlib.analysis._frames import (
    Frame,
    Table,
    TableError,
    check_confidence,
    like,
    numbers,
    require_numbers,
    table,
)
from affectlib.analysis._intervals import Floats
from affectlib.analysis._privacy import check_min_users
from affectlib.errors import OptionError

__all__ = ["concentration", "lorenz"]

_RESAMPLES = 500
_WIDENED = 2.5
_ROUNDING = 1e-6
"""Rounding error of places, in users."""


def concentration(
    users: Frame[IntoDataFrameT],
    *,
    of: str = "charged_turns",
    top: Sequence[float] = (0.01, 0.05, 0.1),
    confidence: float = 0.95,
    min_users: int = 10,
    seed: int = 0,
) -> IntoDataFrameT:
    """Measure how much of something comes from few users.

    Intervals are those of the bootstrap-t over 500 samples of users, on the scale of log-odds, with
    standard errors from influence functions (Davison and Hinkley, Bootstrap Methods and their
    Application, 1997). As few very heavy users decide the result, intervals are made for a higher
    confidence than asked for (98% for 95%); ``python -m tools.simulation`` shows why.

    The result describes the labels. False positives fall on users in proportion to their turns, so
    labels make affective use look more even than it is.

    Args:
        users: A frame of `affectlib.analysis.users`, or any with one row per user.
        of: The column of counts.
        top: Shares of users, the heaviest first.
        confidence: Level of the intervals.
        min_users: A top share of fewer users is suppressed, and so is one that differs by fewer
            users from a smaller one or from all; 0 shows all.
        seed: Seed of the bootstrap.

    Returns:
        A frame with a row for ``gini`` (0 if all users have as much, towards 1 if one has all)
        and for each ``top 1%``: ``measure, estimate, low, high, users`` (how many are in the
        top, all for the Gini), ``suppressed``.

    Raises:
        OptionError: A share of `top` is not between 0 and 1.
        TableError: The column has negative values, or only zeros.

    Example:
        >>> from affectlib.analysis import concentration, users
        >>> from tools.simulate import simulate
        >>> concentration(users(simulate(1000).messages))["measure"].to_list()
        ['gini', 'top 1%', 'top 5%', 'top 10%']
    """
    check_confidence(confidence)
    check_min_users(min_users)
    if not all(0 < share < 1 for share in top):
        raise OptionError("top: every share of users must be more than 0 and less than 1")
    source = table(users, "users")
    values = _counts(source, of)
    levels, people = np.unique(values, return_counts=True)
    found, _ = _measures(levels, people.astype(np.float64), top)
    lows, highs = _intervals(levels, people, top, confidence, np.random.default_rng(seed))
    shown = _apart(np.array([0.0, *sorted({*top}), 1.0]) * len(values), min_users)
    rows = []
    for share, *figures in zip((None, *top), found, lows, highs, strict=True):
        inside = len(values) if share is None else round(share * len(values))
        at = 0 if share is None else 1 + sorted({*top}).index(share)
        hidden = at not in shown or len(values) < min_users
        estimate, low, high = (None if hidden else float(figure) for figure in figures)
        rows.append(
            {
                "measure": "gini" if share is None else f"top {share * 100:g}%",
                "estimate": estimate,
                "low": low,
                "high": high,
                "users": None if hidden else inside,
                "suppressed": hidden,
            }
        )
    kinds: dict[str, Any] = dict.fromkeys(("estimate", "low", "high"), pl.Float64)
    return like(users, pl.DataFrame(rows, schema_overrides=kinds | {"users": pl.Int64}))


def lorenz(
    users: Frame[IntoDataFrameT],
    *,
    of: str = "charged_turns",
    points: int = 101,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Return the Lorenz curve: what share of the total the users with the least have together.

    Args:
        users: A frame of `affectlib.analysis.users`, or any with one row per user.
        of: The column of counts.
        points: How many points, evenly spaced over the users.
        min_users: Points are left out that have fewer users between them and the one before, or
            either end; 0 shows all.

    Returns:
        A frame: ``share_of_users``, ``share``, both from 0 to 1.

    Raises:
        OptionError: `points` is below 2, or `min_users` is negative.
        TableError: The column has negative values, or only zeros.
    """
    if points < 2:
        raise OptionError(f"points must be at least 2, got {points}")
    check_min_users(min_users)
    source = table(users, "users")
    values = np.sort(_counts(source, of))
    sums = np.concatenate([[0.0], values.cumsum()]) / values.sum()
    at = np.linspace(0, 1, points)
    below = at * len(values)
    kept = _apart(below, min_users)
    curve = np.interp(below, np.arange(len(sums)), sums)
    return like(users, pl.DataFrame({"share_of_users": at[kept], "share": curve[kept]}))


def _apart(places: Floats, least: float) -> list[int]:
    """Return the first and last place, and those between that are far enough from each other."""
    kept = [0]
    least -= _ROUNDING
    for place, value in enumerate(places[:-1].tolist()):
        if place and min(value - places[kept[-1]], places[-1] - value) >= least:
            kept.append(place)
    return [*kept, len(places) - 1]


def _counts(source: Table, name: str) -> Floats:
    require_numbers(source.require([name]), [name])
    counts = numbers(source.collect(name)[name])
    if (counts < 0).any():
        raise TableError(f"{source.name}, {name}: there are negative values")
    if not counts.sum():
        raise TableError(f"{source.name}, {name}: all values are 0, so nothing can be shared out")
    return counts


def _intervals(
    levels: Floats,
    people: NDArray[np.int64],
    top: Sequence[float],
    confidence: float,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return the ends of the intervals, NaN where undefined; `people` have each of the `levels`."""
    size = int(people.sum())
    middle, error = _on_log_odds(*_measures(levels, people.astype(np.float64), top))
    away = []
    for _ in range(_RESAMPLES):
        drawn = rng.multinomial(size, people / size).astype(np.float64)
        other, spread = _on_log_odds(*_measures(levels, drawn, top))
        with np.errstate(divide="ignore", invalid="ignore"):
            away.append((other - middle) / spread)
    found = np.where(np.isfinite(away), away, np.nan)
    tail = (1 - confidence) / _WIDENED / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where all are NaN, so is the interval
        below, above = np.nanquantile(found, [tail, 1 - tail], axis=0)
    return expit(middle - above * error), expit(middle - below * error)


def _on_log_odds(found: Floats, errors: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return logit(found), errors / (found * (1 - found))


def _measures(levels: Floats, people: Floats, top: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the Gini coefficient and the top shares, and their standard errors; NaN if all is 0.

    The standard errors come from influence functions (Langel and Tille, Journal of the Royal
    Statistical Society A 176, 2013, pp. 521-540).
    """
    size, total = people.sum(), (people * levels).sum()
    if not total:
        return np.full(1 + len(top), np.nan), np.full(1 + len(top), np.nan)
    mean = total / size
    below = (people.cumsum() - people / 2) / size
    held = ((people * levels).cumsum() - people * levels / 2) / size
    users = np.append(0.0, people[::-1].cumsum() / size)
    shares = np.append(0.0, (people * levels)[::-1].cumsum() / total)
    # Twice the area between the curve, here from the heaviest user on, and the diagonal.
    gini = float(np.diff(users) @ (shares[1:] + shares[:-1]) - 1)
    found = [gini]
    influence = [2 * (levels * below - held) - (gini + 1) * levels]
    for part in top:
        share = float(np.interp(part, users, shares))
        least = levels[min(int(np.searchsorted(below, 1 - part)), len(levels) - 1)]
        found.append(share)
        influence.append(np.maximum(levels - least, 0.0) - share * levels)
    errors = []
    for each in influence:
        centred = (each - people @ each / size) / mean
        errors.append(np.sqrt(people @ centred**2) / size)
    return np.array(found), np.array(errors)
