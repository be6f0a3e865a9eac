"""Another engine for CPUs: the same int8 weights under OpenVINO."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from affectlib.engines import count_cores
from affectlib.errors import ArtifactCorruptError, MissingExtraError

try:
    import openvino
except ImportError as error:
    raise MissingExtraError("openvino", "openvino") from error

if TYPE_CHECKING:
    from affectlib.artifacts import Artifact

__all__ = ["OpenVinoEngine"]

_MODEL = "model.int8.onnx"


class OpenVinoEngine:
    """Runs an artifact's int8 weights on the CPU, and what is not int8 in bf16 where it can.

    Args:
        artifact: The artifact.
        threads: Threads of a computation; one for each core that this process may use if None.

    Raises:
        ArtifactCorruptError: Its model is missing, altered, or not one that OpenVINO can run.

    Example:
        >>> OpenVinoEngine(load_artifact("affect-small")).name
        'openvino'
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        """Compile the model."""
        path = artifact.file(_MODEL)
        core = openvino.Core()
        options = {
            "INFERENCE_NUM_THREADS": threads or count_cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._model = core.compile_model(core.read_model(path), "CPU", options)
        except Exception as error:  # OpenVINO raises nothing more special
            raise ArtifactCorruptError(f"{path}: OpenVINO cannot load it") from error
        self._requests = local()

    def logits(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the logits of a batch; see `affectlib.engines.Engine`."""
        request = getattr(self._requests, "request", None)
        if request is None:  # one may not be shared between threads
            request = self._requests.request = self._model.create_infer_request()
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        return cast(NDArray[np.float32], request.infer(feed)["logits"].copy())
