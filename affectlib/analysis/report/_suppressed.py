"""Which groups a report suppresses, decided for all its tables together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from affectlib.analysis._frames import AnalysisWarning, labels_table, user_keys
from affectlib.analysis._privacy import Cell, hidden_groups, rows_of_users
from affectlib.analysis.report._study import Row, Study

PERIOD, DECILE = "_period", "_decile"

Suppressed = Mapping[tuple[str, ...], Mapping[Cell, bool]]


def suppressed_groups(study: Study, labels: pl.LazyFrame, every: str | None) -> Suppressed:
    """Say which groups of every column, period and tenth of usage to suppress.

    `labels` are the rows of `study.labels` that are counted, and `every` is the length of a period.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)  # the page says which rows have no user
        rows = user_keys(labels_table(labels)).rows
    names = [*study.groups]
    kinds = rows.collect_schema()
    rows = rows.with_columns(pl.col(n).fill_nan(None) for n in names if kinds[n].is_float())
    if every is not None:
        rows = rows.with_columns(pl.col(study.time).dt.truncate(every).alias(PERIOD))
        names.append(PERIOD)
    if study.people is not None:
        tenths = study.people.lazy().select("user_id", pl.col("usage_decile").alias(DECILE))
        rows = rows.join(tenths, on="user_id", how="left")
        names.append(DECILE)
    counted = rows_of_users(rows, names)
    return hidden_groups(counted, [(name,) for name in names], study.min_users)


def suppress(
    rows: Sequence[Row], column: str, hidden: Mapping[Cell, bool]
) -> Iterator[dict[str, object]]:
    """Yield rows of an analysis, without the figures of groups that are suppressed."""
    for row in rows:
        gone = hidden.get((row[column],), False)
        yield {**row, **(dict.fromkeys(_FIGURES) | {"suppressed": True} if gone else {})}


_FIGURES = ("estimate", "low", "high", "units", "users", "gold")
