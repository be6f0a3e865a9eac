"""Third step: fine-tune the encoder on the windows, for charge, cues and themes at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, CUES, EMOTIONAL, OUTPUTS
from training.config import Recipe, TeacherSettings, TrainSettings
from training.evaluation.metrics import Auroc, AveragePrecision
from training.model.head import with_our_outputs

WEIGHT_DECAY = 0.01


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
        settings: Label smoothing, and the weights of the outputs.
    """
    known = ~torch.isnan(targets)
    smooth = targets.nan_to_num(0.5) * (1 - settings.label_smoothing)
    smooth = smooth + settings.label_smoothing / 2
    losses = binary_cross_entropy_with_logits(logits.float(), smooth, reduction="none")
    scale = torch.tensor([_weight(name, settings) for name in OUTPUTS], device=logits.device)
    return (losses * known * scale * weight[:, None]).sum() / len(logits)


def _weight(output: str, settings: TrainSettings) -> float:
    """Return the weight of an output's loss."""
    if output == EMOTIONAL:
        return 1.0
    if output in CHARGES:
        return settings.charge_weight
    return settings.cue_weight if output in CUES else settings.theme_weight


class _Collator(DataCollatorWithPadding):  # type: ignore[misc]
    """Pads windows to the longest of their batch; targets and weights stay as they are."""

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` (``[batch, length]``), targets and weights."""
        padded = super().__call__([{"input_ids": row["input_ids"]} for row in rows])
        return {
            **padded,
            "labels": torch.tensor([row["targets"] for row in rows], dtype=torch.float32),
            "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
        }


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
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        return self.optimizer


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
    start = deepcopy(model.state_dict())
    trainer = fit(recipe, recipe.train, model, tokenizer, windows, folder)
    average_weights(model, start, recipe.train.average)
    metrics: dict[str, float] = trainer.evaluate(load_from_disk(str(prepared / "dev")))
    trainer.save_model(str(folder / "model"))
    write_json(folder / "metrics.json", metrics)
    return metrics


def average_weights(
    model: PreTrainedModel, start: Mapping[str, torch.Tensor], share: float
) -> None:
    """Average a model's weights with those that training started from, in place.

    Args:
        model: The trained model.
        start: The weights that it started from.
        share: Share of the trained weights.
    """
    with torch.no_grad():
        for name, weights in model.state_dict().items():
            if weights.is_floating_point():
                weights.lerp_(start[name].to(weights), 1 - share)


def labelled_windows(windows: Dataset) -> Dataset:
    """Return the windows of which anything is known."""
    unknown = np.isnan(np.array(windows["targets"])).all(1)
    return windows.select(np.flatnonzero(~unknown))


def load_model(folder: Path) -> PreTrainedModel:
    """Load a model for training."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    with_our_outputs(model)
    return model


def fit(
    recipe: Recipe,
    settings: TrainSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    folder: Path,
) -> MultiTaskTrainer:
    """Train a model on windows, from the last checkpoint in the folder if there is one.

    Args:
        recipe: The recipe, for its seed.
        settings: How it is trained.
        model: The model.
        tokenizer: Its tokenizer, which is saved with it.
        windows: Columns ``input_ids, targets, weight, length``.
        folder: Where checkpoints go.

    Returns:
        The trainer, when it is done.
    """
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
        data_collator=_Collator(tokenizer),
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
    share = np.where(windows["silver"], teacher.soft_silver, teacher.soft)[:, None]
    mixed = np.where(np.isnan(targets), soft, (1 - share) * targets + share * soft)
    mixed = np.where(np.isnan(soft), targets, mixed)
    user = np.array(windows["user"])[:, None]
    of_user = np.array([output not in ASSISTANT_CUES for output in OUTPUTS])
    mixed = np.where(user == of_user, mixed, np.nan)
    return windows.remove_columns("targets").add_column("targets", mixed.tolist())


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
