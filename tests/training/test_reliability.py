from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.model.calibration import prior_shift
from training.evaluation import reliability
from training.evaluation.judged import Judged

REAL, CORPUS = 2000, 1500


def judged(rows: list[tuple[bool, bool, float]]) -> list[Judged]:
    """Conversations of which only the set, the label and the probability count."""
    return [
        cast(Judged, SimpleNamespace(real=real, emotional=emotional, probability=probability))
        for real, emotional, probability in rows
    ]


@pytest.fixture(scope="module")
def truthful() -> list[Judged]:
    """Two sets of other prevalences, judged as Bayes would who assumes one of 10 %."""
    generator = np.random.default_rng(0)
    rows: list[tuple[bool, bool, float]] = []
    for real, n, share in ((True, REAL, 0.05), (False, CORPUS, 0.5)):
        emotional = generator.uniform(size=n) < share
        # Logits of two normal distributions with unit variance: the likelihood ratio is known.
        z = generator.normal(np.where(emotional, 1.0, -1.0))
        even = 1 / (1 + np.exp(-2 * z))
        found = prior_shift(even, trained=0.5, deployed=0.1)
        rows += zip([real] * n, emotional.tolist(), found, strict=True)
    return judged(rows)


def test_truthful_probabilities_are_calibrated_wherever_the_share_is_right(
    truthful: list[Judged],
) -> None:
    error = reliability.calibration(truthful, 0.1)["error"]
    assert error["corpus dev, as it is"]["value"] > 0.1
    for name in (
        "real transcripts, shifted to its own share",
        "corpus dev, shifted to its own share",
        "all dev, weighted to the assumed share",
        "all dev, weighted to 3%",
    ):
        assert error[name]["value"] < 0.03, name
    assert error["real transcripts, as it is"]["n"] == REAL
    assert error["all dev, weighted to 3%"]["n"] == REAL + CORPUS


def test_too_sure_probabilities_are_not(truthful: list[Judged]) -> None:
    sure = judged([(j.real, j.emotional, float(j.probability > 0.1)) for j in truthful])
    error = reliability.calibration(sure, 0.1)["error"]
    assert all(estimate["value"] > 0.05 for estimate in error.values())


def test_points_of_the_diagram_by_hand() -> None:
    rows = [(True, False, 0.02), (True, False, 0.04), (True, True, 0.04), (True, True, 1.0)]
    bins = reliability.calibration(judged(rows), 0.5)["bins"]
    low, high = bins["real transcripts, shifted to its own share"]
    assert (low["n"], high["n"]) == (3, 1)
    assert low["probability"] == pytest.approx(0.1 / 3)
    assert low["share"] == pytest.approx(1 / 3)
    assert low["low"] < 1 / 3 < low["high"]
    assert (high["share"], high["high"]) == (1, 1)
    assert "corpus dev, shifted to its own share" not in bins


def test_weights_give_the_share_that_is_wanted(truthful: list[Judged]) -> None:
    bins = reliability.calibration(truthful, 0.1)["bins"]["all dev, weighted to 3%"]
    assert sum(point["weight"] for point in bins) == pytest.approx(1)
    assert sum(point["weight"] * point["share"] for point in bins) == pytest.approx(0.03)


def test_diagram_is_an_image_and_the_same_each_time(truthful: list[Judged], tmp_path: Path) -> None:
    bins: dict[str, Any] = reliability.calibration(truthful, 0.1)["bins"]
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        reliability.draw(bins, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[0].read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert all(name.split(", ")[1] in text for name in bins)
    assert len(text) < 60_000
    for points in bins.values():
        points[0]["probability"] = 0.9
    reliability.draw(bins, paths[1])
    assert paths[0].read_bytes() != paths[1].read_bytes()
