"""Between preparing and training, if the recipe has a teacher: a deeper model that is learnt from.

Method: Hinton, Vinyals and Dean 2015, for independent binary outputs; the student starts from
layers of its teacher, as in DistilBERT (Sanh et al. 2019).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_from_disk
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from training.config import Recipe
from training.train import WindowCollator, fit_encoder

BATCH = 64


def distil(recipe: Recipe) -> dict[str, Any]:
    """Train the teacher, write the student's first weights and its windows with mixed targets.

    Returns:
        The teacher's metrics on the dev windows of the corpus; nothing if there is no teacher.
    """
    if recipe.teacher is None:
        return {}
    prepared, folder = recipe.folder / "prepare", recipe.folder / "teacher"
    metrics = fit_encoder(
        prepared / "encoder",
        prepared / "train",
        prepared / "dev",
        recipe.teacher.train,
        folder,
        recipe.seed,
    )
    teacher = AutoModelForSequenceClassification.from_pretrained(
        folder / "model", dtype=torch.float32
    ).eval()
    windows = load_from_disk(str(prepared / "train"))
    soft = _probabilities(teacher, windows)
    targets = mix_targets(np.array(windows["targets"]), soft, recipe.teacher.weight)
    windows = windows.remove_columns("targets").add_column("targets", targets.tolist())
    windows.save_to_disk(str(folder / "windows"))
    _write_student(teacher, recipe.teacher.student_layers, prepared / "encoder", folder / "student")
    return metrics


def mix_targets(gold: NDArray[Any], soft: NDArray[Any], weight: float) -> NDArray[Any]:
    """Mix labels with the teacher's probabilities; what is unknown stays unknown.

    Args:
        gold: Targets, shape ``[windows, outputs]``; NaN where unknown.
        soft: The teacher's probabilities, of the same shape.
        weight: Share of the probabilities.
    """
    mixed: NDArray[Any] = (1 - weight) * gold + weight * soft
    return mixed


def _probabilities(teacher: Any, windows: Any) -> NDArray[np.float32]:
    """Return the probabilities of each window, shape ``[windows, outputs]``."""
    collate = WindowCollator(teacher.config.pad_token_id)
    order = np.argsort(windows["length"])
    result = np.zeros((len(windows), teacher.config.num_labels), dtype=np.float32)
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        batch = collate([windows[int(row)] for row in rows])
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            output = teacher(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        result[rows] = torch.sigmoid(output.logits.float()).numpy()
    return result


def _write_student(teacher: Any, layers: tuple[int, ...], encoder: Path, folder: Path) -> None:
    kept = [teacher.base_model.encoder.layer[layer] for layer in layers]
    teacher.base_model.encoder.layer = torch.nn.ModuleList(kept)
    teacher.config.num_hidden_layers = len(layers)
    teacher.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(encoder / name, folder / name)
