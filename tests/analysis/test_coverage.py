"""Whether 95 % intervals hold the truth 95 % of the time, and those of plain counting do not.

``python -m tools.simulation`` says the same of every figure and of more settings.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from affectlib.analysis import AnalysisWarning, prevalence
from tools.simulation.population import Setting, draw, hand_labels, measured

REPETITIONS = 60


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.003, 0.03, 0.2])
@pytest.mark.parametrize("rows", [0, 150])
def test_intervals_cover_the_truth_and_counting_does_not(share: float, rows: int) -> None:
    rng = np.random.default_rng(12)
    hits: dict[tuple[str, str], list[bool]] = {}
    for seed in range(REPETITIONS):
        drawn = draw(rng, Setting(400, 10, 1.0, share))
        gold = hand_labels(drawn, rows, seed) if rows else None
        accuracy = measured(rng)
        truths = {"population": share, "corpus": float(drawn.truth.mean())}
        for target, truth in truths.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnalysisWarning)
                found = prevalence(drawn.labels, gold, measured=accuracy, target=target)
            for row in found.iter_rows(named=True):
                inside = row["low"] <= truth <= row["high"]
                hits.setdefault((row["method"], target), []).append(inside)
    coverage = {name: float(np.mean(each)) for name, each in hits.items()}
    least = 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / REPETITIONS)
    best = "ppi" if rows else "rogan_gladen"
    for target in ("corpus", "population"):
        assert coverage[best, target] >= least, coverage
    if share < 0.1:
        assert coverage["naive", "population"] < 0.5, coverage
