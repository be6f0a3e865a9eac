"""What the artifact costs: bytes, and what int8 changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import token_batches
from affectlib.model.engines import load_engine
from affectlib.taxonomy import EMOTIONAL
from training.evaluation.judged import Judged, Reader
from training.evaluation.metrics import estimate, proportion, share

BATCH_TOKENS = 4096


def sizes(artifact: Artifact) -> dict[str, Any]:
    """Return the bytes of each file of an artifact and of all together."""
    files = {p.name: p.stat().st_size for p in sorted(artifact.folder.iterdir()) if p.is_file()}
    return {"files": files, "total": sum(files.values())}


def compare_precision(
    artifact: Artifact, judged: Sequence[Judged], reader: Reader
) -> dict[str, Any]:
    """Compare the int8 ONNX with the fp16 safetensors run in fp32, on windows of dev chats.

    They are those of the user's messages of the shared logs; of the corpus without them.

    Returns:
        The share of windows with the same label at ``balanced``, and the mean gap of P(emotional).
    """
    chosen = [j for j in judged if j.from_logs] or judged
    windows = reader.windows([j.conversation for j in chosen])
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

