"""Figures of judged conversations: groups, studies, corpus, cues, calibration; and of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import finite_logit, prior_shift, sigmoid
from affectlib.model.encoding import token_batches
from affectlib.model.engines import load_engine
from affectlib.model.recalibration import FEWEST, Rows, fit_line
from affectlib.taxonomy import CUES, EMOTIONAL, THEMES
from training.data.sources import LANGUAGES
from training.evaluation import metrics
from training.evaluation.judged import GROUPS, STUDY_SOURCES, Floats, Judged, Reader
from training.evaluation.metrics import estimate, proportion, summary

MAIN_GROUPS = ("shared logs", "studies", "corpus dev")
"""The groups by which recipes are chosen."""
FEWEST_POSITIVES = 20
DIAGRAM_BINS = 10
LABELS = 100
"""Labels that a model is refitted to."""
DRAWS = 200
BATCH_TOKENS = 4096


def labels(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """Return 1 for each conversation that is emotional by annotation, else 0."""
    return np.array([j.emotional for j in judged], np.int64)


def probabilities(judged: Sequence[Judged]) -> Floats:
    """Return P(emotional) of each conversation."""
    return np.array([j.probability for j in judged], np.float64)


def clusters(judged: Sequence[Judged]) -> NDArray[np.str_]:
    """Return who wrote each conversation; see `Judged.cluster`."""
    return np.array([j.cluster for j in judged])


def calibrations(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """Return a number for each conversation that is the same for those of one calibration."""
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(id(j.calibration), len(numbers)) for j in judged], np.int64)


def of_group(judged: Iterable[Judged], name: str) -> list[Judged]:
    """Return the conversations of one of the `GROUPS`."""
    return [j for j in judged if GROUPS[name](j)]


def choice(judged: Sequence[Judged], *others: Sequence[Judged]) -> dict[str, Any]:
    """Return the figure by which recipes are chosen, and what it is the mean of.

    Which conversations are in one fold moves these by chance, average precision most, as it ranks
    by several calibrations together. So each is the mean over several splits into folds: the others
    are the same conversations in the same order.
    """
    draws = []
    result: dict[str, Any] = {}
    for name, (group, metric, columns, clustered) in _CHOICE.items():
        splits = [of_group(split, group) for split in (judged, *others)]
        if splits[0]:
            by_split = [np.stack([column(own) for own in splits], axis=1) for column in columns]
            metric, groups = _mean_over_splits(metric), clustered(splits[0])
            draws.append(metrics.draw(metric, *by_split, groups=groups))
            result[name] = summary(metric(*by_split), draws[-1], len(by_split[0]))
    mean = float(np.mean([found["value"] for found in result.values()]))
    return {"mean": summary(mean, np.mean(draws, axis=0), len(judged)), **result}


def _mean_over_splits(metric: Callable[..., float]) -> Callable[..., float]:
    """Return a metric of columns of shape ``[rows, splits]``."""

    def mean(*columns: NDArray[Any]) -> float:
        splits = range(columns[0].shape[1])
        return float(np.mean([metric(*(c[:, split] for c in columns)) for split in splits]))

    return mean


def _flagged(judged: Sequence[Judged], point: str = "balanced") -> NDArray[np.bool_]:
    return np.array([j.flagged(point) for j in judged], bool)


def _charged_turns(judged: Sequence[Judged]) -> NDArray[np.int64]:
    return np.concatenate([j.charged_turns() for j in judged]).astype(int)


def _flagged_turns(judged: Sequence[Judged]) -> NDArray[np.int64]:
    return np.concatenate([j.flagged_turns("balanced") for j in judged]).astype(int)


def _writers_of_turns(judged: Sequence[Judged]) -> NDArray[np.str_]:
    return np.repeat(clusters(judged), [len(j.turns) for j in judged])


_TURNS = _charged_turns, _flagged_turns
_RANKED = labels, probabilities
_CHOICE: dict[str, tuple[str, Callable[..., float], Sequence[Any], Any]] = {
    "average precision, shared logs": ("shared logs", metrics.average_precision, _RANKED, clusters),
    "AUROC, studies": ("studies", metrics.auroc_within, (*_RANKED, calibrations), clusters),
    "F1 of charged turns, studies": ("studies", metrics.f1, _TURNS, _writers_of_turns),
    "accuracy, corpus dev": ("corpus dev", metrics.accuracy, (labels, _flagged), clusters),
}
"""What the figure of choice is the mean of: on which group, by which metric of which columns, and
what is resampled as one."""


def group_figures(judged: Sequence[Judged], points: Iterable[str]) -> dict[str, Any]:
    """Return ranking, and decisions at operating points, on a group of conversations."""
    truth, groups = labels(judged), clusters(judged)
    result: dict[str, Any] = {"n": len(judged), "emotional": int(truth.sum())}
    if not judged:
        return result
    if 0 < truth.sum() < len(truth):
        result |= _ranking(truth, probabilities(judged), calibrations(judged), groups)
    for point in points:
        flagged = _flagged(judged, point)
        result[point] = _shares(
            groups,
            recall=(truth == 1, flagged),
            specificity=(truth == 0, ~flagged),
            precision=(flagged, truth == 1),
            accuracy=(truth >= 0, flagged == (truth == 1)),
        )
    return result


def _ranking(
    truth: NDArray[Any], scores: Floats, judges: NDArray[Any], groups: NDArray[Any]
) -> dict[str, Any]:
    return {
        "auroc": estimate(metrics.auroc_within, truth, scores, judges, groups=groups),
        "average_precision": estimate(metrics.average_precision, truth, scores, groups=groups),
    }


def _shares(groups: NDArray[Any], **chosen: tuple[NDArray[Any], NDArray[Any]]) -> dict[str, Any]:
    """Return shares by name, each of the rows that count and of whether each is a hit."""
    return {name: proportion(hits[rows], groups[rows]) for name, (rows, hits) in chosen.items()}


def rankings(judged: Sequence[Judged], systems: Mapping[str, Floats]) -> dict[str, Any]:
    """Return how well systems rank the main groups of conversations, by their scores of each.

    ``less`` is the first system's AUROC less a system's, on the same resamples.
    """
    columns = labels(judged), calibrations(judged), clusters(judged)
    first = next(iter(systems.values()))

    def less(truth: Floats, own: Floats, other: Floats, judges: NDArray[np.int64]) -> float:
        rank = metrics.auroc_within
        return rank(truth, own, judges) - rank(truth, other, judges)

    def ranking(scores: Floats, rows: NDArray[np.bool_]) -> dict[str, Any]:
        truth, judges, groups = (column[rows] for column in columns)
        recall_at_98 = partial(metrics.recall_at, least=0.98)
        recall = estimate(recall_at_98, truth, scores[rows], groups=groups)
        beside = estimate(less, truth, first[rows], scores[rows], judges, groups=groups)
        ranked = _ranking(truth, scores[rows], judges, groups)
        return {**ranked, "recall_at_98": recall, "less": beside}

    names = (*MAIN_GROUPS, "studies: English")
    members = {name: np.array([GROUPS[name](j) for j in judged]) for name in names}
    return {
        name: {system: ranking(scores, rows) for system, scores in systems.items()}
        for name, rows in members.items()
        if rows.any()
    }


def study_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of the studies at ``balanced``: of all, by study, and of a second reader.

    That is a blind annotation of the same conversations, and agrees with the first as anybody does.
    """
    studies = of_group(judged, "studies")
    result = {"all": _study(studies)}
    for name in STUDY_SOURCES:
        if members := [j for j in studies if j.row["source"] == name]:
            result[name] = _study(members)
    read = [j for j in studies if j.row["labels"].get("second_charge") is not None]
    result["second reader"] = _second_reader(read)
    return result


def study_errors(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the conversations of the studies that are judged wrongly at ``balanced``."""
    wrong = [j for j in of_group(judged, "studies") if j.flagged("balanced") != j.emotional]
    return [
        {
            "study": j.row["source"],
            "id": j.conversation.id,
            "charge": j.scored.labelled.charge,
            "second": j.row["labels"].get("second_charge"),
            "probability": round(j.probability, 3),
        }
        for j in sorted(wrong, key=lambda j: (str(j.row["source"]), j.scored.labelled.charge))
    ]


def _study(judged: Sequence[Judged]) -> dict[str, Any]:
    ranking = labels(judged), probabilities(judged), calibrations(judged)
    expected = np.array([j.calibration.intensity(j.scored) for j in judged])
    decided = _read_as(judged, _flagged(judged), _flagged_turns(judged), expected)
    return {"auroc": estimate(metrics.auroc_within, *ranking, groups=clusters(judged)), **decided}


def _second_reader(judged: Sequence[Judged]) -> dict[str, Any]:
    second = np.array([j.row["labels"]["second_charge"] for j in judged])
    turns = []
    for j in judged:
        numbers = np.cumsum([message.role == "user" for message in j.conversation.messages])
        turns.append(np.isin(numbers[j.scored.user_places], j.row["labels"]["second_turns"] or ()))
    return _read_as(judged, second >= 2, np.concatenate(turns), second)


def _read_as(
    judged: Sequence[Judged], flagged: NDArray[Any], turns: NDArray[Any], intensity: NDArray[Any]
) -> dict[str, Any]:
    """Return how well decisions on conversations and turns, and an intensity, fit the labels."""
    groups, charge = clusters(judged), np.array([j.scored.labelled.charge for j in judged])
    shares = _shares(
        groups,
        recall=(charge >= 2, flagged),
        specificity=(charge < 2, ~flagged),
        flagged_charge_0=(charge == 0, flagged),
        flagged_charge_1=(charge == 1, flagged),
        accuracy=(charge >= 0, flagged == (charge >= 2)),
    )
    truth, writers = _charged_turns(judged), _writers_of_turns(judged)
    return {
        **shares,
        "turn_f1": estimate(metrics.f1, truth, turns, groups=writers),
        "intensity": estimate(metrics.spearman, charge, intensity, groups=groups),
    }


def corpus_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return accuracy on the corpus, ``balanced``, and how much higher it is in French."""

    def difference(right: Floats, french: NDArray[np.bool_]) -> float:
        return metrics.share(right[french]) - metrics.share(right[~french])

    right = _flagged(judged) == labels(judged)
    languages = np.array([j.language for j in judged])
    rows = np.isin(languages, LANGUAGES)
    return {
        "accuracy": proportion(right),
        "french_less_english": estimate(difference, right[rows], languages[rows] == "fr"),
    }


def cue_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of each cue of whole conversations at its threshold; see `_by_name`."""
    return _by_name(judged, CUES)


def theme_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return figures of each theme of charged conversations with known themes; see `_by_name`."""
    known = [j for j in judged if j.emotional and j.scored.labelled.themes]
    return _by_name(known, THEMES)


def _by_name(judged: Sequence[Judged], names: Iterable[str]) -> dict[str, Any]:
    """Return figures of each output, and macro F1 of those with `FEWEST_POSITIVES` positives."""
    groups, result, columns = clusters(judged), {}, []
    for name in names:
        known = np.array([j.scored.can_show(name) for j in judged], bool)
        truth = np.array([name in j.scored.named for j in judged], int) * known
        if not truth.any():
            continue
        scores = np.array([j.calibration.probability(j.scored, name) for j in judged])
        decisions = np.array([j.calibration.shows(j.scored, name) for j in judged], int) * known
        t, s, d, own = (column[known] for column in (truth, scores, decisions, groups))
        result[name] = {
            "positives": int(truth.sum()),
            "average_precision": estimate(metrics.average_precision, t, s, groups=own),
            "f1": estimate(metrics.f1, t, d, groups=own),
        }
        if truth.sum() >= FEWEST_POSITIVES:
            columns.append((truth, decisions))
    macro = estimate(_macro_f1, *np.stack(columns, axis=-1), groups=groups) if columns else None
    return {"by_name": result, "frequent": len(columns), "macro_f1": macro}


def _macro_f1(truth: NDArray[Any], decisions: NDArray[Any]) -> float:
    """Return the mean F1 of columns of shape ``[rows, outputs]``."""
    by_name = zip(truth.T, decisions.T, strict=True)
    return metrics.share(np.array([metrics.f1(t, d) for t, d in by_name]))


def calibration_figures(judged: Sequence[Judged], prevalence: float) -> dict[str, Any]:
    """Return the expected calibration ``error``, and the ``bins`` of the reliability diagram.

    Probabilities assume one prevalence; so there is also the error after `prior_shift` to a set's,
    and after a line was fitted to 100 labels, as by ``affectlib calibrate``. With few rows, the
    error of right probabilities is above 0 too: ``chance`` is what it would be on average.
    """
    error, bins = {}, {}
    for name in MAIN_GROUPS:
        members = of_group(judged, name)
        truth, found, groups = labels(members), probabilities(members), clusters(members)
        if not 0 < truth.sum() < len(truth):
            continue
        shifted = prior_shift(found, trained=prevalence, deployed=float(truth.mean()))
        for how, values in (("as it is", found), ("shifted to its own share", shifted)):
            error[f"{name}, {how}"] = {
                "error": estimate(metrics.calibration_error, truth, values, groups=groups),
                "chance": _chance_error(values),
            }
        if refitted := _refitted(truth, found):
            error[f"{name}, refitted to {LABELS} labels"] = refitted
        bins[f"{name}, shifted to its own share"] = _bins(truth, shifted)
    return {"error": error, "bins": bins}


def _chance_error(probabilities: Floats) -> float:
    """Return the mean calibration error of outcomes that follow the probabilities."""
    drawn = np.random.default_rng(0).random((DRAWS, len(probabilities))) < probabilities
    return float(np.mean([metrics.calibration_error(own, probabilities) for own in drawn]))


def _refitted(truth: NDArray[np.int64], probabilities: Floats) -> dict[str, Any]:
    """Return the error on the others after a line was fitted to `LABELS` rows, over many draws.

    The interval is that of draws; there is nothing where they seldom have rows enough of a kind.
    """
    generator = np.random.default_rng(0)
    errors, chances = [], []
    for _ in range(DRAWS):
        drawn, others = np.split(generator.permutation(len(truth)), [LABELS])
        if FEWEST <= truth[drawn].sum() <= LABELS - FEWEST:
            line = fit_line(Rows.of(probabilities[drawn], truth[drawn], None, None), 0.0)
            refitted = sigmoid(line.intercept + line.slope * finite_logit(probabilities[others]))
            errors.append(metrics.calibration_error(truth[others], refitted))
            chances.append(_chance_error(refitted))
    if len(errors) < DRAWS / 2:
        return {}
    error = summary(float(np.mean(errors)), np.array(errors), len(truth) - LABELS)
    return {"error": error, "chance": float(np.mean(chances))}


def _bins(truth: NDArray[Any], found: Floats) -> list[dict[str, float]]:
    """Return the points of the diagram: bins of equal width, those with conversations in them."""
    place = np.minimum((found * DIAGRAM_BINS).astype(int), DIAGRAM_BINS - 1)
    points = []
    for rows in (place == number for number in np.unique(place)):
        share = proportion(truth[rows] == 1)
        share["share"] = share.pop("value")
        points.append({"probability": float(found[rows].mean()), **share})
    return points


def agreement(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the first and the second annotation of the rows that have both.

    The kappa of the charge has quadratic weights. There is nothing if no row was annotated twice.
    """
    every = [row["labels"] for row in rows]
    twice = [x for x in every if x.get("second_charge") is not None]
    if not twice:
        return {}
    first, second = (np.array([x[key] for x in twice]) for key in ("charge", "second_charge"))
    return {
        "same label": proportion((first >= 2) == (second >= 2)),
        "kappa of the label": estimate(metrics.kappa, first >= 2, second >= 2),
        "kappa of the charge": estimate(partial(metrics.kappa, weights="quadratic"), first, second),
    }


def compare_precision(
    artifact: Artifact, judged: Sequence[Judged], reader: Reader
) -> dict[str, Any]:
    """Compare the int8 ONNX with fp16 safetensors in fp32, on shared logs or else the corpus."""
    chosen = of_group(judged, "shared logs") or judged
    encoded = reader.encoder.encode([j.conversation for j in chosen])
    windows = [window for group in encoded for window in group]
    engines = (reader.engine, load_engine(artifact, engine="torch", device="cpu"))
    emotional, line = artifact.outputs.index(EMOTIONAL), artifact.recalibration
    probabilities = np.zeros((2, len(windows)))
    pad_id = reader.encoder.pad_id
    for batch in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id):
        for row, engine in enumerate(engines):
            logits = engine.logits(batch.ids, batch.mask, batch.turns)[:, 0, emotional]
            probabilities[row, batch.places] = sigmoid(line.intercept + line.slope * logits)
    first, second = probabilities >= artifact.operating_points["balanced"].conversation
    return {
        "same_label": proportion(first == second),
        "mean_gap": estimate(metrics.share, np.abs(probabilities[0] - probabilities[1])),
    }
