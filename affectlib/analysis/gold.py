"""Labels that people gave, and how they join those of the classifier."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from affectlib.analysis._frames import AnalysisWarning, Labels, Table, TableError, as_text, table
from affectlib.taxonomy import EMOTIONAL, TASK

__all__ = ["gold_rows"]

_EMOTIONAL = (EMOTIONAL, "yes", "true", "1", "1.0")
_TASK = (TASK, "no", "false", "0", "0.0")
_OPEN = ("", "unsure", "?")


def gold_flags(sheet: Table, column: str = "gold") -> pl.LazyFrame:
    """Return a sheet with its answers as flags, without the rows that have none.

    Args:
        sheet: The sheet. An answer is ``emotional`` or ``task`` (or yes/no, true/false, 1/0);
            empty, ``unsure`` and ``?`` are none.
        column: The column of answers, which becomes boolean.

    Raises:
        TableError: The column is missing, holds something else, or holds no answer.
    """
    sheet.require([column])
    answers = pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()
    found = sheet.rows.select(answers.unique()).collect()[column].drop_nulls().to_list()
    unknown = [answer for answer in found if answer not in (*_EMOTIONAL, *_TASK, *_OPEN)]
    if unknown:
        hint = " (a charge of 2 or 3 is emotional, 0 or 1 task)" if {"2", "3"} & {*unknown} else ""
        raise TableError(
            f"{sheet.name}, {column}: {len(unknown)} unknown answers; "
            f"use {EMOTIONAL}, {TASK}, or leave it empty{hint}"
        )
    known = sheet.rows.with_columns(
        pl.when(answers.is_in(_EMOTIONAL))
        .then(True)
        .when(answers.is_in(_TASK))
        .then(False)
        .alias(column)
    )
    counts = known.select(pl.len(), pl.col(column).count().alias("answered")).collect()
    rows, answered = counts.row(0)
    if not answered:
        raise TableError(f"{sheet.name}, {column}: no row has an answer yet")
    if answered < rows:
        warnings.warn(
            f"{sheet.name}: {rows - answered:,} of {rows:,} rows have no answer and are left out",
            AnalysisWarning,
            stacklevel=3,
        )
    return known.filter(pl.col(column).is_not_null())


def id_columns(shared: Collection[str]) -> list[str]:
    """Return by which of the columns that two frames share their conversations are told apart."""
    return [name for name in ("record", "conversation_id") if name in shared] or ["conversation_id"]


def key_columns(sheet: Table, names: Sequence[str]) -> list[pl.Expr]:
    """Return the columns that tell rows apart, in the types that those of labels have.

    Raises:
        TableError: One is missing.
    """
    kinds = sheet.require(names).rows.collect_schema()
    return [
        as_text(name, kinds[name]) if name == "conversation_id" else pl.col(name).cast(pl.Int64)
        for name in names
    ]


def gold_rows(labels: Labels, frame: Any) -> pl.DataFrame:
    """Join gold labels to the rows that they belong to.

    The key is what both frames have of ``record`` and ``conversation_id``; and ``message`` where a
    row is a message.

    Args:
        labels: Labels with the flag ``charged`` (see `Labels.labelled`).
        frame: The gold labels: the key, ``gold`` and, if the draw was not even, ``weight``, the
            number of rows that each stands for.

    Returns:
        The labels' columns with ``gold`` (boolean) and ``weight`` (1.0 if there was none), one row
        for each gold label.

    Raises:
        TableError: A column is missing, a weight is not above 0, a key is there twice, or a gold
            label belongs to no row.
    """
    sheet = table(frame, "gold")
    shared = {*labels.columns} & {*sheet.columns}
    key = id_columns(shared)
    key += ["message"] if labels.level == "message" else []
    sheet.require([*key, "gold"])
    labels.require(key)
    schema = sheet.rows.collect_schema()
    weight = pl.col("weight").cast(pl.Float64, strict=False) if "weight" in schema else pl.lit(1.0)
    columns = [*key_columns(sheet, key), "gold", weight.alias("weight")]
    gold = gold_flags(sheet).select(columns).collect()
    weights = gold["weight"]
    if not (weights.is_not_null() & weights.is_finite() & (weights > 0)).all():
        raise TableError("gold, weight: every weight must be a number above 0")
    if gold.select(pl.struct(key).is_duplicated().any()).item():
        raise TableError(f"gold: rows with the same {' and '.join(key)}; keep one of each")
    joined = labels.rows.join(
        gold.lazy(), on=key, how="inner", nulls_equal=True, maintain_order="right"
    ).collect()
    if joined.select(pl.struct(key).is_duplicated().any()).item():
        raise TableError(
            f"{labels.name}: rows with the same {' and '.join(key)}, so gold labels cannot be "
            "joined; give each conversation its own id, or label the files in one go"
        )
    if strangers := len(gold) - len(joined):
        raise TableError(
            f"gold: {strangers:,} of {len(gold):,} rows belong to no row of the labels; give the "
            "labels that the sample was drawn from"
        )
    return joined
