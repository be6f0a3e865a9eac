"""Label error taken out of what analyses say of labels: shares, differences, and what comes later.

The public functions give these figures as labelled, since they take no known error rates; only
`report` has them at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl
from scipy.stats import norm

from affectlib.analysis._correction import Apparent, ErrorRates
from affectlib.analysis._frames import labels_table, user_keys
from affectlib.analysis._intervals import NONE

_CONFIDENCE = 0.95


def corrected_share(errors: ErrorRates, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take label error out of a share of messages."""
    if row["estimate"] is None:
        return row
    share = row["estimate"]
    # How many independent messages would give this interval.
    error = max(_error_of(row), 1e-9)
    inner = max(share * (1 - share), 1.0 / row["units"])
    called = Apparent(share, row["units"], float(min(inner / error**2, row["units"])))
    return {**row, **asdict(errors.share(called, _CONFIDENCE))}


def difference_of(errors: ErrorRates, row: Mapping[str, Any]) -> dict[str, Any]:
    """Take label error out of a difference of shares of labels with its interval."""
    found = errors.difference(row["estimate"], _error_of(row), _CONFIDENCE)
    return {**row, **asdict(found)}


def _error_of(row: Mapping[str, Any]) -> float:
    """Return the standard error that an interval of a row stands for."""
    return float((row["high"] - row["low"]) / 2 / norm.ppf((1 + _CONFIDENCE) / 2))


def becomes_charged(
    labels: pl.LazyFrame,
    messages: pl.LazyFrame,
    errors: ErrorRates,
    message_errors: ErrorRates,
    min_users: int,
) -> dict[str, Any] | None:
    """Estimate the share of conversations with a charged turn among those that begin with a task.

    That of conversations and that of their first turns are corrected apart, each by its own errors.

    Returns:
        ``estimate, low, high, units, users, suppressed``; None if no conversation has two turns.
    """
    source = user_keys(labels_table(labels).labelled())
    turns = labels_table(messages, "messages").labelled()
    keys = [name for name in source.conversation_keys() if name in turns.conversation_keys()]
    begun = turns.rows.group_by(keys).agg(
        pl.col("charged").sort_by("message").first().alias("first"), pl.len().alias("turns")
    )
    by_user = (
        source.rows.select(*keys, "_user", "charged")
        .join(begun.filter(pl.col("turns") > 1), on=keys, nulls_equal=True)
        .group_by("_user")
        .agg(pl.len().alias("units"), pl.col("charged", "first").sum())
        .select(pl.col("_user"), pl.col("units", "charged", "first").cast(pl.Float64))
        .sort("_user")
        .collect(engine="streaming")
    )
    if by_user.is_empty():
        return None
    units = by_user["units"].to_numpy()
    whole, first = (
        Apparent.of_users(by_user[name].to_numpy(), units, _CONFIDENCE)
        for name in ("charged", "first")
    )
    hidden = len(by_user) < min_users
    found = NONE if hidden else errors.onset_share(whole, first, message_errors, _CONFIDENCE)
    counts = {"units": int(units.sum()), "users": len(by_user)}
    return asdict(found) | (dict.fromkeys(counts) if hidden else counts) | {"suppressed": hidden}
