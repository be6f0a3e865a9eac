"""A screen for the tiny artifact, which settles every chat whose user says no charged word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from affectlib.model.artifacts import load_artifact
from affectlib.model.screen import made_from
from affectlib.taxonomy import CUES, EMOTIONAL, OUTPUTS, THEMES
from tests.conftest import WORD_LOGITS, build_tokenizer, write_manifest

CHARGED = [word for word in WORD_LOGITS if word != "csv"]
LIMITS = dict.fromkeys((EMOTIONAL, *CUES, *THEMES), -2.0)
PLAIN = -4.0
"""The logit that it gives all outputs."""


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    """A screen that is sure of every window in which the user says no charged word."""
    tokenizer = build_tokenizer()
    nothing = np.zeros((tokenizer.get_vocab_size(), 1), np.int8)
    words = nothing.copy()
    words[[tokenizer.token_to_id(word) for word in CHARGED]] = 100
    return {
        "before": nothing,
        "here": words,
        "after": nothing,
        "pairs": np.zeros((8, 1), np.int8),
        "context": nothing,
        "bias": np.zeros(1, np.int16),
        "scale": np.full(1, 0.01, np.float32),
        "context.scale": np.full(1, 0.01, np.float32),
        "hidden.weight": np.array([[1], [0], [0], [0], [0]], np.float32),
        "hidden.bias": np.zeros(1, np.float32),
        "out.weight": np.array([[0] * len(OUTPUTS) + [1]], np.float32),
        "out.bias": np.array([PLAIN] * len(OUTPUTS) + [0], np.float32),
    }


def write_screen(folder: Path, **changes: Any) -> None:
    """Write a screen for an artifact as safetensors has it, and list it."""
    write_manifest(folder)
    facts = {
        "made_from": made_from(load_artifact(folder)),
        "limits": LIMITS,
        "bound": 0.01,
        **changes,
    }
    header: dict[str, Any] = {"__metadata__": {"screen": json.dumps(facts)}}
    body = b""
    kinds = {"int8": "I8", "int16": "I16", "float32": "F32"}
    for name, values in tensors().items():
        place = [len(body), len(body) + values.nbytes]
        kind = kinds[str(values.dtype)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": place}
        body += values.tobytes()
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + body
    (folder / "screen.safetensors").write_bytes(content)
    write_manifest(folder)
