"""How well probabilities hold what they say: calibration error, and the reliability diagram."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from affectlib.model.calibration import prior_shift
from training.evaluation import metrics
from training.evaluation.judged import Floats, Judged, estimate, labels, probabilities
from training.model.calibrate import example_weights

RARE = 0.03
"""The prevalence that stands for real use."""
DIAGRAM = "reliability.svg"
DIAGRAM_BINS = 10


def calibration(judged: Sequence[Judged], prevalence: float) -> dict[str, Any]:
    """Measure the calibration of conversations' probabilities.

    Probabilities assume one prevalence, and neither dev set has it. So beside the error on each set
    as it is, there is the error

    - on each set after `affectlib.prior_shift` from the assumed prevalence to the set's own share;
    - on both sets together with weights on the conversations
      (`training.model.calibrate.example_weights`): emotional ones sum to the assumed prevalence,
      others to the rest, and within each class both sets weigh the same;
    - on the same, shifted and weighted to a prevalence of 3 %.

    Args:
        judged: Dev conversations.
        prevalence: The prevalence that the probabilities assume.

    Returns:
        ``error``: the expected calibration error by what it was measured on, and ``bins``: the
        points of the reliability diagram.
    """
    error: dict[str, Any] = {}
    bins: dict[str, Any] = {}
    truth, found = labels(judged), probabilities(judged)
    real = np.array([j.real for j in judged], bool)
    for name, rows in (("real transcripts", real), ("corpus dev", ~real)):
        own = float(truth[rows].mean()) if rows.any() else 0.0
        if not 0 < own < 1:
            continue
        y, p = truth[rows], found[rows]
        shifted = prior_shift(p, trained=prevalence, deployed=own)
        error[f"{name}, as it is"] = estimate(metrics.calibration_error, y, p)
        name = f"{name}, shifted to its own share"
        error[name] = estimate(metrics.calibration_error, y, shifted)
        bins[name] = _bins(y, shifted, np.ones(len(y)))
    for share, which in ((prevalence, "the assumed share"), (RARE, f"{RARE:.0%}")):
        weights = example_weights(truth.astype(float), real, share)
        shifted = prior_shift(found, trained=prevalence, deployed=share)
        name = f"all dev, weighted to {which}"
        error[name] = estimate(metrics.calibration_error, truth, shifted, weights)
        bins[name] = _bins(truth, shifted, weights)
    return {"error": error, "bins": bins}


def _bins(truth: NDArray[Any], found: Floats, weights: Floats) -> list[dict[str, float]]:
    """Return the points of the diagram: bins of equal width, those with conversations in them."""
    place = np.minimum((found * DIAGRAM_BINS).astype(int), DIAGRAM_BINS - 1)
    result = []
    for number in sorted(set(place)):
        rows = place == number
        weight = weights[rows]
        share = float(np.average(truth[rows], weights=weight))
        # With unequal weights, the interval is that of as many equal ones as would vary as much.
        effective = round(float(weight.sum() ** 2 / (weight**2).sum()))
        interval = binomtest(round(share * effective), effective).proportion_ci(method="wilson")
        result.append(
            {
                "n": int(rows.sum()),
                "weight": float(weight.sum() / weights.sum()),
                "probability": float(np.average(found[rows], weights=weight)),
                "share": share,
                "low": min(float(interval.low), share),
                "high": max(float(interval.high), share),
            }
        )
    return result


def draw(bins: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw the reliability diagram as SVG; the same points give the same bytes.

    Args:
        bins: What `calibration` gives.
        path: The file to write.
    """
    style: Any = {"svg.hashsalt": "reliability", "svg.fonttype": "none", "font.size": 8}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(2.6 * len(bins), 2.9), layout="constrained")
        for place, (name, points) in enumerate(bins.items(), 1):
            axes = figure.add_subplot(1, len(bins), place)
            x = [p["probability"] for p in points]
            y = [p["share"] for p in points]
            below = [p["share"] - p["low"] for p in points]
            above = [p["high"] - p["share"] for p in points]
            axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
            axes.errorbar(x, y, [below, above], color="C0", marker="o", markersize=3, linewidth=1)
            for p in points:
                axes.annotate(
                    f"{p['n']:.0f}",
                    (p["probability"], p["share"]),
                    xytext=(4, -7),
                    textcoords="offset points",
                    fontsize=6,
                    color="0.4",
                )
            axes.set_title(name.replace(", ", ",\n"), fontsize=8)
            axes.set(xlabel="probability", xlim=(0, 1), ylim=(0, 1))
            axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            axes.set_aspect("equal")
            if place == 1:
                axes.set_ylabel("share emotional")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
