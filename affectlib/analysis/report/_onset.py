"""Where charge begins in conversations, and how often they become charged after a task."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl

from affectlib.analysis._correction import Apparent, ErrorRates
from affectlib.analysis._frames import labels_table, user_keys
from affectlib.analysis._intervals import NONE
from affectlib.analysis.report._study import Grid, Number, Row, Study, one_of, rows_of
from affectlib.analysis.trajectory import onset

_CONFIDENCE = 0.95
_ONSETS = ("turn 1", "turn 2", "turns 3 to 5", "turns 6 to 10", "after turn 10")
_LATER = "turns personal"


def begins(study: Study, messages: pl.LazyFrame) -> tuple[list[Grid], list[str], list[Number]]:
    """Show where charge begins, as labelled, and how often it comes later, corrected.

    Returns:
        Tables, notes on them, and their figures.
    """
    t = study.t
    found = rows_of(onset(messages, min_users=study.min_users))
    later = _later(study, messages)
    if later is not None:
        found = [row for row in found if row["measure"] != _LATER]
    rows = [
        (t(f"onset.{name}"), t.share(row), t.interval(row))
        for name in _ONSETS
        if (row := one_of(found, measure=_measure(name))) is not None
    ]
    if (turned := one_of(found, measure=_LATER)) is not None:
        rows.append((t("onset.turned"), t.share(turned), t.interval(turned)))
    numbers = [Number.of(row, f"onset: {row['measure']}") for row in found]
    head = study.head("measure", "share", "interval")
    grids = [Grid(t("within.onset"), head, rows, labelled=range(len(rows)))] if rows else []
    if later is None:
        return grids, [], numbers
    cells = (t("within.later_row"), t.share(later), t.interval(later))
    whole, first = (t(f"method.{method}") for method in (study.method, study.message_method))
    return (
        [Grid(t("within.later"), head, [cells]), *grids],
        [t("within.later_note", whole=whole, first=first)],
        [*numbers, Number.of(later, "becomes charged after beginning with a task")],
    )


def _later(study: Study, messages: pl.LazyFrame) -> Row | None:
    """Estimate how often what begins with a task becomes charged; None if errors are not known."""
    if study.level == "message" or study.errors is None or study.message_errors is None:
        return None
    errors, of_messages = map(study.errors_here, (study.errors, study.message_errors))
    found = becomes_charged(study.labels, messages, errors, of_messages, study.min_users)
    # Conversations and their first turns may be corrected by different things.
    methods = dict.fromkeys((study.method, study.message_method))
    return None if found is None else found | {"method": "+".join(methods)}


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


def _measure(name: str) -> str:
    return f"first {name}" if name.startswith("after") else f"first at {name}"
