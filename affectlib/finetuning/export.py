"""The files of a model: fp16 safetensors, int8 ONNX, ``affect.json``.

The safetensors have another head, for the pipelines of transformers (`affectlib.finetuning.head`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectlib._extras import requires_extra
from affectlib.finetuning.head import add_task
from affectlib.finetuning.quantize import quantize_embeddings, quantize_matrix_products
from affectlib.model.artifacts import MANIFEST, sha256, with_digest
from affectlib.model.engines.torch import drop_task

with requires_extra("train"):
    import onnx
    import torch
    from transformers import BertForSequenceClassification

__all__ = ["INT8", "MODEL_FILES", "export_onnx", "write_manifest", "write_weights"]

INT8 = "model.int8.onnx"
MODEL_FILES = ("config.json", "model.safetensors", INT8, "tokenizer.json")


def write_weights(model: Any, folder: Path) -> None:
    """Write a model's configuration and weights: half precision for transformers, int8 for CPUs.

    Args:
        model: A sequence classifier; its weights are in half precision afterwards.
        folder: Where they go.
    """
    model.half()
    add_task(model)
    model.save_pretrained(folder)
    drop_task(model)
    # Exported is what the fp16 file holds, so that both engines start from one set of weights.
    export_onnx(model.float().eval(), folder / INT8)


def write_manifest(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``affect.json``, with the hashes of the files that lie in a folder.

    Args:
        folder: Where the model's files are.
        description: What else it says.
    """
    files = {name: sha256(folder / name) for name in MODEL_FILES}
    values = with_digest({**description, "files": files})
    text = json.dumps(values, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def export_onnx(model: Any, path: Path, *, every_token: bool = False) -> None:
    """Write a model as ONNX in int8 (see `affectlib.finetuning.quantize`).

    Args:
        model: A sequence classifier in fp32 and in evaluation mode.
        path: The file to write.
        every_token: Compute every token in the last layer of a BERT too, although its head reads
            only the first; for measuring what that costs.
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
    """The same of a BERT, but the last layer computes only the first token: the head reads it."""

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
