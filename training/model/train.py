"""Third step: fine-tune the encoder on the windows, for the label and the cues at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from affectlib.taxonomy import CUES, EMOTIONAL, OUTPUTS
from training.config import Recipe, TrainSettings
from training.evaluation.metrics import Auroc, AveragePrecision
from training.model.head import without_task


class WindowCollator:
    """Pads windows to the longest of their batch.

    Args:
        pad_id: The padding token.
    """

    def __init__(self, pad_id: int) -> None:
        """Keep the padding token."""
        self._pad_id = pad_id

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` (``[batch, length]``), targets and weights."""
        length = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), length), self._pad_id)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[i, : len(row["input_ids"])] = 1
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": torch.tensor([row["targets"] for row in rows], dtype=torch.float32),
            "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
        }


def multi_task_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    settings: TrainSettings,
) -> torch.Tensor:
    """Return the weighted cross entropy of the outputs whose target is known.

    Args:
        logits: Shape ``[batch, outputs]``.
        targets: Shape ``[batch, outputs]``; NaN where unknown.
        weight: Weight of each window, shape ``[batch]``.
        settings: Label smoothing, the weight of the cues against the label, and that of a cue
            that is shown against one that is not.
    """
    known = ~torch.isnan(targets)
    smooth = targets.nan_to_num(0.5) * (1 - settings.label_smoothing)
    smooth = smooth + settings.label_smoothing / 2
    positive = torch.full((len(OUTPUTS),), settings.cue_positive_weight, device=logits.device)
    positive[OUTPUTS.index(EMOTIONAL)] = 1.0
    losses = binary_cross_entropy_with_logits(
        logits.float(), smooth, reduction="none", pos_weight=positive
    )
    scale = torch.full((len(OUTPUTS),), settings.cue_weight, device=logits.device)
    scale[OUTPUTS.index(EMOTIONAL)] = 1.0
    return (losses * known * scale * weight[:, None]).sum() / len(logits)


class MultiTaskTrainer(Trainer):  # type: ignore[misc]
    """A `transformers.Trainer` with the multi-task loss and a faster head.

    Args:
        recipe_settings: The recipe's training settings.
        **kwargs: As for `transformers.Trainer`.
    """

    def __init__(self, recipe_settings: TrainSettings, **kwargs: Any) -> None:
        """Keep the settings of the loss."""
        super().__init__(**kwargs)
        self._settings = recipe_settings

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Return the loss of a batch, and the model's output if it is asked for."""
        targets, weight = inputs["labels"], inputs["weight"]
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = multi_task_loss(output.logits, targets, weight, self._settings)
        return (loss, {"logits": output.logits}) if return_outputs else loss

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Build AdamW with a learning rate of its own for the head."""
        head: list[torch.nn.Parameter] = []
        body: list[torch.nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            (head if "classifier" in name or "pooler" in name else body).append(parameter)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": body, "lr": self._settings.learning_rate},
                {"params": head, "lr": self._settings.head_learning_rate},
            ],
            weight_decay=self._settings.weight_decay,
            fused=True,
        )
        return self.optimizer


def train(recipe: Recipe) -> dict[str, float]:
    """Train the prepared encoder, or a student of the recipe's teachers, on the prepared windows.

    Goes on from the last checkpoint if an earlier run was stopped.

    Returns:
        Metrics on the dev windows of the corpus.
    """
    prepared, folder = recipe.folder / "prepare", recipe.folder / "train"
    set_seed(recipe.seed)
    windows = load_from_disk(str(prepared / "train"))
    if recipe.teachers:
        windows = with_soft_targets(windows, np.load(recipe.folder / "teach/soft.npy"), recipe)
    else:
        windows = labelled_windows(windows)
    model = load_model(prepared / "encoder")
    tokenizer = AutoTokenizer.from_pretrained(prepared / "encoder")
    others = [_relative(Path(other), model) for other in recipe.train.average_with]
    others = others or [deepcopy(model.state_dict())]
    trainer = fit(recipe, model, tokenizer, windows, folder)
    average_weights(model, others, recipe.train.average)
    metrics: dict[str, float] = trainer.evaluate(load_from_disk(str(prepared / "dev")))
    trainer.save_model(str(folder / "model"))
    write_json(folder / "metrics.json", metrics)
    return metrics


def _relative(folder: Path, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return an artifact's weights, which must have the names and shapes of the model's."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"train.average_with: there is no model in {folder}")
    weights: dict[str, torch.Tensor] = load_model(folder).state_dict()
    shapes, own = ({n: w.shape for n, w in x.items()} for x in (weights, model.state_dict()))
    if shapes != own:
        raise ValueError(
            f"train.average_with: the weights in {folder} have other shapes than the model that is "
            "trained; average it with artifacts of the same encoder and vocabulary"
        )
    return weights


def average_weights(
    model: PreTrainedModel, others: Sequence[Mapping[str, torch.Tensor]], share: float
) -> None:
    """Average a model's weights with others of the same shapes, in place.

    Args:
        model: The trained model.
        others: Weights of other models, which have equal shares.
        share: Share of the trained weights.
    """
    with torch.no_grad():
        for name, weights in model.state_dict().items():
            if weights.is_floating_point():
                rest = torch.stack([other[name].to(weights) for other in others]).mean(0)
                weights.lerp_(rest, 1 - share)


def labelled_windows(windows: Dataset) -> Dataset:
    """Return the windows that have any label; the others are for the students of teachers."""
    unknown = np.isnan(np.array(windows["targets"])).all(1)
    return windows.select(np.flatnonzero(~unknown))


def load_model(folder: Path) -> PreTrainedModel:
    """Load a model for training."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    without_task(model)
    return model


def fit(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    folder: Path,
) -> MultiTaskTrainer:
    """Train a model on windows, from the last checkpoint in the folder if there is one.

    Args:
        recipe: The recipe, for its seed and its training settings.
        model: The model.
        tokenizer: Its tokenizer, which is saved with it.
        windows: Columns ``input_ids, targets, weight, length``.
        folder: Where checkpoints go.

    Returns:
        The trainer, when it is done.
    """
    settings = recipe.train
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=64,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        bf16=has_bf16(),
        use_cpu=not torch.cuda.is_available(),
        max_grad_norm=1.0,
        logging_steps=50,
        save_steps=settings.save_steps,
        save_total_limit=2,
        eval_strategy="no",
        seed=recipe.seed,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        disable_tqdm=True,
        label_names=["labels"],
    )
    trainer = MultiTaskTrainer(
        settings,
        model=model,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=windows,
        data_collator=WindowCollator(tokenizer.pad_token_id),
        compute_metrics=_window_metrics,
    )
    checkpoint = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


@cache
def has_bf16() -> bool:
    """Return whether the device multiplies matrices faster in bf16 than in fp32.

    It is tried out on CPUs: some that have bf16 instructions take twice as long with them.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return _product_time(torch.bfloat16) < _product_time(torch.float32)


def _product_time(dtype: torch.dtype) -> float:
    """Return the seconds that a product of two matrices takes at best."""
    a, b = torch.ones(1024, 768, dtype=dtype), torch.ones(768, 768, dtype=dtype)
    times = []
    for _ in range(8):
        begin = perf_counter()
        torch.mm(a, b)
        times.append(perf_counter() - begin)
    return min(times)


def with_soft_targets(windows: Dataset, soft: NDArray[np.float32], recipe: Recipe) -> Dataset:
    """Mix what the teachers say into the windows' targets.

    Args:
        windows: The prepared windows.
        soft: Probabilities of the teachers, shape ``[windows, outputs]``; NaN where no teacher
            reads the window, which keeps its labels then.
        recipe: The recipe, for how much the teachers count.
    """
    targets = np.array(windows["targets"], dtype=np.float32)
    share = np.where(windows["silver"], recipe.student.soft_silver, recipe.student.soft)[:, None]
    mixed = np.where(np.isnan(targets), soft, (1 - share) * targets + share * soft)
    mixed = np.where(np.isnan(soft), targets, mixed)
    roles = np.array(windows["user"])[:, None] == np.array([_is_of_user(o) for o in OUTPUTS])
    mixed = np.where(roles, mixed, np.nan)
    return windows.remove_columns("targets").add_column("targets", mixed.tolist())


def _is_of_user(output: str) -> bool:
    return output == EMOTIONAL or CUES[output].unit == "user"


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _window_metrics(prediction: Any) -> dict[str, float]:
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
