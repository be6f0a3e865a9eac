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

from affectlib.finetuning.export import export_onnx
from affectlib.model.artifacts import Artifact, sha256
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import EncodedWindow, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.evaluation.judged import Judged, Reader
from training.evaluation.metrics import estimate, proportion, share

BATCH_TOKENS = 4096
TIMED_BATCHES = 12


def sizes(artifact: Artifact) -> dict[str, Any]:
    """Return the bytes of each file of an artifact and of all together."""
    files = {p.name: p.stat().st_size for p in sorted(artifact.folder.iterdir()) if p.is_file()}
    return {"files": files, "total": sum(files.values())}


def _user_windows(judged: Sequence[Judged], reader: Reader) -> list[EncodedWindow]:
    """Return the windows of the user's messages of the shared logs; of the corpus without them."""
    chosen = [j for j in judged if j.from_logs] or judged
    return reader.windows([j.conversation for j in chosen])


def compare_precision(
    artifact: Artifact, judged: Sequence[Judged], reader: Reader
) -> dict[str, Any]:
    """Compare the int8 ONNX with the fp16 safetensors run in fp32, on windows of dev chats.

    Returns:
        The share of windows with the same label at ``balanced``, and the mean gap of P(emotional).
    """
    windows = _user_windows(judged, reader)
    engines = (reader.engine, load_engine(artifact, engine="torch", device="cpu"))
    emotional, line = artifact.outputs.index(EMOTIONAL), artifact.recalibration
    probabilities = np.zeros((2, len(windows)))
    pad_id = reader.encoder.pad_id
    for places, ids, mask in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id):
        for row, engine in enumerate(engines):
            z = line.intercept + line.slope * engine.logits(ids, mask)[:, emotional]
            probabilities[row, places] = sigmoid(z)
    first, second = probabilities >= artifact.operating_points["balanced"].message
    return {
        "same_label": proportion(first == second),
        "mean_gap": estimate(share, np.abs(probabilities[0] - probabilities[1])),
    }


def speed(artifact: Artifact, judged: Sequence[Judged], reader: Reader) -> dict[str, Any]:
    """Time the artifact beside an encoder of six layers, 384 wide, with the same vocabulary.

    Both run as int8 under the engine for CPUs, batch by batch in turn. The other encoder computes
    every token in its last layer too, as an ordinary export does. Batches of windows of dev chats,
    spread over their lengths, are taken.

    Returns:
        How many times as fast the artifact is, and windows a second of each.
    """
    windows, pad_id = _user_windows(judged, reader), reader.encoder.pad_id
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
    config = BertConfig(
        vocab_size=vocabulary,
        num_labels=len(OUTPUTS),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    )
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
