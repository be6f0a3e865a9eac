"""The engine for GPUs, and the reference: the artifact as transformers loads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib.errors import ArtifactCorruptError, OptionError

with requires_extra("torch"):
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = [
    "TorchEngine",
    "WindowReader",
    "find_gpu",
    "load_model",
    "name_outputs",
    "outputs_of",
    "quiet",
    "set_head",
]

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

_MODEL = ("config.json", "model.safetensors")
_SETTING_THREADS = Lock()


class TorchEngine:
    """Runs an artifact's weights in fp32 on the CPU, in half precision on a GPU.

    If `threads` is given, torch's own setting is changed only while this engine computes, and only
    in the thread that calls it; but a thread whose first use of torch falls into the moment of that
    change may keep the number.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> TorchEngine(load_artifact("affect-small"), "cpu").device
        'cpu'
    """

    name = "torch"

    def __init__(
        self, artifact: Artifact, device: str = "auto", threads: int | None = None
    ) -> None:
        """Load the model and move it to the device."""
        self._device = torch.device(find_gpu() or "cpu" if device == "auto" else device)
        _require(self._device)
        self._model = WindowReader(load_model(artifact)).to(self._device)
        self._half = self._device.type != "cpu"
        self._threads = None if self._half else threads
        self._dtype = _half_precision(self._device) if self._half else torch.bfloat16

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    def logits(self, input_ids: Ids, attention_mask: Ids, turns: Floats) -> Floats:
        """Return the logits of a batch; see `affectlib.model.engines.Engine`."""
        with (
            _computing_with(self._threads),
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=self._dtype, enabled=self._half),
        ):
            logits = self._model(*(self._send(x) for x in (input_ids, attention_mask, turns)))
        return cast(Floats, logits.float().cpu().numpy())

    def _send(self, values: NDArray[Any]) -> torch.Tensor:
        """Move a batch to the device; to CUDA from pinned memory, which it need not wait for."""
        tensor = torch.from_numpy(values)
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


def load_model(artifact: Artifact) -> Any:
    """Load an artifact's weights as a transformers model in fp32, for inference.

    Its outputs are those of the artifact.

    Raises:
        ArtifactCorruptError: A file is missing, altered, or not the model that it should be.
    """
    folder = {artifact.file(name).parent for name in _MODEL}.pop()
    try:
        with quiet():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
    except Exception as error:  # safetensors and transformers have many
        raise ArtifactCorruptError(
            f"{folder}: transformers cannot load it ({type(error).__name__}); install or download "
            "the model again"
        ) from error
    if missing := sorted(info["missing_keys"]):  # transformers would make them up
        raise ArtifactCorruptError(
            f"{folder / _MODEL[1]}: it lacks weights that config.json asks for, such as "
            f"{missing[0]!r}; install or download the model again"
        )
    if outputs_of(model) != artifact.outputs:
        raise ArtifactCorruptError(
            f"{folder}: the outputs named in config.json are not those of affect.json"
        )
    return model.eval()


def outputs_of(model: Any) -> tuple[str, ...]:
    """Return the names of a model's outputs, in order."""
    names = model.config.id2label
    return tuple(names[place] for place in sorted(names))


class WindowReader(torch.nn.Module):
    """A sequence classifier of transformers that reads windows and their messages.

    A window is judged by its first token, as in any sequence classifier, and a message by the mean
    of its tokens, both by the same head.

    Args:
        model: The sequence classifier.
    """

    def __init__(self, model: Any) -> None:
        """Keep the model."""
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, turns: torch.Tensor
    ) -> torch.Tensor:
        """Return logits; see `affectlib.model.engines.Engine.logits` for the shapes."""
        encoder = self.model.base_model
        states = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        read = torch.cat([states[:, :1], turns.to(states.dtype) @ states], dim=1)
        rows = read.reshape(-1, 1, read.shape[-1])
        pooler = getattr(encoder, "pooler", None)
        head = self.model.classifier
        logits: torch.Tensor = head(rows) if pooler is None else head(pooler(rows))
        return logits.reshape(*read.shape[:2], self.model.num_labels)


def set_head(model: Any, head: torch.nn.Linear, outputs: Sequence[str]) -> None:
    """Give a model another head, in place."""
    model.classifier = head.to(model.device)
    name_outputs(model.config, outputs)
    model.num_labels = len(outputs)


def name_outputs(config: Any, outputs: Sequence[str]) -> None:
    """Write into a configuration what the outputs are, in place."""
    config.num_labels = len(outputs)
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: i for i, name in enumerate(outputs)}
    config.problem_type = "multi_label_classification"


@contextmanager
def _computing_with(threads: int | None) -> Iterator[None]:
    """Let torch compute with so many threads here, and then as before."""
    if threads is None:
        yield
        return
    with _SETTING_THREADS:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        # New threads begin with the number that any thread set last. So that they do not begin
        # with ours, another thread, where it changes nothing else, sets the one before again.
        other = Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
    try:
        yield
    finally:
        with _SETTING_THREADS:
            torch.set_num_threads(before)


def find_gpu() -> str | None:
    """Return the kind of GPU that torch can use here, or None if there is none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _require(device: torch.device) -> None:
    """Refuse a GPU that is not there, with a clearer word than the driver's."""
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= there[device.type]:
        raise OptionError(
            f"torch finds no device {str(device)!r} on this machine; use device='auto' or 'cpu'"
        )


def _half_precision(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16


@contextmanager
def quiet() -> Iterator[None]:
    """Load without a progress bar, and leave the setting as it was."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
