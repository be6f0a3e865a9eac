"""Third step: fine-tune the encoder on the windows, for charge, cues and themes at once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from transformers import AutoTokenizer, set_seed

from affectlib.finetuning.trainer import (
    fit,
    labelled_windows,
    load_model,
    mix_targets,
)
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.config import Recipe, TeacherSettings
from training.evaluation.metrics import Auroc, AveragePrecision


def train(recipe: Recipe) -> dict[str, float]:
    """Train the prepared encoder on the prepared windows, and on what the teacher says of them.

    Goes on from the last checkpoint if an earlier run was stopped.

    Returns:
        Metrics on the dev windows of the corpus.
    """
    prepared, folder = recipe.folder / "prepare", recipe.folder / "train"
    set_seed(recipe.seed)
    windows = load_from_disk(str(prepared / "train"))
    if recipe.teacher is not None:
        soft = np.load(recipe.folder / "teach" / "soft.npy")
        windows = with_soft_targets(windows, soft, recipe.teacher)
    windows = labelled_windows(windows)
    model = load_model(prepared / "encoder")
    tokenizer = AutoTokenizer.from_pretrained(prepared / "encoder")
    trainer = fit(
        model,
        tokenizer,
        windows,
        folder,
        recipe.train,
        seed=recipe.seed,
        compute_metrics=window_metrics,
    )
    metrics: dict[str, float] = trainer.evaluate(load_from_disk(str(prepared / "dev")))
    trainer.save_model(str(folder / "model"))
    text = json.dumps(metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    return metrics


def with_soft_targets(
    windows: Dataset, soft: NDArray[np.float32], teacher: TeacherSettings
) -> Dataset:
    """Mix what the teacher says into the windows' targets.

    Args:
        windows: The prepared windows.
        soft: The teacher's probabilities, shape ``[windows, outputs]``; NaN where it did not read
            the window, which keeps its labels then.
        teacher: How much it counts.
    """
    targets = np.array(windows["targets"], dtype=np.float32)
    share = np.where(windows["silver"], teacher.soft_silver, teacher.soft)
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
