"""What the artifact costs: bytes, time, and what int8 changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, BertConfig, BertForSequenceClassification

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.data.sources import sha256
from training.evaluation.judged import Judged, estimate, proportion
from training.evaluation.metrics import share
from training.model.export import export_onnx

BATCH_TOKENS = 4096
TIMED_BATCHES = 12
REFERENCE = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
"""The encoder whose speed is the measure; its weights are random, which takes as long."""


def sizes(artifact: Artifact) -> dict[str, Any]:
    """Return the bytes of each file of an artifact and of all together."""
    files = {p.name: p.stat().st_size for p in sorted(artifact.folder.iterdir()) if p.is_file()}
    return {"files": files, "total": sum(files.values())}


def user_windows(judged: Sequence[Judged], encoder: WindowEncoder) -> list[EncodedWindow]:
    """Return the windows of the user's messages of the real transcripts.

    Args:
        judged: Dev conversations; those of the corpus count if none is real.
        encoder: Lays out and tokenizes them.
    """
    chosen = [j for j in judged if j.real] or judged
    conversations = [j.scored.labelled.conversation for j in chosen]
    return encoder.encode(conversations, assistant_targets=False)


def compare_precision(
    artifact: Artifact, windows: Sequence[EncodedWindow], int8: Engine, pad_id: int
) -> dict[str, Any]:
    """Compare the int8 ONNX with the fp16 safetensors run in fp32, window by window.

    Args:
        artifact: The artifact.
        windows: The windows to compare on.
        int8: Its int8 weights.
        pad_id: The padding token.

    Returns:
        The share of windows with the same label at ``balanced``, and the mean gap of P(emotional).
    """
    engines = (int8, load_engine(artifact, engine="torch", device="cpu"))
    emotional = artifact.outputs.index(EMOTIONAL)
    probabilities = np.zeros((2, len(windows)))
    for places, ids, mask in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id):
        for row, engine in enumerate(engines):
            probabilities[row, places] = sigmoid(engine.logits(ids, mask)[:, emotional])
    first, second = probabilities >= artifact.operating_points["balanced"].message
    return {
        "same_label": proportion(first == second),
        "mean_gap": estimate(share, np.abs(probabilities[0] - probabilities[1])),
    }


def speed(artifact: Artifact, windows: Sequence[EncodedWindow], pad_id: int) -> dict[str, Any]:
    """Time the artifact beside an encoder of six layers, 384 wide, with the same vocabulary.

    Both run as int8 under the engine for CPUs, batch by batch in turn. The other encoder computes
    every token in its last layer too, as an ordinary export does.

    Args:
        artifact: The artifact.
        windows: The windows to run; batches spread over their lengths are taken.
        pad_id: The padding token.

    Returns:
        How many times as fast the artifact is, and windows a second of each.
    """
    batches = list(token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id))
    batches = batches[:: max(1, len(batches) // TIMED_BATCHES)]
    with TemporaryDirectory() as folder:
        engines = (
            load_engine(artifact, engine="onnx", device="cpu"),
            _reference(artifact, Path(folder)),
        )
        for engine in engines:
            engine.logits(*batches[0][1:])
        seconds = np.array([[_seconds(e, ids, mask) for e in engines] for _, ids, mask in batches])
    counts = np.array([len(places) for places, _, _ in batches], float)
    own, other = seconds.T

    def rate(amount: NDArray[Any], seconds: NDArray[Any]) -> float:
        return float(amount.sum() / seconds.sum())

    return {
        "times_as_fast": estimate(rate, other, own),
        "windows_a_second": estimate(rate, counts, own),
        "reference_windows_a_second": estimate(rate, counts, other),
    }


def _reference(artifact: Artifact, folder: Path) -> Engine:
    vocabulary = AutoConfig.from_pretrained(artifact.folder).vocab_size
    torch.manual_seed(0)
    config = BertConfig(vocab_size=vocabulary, num_labels=len(OUTPUTS), **REFERENCE)
    path = folder / "model.int8.onnx"
    export_onnx(BertForSequenceClassification(config).eval(), path, every_token=True)
    return load_engine(
        replace(artifact, folder=folder, outputs=OUTPUTS, _hashes={path.name: sha256(path)}),
        engine="onnx",
        device="cpu",
    )


def _seconds(engine: Engine, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> float:
    began = time.perf_counter()
    engine.logits(ids, mask)
    return time.perf_counter() - began
