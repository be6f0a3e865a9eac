"""How far two people who labelled the same rows agree."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib.analysis._frames import (
    AnalysisWarning,
    Table,
    TableError,
    alike,
    check_confidence,
    table,
)
from affectlib.analysis._intervals import Estimate, clustered_mean, exact_share, kish
from affectlib.analysis.gold import gold_flags, id_columns, key_columns

__all__ = ["agreement"]

_RESAMPLES = 1000
_ALIKE = 1e-9
_OBSERVED = "observed agreement"
_MEASURES = (
    _OBSERVED,
    "agreement on emotional",
    "Cohen's kappa",
    "Krippendorff's alpha",
)

_Counts = NDArray[np.int64]


def agreement(
    a: Any, b: Any, *, column: str = "gold", confidence: float = 0.95, seed: int = 0
) -> Any:
    """Compare two sheets that two people filled in.

    Intervals are percentiles of 1,000 bootstrap samples of conversations. Where these samples are
    all alike, as where nobody disagrees, they say nothing: observed agreement then has the exact
    interval that gold samples have in `affectlib.analysis.prevalence`, and the others have none.

    Where emotional rows are rare, observed agreement is high by chance alone: read the others. If
    the rows were drawn by score, the figures are of that draw, not of the corpus.

    Args:
        a: A sheet: ``record``, ``conversation_id`` or both (and ``message``, if it has it), and
            the answers (see `affectlib.analysis.prevalence`). Rows without an answer are left out.
        b: The other sheet.
        column: The column of answers.
        confidence: Of the intervals.
        seed: Seed of the bootstrap.

    Returns:
        A frame: ``measure, estimate, low, high, units``. The measures are ``observed agreement``
        (share of rows), ``agreement on emotional`` (of all emotional answers, the share that the
        other one gave too), ``Cohen's kappa`` (Educational and Psychological Measurement 20,
        1960) and ``Krippendorff's alpha`` for names (Krippendorff 2004). One that is not defined,
        as kappa is not where both give one answer alone, is null; so are the ends of an interval
        that cannot be had.

    Raises:
        InputTypeError: A sheet is no frame.
        OptionError: `confidence` is not between 0 and 1.
        TableError: A column is missing, an answer unknown, a row there twice, one sheet alone is
            of messages, or no row is in both sheets.

    Warns:
        AnalysisWarning: Rows are in one sheet only, or have no answer, or 1 is among the answers,
            which may be a charge.

    Example:
        >>> from affectlib.analysis import agreement, simulate
        >>> sheet = simulate(50).gold_conversations
        >>> agreement(sheet, sheet)["estimate"].to_list()
        [1.0, 1.0, 1.0, 1.0]
    """
    check_confidence(confidence)
    one, other = table(a, "first sheet"), table(b, "second sheet")
    shared = {*one.columns} & {*other.columns}
    for sheet in (one, other):
        if "message" in sheet.columns and "message" not in shared:
            raise TableError(
                f"{sheet.name}: its answers are of messages (there is a column 'message'), and "
                "those of the other sheet are of conversations; give two sheets of one sample"
            )
    unit = id_columns(shared)
    keys = [*unit, "message"] if "message" in shared else unit
    rows = _answers(one, keys, column).join(
        _answers(other, keys, column),
        on=keys,
        how="full",
        suffix="_other",
        coalesce=True,
        nulls_equal=True,
    )
    both = rows.drop_nulls([column, f"{column}_other"])
    if both.is_empty():
        raise TableError(
            f"no row with an answer is in both sheets; rows are told by {' and '.join(keys)}"
        )
    if len(both) < len(rows):
        warnings.warn(
            f"{len(rows) - len(both):,} rows have an answer in one sheet only and are left out",
            AnalysisWarning,
            stacklevel=2,
        )
    answers, answers_other = pl.col(column), pl.col(f"{column}_other")
    tables = (
        both.group_by(unit)
        .agg(
            (answers & answers_other).sum(),
            (answers & ~answers_other).sum().alias("first only"),
            (~answers & answers_other).sum().alias("second only"),
            (~answers & ~answers_other).sum().alias("neither"),
        )
        .sort(unit)
        .drop(unit)
        .to_numpy()
        .astype(np.int64)
    )
    chance = np.random.default_rng(seed)
    size = len(tables)
    resampled = np.stack(
        [_measures(tables[chance.integers(0, size, size)].sum(axis=0)) for _ in range(_RESAMPLES)]
    )
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    estimates = _measures(tables.sum(axis=0))
    result = []
    for place, name in enumerate(_MEASURES):
        defined = resampled[np.isfinite(resampled[:, place]), place]
        low = high = np.nan
        if len(defined) and np.ptp(defined) > _ALIKE:
            low, high = np.percentile(defined, tails)
        elif name == _OBSERVED:
            exact = _exact(tables, confidence)
            low, high = exact.low, exact.high
        result.append(
            {
                "measure": name,
                "estimate": float(estimates[place]),
                "low": float(low),
                "high": float(high),
                "units": len(both),
            }
        )
    return one.restore(pl.DataFrame(result).fill_nan(None))


def _answers(sheet: Table, keys: list[str], column: str) -> pl.DataFrame:
    rows = gold_flags(sheet, column).select(*key_columns(sheet, keys), column).collect()
    if alike(rows, keys):
        raise TableError(f"{sheet.name}: rows with the same {' and '.join(keys)}")
    return rows


def _exact(tables: _Counts, confidence: float) -> Estimate:
    """Return the share of rows that two by two tables of conversations agree on."""
    rows = tables.sum(axis=1).astype(float)
    share, spread = clustered_mean(tables[:, [0, 3]].sum(axis=1).astype(float), rows)
    return exact_share(share, spread, kish(rows), float(rows.sum()), confidence)


def _measures(counts: _Counts) -> NDArray[np.float64]:
    """Return the measures of a two by two table: both, first only, second only, neither."""
    with requires_extra("analysis"):
        import krippendorff
        from statsmodels.stats.inter_rater import cohens_kappa
    both, first, second, neither = counts.tolist()
    total, split = both + first + second + neither, first + second
    emotional = 2 * both + split
    kappa = alpha = np.nan
    if 0 < emotional < 2 * total:
        square = np.array([[both, first], [second, neither]])
        kappa = float(cohens_kappa(square, return_results=False))
        units = np.repeat([[2, 0], [1, 1], [0, 2]], [both, split, neither], axis=0)
        alpha = float(krippendorff.alpha(value_counts=units, level_of_measurement="nominal"))
    return np.array(
        [(both + neither) / total, 2 * both / emotional if emotional else np.nan, kappa, alpha]
    )
