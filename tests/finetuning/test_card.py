"""What is said of a model that finds less than its base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from affectlib.finetuning.card import notes
from affectlib.finetuning.result import FineTuned

MADE = FineTuned(
    folder=Path("mine"),
    name="mine",
    base="calm 1.0",
    conversations=300,
    emotional=100,
    held_out=90,
    held_out_emotional=30,
    share=0.5,
    fitted=True,
    figures=(),
)
FEWER = "at balanced, the new model finds 24 of the 30 emotional conversations that were held out"


def row(measure: str, before: float, after: float, point: str | None = "balanced") -> Any:
    change = after - before
    around = {"change": change, "change_low": change - 0.01, "change_high": change + 0.01}
    return {"operating_point": point, "measure": measure, "before": before, "after": after} | around


def said(made: FineTuned, *rows: Any) -> list[str]:
    better = row("AUROC", 0.8, 0.9, None)
    return [*notes(replace(made, figures=(*rows, better)), 0, screened=False)]


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_fewer_charged_ones_for_nothing_is_said(share: float) -> None:
    """Also where none of the new weights are used: thresholds are new all the same."""
    made = replace(MADE, share=share)
    found = said(made, row("recall", 0.9, 0.8), row("specificity", 0.95, 0.95))
    expected = f"{FEWER}, and calm 1.0 finds 27; its specificity is not higher, so keep the base"
    assert found[-1] == expected


def test_fewer_charged_ones_for_fewer_false_alarms_is_said() -> None:
    found = said(MADE, row("recall", 0.9, 0.8), row("specificity", 0.9, 0.95))
    assert found == [f"{FEWER}, and calm 1.0 finds 27; its specificity is 5.0 points higher"]


@pytest.mark.parametrize("recall", [0.9, 0.95])
def test_as_many_charged_ones_need_no_note(recall: float) -> None:
    fewer_elsewhere = row("recall", 0.9, 0.5, "high_precision")
    rows = row("recall", 0.9, recall), row("specificity", 0.95, 0.9), fewer_elsewhere
    assert said(MADE, *rows) == []


def test_what_is_not_defined_needs_no_note() -> None:
    undefined = row("recall", 0.9, 0.8) | {"before": None, "after": None, "change": None}
    assert said(MADE, undefined) == []


@pytest.mark.parametrize(
    ("emotional", "reason"),
    [(19, "new thresholds need 20 of each"), (30, "nearly all of one kind are of so few people")],
)
def test_why_thresholds_stay_is_said(emotional: int, reason: str) -> None:
    made = replace(MADE, held_out_emotional=emotional, fitted=False)
    assert any(
        f"were held out, and {reason}" in note and "those of calm 1.0 stay" in note
        for note in said(made)
    )
