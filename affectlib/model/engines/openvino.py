"""Another engine for CPUs: the artifact's weights in bf16 under OpenVINO.

It pays only on processors that multiply bf16 in hardware (AMX). It reads the weights
through transformers, so it takes longer to load than the onnx engine, and needs torch.
"""

from __future__ import annotations

import warnings
from threading import local
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from affectlib._extras import requires_extra, without_openvino_reports
from affectlib.model.engines.cores import count_cores

with requires_extra("openvino"):
    with without_openvino_reports():
        import openvino
    import torch

    from affectlib.model.engines.torch import WindowReader, load_model

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["OpenVinoEngine"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


class OpenVinoEngine:
    """Runs an artifact's weights on the CPU, in bf16 where the processor has it.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> OpenVinoEngine(load_artifact("affect-small")).name
        'openvino'
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        """Load the model and compile it."""
        options = {
            "INFERENCE_NUM_THREADS": threads or count_cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        model = _convert(load_model(artifact))
        self._model = openvino.Core().compile_model(model, "CPU", options)
        self._requests = local()

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch; see `affectlib.model.engines.Engine`."""
        request = getattr(self._requests, "request", None)
        if request is None:  # one may not be shared between threads
            request = self._requests.request = self._model.create_infer_request()
        feed = {"input_ids": input_ids, "attention_mask": attention_mask, "turns": turns}
        return cast(Floats, request.infer(feed)[0].copy())


def _convert(model: Any) -> Any:
    model.config._attn_implementation = "eager"
    ids, turns = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 3, 8)
    example = {"input_ids": ids, "attention_mask": ids, "turns": turns}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of values that tracing takes for constant, as they are
        return openvino.convert_model(WindowReader(model), example_input=example)
