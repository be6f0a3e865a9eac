"""Times outside the calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from affectlib.analysis._frames import Labels, warn

__all__ = ["in_calendar"]

_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def in_calendar(labels: Labels) -> Labels:
    """Make times null that Python has no date for, as where their unit was mistaken; warn of them.

    Weeks and months begin before a time, so the year 1 is left out, too.
    """
    if labels.time not in labels.columns:
        return labels
    time = pl.col(labels.time)
    held = time.is_between(pl.lit(_FIRST), pl.lit(_LAST))
    odd = labels.rows.select((~held).sum()).collect().item()
    if not odd:
        return labels
    warn(
        f"{labels.name}, {labels.time}: {odd:,} rows have a time outside the years 2 to 9999, and "
        "count as without one; look whether its unit is right"
    )
    return labels.having(labels.rows.with_columns(pl.when(held).then(time)))
