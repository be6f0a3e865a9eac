"""Calibration and operating points refitted on a user's own labels: no training, no torch.

1. The logits are moved along a rising line. It is fitted by maximum a posteriori: the likelihood of
   the labels, with the weights of the draw, and a prior around "as it is" that counts the more the
   fewer labels there are (Platt scaling with the prior of a model that was calibrated elsewhere).
2. Each operating point keeps its target, the share of task conversations that it must not flag.
   That share is counted on the labels, together with `PRIOR_ROWS` rows that err as the model's own
   operating points say. If hardly any emotional row reaches the threshold, the threshold is lowered
   until `LEAST_FOUND` do, unless the user asked for that specificity.
3. Figures come from cross-fitting: every row is judged by what was fitted without its user's fold.

A model that was calibrated before is calibrated again from what it was (`uncalibrated`), so that
the same labels give the same model however often they are used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlib._extras import requires_extra
from affectlib.errors import OptionError, OutputExistsError
from affectlib.model.artifacts import FORMAT, Artifact, save_artifact
from affectlib.model.calibration import OperatingPoint, Recalibration, finite_logit, logit, sigmoid
from affectlib.model.screen import SCREEN_FILE, Screen

__all__ = [
    "FEWEST",
    "FOLDS",
    "Recalibrated",
    "Rows",
    "can_cross_fit",
    "counts_of",
    "fit_line",
    "folds",
    "points_of",
    "recalibrate",
    "require_enough",
    "save_recalibrated",
    "uncalibrated",
]

FEWEST = 10
"""Rows of each kind that are needed."""
PRIOR_ROWS = 20
"""Rows that the model's own operating points count as."""
LEAST_FOUND = 3
"""Emotional rows that reach each operating point."""
FOLDS = 5
WORST_FALL = 0.1
"""By how much recall or specificity may fall."""
_UNRELATED = 0.05
_RULE_OF_THREE = 3
_SPREAD_OF_SHIFT = 1.5
_SPREAD_OF_LOG_SLOPE = 0.35
_MARGIN = 0.01
_GRID = np.arange(-10.0, 10.0, 0.05)
_COUNTS = ("true_positives", "false_negatives", "true_negatives", "false_positives")

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Points = Mapping[str, OperatingPoint]


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """What was fitted, and what it gives on rows that it was not fitted on.

    Attributes:
        line: From the model's probabilities, as they are given now, to those of the new one.
        operating_points: The new thresholds by name, with cross-fitted recall and specificity.
        prevalence: The share of emotional conversations that the new probabilities assume; of rows
            that are messages, that of the model before.
        level: What a row is.
        probability: Cross-fitted probability of each row, shape ``[rows]``.
        called: Whether each row is called emotional by cross-fitting, by operating point.
        measured: Cross-fitted counts at effective sample size, by operating point.
        rows: How many rows.
        positives: How many of them are emotional.
        lowered: Operating points with a lower specificity than promised, as otherwise hardly any
            emotional row would reach them.
    """

    line: Recalibration
    operating_points: Points
    prevalence: float
    level: Literal["conversation", "message"]
    probability: Floats
    called: Mapping[str, Flags]
    measured: Mapping[str, Mapping[str, float]]
    rows: int
    positives: int
    lowered: tuple[str, ...]


def recalibrate(
    artifact: Artifact,
    probability: ArrayLike,
    truth: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    level: Literal["conversation", "message"] = "conversation",
    alone: ArrayLike | None = None,
    specificity: Mapping[str, float] | None = None,
    force: bool = False,
) -> Recalibrated:
    """Refit a model's calibration and operating points.

    Args:
        artifact: The model.
        probability: What it gives, shape ``[rows]``.
        truth: Whether each row is emotional, shape ``[rows]``.
        weights: How many rows of the corpus each stands for; all the same if None.
        groups: Whose each row is; rows of one group share a fold.
        level: What a row is. Thresholds of the other level move as far.
        alone: Whether each row is a message that is its user's only one in the conversation; none
            is if None. See `OperatingPoint.of_messages`.
        specificity: The share of other rows that an operating point must not flag, by its
            name; its target where none is given.
        force: Whether to accept an operating point that finds or spares much less than before.

    Raises:
        OptionError: There are too few rows of a kind, or they are of too few users, an array has
            another length or holds what it cannot, an operating point is unknown, or no emotional
            row reaches its threshold; the labels agree with the model no better than chance; or
            recall or specificity falls by more than `WORST_FALL`, and `force` is false. A fall
            of specificity down to its target is none, nor is one of recall for a specificity that
            was asked for.
        MissingExtraError: scipy is not installed.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> rng = np.random.default_rng(0)
        >>> truth = rng.random(300) < 0.2
        >>> given = sigmoid(rng.normal(size=300) + 3.0 * truth)  # far too high
        >>> found = recalibrate(load_artifact(), given, truth)
        >>> found.line.intercept < -1, found.line.slope > 0
        (True, True)
    """
    rows = Rows.of(probability, truth, weights, groups, alone)
    _require_related(rows)
    asked = dict(specificity or {})
    wanted = _wanted(artifact, asked)
    fold = folds(rows.truth, rows.group)
    for kind, (count, least) in _too_few(rows.truth, fold).items():
        raise OptionError(
            f"the {kind} rows are of too few users: each user is judged by a fit to the rows "
            f"of others, and without some users {count} {kind} rows are left, but at least "
            f"{least} are needed; label {kind} rows of more users"
        )
    points = artifact.operating_points
    line, strict = _fit(points, rows, wanted, level)
    for name in asked:
        _require_reached(rows.by(points[name]), name, strict[name], wanted[name])
    raw = _lowered(points, rows, strict, asked)
    crossed = np.empty(len(rows.truth))
    called = {name: np.zeros(len(rows.truth), bool) for name in wanted}
    for number in range(FOLDS):
        held = fold == number
        others = rows.where(~held)
        its_line, its_strict = _fit(points, others, wanted, level)
        crossed[held] = sigmoid(its_line.intercept + its_line.slope * rows.z[held])
        for name, threshold in _lowered(points, others, its_strict, asked).items():
            called[name][held] = rows.by(points[name]).z[held] >= threshold
    measured = {name: counts_of(rows, found) for name, found in called.items()}
    if not force:
        _refuse_falls(artifact, rows, measured, wanted, asked, level)
    prevalence = artifact.prevalence
    if level == "conversation":
        new = sigmoid(line.intercept + line.slope * rows.z)
        prevalence = float(np.clip(np.average(new, weights=rows.weight), 1e-4, 1 - 1e-4))
    return Recalibrated(
        line=line,
        operating_points={
            name: _point(points[name], line, threshold, measured[name], level, wanted[name])
            for name, threshold in raw.items()
        },
        prevalence=prevalence,
        level=level,
        probability=crossed,
        called=called,
        measured=measured,
        rows=len(rows.truth),
        positives=int(rows.truth.sum()),
        lowered=tuple(name for name in raw if raw[name] < strict[name]),
    )


def points_of(points: Points) -> dict[str, dict[str, float]]:
    """Return operating points as ``affect.json`` holds them."""
    return {
        name: {
            field: round(value, 6) for field, value in asdict(point).items() if value is not None
        }
        for name, point in points.items()
    }


def uncalibrated(artifact: Artifact, probability: ArrayLike) -> tuple[Artifact, Floats]:
    """Return a model as it was before it was calibrated, and what its probabilities were.

    Its operating points keep the targets that they have now.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> base, given = uncalibrated(load_artifact(), [0.1, 0.2])
        >>> base.name, given.tolist()
        ('affect-small', [0.1, 0.2])
    """
    given = np.asarray(probability, dtype=np.float64)
    made = artifact.description.get("calibrated", {})
    before = made.get("before")
    if before is None:
        return artifact, given
    line = Recalibration(**before["recalibration"])
    base = replace(
        artifact,
        name=made["from"],
        version=made["version"],
        fingerprint=made["fingerprint"],
        recalibration=line,
        prevalence=before["prevalence"],
        operating_points={
            name: replace(OperatingPoint(**point), target=artifact.operating_points[name].aim)
            for name, point in before["operating_points"].items()
        },
    )
    now = artifact.recalibration
    raw = (finite_logit(given) - now.intercept) / now.slope
    return base, sigmoid(line.intercept + line.slope * raw)


def save_recalibrated(
    artifact: Artifact,
    found: Recalibrated,
    folder: str | os.PathLike[str],
    *,
    name: str,
    labelled_by: Sequence[str] = (),
) -> bool:
    """Write a model with other decisions: the same weights, and an ``affect.json`` of its own.

    A screen goes along if its bounds hold for the new thresholds too. What the model was measured
    on goes along without its scores, which were other probabilities.

    Args:
        artifact: The model that it is based on, which it names.
        found: The decisions.
        folder: Where it goes; it must be new or empty.
        name: The new model's name.
        labelled_by: The language models that gave labels, in words.

    Returns:
        Whether the model has a screen that had to be left out.

    Raises:
        OutputExistsError: The folder is there and holds something.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(f"{target}: it exists; name another folder")
    points = points_of(found.operating_points)
    line = found.line.after(artifact.recalibration)
    decided = replace(
        artifact,
        recalibration=line,
        operating_points={key: OperatingPoint(**point) for key, point in points.items()},
    )
    left_out = artifact.has_file(SCREEN_FILE) and Screen.load(decided) is None
    values = json.loads((artifact.folder / "affect.json").read_bytes())
    if left_out:
        del values["files"][SCREEN_FILE]
        values.pop("screen", None)
    values |= {
        "format": FORMAT,
        "name": name,
        "recalibration": asdict(line),
        "prevalence": found.prevalence,
        "operating_points": points,
        "measured": {key: {found.level: dict(counts)} for key, counts in found.measured.items()},
        "calibrated": {
            "from": artifact.name,
            "version": artifact.version,
            "fingerprint": artifact.fingerprint,
            "level": found.level,
            "rows": found.rows,
            "emotional": found.positives,
            "labelled_by": [*labelled_by],
            "before": {
                "recalibration": asdict(artifact.recalibration),
                "prevalence": artifact.prevalence,
                "operating_points": points_of(
                    {key: replace(p, target=None) for key, p in artifact.operating_points.items()}
                ),
            },
        },
    }
    if artifact.reference is not None:
        values["reference"] = artifact.reference.without_scores().to_dict()
    card = _card(artifact, found, name, left_out, labelled_by)
    save_artifact(artifact, target, values=values, card=card)
    return left_out


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to fit to.

    Attributes:
        z: Logit of each, shape ``[rows]``.
        truth: Whether each is emotional, shape ``[rows]``.
        weight: How many rows of the corpus each stands for, shape ``[rows]``.
        group: Number of each one's group, from 0, shape ``[rows]``.
        alone: Whether each is the only message of its conversation's user, shape ``[rows]``; None
            if none is.
    """

    z: Floats
    truth: Flags
    weight: Floats
    group: NDArray[np.intp]
    alone: Flags | None = None

    @classmethod
    def of(
        cls,
        probability: ArrayLike,
        truth: ArrayLike,
        weights: ArrayLike | None,
        groups: Sequence[Any] | NDArray[Any] | None,
        alone: ArrayLike | None = None,
    ) -> Rows:
        """Check what was given.

        Raises:
            OptionError: Something is wrong with it.
        """
        given = np.asarray(probability, dtype=np.float64)
        rows = len(given)
        flags = np.asarray(truth).astype(bool)
        weight = np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)
        members = np.arange(rows) if groups is None else np.asarray(groups)
        single = np.zeros(rows, bool) if alone is None else np.asarray(alone).astype(bool)
        columns = {"truth": flags, "weights": weight, "groups": members, "alone": single}
        for name, values in columns.items():
            if len(values) != rows:
                raise OptionError(f"{name}: {len(values):,} values for {rows:,} probabilities")
        for name, sound in (
            ("probability: values must be between 0 and 1", (given >= 0) & (given <= 1)),
            ("weights: every one must be a number above 0", np.isfinite(weight) & (weight > 0)),
        ):
            if not sound.all():
                raise OptionError(f"{name}; row {int(sound.argmin())} (from 0) is not")
        require_enough(flags, "truth")
        _, group = np.unique(members, return_inverse=True)
        return cls(finite_logit(given), flags, weight, group, single)

    def where(self, chosen: Flags) -> Rows:
        """Return some of the rows."""
        alone = None if self.alone is None else self.alone[chosen]
        return Rows(
            self.z[chosen], self.truth[chosen], self.weight[chosen], self.group[chosen], alone
        )

    def by(self, point: OperatingPoint) -> Rows:
        """Return the rows with logits that the threshold of messages parts as an operating point.

        A user's only message has the threshold of conversations. Its logit is moved by what lies
        between the two thresholds, which stays the same when both are moved.
        """
        if self.alone is None:
            return self
        apart = finite_logit(point.message) - finite_logit(point.conversation)
        return replace(self, z=self.z + apart * self.alone)

    def size(self, chosen: Flags) -> float:
        """Return how many independent rows these are worth: by their weights, and by group."""
        by_group = np.bincount(self.group[chosen], self.weight[chosen])
        return float(by_group.sum() ** 2 / (by_group**2).sum()) if chosen.any() else 0.0


def require_enough(truth: ArrayLike, name: str) -> None:
    """Refuse labels, called by a name, of which too few are of one kind.

    Raises:
        OptionError: They are; it says how many more it takes.
    """
    flags = np.asarray(truth).astype(bool)
    positives, rows = int(flags.sum()), len(flags)
    for kind, count in (("emotional", positives), ("task", rows - positives)):
        if count >= FEWEST:
            continue
        # Where none is found among n rows, the share is hardly above 3 / n (the rule of three).
        likely = count or _RULE_OF_THREE
        needed = ceil(rows * FEWEST / likely) - rows * (count > 0)
        raise OptionError(
            f"{name}: {count} of {rows:,} labels are {kind}; calibration needs at least {FEWEST}, "
            f"so {FEWEST - count} more: label {'about' if count else 'at least'} {needed:,} more "
            "rows, drawn with affectlib sample"
        )


def _wanted(artifact: Artifact, given: Mapping[str, float]) -> dict[str, float]:
    for name, share in given.items():
        artifact.operating_point(name)
        if not 0 < share < 1:
            raise OptionError(f"`specificity`, {name}: it must be between 0 and 1, got {share}")
    return {name: given.get(name, p.aim) for name, p in artifact.operating_points.items()}


def _require_related(rows: Rows) -> None:
    """Refuse labels that say nothing of what the model finds, or the contrary of it."""
    with requires_extra("analysis"):
        from scipy.stats import mannwhitneyu
    found = mannwhitneyu(rows.z[rows.truth], rows.z[~rows.truth], alternative="greater")
    if found.pvalue <= _UNRELATED:
        return
    area = found.statistic / (rows.truth.sum() * (~rows.truth).sum())
    raise OptionError(
        f"the labels agree with the model no better than chance (AUROC {area:.2f}): they may be "
        "inverted, or belong to other rows; check some of them. If they are right, fine-tune the "
        "model instead"
    )


def _refuse_falls(
    base: Artifact,
    rows: Rows,
    measured: Mapping[str, Mapping[str, float]],
    wanted: Mapping[str, float],
    asked: Mapping[str, float],
    level: str,
) -> None:
    """Refuse operating points that do much worse on these rows than those of the base."""
    for name, point in base.operating_points.items():
        before = counts_of(rows, rows.by(point).z >= finite_logit(getattr(point, level)))
        (recall, spared), (new_recall, new_spared) = map(_rates, (before, measured[name]))
        falls = [("specificity", min(spared, wanted[name]), new_spared)]
        falls += [] if name in asked else [("recall", recall, new_recall)]
        for measure, old, new in falls:
            if old - new > WORST_FALL:
                raise OptionError(
                    f"{name}: {measure} would fall from {old:.2f} to {new:.2f} on these labels; "
                    "label more rows, ask for another specificity, or accept it with force=True"
                )


def _rates(counts: Mapping[str, float]) -> tuple[float, float]:
    """Return recall and specificity."""
    found, missed, spared, flagged = (counts[name] for name in _COUNTS)
    return found / (found + missed), spared / (spared + flagged)


def folds(truth: Flags, group: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return each row's fold; groups with emotional rows are spread evenly.

    Args:
        truth: Whether each row is emotional, shape ``[rows]``.
        group: Number of each one's group, shape ``[rows]``.
    """
    positives = np.bincount(group, truth)
    mixed = np.random.default_rng(0).permutation(len(positives))
    ranked = mixed[np.argsort(-positives[mixed], kind="stable")]
    fold = np.empty(len(ranked), np.intp)
    fold[ranked] = np.arange(len(ranked)) % FOLDS
    return fold[group]


def can_cross_fit(truth: Flags, group: NDArray[np.intp]) -> bool:
    """Return whether enough rows of both kinds are left, whichever of the `folds` is left out."""
    return not _too_few(truth, folds(truth, group))


def _too_few(truth: Flags, fold: NDArray[np.intp]) -> dict[str, tuple[int, int]]:
    """Return the kinds of which a fold leaves too few rows: how many, and how many are needed."""
    left = {
        kind: (int(own.sum() - np.bincount(fold[own], minlength=FOLDS).max()), least)
        for kind, own, least in (("emotional", truth, LEAST_FOUND), ("task", ~truth, 1))
    }
    return {kind: (count, least) for kind, (count, least) in left.items() if count < least}


def _fit(
    points: Points, rows: Rows, wanted: Mapping[str, float], level: str
) -> tuple[Recalibration, dict[str, float]]:
    """Return the line, and each operating point's threshold as a logit before it."""
    base = {name: finite_logit(getattr(point, level)) for name, point in points.items()}
    line = fit_line(rows, float(np.median([*base.values()])))
    prior = _specificity_of({base[name]: point.specificity for name, point in points.items()})
    return line, {
        name: _threshold(rows.by(points[name]), share, prior) for name, share in wanted.items()
    }


def _lowered(
    points: Points, rows: Rows, strict: Mapping[str, float], asked: Mapping[str, float]
) -> dict[str, float]:
    """Return thresholds that `LEAST_FOUND` emotional rows reach, but for those asked for."""
    return {
        name: z if name in asked else min(z, _reachable(rows.by(points[name])))
        for name, z in strict.items()
    }


def fit_line(rows: Rows, pivot: float) -> Recalibration:
    """Fit a line through logits; its prior is on the slope, and on the shift at `pivot`.

    Args:
        rows: What it is fitted to.
        pivot: The logit at which labels part.
    """
    with requires_extra("analysis"):
        from scipy.optimize import minimize
    weight = rows.weight * rows.size(np.ones(len(rows.z), bool)) / rows.weight.sum()
    away = rows.z - pivot

    def loss(parameters: Floats) -> tuple[float, Floats]:
        shift, log_slope = parameters
        slope = np.exp(log_slope)
        z = pivot + shift + slope * away
        residual = weight * (sigmoid(z) - rows.truth)
        value = float(weight @ (np.logaddexp(0, z) - rows.truth * z))
        value += (shift / _SPREAD_OF_SHIFT) ** 2 / 2
        value += (log_slope / _SPREAD_OF_LOG_SLOPE) ** 2 / 2
        gradient = [residual.sum() + shift / _SPREAD_OF_SHIFT**2]
        gradient.append(residual @ away * slope + log_slope / _SPREAD_OF_LOG_SLOPE**2)
        return value, np.array(gradient)

    shift, log_slope = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    slope = float(np.exp(log_slope))
    return Recalibration(float(pivot + shift - slope * pivot), slope)


def _specificity_of(points: Mapping[float, float]) -> Floats:
    """Return the model's own specificity at each threshold of the grid.

    Between its operating points, logits of both lie on straight lines, which go on beyond them.
    """
    known = sorted((z, logit(float(np.clip(s, 0.01, 0.999)))) for z, s in points.items())
    at, value = (np.array(each) for each in zip(*known, strict=True))
    inside = np.interp(_GRID, at, value)
    slopes = np.diff(value) / np.diff(at) if len(at) > 1 else np.ones(1)
    below, above = max(float(slopes[0]), 0.1), max(float(slopes[-1]), 0.1)
    inside += np.minimum(_GRID - at[0], 0) * below + np.maximum(_GRID - at[-1], 0) * above
    return np.maximum.accumulate(sigmoid(inside))


def _threshold(rows: Rows, wanted: float, prior: Floats) -> float:
    """Return the lowest threshold that does not flag the wanted share of the others."""
    others = ~rows.truth
    order = np.argsort(rows.z[others], kind="stable")
    z, weight = rows.z[others][order], rows.weight[others][order]
    # Halfway between two rows, or away from all, so that rounding it moves none to the other side.
    there = np.unique(rows.z)
    apart = np.abs(_GRID[:, None] - there).min(1) > _MARGIN
    candidates = np.unique(np.concatenate([_GRID[apart], (there[1:] + there[:-1]) / 2]))
    below = np.concatenate([[0.0], np.cumsum(weight)])[np.searchsorted(z, candidates)]
    size = rows.size(others)
    spared = size * below / weight.sum() + PRIOR_ROWS * np.interp(candidates, _GRID, prior)
    enough = spared / (size + PRIOR_ROWS) >= wanted
    return float(candidates[enough.argmax()]) if enough.any() else float("inf")


def _reachable(rows: Rows) -> float:
    """Return a threshold that `LEAST_FOUND` emotional rows reach."""
    least = float(np.sort(rows.z[rows.truth])[-LEAST_FOUND])
    below = rows.z[rows.z < least]
    return (least + float(below.max())) / 2 if len(below) else least - _MARGIN


def _require_reached(rows: Rows, name: str, threshold: float, wanted: float) -> None:
    highest = rows.z[rows.truth].max()
    if highest >= threshold:
        return
    others = ~rows.truth
    share = np.average(rows.z[others] < highest, weights=rows.weight[others])
    raise OptionError(
        f"{name}: no emotional row reaches the threshold for a specificity of {wanted:.1%}; ask "
        f"for a specificity of at most {max(share - 0.005, 0.01):.3f}"
    )


def counts_of(rows: Rows, called: Flags) -> dict[str, float]:
    """Count what is called right and wrong, at the effective sample size."""
    counts = []
    for kind in (rows.truth, ~rows.truth):
        size = rows.size(kind)
        hit = np.average(called[kind] == rows.truth[kind], weights=rows.weight[kind])
        counts += [round(float(hit) * size, 2), round((1 - float(hit)) * size, 2)]
    return dict(zip(_COUNTS, counts, strict=True))


def _point(
    base: OperatingPoint,
    line: Recalibration,
    threshold: float,
    counts: Mapping[str, float],
    level: str,
    target: float,
) -> OperatingPoint:
    moved = threshold - finite_logit(getattr(base, level))
    message, conversation = (
        line.probability(sigmoid(finite_logit(value) + moved))
        for value in (base.message, base.conversation)
    )
    return OperatingPoint(message, conversation, *_rates(counts), target)


def _card(
    artifact: Artifact,
    found: Recalibrated,
    name: str,
    left_out: bool,
    labelled_by: Sequence[str],
) -> str:
    table = ["| operating point | threshold | recall | specificity |", "|---|---|---|---|"]
    table += [
        f"| {key} | {getattr(point, found.level):.3f} | {point.sensitivity:.3f} | "
        f"{point.specificity:.3f} |"
        for key, point in found.operating_points.items()
    ]
    paragraphs = [
        f"# {name}",
        f"{artifact.name} {artifact.version} with its calibration and operating points refitted on "
        f"{found.rows:,} labelled {found.level}s, {found.positives:,} of them emotional. Weights, "
        "tokenizer, cues and themes are those of the base, whose card is in its own folder. The "
        "new decisions are in `affect.json`; transformers reads only the weights, and gives the "
        "base's probabilities.",
        "\n".join(table),
        "Recall and specificity are cross-fitted.",
    ]
    if labelled_by:
        paragraphs.append(f"Labels were given by {', '.join(labelled_by)}.")
    if left_out:
        paragraphs.append("It has no screen, because the base's does not hold for its thresholds.")
    return "\n\n".join(paragraphs) + "\n"
