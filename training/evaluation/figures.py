"""Figures of labels: conversations by group, turns and pairs of the corpus, languages, cues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.taxonomy import CUES
from training.evaluation import metrics
from training.evaluation.judged import (
    OTHER_LANGUAGES,
    Judged,
    calibrations,
    estimate,
    labels,
    probabilities,
    proportion,
)

FEWEST_CUE_POSITIVES = 20


def group_figures(judged: Sequence[Judged], points: Iterable[str]) -> dict[str, Any]:
    """Return ranking and decisions on a group of conversations.

    Args:
        judged: The conversations.
        points: Names of the operating points.
    """
    truth = labels(judged)
    result: dict[str, Any] = {"n": len(judged), "emotional": int(truth.sum())}
    if not judged:
        return result
    if 0 < truth.sum() < len(truth):
        scores = probabilities(judged)
        result["auroc"] = estimate(metrics.auroc_within, truth, scores, calibrations(judged))
        result["average_precision"] = estimate(metrics.average_precision, truth, scores)
    for point in points:
        flagged = np.array([j.flagged(point) for j in judged])
        result[point] = {
            "recall": proportion(flagged[truth == 1]),
            "specificity": proportion(~flagged[truth == 0]),
            "precision": proportion(truth[flagged] == 1),
            "accuracy": proportion(flagged == (truth == 1)),
        }
    return result


def corpus_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return pairs and turns of the corpus's dev conversations at ``balanced``.

    Intervals of turns resample whole conversations.
    """
    pairs: dict[str, list[bool]] = {}
    for j in judged:
        if j.row["pair"]:
            pairs.setdefault(j.row["pair"], []).append(j.flagged("balanced") == j.emotional)
    both = np.array([all(right) for right in pairs.values() if len(right) == 2])
    truth = np.concatenate([j.charged_turns() for j in judged]).astype(int)
    turns = np.concatenate([j.turns for j in judged])
    flagged = np.concatenate([j.flagged_turns("balanced") for j in judged]).astype(int)
    chat = np.repeat(np.arange(len(judged)), [len(j.turns) for j in judged])
    return {
        "accuracy": proportion(labels(judged) == [j.flagged("balanced") for j in judged]),
        "pairs_both_right": proportion(both),
        "turn_f1": estimate(metrics.f1, truth, flagged, groups=chat),
        "turn_auroc": estimate(
            metrics.auroc_within, truth, turns, calibrations(judged)[chat], groups=chat
        ),
    }


def language_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return French less English on the corpus, and what the dev conversations have of others.

    Args:
        judged: All dev conversations.
    """
    return {
        "french_less_english": french_less_english([j for j in judged if not j.real]),
        "others": {
            language: group_figures([j for j in judged if j.language == language], ["balanced"])
            for language in OTHER_LANGUAGES
        },
    }


def french_less_english(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return how much higher figures at ``balanced`` are in French than in English."""
    chosen = [j for j in judged if j.language in ("en", "fr")]
    columns = (
        labels(chosen),
        np.array([j.flagged("balanced") for j in chosen], int),
        np.array([j.language == "fr" for j in chosen], bool),
    )
    return {
        metric.__name__: estimate(_difference(metric), *columns)
        for metric in (metrics.accuracy, metrics.recall, metrics.specificity)
    }


def _difference(metric: Any) -> Any:
    def difference(truth: NDArray[Any], flagged: NDArray[Any], french: NDArray[np.bool_]) -> float:
        if french.all() or not french.any():
            return float("nan")
        of_both = (metric(truth[rows], flagged[rows]) for rows in (french, ~french))
        return float(next(of_both) - next(of_both))

    return difference


def cue_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of each cue of whole conversations at its threshold, and macro F1.

    Args:
        judged: All dev conversations.

    Returns:
        ``by_cue``, and ``macro_f1`` over the ``macro_cues`` cues that have at least
        `FEWEST_CUE_POSITIVES` positives (None if there is no such cue).
    """
    result: dict[str, Any] = {}
    columns: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for name in CUES:
        found = [(j, j.calibration.cue_probability(j.scored, name)) for j in judged]
        known = np.array([p is not None for _, p in found])
        truth = np.array([name in (j.scored.labelled.cues or ()) for j, _ in found], int) * known
        if not truth.any():
            continue
        scores = np.array([0.0 if p is None else p for _, p in found])
        thresholds = np.array([j.calibration.cue_thresholds[name] for j in judged])
        decisions = ((scores >= thresholds) & known).astype(int)
        result[name] = {
            "positives": int(truth.sum()),
            "average_precision": estimate(metrics.average_precision, truth[known], scores[known]),
            "f1": estimate(metrics.f1, truth[known], decisions[known]),
        }
        if truth.sum() >= FEWEST_CUE_POSITIVES:
            columns.append((truth, decisions))
    return {
        "by_cue": result,
        "macro_cues": len(columns),
        "macro_f1": _macro_f1(columns) if columns else None,
    }


def _macro_f1(columns: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, Any]:
    def macro(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
        by_cue = zip(truth.T, decisions.T, strict=True)
        return metrics.share(np.array([metrics.f1(t, d) for t, d in by_cue]))

    truth, decisions = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    return estimate(macro, truth, decisions)
