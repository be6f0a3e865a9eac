"""What the check of simulated coverage judges."""

from __future__ import annotations

from typing import Any

import pytest

from tools.simulation.run import outside


def cell(gold: int, coverage: float, count: int = 1000) -> dict[str, Any]:
    figures = {"share, corpus": {"coverage": coverage, "count": count}}
    return {"users": 150, "prevalence": 0.01, "gold": gold, "figures": figures}


@pytest.mark.parametrize("gold", [0, 200])
def test_too_low_is_wrong_with_and_without_hand_labels(gold: int) -> None:
    assert len([*outside([cell(gold, 0.88), cell(gold, 0.95)])]) == 1
    assert not [*outside([cell(gold, 0.92)])], "within chance"
    assert not [*outside([cell(gold, 0.5, count=20)])], "too few"


def test_too_high_is_wrong_only_where_hand_labels_show_the_errors() -> None:
    assert [*outside([cell(200, 0.999)])]
    assert not [*outside([cell(0, 0.999)])]
