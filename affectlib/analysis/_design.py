"""How a sheet was drawn, and whether it still has all its rows.

Each row says in ``design`` from which draw and stratum it is: ``1a2b3c 3/10 20/1234`` is the third
stratum of ten, with 20 rows drawn of 1,234. Strata are numbered in random order, so that the number
does not lead whoever fills in the sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib.analysis._frames import TableError

__all__ = ["DESIGN", "complete_at_random", "design_of", "require_whole", "rows_drawn_from"]

DESIGN = "design"
_PATTERN = r"^(?<draw>\w+) (?<stratum>\d+)/(?<strata>\d+) (?<drawn>\d+)/(?<rows>\d+)$"
_CHANGED = 0.01
"""How much of a weight may be lost by rounding."""
_PARTS = ("stratum", "strata", "drawn", "rows")


def design_of(
    drawn: NDArray[np.int64], stratum: NDArray[np.int64], weight: NDArray[np.float64]
) -> pl.Series:
    """Return the column for rows drawn, from their positions, strata and weights (``[drawn]``)."""
    draw = sha256(np.sort(drawn).astype("<i8").tobytes()).hexdigest()[:6]
    _, place, counts = np.unique(stratum, return_inverse=True, return_counts=True)
    number = np.random.default_rng(int(draw, 16)).permutation(len(counts)) + 1
    return pl.Series(
        DESIGN,
        [
            f"{draw} {number[at]}/{len(counts)} {counts[at]}/{round(counts[at] * each)}"
            for at, each in zip(place, weight, strict=True)
        ],
        dtype=pl.String,
    )


def require_whole(sheet: pl.DataFrame, key: Sequence[str], name: str) -> None:
    """Refuse a sheet that lost rows, told apart by `key`, or whose design was changed."""
    if DESIGN not in sheet.columns:
        return
    parts = _parts(sheet, key, name)
    if "weight" in sheet.columns:
        given = sheet["weight"].cast(pl.Float64, strict=False)
        said = _parts(sheet, [], name).select(pl.col("rows") / pl.col("drawn")).to_series()
        changed = ((given - said).abs() > _CHANGED * said).arg_true()
        if len(changed):
            raise TableError(
                f"{name}, weight: row {changed[0]} (from 0) does not stand for as many rows as "
                "when it was drawn; leave this column as it was"
            )
    gone = 0.0
    for (_,), draw in parts.group_by("draw"):
        drawn = draw.unique("stratum")["drawn"].to_numpy()
        gone += drawn.sum() - len(draw) + (draw["strata"][0] - len(drawn)) * drawn.mean()
    if gone > 0:
        raise TableError(
            f"{name}: about {gone:,.0f} of the rows that were drawn are gone, so the others no "
            "longer stand for the corpus; give the sheet with all its rows, gold left empty where "
            "there is no answer, or, if those that are gone are a random part, read the sheet with "
            "`missing_at_random=True`"
        )


def rows_drawn_from(sheet: pl.DataFrame, name: str) -> list[int]:
    """Return from how many rows each draw of a sheet was made, if it says so."""
    if DESIGN not in sheet.columns:
        return []
    strata = _parts(sheet, [], name).unique(["draw", "stratum"])
    return strata.group_by("draw").agg(pl.col("rows").sum())["rows"].to_list()


def complete_at_random(sheet: pl.DataFrame, answered: pl.Expr, name: str) -> pl.DataFrame:
    """Return the answered rows, weighted to stand for the others of their stratum."""
    if DESIGN not in sheet.columns:
        raise TableError(
            f"{name}: there is no column {DESIGN!r}, which says how many rows were drawn; give the "
            "sheet as affectlib sample wrote it"
        )
    rows = sheet.filter(answered)
    parts = _parts(rows, [], name)
    here = parts.select(pl.col("rows") / pl.len().over("draw", "stratum")).to_series()
    strata = parts.select("draw", "stratum", "strata").unique()
    if any(len(draw) < draw["strata"][0] for _, draw in strata.group_by("draw")):
        raise TableError(
            f"{name}: no row of a whole stratum is left, so nothing stands for it; label some of "
            "its rows"
        )
    return rows.with_columns(weight=here).drop(DESIGN)


def _parts(sheet: pl.DataFrame, key: Sequence[str], name: str) -> pl.DataFrame:
    """Return what each row says of its draw, once for each key."""
    said: Any = pl.col(DESIGN).cast(pl.String).str.strip_chars().str.extract_groups(_PATTERN)
    parts = sheet.select(*key, said.alias("_said"))
    parts = parts.unique(maintain_order=True) if key else parts
    parts = parts.select(pl.col("_said").struct.unnest())
    parts = parts.with_columns(pl.col(_PARTS).cast(pl.Int64, strict=False))
    odd = parts.select(pl.any_horizontal(pl.all().is_null()).arg_true().first()).item()
    if odd is not None:
        raise TableError(
            f"{name}, {DESIGN}: row {odd} (from 0) does not say how it was drawn; leave this "
            "column as affectlib sample wrote it"
        )
    return parts
