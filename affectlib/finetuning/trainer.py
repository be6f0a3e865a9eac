"""Training: windows with targets in, weights out, for charge, cues and themes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib.finetuning.head import with_outputs
from affectlib.finetuning.settings import TrainSettings
from affectlib.model.encoding import NO_TURN, EncodedWindow, pad
from affectlib.model.engines import Floats, Ids
from affectlib.model.engines.torch import WindowReader, outputs_of
from affectlib.taxonomy import EMOTIONAL, OUTPUTS, THEMES

with requires_extra("train"):
    import torch
    from datasets import Dataset
    from torch.nn.functional import binary_cross_entropy_with_logits
    from torch.utils.data import Sampler
    from transformers import (
        AutoModelForSequenceClassification,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers.trainer_utils import get_last_checkpoint

__all__ = [
    "ModelEngine",
    "MultiTaskTrainer",
    "average_weights",
    "fit",
    "freeze_layers",
    "has_bf16",
    "load_model",
    "mix_targets",
    "multi_task_loss",
]

OTHER_WEIGHT = 0.5
"""Weight of the loss of a cue and of a charge; that of the label and of a theme has weight 1."""
WEIGHT_DECAY = 0.01
ALIKE = 50
"""Batches among whose windows those of like length are put together."""
MULTIPLE = 16
"""What the length of a batch is padded to a multiple of: products of such sizes are faster."""


def multi_task_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    smoothing: float,
    outputs: Sequence[str] = OUTPUTS,
) -> torch.Tensor:
    """Return the weighted cross entropy of the outputs whose target is known.

    A window counts once by itself, and once by the mean of its messages.

    Args:
        logits: Of each window, then of its messages, shape ``[batch, 1 + messages, outputs]``.
        targets: The same shape; NaN where unknown.
        weight: Weight of each window, shape ``[batch]``.
        smoothing: How much of each target is spread over both classes.
        outputs: Names of the outputs.
    """
    known = ~torch.isnan(targets)
    smooth = targets.nan_to_num(0.5) * (1 - smoothing) + smoothing / 2
    losses = binary_cross_entropy_with_logits(logits.float(), smooth, reduction="none")
    full = [name == EMOTIONAL or name in THEMES for name in outputs]
    scale = torch.tensor([1.0 if x else OTHER_WEIGHT for x in full], device=logits.device)
    found = (losses * known * scale).sum(2)
    messages = known[:, 1:].any(2).sum(1).clamp(min=1)
    return ((found[:, 0] + found[:, 1:].sum(1) / messages) * weight).mean()


class _Collator:
    """Pads windows to the longest of their batch; unknown targets are NaN."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return what `WindowReader` takes, with targets and weights."""
        windows = [_window(row) for row in rows]
        batch = pad(windows, range(len(windows)), self._pad_id, MULTIPLE)
        width = len(rows[0]["targets"][0])
        targets = np.full((len(rows), 1 + batch.turns.shape[1], width), np.nan, np.float32)
        for place, row in enumerate(rows):
            targets[place, : len(row["targets"])] = row["targets"]
        return {
            "input_ids": torch.from_numpy(batch.ids),
            "attention_mask": torch.from_numpy(batch.mask),
            "turns": torch.from_numpy(batch.turns),
            "labels": torch.from_numpy(targets),
            "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
        }


def _window(row: Mapping[str, Any]) -> EncodedWindow:
    """Return a row's window, of which training needs tokens and turns only."""
    ids, turns = (np.asarray(row[name], dtype=np.int32) for name in ("input_ids", "turns"))
    places = tuple(range(len(row["targets"]) - 1))
    return EncodedWindow(ids, turns, places, (), turns == NO_TURN)


class BatchSampler(Sampler[int]):
    """Draws batches of windows of like length in random order, another one in each epoch.

    The sampler of `transformers` for this has batches of like length follow each other, and after
    a stop in a later epoch draws the order of the first one.

    Args:
        lengths: Tokens of each window.
        batch_size: Windows of a batch.
        seed: Seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Begin with the first epoch."""
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is drawn, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield the places of the windows, one batch after the other."""
        rng = np.random.default_rng((self._seed, self._epoch))
        order = rng.permutation(len(self))
        near = self._batch_size * ALIKE
        groups = (order[start : start + near] for start in range(0, len(order), near))
        ordered = np.concatenate([g[np.argsort(-self._lengths[g], kind="stable")] for g in groups])
        size = self._batch_size
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        # The last batch may have fewer windows, and stays the last.
        for place in [*rng.permutation(len(batches) - 1), len(batches) - 1]:
            yield from batches[place].tolist()


class MultiTaskTrainer(Trainer):  # type: ignore[misc]
    """A `transformers.Trainer` with the multi-task loss, a faster head and a `BatchSampler`.

    Args:
        train_settings: How it is trained.
        **kwargs: As for `transformers.Trainer`.
    """

    def __init__(self, train_settings: TrainSettings, **kwargs: Any) -> None:
        """Keep the settings of the loss."""
        super().__init__(**kwargs)
        self._settings = train_settings
        self._outputs = outputs_of(self.model)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Return the loss of a batch, and the model's output if it is asked for."""
        targets, weight = inputs["labels"], inputs["weight"]
        reader = WindowReader(model)
        # The trainer sets the precision of a model's own forward pass, which is not called here.
        with self.accelerator.autocast():
            logits = reader(inputs["input_ids"], inputs["attention_mask"], inputs["turns"])
        loss = multi_task_loss(
            logits, targets, weight, self._settings.label_smoothing, self._outputs
        )
        return (loss, {"logits": logits}) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> BatchSampler:
        windows = self.train_dataset if train_dataset is None else train_dataset
        return BatchSampler(windows["length"], self.args.train_batch_size, self.args.seed)

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


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Says how much is done."""

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._report(state.global_step / state.max_steps)


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    folder: Path,
    settings: TrainSettings,
    *,
    seed: int,
    report: Callable[[float], None] | None = None,
) -> MultiTaskTrainer:
    """Train a model on windows, from the last checkpoint in the folder if there is one.

    Args:
        model: The model.
        tokenizer: Its tokenizer, which is saved with it.
        windows: Columns ``input_ids``, ``turns`` (see `EncodedWindow`), ``targets`` (of the window,
            then of its messages), ``weight`` and ``length``.
        folder: Where checkpoints go.
        settings: How it is trained.
        seed: Seed of the order of the windows, and of dropout.
        report: Told after each step how much is done, from 0 to 1; there are no checkpoints then,
            and nothing is printed.

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
        bf16=has_bf16(),
        use_cpu=not torch.cuda.is_available(),
        max_grad_norm=1.0,
        logging_steps=50,
        save_strategy="steps" if report is None else "no",
        save_steps=settings.save_steps,
        save_total_limit=2,
        eval_strategy="no",
        seed=seed,
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
        data_collator=_Collator(tokenizer.pad_token_id),
    )
    if report is not None:
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Steps(report))
    checkpoint = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def load_model(folder: Path, outputs: Sequence[str] = OUTPUTS) -> PreTrainedModel:
    """Load a model for training.

    Args:
        folder: Where it is.
        outputs: The outputs that it gets; see `affectlib.finetuning.head.with_outputs`.
    """
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    with_outputs(model, outputs)
    return model


def freeze_layers(model: PreTrainedModel, number: int) -> None:
    """Keep a model's embeddings and its lowest layers from learning, in place; 0 for none."""
    if not number:
        return
    body = model.base_model
    for part in (body.embeddings, *body.encoder.layer[:number]):
        part.requires_grad_(False)


def average_weights(
    model: PreTrainedModel, start: Mapping[str, torch.Tensor], share: float
) -> None:
    """Average a model's weights with those that training started from, in place.

    This keeps some of what these knew (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
    models").

    Args:
        model: The trained model.
        start: The weights that it started from.
        share: Share of the trained weights.
    """
    with torch.no_grad():
        for name, weights in model.state_dict().items():
            if weights.is_floating_point():
                weights.lerp_(start[name].to(weights), 1 - share)


def mix_targets(
    targets: NDArray[np.floating[Any]], soft: NDArray[np.floating[Any]], share: float
) -> NDArray[np.floating[Any]]:
    """Mix labels with what a teacher says; where there is no label, only the teacher counts.

    Args:
        targets: What the labels say, NaN where they say nothing, of any shape.
        soft: The teacher's probabilities, NaN where it says nothing; same shape.
        share: Share of the teacher where there is a label.
    """
    mixed = np.where(np.isnan(targets), soft, (1 - share) * targets + share * soft)
    return np.asarray(np.where(np.isnan(soft), targets, mixed))


@dataclass(frozen=True)
class ModelEngine:
    """Runs a model that is in memory; see `affectlib.model.engines.Engine`."""

    model: Any
    name: str = "torch"
    device: str = "cpu"

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch of windows."""
        device = self.model.device
        given = (torch.from_numpy(x).to(device) for x in (input_ids, attention_mask, turns))
        half = torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bf16())
        with torch.inference_mode(), half:
            return np.asarray(WindowReader(self.model.eval())(*given).float().cpu())


@cache
def has_bf16() -> bool:
    """Return whether the device has instructions for bf16, which are several times as fast."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
