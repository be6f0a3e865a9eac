"""A model's calibration and thresholds, fitted to labels that people gave."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis import _frames, evaluation
from affectlib.analysis._frames import AnyFrame, Frame
from affectlib.analysis._measures import change_rows
from affectlib.analysis.gold import gold_rows, model_annotators
from affectlib.conversation import clean_text
from affectlib.errors import OptionError
from affectlib.model import recalibration

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["calibrate"]


def calibrate(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame,
    artifact: Artifact,
    folder: str | os.PathLike[str],
    *,
    specificity: Mapping[str, float] | None = None,
    name: str | None = None,
    confidence: float = 0.95,
    force: bool = False,
) -> IntoDataFrameT:
    """Fit a model's calibration and operating points to labels that people gave, and save it.

    The new model is a folder that `affectlib.AffectClassifier.from_pretrained` loads. Its weights,
    and so its ranking, are those of the old one; its probabilities and thresholds are fitted to
    these transcripts. What it says of itself (`Artifact.operating_points`, and what
    `affectlib.analysis.prevalence` corrects by) was measured by cross-fitting: each row is judged
    by what was fitted without its user. With few gold labels, it stays near the old one; at least
    ten rows of each kind are needed.

    A calibrated model is calibrated again from its original state, with the same targets. So the
    same labels always give the same model. To use an earlier sheet too, concatenate both.

    Args:
        labels: What the model gave: ``label``, ``probability``, and the ids; ``user_id`` if there
            is one.
        gold: Labels that people gave.
        artifact: The model that made the labels.
        folder: Where the new model goes; it must be new or empty.
        specificity: The share of task rows that an operating point must not flag, by its name.
            Where none is given, it is the point's target (`OperatingPoint.aim`), or lower if
            hardly any emotional row would reach it.
        name: The new model's name; that of the folder if None.
        confidence: Level of the intervals.
        force: Whether to accept that recall or specificity falls by more than 0.1 against the
            model that was calibrated, on the same rows.

    Returns:
        A frame of what changed, on the gold labels with their weights: ``operating_point``
        (null for what needs none), ``measure``, ``before, before_low, before_high``, ``after,
        after_low, after_high``, and ``change, change_low, change_high``, whose interval is of the
        difference on the same rows; for the calibration error there is none.

    Raises:
        OptionError: Another model made the labels, there are too few gold labels of a kind or of
            too few users, they agree with the model no better than chance, an operating point is
            unknown or out of reach, or a measure falls without `force`.
        OutputExistsError: The folder exists.
        ArtifactCorruptError: A file of the model is missing or altered.

    Warns:
        AnalysisWarning: A target was lowered, or the prefilter does not fit the new thresholds and
            is left out.

    Example:
        >>> from affectlib.analysis import sample
        >>> from tools.simulate import simulate
        >>> from affectlib.model.artifacts import load_artifact
        >>> people = simulate(500, seed=1, prevalence=0.1)
        >>> sheet = sample(people.conversations, 300, seed=1).drop("gold")
        >>> sheet = sheet.join(people.gold_conversations.select("record", "gold"), on="record")
        >>> found = calibrate(people.conversations, sheet, load_artifact(), "fitted")
        >>> load_artifact("fitted").description["calibrated"]["from"]
        'affect-small'
    """
    _frames.check_confidence(confidence)
    source = evaluation.with_single_messages(
        _frames.user_keys(_frames.labels_table(labels).labelled())
    )
    source.require(["probability"])
    made_by = source.provenance
    if made_by.fingerprint and made_by.fingerprint != artifact.fingerprint:
        raise OptionError(
            f"artifact: the labels were made by {made_by.name}, not by this {artifact.name} "
            f"{artifact.version}; give the model that made them, or label again"
        )
    rows = gold_rows(source, gold)
    rows = evaluation.with_probability(rows, source.name, "rows with a gold label")
    before = evaluation.measured_rows(rows)
    recalibration.require_enough(before.truth, "gold")
    base, probability = recalibration.uncalibrated(artifact, before.probability)
    found = recalibration.recalibrate(
        base,
        probability,
        before.truth,
        weights=before.weight,
        groups=before.user,
        level=source.level,
        alone=rows[evaluation.SINGLE_MESSAGE] if source.level == "message" else None,
        specificity=specificity,
        force=force,
    )
    if found.lowered:
        _frames.warn(
            f"hardly any emotional row reaches the threshold of {' and '.join(found.lowered)} at "
            "the target specificity, so it was lowered; see `specificity`",
            level=2,
        )
    called = clean_text(name or Path(folder).resolve().name)
    labelled_by = model_annotators(_frames.table(gold, "gold"))
    if recalibration.save_recalibrated(base, found, folder, name=called, labelled_by=labelled_by):
        _frames.warn(
            "the model's screen does not hold for the new thresholds, so the new model has none "
            "and labels more slowly",
            level=2,
        )
    points = artifact.operating_points
    least = rows.select(
        **{name: evaluation.threshold_of(p, found.level) for name, p in points.items()}
    )
    pairs = {
        name: (
            replace(before, called=before.probability >= least[name].to_numpy()),
            replace(before, called=found.called[name], probability=found.probability),
        )
        for name in points
    }
    figures = [*change_rows(pairs, confidence)]
    return _frames.like(labels, pl.DataFrame(figures, infer_schema_length=None).fill_nan(None))
