"""The files of a model: fp16 safetensors, int8 ONNX, ``affect.json``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectlib._extras import requires_extra
from affectlib.finetuning.quantize import quantize_embeddings, quantize_matrix_products
from affectlib.model.artifacts import MANIFEST, sha256, with_digest
from affectlib.model.engines.torch import WindowReader

with requires_extra("train"):
    import onnx
    import torch

__all__ = ["INT8", "MODEL_FILES", "export_float", "export_onnx", "write_manifest", "write_weights"]

INT8 = "model.int8.onnx"
MODEL_FILES = ("config.json", "model.safetensors", INT8, "tokenizer.json")


def write_weights(model: Any, folder: Path) -> None:
    """Write a model's configuration and weights: half precision for transformers, int8 for CPUs.

    The weights of `model`, a sequence classifier, are rounded to half precision.
    """
    model.half()
    model.save_pretrained(folder)
    # Exported is what the fp16 file holds, so that both engines start from one set of weights.
    export_onnx(model.float().eval(), folder / INT8)


def write_manifest(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``affect.json``: a description, and the hashes of the files that lie in a folder."""
    files = {name: sha256(folder / name) for name in MODEL_FILES}
    values = with_digest({**description, "files": files})
    text = json.dumps(values, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def export_onnx(model: Any, path: Path) -> None:
    """Write a model as ONNX in int8 (see `affectlib.finetuning.quantize`).

    Args:
        model: A sequence classifier in fp32 and in evaluation mode.
        path: The file to write.
    """
    float_file = path.with_suffix(".fp32.onnx")
    export_float(model, float_file)
    graph = onnx.load(float_file)
    quantize_matrix_products(graph)
    quantize_embeddings(graph, model.get_input_embeddings().weight.detach().numpy())
    onnx.save(graph, path)
    float_file.unlink()


def export_float(model: Any, path: Path) -> None:
    """Write a model as ONNX in fp32; see `export_onnx`."""
    ids, turns = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 3, 8)
    axes = {0: "batch", 1: "sequence"}
    model.config._attn_implementation = "eager"
    with warnings.catch_warnings():
        # The exporter warns of its own successor, and of constants that are meant to be constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            WindowReader(model).eval(),
            (ids, torch.ones_like(ids), turns),
            str(path),
            input_names=["input_ids", "attention_mask", "turns"],
            output_names=["logits"],
            dynamic_axes={
                "input_ids": axes,
                "attention_mask": axes,
                "turns": {0: "batch", 1: "messages", 2: "sequence"},
                "logits": {0: "batch", 1: "messages"},
            },
            opset_version=17,
            dynamo=False,
        )
