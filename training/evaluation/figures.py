"""Figures of judged conversations: groups, studies, corpus, cues, calibration; and of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import prior_shift, sigmoid
from affectlib.model.encoding import token_batches
from affectlib.model.engines import load_engine
from affectlib.taxonomy import CUES, EMOTIONAL, THEMES
from training.evaluation import metrics
from training.evaluation.judged import (
    STUDIES,
    STUDY_SOURCES,
    Floats,
    Judged,
    Reader,
    calibrations,
    clusters,
    labels,
    probabilities,
)
from training.evaluation.metrics import estimate, proportion

FEWEST_POSITIVES = 20
DIAGRAM_BINS = 10
BATCH_TOKENS = 4096

Found: TypeAlias = tuple[float | None, bool, float]
"""A conversation's probability of an output (None if there is none), the truth, the threshold."""


def choice(judged: Sequence[Judged], *others: Sequence[Judged]) -> dict[str, Any]:
    """Return the figure by which recipes are chosen, and what it is the mean of.

    It is the mean of average precision on the shared logs, AUROC and F1 of charged turns on the
    studies, and accuracy on the corpus's dev split. Conversations are resampled, and the studies'
    by their writers; a difference within the interval is no reason to prefer a recipe.

    Which conversations are in one fold moves these by chance, average precision most, as it ranks
    by several calibrations together. So each is the mean over several splits into folds.

    Args:
        judged: All dev conversations; sets that are not there are left out of the mean.
        *others: The same in the same order, judged by other splits.
    """
    splits = [_choice_parts(own) for own in (judged, *others)]
    values, draws = [], []
    result: dict[str, Any] = {}
    for name, (metric, *_, groups) in splits[0].items():
        by_split = [split[name][1:-1] for split in splits]
        columns = [np.stack(each, axis=1) for each in zip(*by_split, strict=True)]
        over_splits = _mean_over_splits(metric)
        result[name] = estimate(over_splits, *columns, groups=groups)
        values.append(result[name]["value"])
        draws.append(metrics.draw(over_splits, *columns, groups=groups))
    low, high = metrics.percentiles(np.mean(draws, axis=0))
    mean = {"value": float(np.mean(values)), "low": low, "high": high, "n": len(judged)}
    return {"mean": mean, **result}


def _mean_over_splits(metric: Callable[..., float]) -> Callable[..., float]:
    """Return a metric of columns of shape ``[rows, splits]``."""

    def mean(*columns: NDArray[Any]) -> float:
        splits = range(columns[0].shape[1])
        return float(np.mean([metric(*(c[:, split] for c in columns)) for split in splits]))

    return mean


def _choice_parts(judged: Sequence[Judged]) -> dict[str, tuple[Any, ...]]:
    """Return what the figure of choice is the mean of: metrics, their columns, and clusters."""
    logs = [j for j in judged if j.from_logs]
    studies = [j for j in judged if j.source == STUDIES]
    corpus = [j for j in judged if j.of_corpus]
    parts: dict[str, tuple[Any, ...]] = {}
    if logs:
        name = "average precision, shared logs"
        ranking: tuple[Any, ...] = labels(logs), probabilities(logs)
        parts[name] = (metrics.average_precision, *ranking, clusters(logs))
    if studies:
        ranking = labels(studies), probabilities(studies), calibrations(studies)
        parts["AUROC, studies"] = (metrics.auroc_within, *ranking, clusters(studies))
        turns = _turn_columns(studies)
        parts["F1 of charged turns, studies"] = (metrics.f1, *turns)
    if corpus:
        decisions = labels(corpus), np.array([j.flagged("balanced") for j in corpus])
        parts["accuracy, corpus dev"] = (metrics.accuracy, *decisions, clusters(corpus))
    return parts


def group_figures(judged: Sequence[Judged], points: Iterable[str]) -> dict[str, Any]:
    """Return ranking and decisions on a group of conversations.

    Args:
        judged: The conversations.
        points: Names of the operating points.
    """
    truth, groups = labels(judged), clusters(judged)
    result: dict[str, Any] = {"n": len(judged), "emotional": int(truth.sum())}
    if not judged:
        return result
    if 0 < truth.sum() < len(truth):
        ranking = truth, probabilities(judged)
        result["auroc"] = estimate(
            metrics.auroc_within, *ranking, calibrations(judged), groups=groups
        )
        result["average_precision"] = estimate(metrics.average_precision, *ranking, groups=groups)
    for point in points:
        flagged = np.array([j.flagged(point) for j in judged])
        chosen = {
            "recall": (truth == 1, flagged),
            "specificity": (truth == 0, ~flagged),
            "precision": (flagged, truth == 1),
            "accuracy": (np.ones(len(truth), bool), flagged == (truth == 1)),
        }
        result[point] = {
            name: proportion(hits[rows], groups[rows]) for name, (rows, hits) in chosen.items()
        }
    return result


def study_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of the studies at ``balanced``: of all, by study, and of a second reader.

    The intensity of an artifact that learnt no charges orders chats as the probability does.

    Args:
        judged: Dev conversations; those of the studies count.

    Returns:
        ``all``, each study, and ``second reader``: what a second, blind annotation says of the
        same conversations, which is as well as anybody agrees with the first.
    """
    studies = [j for j in judged if j.source == STUDIES]
    result = {"all": _study(studies)}
    for name in STUDY_SOURCES:
        if members := [j for j in studies if j.row["source"] == name]:
            result[name] = _study(members)
    read = [j for j in studies if j.row["labels"].get("second_charge") is not None]
    result["second reader"] = _second_reader(read)
    return result


def study_errors(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the conversations of the studies that are judged wrongly at ``balanced``, by study.

    Returns:
        Of each its ``study``, ``id``, ``charge``, that of a ``second`` reader and ``probability``.
    """
    wrong = [j for j in judged if j.source == STUDIES and j.flagged("balanced") != j.emotional]
    return [
        {
            "study": j.row["source"],
            "id": j.conversation.id,
            "charge": j.charge,
            "second": j.row["labels"].get("second_charge"),
            "probability": round(j.probability, 3),
        }
        for j in sorted(wrong, key=lambda j: (str(j.row["source"]), j.charge))
    ]


def _study(judged: Sequence[Judged]) -> dict[str, Any]:
    truth, groups = labels(judged), clusters(judged)
    flagged = np.array([j.flagged("balanced") for j in judged])
    charge = np.array([j.charge for j in judged])
    expected = np.array([j.calibration.intensity(j.scored) for j in judged])
    turns = _turn_columns(judged)
    scores = probabilities(judged)
    return {
        "auroc": estimate(metrics.auroc_within, truth, scores, calibrations(judged), groups=groups),
        **_by_charge(charge, flagged, groups),
        "turn_f1": estimate(metrics.f1, *turns[:2], groups=turns[-1]),
        "intensity": estimate(metrics.spearman, charge, expected, groups=groups),
    }


def _second_reader(judged: Sequence[Judged]) -> dict[str, Any]:
    groups = clusters(judged)
    charge = np.array([j.charge for j in judged])
    second = np.array([j.row["labels"]["second_charge"] for j in judged])
    said = []
    for j in judged:
        numbers = np.cumsum([message.role == "user" for message in j.conversation.messages])
        said.append(np.isin(numbers[j.user_places()], j.row["labels"]["second_turns"] or ()))
    truth, _, writers = _turn_columns(judged)
    return {
        **_by_charge(charge, second >= 2, groups),
        "turn_f1": estimate(metrics.f1, truth, np.concatenate(said), groups=writers),
        "intensity": estimate(metrics.spearman, charge, second, groups=groups),
    }


def _by_charge(charge: NDArray[Any], flagged: NDArray[Any], groups: Any) -> dict[str, Any]:
    rows = {
        "recall": (charge >= 2, flagged),
        "specificity": (charge < 2, ~flagged),
        "flagged_charge_0": (charge == 0, flagged),
        "flagged_charge_1": (charge == 1, flagged),
        "accuracy": (charge >= 0, flagged == (charge >= 2)),
    }
    return {name: proportion(hits[own], groups[own]) for name, (own, hits) in rows.items()}


def _turn_columns(judged: Sequence[Judged]) -> tuple[NDArray[Any], ...]:
    """Return truth, decision at ``balanced`` and writer of each turn."""
    writers = np.repeat(clusters(judged), [len(j.turns) for j in judged])
    return (
        np.concatenate([j.charged_turns() for j in judged]).astype(int),
        np.concatenate([j.flagged_turns("balanced") for j in judged]).astype(int),
        writers,
    )


def corpus_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return accuracy on the corpus, ``balanced``, and how much higher it is in French."""

    def difference(right: Floats, french: NDArray[np.bool_]) -> float:
        return metrics.share(right[french]) - metrics.share(right[~french])

    right = np.array([j.flagged("balanced") == j.emotional for j in judged])
    languages = np.array([j.language for j in judged])
    rows = np.isin(languages, ("en", "fr"))
    return {
        "accuracy": proportion(right),
        "french_less_english": estimate(difference, right[rows], languages[rows] == "fr"),
    }


def cue_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of each cue of whole conversations at its threshold; see `_by_name`."""

    def of(j: Judged, name: str) -> Found:
        probability = j.calibration.cue_probability(j.scored, name)
        cues = j.scored.labelled.cues or ()
        return probability, name in cues, j.calibration.cue_thresholds[name]

    return _by_name(judged, CUES, of)


def theme_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of each theme of charged conversations with known themes; see `_by_name`."""

    def of(j: Judged, name: str) -> Found:
        probability = j.calibration.theme_probability(j.scored, name)
        themes = j.scored.labelled.themes or ()
        return probability, name in themes, j.calibration.theme_thresholds[name]

    known = [j for j in judged if j.emotional and j.scored.labelled.themes]
    return _by_name(known, THEMES, of)


def _by_name(
    judged: Sequence[Judged], names: Iterable[str], of: Callable[[Judged, str], Found]
) -> dict[str, Any]:
    """Return figures of each output, and macro F1.

    Returns:
        ``by_name``, and ``macro_f1`` over the ``frequent`` outputs that have at least
        `FEWEST_POSITIVES` positives (None if there is no such output).
    """
    result: dict[str, Any] = {}
    columns: list[tuple[NDArray[Any], NDArray[Any]]] = []
    groups = clusters(judged)
    for name in names:
        rows = [of(j, name) for j in judged]
        known = np.array([p is not None for p, _, _ in rows], bool)
        truth = np.array([shown for _, shown, _ in rows], int) * known
        if not truth.any():
            continue
        scores = np.array([0.0 if p is None else p for p, _, _ in rows])
        thresholds = np.array([threshold for _, _, threshold in rows])
        decisions = ((scores >= thresholds) & known).astype(int)
        result[name] = {
            "positives": int(truth.sum()),
            "average_precision": estimate(
                metrics.average_precision, truth[known], scores[known], groups=groups[known]
            ),
            "f1": estimate(metrics.f1, truth[known], decisions[known], groups=groups[known]),
        }
        if truth.sum() >= FEWEST_POSITIVES:
            columns.append((truth, decisions))
    return {
        "by_name": result,
        "frequent": len(columns),
        "macro_f1": _macro_f1(columns, groups) if columns else None,
    }


def _macro_f1(
    columns: Sequence[tuple[NDArray[Any], NDArray[Any]]], groups: NDArray[Any]
) -> dict[str, Any]:
    def macro(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
        by_name = zip(truth.T, decisions.T, strict=True)
        return metrics.share(np.array([metrics.f1(t, d) for t, d in by_name]))

    truth, decisions = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    return estimate(macro, truth, decisions, groups=groups)


def calibration_figures(judged: Sequence[Judged], prevalence: float) -> dict[str, Any]:
    """Measure how well conversations' probabilities hold what they say.

    Probabilities assume one prevalence, and each dev set has another. So beside the error on each
    set as it is, there is the error after `affectlib.prior_shift` to the set's own share.

    Args:
        judged: Dev conversations.
        prevalence: The prevalence that the probabilities assume.

    Returns:
        ``error``: the expected calibration error by what it was measured on, and ``bins``: the
        points of the reliability diagram.
    """
    error: dict[str, Any] = {}
    bins: dict[str, Any] = {}
    sets: dict[str, list[Judged]] = {
        "shared logs": [j for j in judged if j.from_logs],
        "studies": [j for j in judged if j.source == STUDIES],
        "corpus dev": [j for j in judged if j.of_corpus],
    }
    for name, members in sets.items():
        truth, found = labels(members), probabilities(members)
        if not 0 < truth.sum() < len(truth):
            continue
        shifted = prior_shift(found, trained=prevalence, deployed=float(truth.mean()))
        for how, values in (("as it is", found), ("shifted to its own share", shifted)):
            error[f"{name}, {how}"] = estimate(
                metrics.calibration_error, truth, values, groups=clusters(members)
            )
        bins[f"{name}, shifted to its own share"] = _bins(truth, shifted)
    return {"error": error, "bins": bins}


def _bins(truth: NDArray[Any], found: Floats) -> list[dict[str, float]]:
    """Return the points of the diagram: bins of equal width, those with conversations in them."""
    place = np.minimum((found * DIAGRAM_BINS).astype(int), DIAGRAM_BINS - 1)
    points = []
    for number in sorted(set(place)):
        rows = place == number
        share = metrics.interval_of(truth[rows] == 1)
        points.append(
            {
                "n": int(rows.sum()),
                "probability": float(found[rows].mean()),
                "share": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    return points


def agreement(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the first and the second annotation of the rows that have both.

    Returns:
        Share and kappa of equal labels (charge 2 or more), and kappa of the charge with quadratic
        weights; nothing if no row was annotated twice.
    """
    every = [row["labels"] for row in rows]
    twice = [x for x in every if x.get("second_charge") is not None]
    if not twice:
        return {}
    first, second = (np.array([x[key] for x in twice]) for key in ("charge", "second_charge"))
    return {
        "same label": proportion((first >= 2) == (second >= 2)),
        "kappa of the label": estimate(metrics.kappa, first >= 2, second >= 2),
        "kappa of the charge": estimate(_quadratic_kappa, first, second),
    }


def _quadratic_kappa(first: NDArray[Any], second: NDArray[Any]) -> float:
    return metrics.kappa(first, second, weights="quadratic")


def sizes(artifact: Artifact) -> dict[str, Any]:
    """Return the bytes of an artifact's files."""
    return {"total": sum(p.stat().st_size for p in artifact.folder.iterdir() if p.is_file())}


def compare_precision(
    artifact: Artifact, judged: Sequence[Judged], reader: Reader
) -> dict[str, Any]:
    """Compare the int8 ONNX with the fp16 safetensors run in fp32, on windows of dev chats.

    They are those of the user's messages of the shared logs; of the corpus without them.

    Returns:
        The share of windows with the same label at ``balanced``, and the mean gap of P(emotional).
    """
    chosen = [j for j in judged if j.from_logs] or judged
    windows = reader.encoder.encode([j.conversation for j in chosen], assistant_targets=False)
    engines = (reader.engine, load_engine(artifact, engine="torch", device="cpu"))
    emotional, line = artifact.outputs.index(EMOTIONAL), artifact.recalibration
    probabilities = np.zeros((2, len(windows)))
    pad_id = reader.encoder.pad_id
    for places, ids, mask in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id):
        for row, engine in enumerate(engines):
            z = line.intercept + line.slope * engine.logits(ids, mask)[:, emotional]
            probabilities[row, places] = sigmoid(z)
    first, second = probabilities >= artifact.operating_points["balanced"].message
    return {
        "same_label": proportion(first == second),
        "mean_gap": estimate(metrics.share, np.abs(probabilities[0] - probabilities[1])),
    }
