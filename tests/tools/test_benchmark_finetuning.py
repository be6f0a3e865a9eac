"""The verdict of the benchmark of fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs affectlib[train]")
pytest.importorskip("datasets", reason="needs affectlib[train]")

from tools.benchmarks import finetuning

CHANGES = {
    "user's others: AUROC": 0.01,
    "user's others: specificity at recall 0.826": 0.01,
    "user's others: charged labelled at balanced": 0.0,
    "user's others: specificity at balanced": -0.3,
    "shared logs: average precision": -0.02,
    "corpus dev: accuracy": -0.01,
}


def figures(**changes: float) -> dict[str, Any]:
    return {name: {"change": {"value": value}} for name, value in (CHANGES | changes).items()}


def test_a_model_within_the_bounds_misses_none() -> None:
    assert [*finetuning.missed(figures(), 200, 300.0)] == []
    assert [*finetuning.missed(figures(), 201, 900.0)] == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("user's others: AUROC", 0.0),
        ("user's others: AUROC", float("nan")),
        ("user's others: specificity at recall 0.826", 0.0),
        ("user's others: charged labelled at balanced", -1.0),
        ("shared logs: average precision", -0.021),
        ("corpus dev: accuracy", -0.011),
    ],
)
def test_each_bound_that_is_missed_is_named(name: str, change: float) -> None:
    (line,) = finetuning.missed(figures(**{name: change}), 200, 10.0)
    assert line.startswith(f"{name}: {change:+.3f}")


def test_more_than_five_minutes_are_named() -> None:
    (line,) = finetuning.missed(figures(), 200, 301.0)
    assert line == "200 conversations: 301 s, more than 300 s"


@pytest.mark.parametrize(("missed", "code"), [([], 0), (["something"], 1)])
def test_the_exit_code_says_whether_a_bound_was_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missed: list[str], code: int
) -> None:
    monkeypatch.setattr(finetuning, "run", lambda *_, **__: {"200": {"missed": missed}})
    assert finetuning.main(["--data", str(tmp_path)]) == code
