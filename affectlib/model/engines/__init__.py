"""Engines run the encoder: token ids in, logits out.

Only they import onnxruntime, openvino and torch, and only when an engine is loaded.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["ENGINES", "Engine", "Floats", "Ids", "load_engine"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

ENGINES = ("auto", "onnx", "openvino", "torch")
"""The engines that can be named."""

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_GPU_SIGNS = (
    "/dev/nvidia0",
    "/proc/driver/nvidia",
    "/dev/kfd",
    "/dev/dxg",
    r"C:\Windows\System32\nvcuda.dll",
)


class Engine(Protocol):
    """Runs the encoder of one artifact; safe to share between threads."""

    @property
    def name(self) -> str:
        """Its name, such as ``onnx``."""

    @property
    def device(self) -> str:
        """Where it runs, such as ``cpu`` or ``cuda:0``."""

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch of windows.

        Args:
            input_ids: Token ids, shape ``[batch, length]``.
            attention_mask: 1 for a token, 0 for padding; the same shape.
            turns: By which share each token counts in the mean of each message, shape
                ``[batch, messages, length]``.

        Returns:
            Shape ``[batch, 1 + messages, outputs]``: the logits of the whole window, then those of
            its messages.
        """


def load_engine(
    artifact: Artifact, *, engine: str = "auto", device: str = "auto", threads: int | None = None
) -> Engine:
    """Load an artifact into the engine that suits the device.

    ``auto`` takes torch on a GPU where there is one that torch can use, else onnx on the CPU.

    Args:
        artifact: The artifact.
        engine: One of `ENGINES`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        threads: Threads on the CPU, one for each core that this process may use if None; with the
            torch engine, as many as torch is set to.

    Raises:
        OptionError: The engine or device is unknown, not there, or they do not go together.
        MissingExtraError: What the engine needs is not installed.
        ArtifactCorruptError: A file of the artifact is missing, altered or cannot be loaded.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> load_engine(load_artifact("affect-small"), device="cpu").name
        'onnx'
    """
    if engine not in ENGINES:
        raise OptionError(f"unknown engine {engine!r}; use {', '.join(ENGINES)}")
    if not _DEVICE.fullmatch(device):
        raise OptionError(f"unknown device {device!r}; use auto, cpu, cuda, cuda:N or mps")
    if threads is not None and threads < 1:
        raise OptionError(f"threads must be at least 1, got {threads}")
    if engine in ("onnx", "openvino") and device not in ("auto", "cpu"):
        raise OptionError(
            f"the {engine} engine runs only on the CPU, not on {device!r}; "
            "use engine='torch' for a GPU, or device='cpu'"
        )
    if engine == "auto":
        engine = "torch" if _wants_torch(device) else "onnx"
    if engine == "onnx":
        from affectlib.model.engines.onnx import OnnxEngine

        return OnnxEngine(artifact, threads)
    if engine == "openvino":
        from affectlib.model.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(artifact, threads)
    from affectlib.model.engines.torch import TorchEngine

    return TorchEngine(artifact, device, threads)


def _wants_torch(device: str) -> bool:
    """Decide whether torch is worth its import, which takes longer than all else together."""
    if device != "auto":
        return device != "cpu"
    if not _gpu_likely() or find_spec("torch") is None or find_spec("transformers") is None:
        return False
    from affectlib.model.engines.torch import find_gpu

    return find_gpu() is not None


def _gpu_likely() -> bool:
    """Look for signs of a GPU that cost nothing to see."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(map(os.path.exists, _GPU_SIGNS))
