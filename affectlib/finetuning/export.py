"""Fourth step: the artifact. fp16 safetensors, int8 ONNX, tokenizer, ``affect.json``.

The safetensors have one output more, for the pipelines of transformers (`training.model.head`).
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from affectlib.model.artifacts import FORMAT, with_digest
from affectlib.model.reference import Reference
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import OUTPUTS
from training.config import Recipe, base_model
from training.data.sources import sha256
from training.model.calibrate import Calibration
from training.model.encoder import write_tokenizer_config
from training.model.head import add_task, with_our_outputs
from training.model.quantize import quantize_embeddings, quantize_matrix_products

MODEL_FILES = ("config.json", "model.safetensors", "model.int8.onnx", "tokenizer.json")


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
    model.half()
    add_task(model)
    model.save_pretrained(folder)
    with_our_outputs(model)
    shutil.copy(model_folder / "tokenizer.json", folder / "tokenizer.json")
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    # Exported is what the fp16 file holds, so that both engines start from one set of weights.
    export_onnx(model.float().eval(), folder / "model.int8.onnx")
    description = describe(recipe, calibration, measured, reference)
    description["files"] = {name: sha256(folder / name) for name in MODEL_FILES}
    text = json.dumps(with_digest(description), indent=1, ensure_ascii=False)
    (folder / "affect.json").write_text(text + "\n", encoding="utf-8")


def fold_calibration(model: Any, calibration: Calibration) -> None:
    """Fold slope and intercept of each output into the head, in place."""
    slopes = torch.tensor(calibration.slopes, dtype=torch.float32)
    intercepts = torch.tensor(calibration.intercepts, dtype=torch.float32)
    with torch.no_grad():
        model.classifier.weight.mul_(slopes[:, None])
        model.classifier.bias.mul_(slopes).add_(intercepts)


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
        "base_model": base_model(recipe.encoder.path) or recipe.encoder.path,
        "outputs": list(OUTPUTS),
        "text_rules": TEXT_RULES,
        "windows": recipe.windows.to_dict(),
        "conversation": asdict(calibration.conversation),
        "prevalence": recipe.calibrate.prevalence,
        "operating_points": {
            name: {key: round(value, 6) for key, value in asdict(point).items()}
            for name, point in calibration.operating_points.items()
        },
        "cue_thresholds": {
            name: round(value, 6) for name, value in calibration.cue_thresholds.items()
        },
        "measured": dict(measured),
        "recipe": recipe.text(),
        **({} if reference is None else {"reference": reference.to_dict()}),
    }


def export_onnx(model: Any, path: Path, *, every_token: bool = False) -> None:
    """Write a model as ONNX in int8 (see `training.model.quantize`).

    Args:
        model: A sequence classifier in fp32 and in evaluation mode.
        path: The file to write.
        every_token: Compute every token in the last layer of a BERT too, although its head reads
            the first alone; for measuring what that costs.
    """
    float_file = path.with_suffix(".fp32.onnx")
    ids = torch.ones(2, 8, dtype=torch.long)
    axes = {0: "batch", 1: "sequence"}
    model.config._attn_implementation = "eager"
    first_alone = isinstance(model, BertForSequenceClassification) and not every_token
    logits = _LogitsOfFirst if first_alone else _Logits
    with warnings.catch_warnings():
        # The exporter warns of its own successor, and of constants that are meant to be constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            logits(model).eval(),
            (ids, torch.ones_like(ids)),
            str(float_file),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    graph = onnx.load(float_file)
    quantize_matrix_products(graph)
    quantize_embeddings(graph, model.get_input_embeddings().weight.detach().numpy())
    onnx.save(graph, path)
    float_file.unlink()


class _Logits(torch.nn.Module):
    """Maps two tensors to one, as the exporter wants it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _LogitsOfFirst(_Logits):
    """The same of a BERT, but the last layer computes the first token alone: the head reads it."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        bert = self.model.bert
        hidden = bert.embeddings(input_ids=input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        *layers, last = bert.encoder.layer
        for layer in layers:
            output = layer(hidden, mask)
            hidden = output[0] if isinstance(output, tuple) else output
        first = hidden[:, :1]
        attended = last.attention.output(_attend(last.attention.self, first, hidden, mask), first)
        logits: torch.Tensor = self.model.classifier(bert.pooler(last.feed_forward_chunk(attended)))
        return logits


def _attend(
    attention: Any, reader: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return what some tokens take from all, shape ``[batch, readers, width]``."""
    size = attention.attention_head_size

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], -1, size).transpose(1, 2)

    scores = heads(attention.query(reader)) @ heads(attention.key(hidden)).transpose(2, 3)
    shares = torch.softmax(scores / size**0.5 + mask, dim=-1)
    attended: torch.Tensor = shares @ heads(attention.value(hidden))
    return attended.transpose(1, 2).flatten(2)
