"""Third step: fine-tune the encoder on the windows, for charge, cues and themes at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from transformers import AutoTokenizer, set_seed

from affectlib.finetuning.trainer import (
    MultiTaskTrainer,
    fit,
    labelled_windows,
    load_model,
    mix_targets,
)
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.config import Recipe
from training.evaluation.metrics import Auroc, AveragePrecision


def train(recipe: Recipe) -> dict[str, float]:
    """Train the prepared encoder on the prepared windows, and on what the teacher says of them.

    With a teacher there is a stage for each of its shares in the targets, and each stage starts
    from the weights of the one before. Goes on from the last checkpoint if an earlier run was
    stopped.

    Returns:
        Metrics on the dev windows of the corpus.
    """
    prepared, folder = recipe.folder / "prepare", recipe.folder / "train"
    windows = load_from_disk(str(prepared / "train"))
    start = prepared / "encoder"
    for number, targets in enumerate(_stages(recipe, windows), 1):
        trainer = _learn(recipe, start, targets, folder / f"stage-{number}")
        start = folder / f"stage-{number}" / "model"
        trainer.save_model(str(start))
    trainer.save_model(str(folder / "model"))
    metrics: dict[str, float] = trainer.evaluate(load_from_disk(str(prepared / "dev")))
    text = json.dumps(metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    return metrics


def _stages(recipe: Recipe, windows: Dataset) -> list[Dataset]:
    """Return the windows with the targets of each stage."""
    teacher = recipe.teacher
    if teacher is None:
        return [windows]
    soft = np.load(recipe.folder / "teach" / "soft.npy")
    return [with_soft_targets(windows, soft, share, teacher.soft_silver) for share in teacher.soft]


def _learn(recipe: Recipe, start: Path, windows: Dataset, folder: Path) -> MultiTaskTrainer:
    set_seed(recipe.seed)
    return fit(
        load_model(start),
        AutoTokenizer.from_pretrained(recipe.folder / "prepare" / "encoder"),
        labelled_windows(windows),
        folder,
        recipe.train,
        seed=recipe.seed,
        compute_metrics=window_metrics,
    )


def with_soft_targets(
    windows: Dataset, soft: NDArray[np.float32], gold: float, silver: float
) -> Dataset:
    """Mix what the teacher says into the windows' targets.

    Args:
        windows: The prepared windows.
        soft: The teacher's probabilities, shape ``[windows, outputs]``; NaN where it did not read
            the window, which keeps its labels then.
        gold: Share of the teacher in the target of a window that has a gold label.
        silver: The same where the label is silver.
    """
    targets = np.array(windows["targets"], dtype=np.float32)
    share = np.where(windows["silver"], silver, gold)
    mixed = mix_targets(targets, soft, share, np.array(windows["user"]))
    return windows.remove_columns("targets").add_column("targets", mixed.tolist())


def window_metrics(prediction: Any) -> dict[str, float]:
    """Return how well the windows' labels are ranked, as `transformers.Trainer` asks for it."""
    logits = prediction.predictions
    logits = logits["logits"] if isinstance(logits, dict) else logits
    emotional = OUTPUTS.index(EMOTIONAL)
    truth = np.asarray(prediction.label_ids)[:, emotional]
    known = ~np.isnan(truth)
    columns = {
        "predictions": np.asarray(logits)[known, emotional].astype(float),
        "references": truth[known].astype(int),
    }
    return {**AveragePrecision().compute(**columns), **Auroc().compute(**columns)}
