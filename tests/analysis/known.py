"""Labels whose errors are known from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from affectlib.analysis import Accuracy, sample
from affectlib.analysis._frames import Labels
from tools.simulate import Population

KNOWN = Accuracy(8000, 2000, 98000, 2000)


def label_where(emotional: pl.Expr | pl.Series) -> pl.Expr:
    return pl.when(emotional).then(pl.lit("emotional")).otherwise(pl.lit("task"))


def gold_of(people: Population) -> pl.DataFrame:
    """Return a sheet of 300 conversations, with what is true of each.

    It does not say how it was drawn, so that tests may leave rows out.
    """
    sheet = sample(people.conversations, 300, seed=1).drop("design", "gold", "themes")
    return sheet.join(people.gold_conversations, on=["record", "conversation_id"])


def filled_in(
    people: Population, n: int, labels: pl.DataFrame | None = None, seed: int = 1
) -> pl.DataFrame:
    """Return a sheet as `sample` draws it, filled in with the truth."""
    sheet: pl.DataFrame = sample(people.conversations if labels is None else labels, n, seed=seed)
    truth = people.gold_conversations.select("record", "gold")
    return sheet.drop("gold", "themes", strict=False).join(
        truth, on="record", maintain_order="left"
    )


def knowing(
    patch: pytest.MonkeyPatch, accuracy: Accuracy, themes: Mapping[str, Accuracy] | None = None
) -> None:
    """Let the report find this accuracy in all labels, and these of themes."""
    patch.setattr(Labels, "accuracy", lambda *_, **__: accuracy)
    report = sys.modules["affectlib.analysis.report"]
    read = report.labels_table

    def known(*given: Any, **options: Any) -> Labels:
        found = read(*given, **options)
        provenance = replace(
            found.provenance, measured={"message": accuracy}, measured_themes=themes or {}
        )
        return replace(found, provenance=provenance)

    patch.setattr(report, "labels_table", known)
