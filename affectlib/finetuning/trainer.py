"""Training: windows with targets in, weights out, for charge, cues and themes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib.finetuning.head import with_outputs
from affectlib.finetuning.settings import TrainSettings
from affectlib.model.encoding import EncodedWindow, token_batches
from affectlib.model.engines.torch import outputs_of
from affectlib.taxonomy import ASSISTANT_CUES, EMOTIONAL, OUTPUTS, THEMES

with requires_extra("train"):
    import torch
    from datasets import Dataset
    from torch.nn.functional import binary_cross_entropy_with_logits
    from torch.utils.data import Sampler
    from transformers import (
        AutoModelForSequenceClassification,
        DataCollatorWithPadding,
        PreTrainedModel,
        PreTrainedTokenizerBase,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers.trainer_utils import get_last_checkpoint

__all__ = [
    "MultiTaskTrainer",
    "average_weights",
    "fit",
    "freeze_layers",
    "has_bf16",
    "labelled_windows",
    "load_model",
    "mix_targets",
    "multi_task_loss",
    "window_logits",
]

OTHER_WEIGHT = 0.5
"""Weight of the loss of a cue and of a charge; that of the label and of a theme has weight 1."""
WEIGHT_DECAY = 0.01
ALIKE = 50
"""Batches among whose windows those of like length are put together."""
BATCH_TOKENS = 8192


def multi_task_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    smoothing: float,
    outputs: Sequence[str] = OUTPUTS,
) -> torch.Tensor:
    """Return the weighted cross entropy of the outputs whose target is known.

    Args:
        logits: Shape ``[batch, outputs]``.
        targets: Shape ``[batch, outputs]``; NaN where unknown.
        weight: Weight of each window, shape ``[batch]``.
        smoothing: How much of each target is spread over both classes.
        outputs: Names of the outputs.
    """
    known = ~torch.isnan(targets)
    smooth = targets.nan_to_num(0.5) * (1 - smoothing) + smoothing / 2
    losses = binary_cross_entropy_with_logits(logits.float(), smooth, reduction="none")
    full = [name == EMOTIONAL or name in THEMES for name in outputs]
    scale = torch.tensor([1.0 if x else OTHER_WEIGHT for x in full], device=logits.device)
    return (losses * known * scale * weight[:, None]).sum() / len(logits)


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
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = multi_task_loss(
            output.logits, targets, weight, self._settings.label_smoothing, self._outputs
        )
        return (loss, {"logits": output.logits}) if return_outputs else loss

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
        windows: Columns ``input_ids, targets, weight, length``.
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
        data_collator=_Collator(tokenizer),
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


def labelled_windows(windows: Dataset) -> Dataset:
    """Return the windows of which anything is known."""
    unknown = np.isnan(np.array(windows["targets"])).all(1)
    return windows.select(np.flatnonzero(~unknown))


def mix_targets(
    targets: NDArray[np.floating[Any]],
    soft: NDArray[np.floating[Any]],
    share: NDArray[np.floating[Any]],
    user: NDArray[np.bool_],
    outputs: Sequence[str] = OUTPUTS,
) -> NDArray[np.floating[Any]]:
    """Mix labels with what a teacher says; where there is no label, only the teacher counts.

    Args:
        targets: What the labels say, NaN where they say nothing, shape ``[windows, outputs]``.
        soft: The teacher's probabilities, NaN where it did not read the window; same shape.
        share: Share of the teacher where there is a label, shape ``[windows]``.
        user: Whether each window is of a message of the user, whose outputs are not those of the
            assistant's messages; shape ``[windows]``.
        outputs: Names of the outputs.

    Returns:
        The targets, NaN where an output does not apply or neither says anything.
    """
    part = share[:, None]
    mixed = np.where(np.isnan(targets), soft, (1 - part) * targets + part * soft)
    mixed = np.where(np.isnan(soft), targets, mixed)
    of_user = np.array([output not in ASSISTANT_CUES for output in outputs])
    return np.asarray(np.where(user[:, None] == of_user, mixed, np.nan))


def window_logits(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    *,
    report: Callable[[float], None] | None = None,
) -> NDArray[np.float64]:
    """Return a model's logits of windows, shape ``[windows, outputs]``.

    Args:
        model: The model, which no longer learns afterwards.
        rows: The token ids of each window.
        report: Told after each batch how much is done, from 0 to 1.
    """
    model.eval()
    kind = model.device.type

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        ids_there, mask_there = (torch.from_numpy(x).to(model.device) for x in (ids, mask))
        logits = model(input_ids=ids_there, attention_mask=mask_there).logits
        return np.asarray(logits.float().cpu())

    with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=has_bf16()):
        return logits_by(run, rows, model.config.pad_token_id, report=report)


def logits_by(
    run: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]],
    rows: Sequence[Sequence[int]],
    pad_id: int,
    *,
    max_tokens: int = BATCH_TOKENS,
    report: Callable[[float], None] | None = None,
) -> NDArray[np.float64]:
    """Return the logits of windows, shape ``[windows, outputs]``.

    Windows that are alike are computed once.

    Args:
        run: Computes the logits of a batch from its token ids and attention mask.
        rows: The token ids of each window; one at least.
        pad_id: The padding token.
        max_tokens: Tokens of a batch at most.
        report: Told after each batch how much is done, from 0 to 1.
    """
    numbers: dict[tuple[int, ...], int] = {}
    places_of = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
    windows = [EncodedWindow(0, 0, np.array(row, dtype=np.int32), 0) for row in numbers]
    found: list[NDArray[np.float32]] = []
    order: list[int] = []
    for places, ids, mask in token_batches(windows, max_tokens=max_tokens, pad_id=pad_id):
        found.append(run(ids, mask))
        order += places.tolist()
        if report is not None:
            report(len(order) / len(windows))
    return np.concatenate(found).astype(np.float64)[np.argsort(order)[places_of]]


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
