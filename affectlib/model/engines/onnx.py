"""The engine for CPUs: int8 weights under ONNX Runtime."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from affectlib._extras import switch_off
from affectlib.errors import ArtifactCorruptError
from affectlib.model.engines.cores import count_cores
from affectlib.model.engines.forks import renew_in_children

switch_off()
import onnxruntime  # noqa: E402

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["OnnxEngine"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

_MODEL = "model.int8.onnx"
_ERRORS_ONLY = 3

_inherited: list[Any] = []
"""Sessions of a parent process; their end would wait for threads that are not in this one."""


class OnnxEngine:
    """Runs an artifact's int8 weights on the CPU; see `affectlib.model.engines.load_engine`.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> OnnxEngine(load_artifact("affect-small")).device
        'cpu'
    """

    name = "onnx"
    device = "cpu"

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        """Load the model."""
        path = artifact.file(_MODEL)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.inter_op_num_threads = 1
        # Left to itself, the runtime counts cores that this process may not use, and pins threads.
        options.intra_op_num_threads = threads or count_cores()
        self._path, self._options = path, options
        self._session = self._load()
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        if len(outputs.get("logits", [])) != 3 or outputs["logits"][-1] != len(artifact.outputs):
            raise ArtifactCorruptError(
                f"{path}: it has no output 'logits' of width {len(artifact.outputs)}"
            )
        self._renewing = Lock()
        renew_in_children(self)

    def renew(self) -> None:
        """Have the model loaded again when it is next used: its threads are not in a fork."""
        self._renewing = Lock()
        if self._session is not None:
            _inherited.append(self._session)
            self._session = None

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch; see `affectlib.model.engines.Engine`."""
        if self._session is None:
            with self._renewing:
                if self._session is None:
                    self._session = self._load()
        feed = {"input_ids": input_ids, "attention_mask": attention_mask, "turns": turns}
        return cast(Floats, self._session.run(["logits"], feed)[0])

    def _load(self) -> Any:
        try:
            return onnxruntime.InferenceSession(
                self._path, self._options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's exceptions have no common base but this
            raise ArtifactCorruptError(f"{self._path}: onnxruntime cannot load it") from error
