"""The screen: a static model that settles plain tasks, so that the encoder need not read them.

It slides filters of three tokens over what the user says in a window. What a filter makes of a
token at each of the three places, and of a pair of neighbours, is looked up in tables of small
integers and added; of each filter the highest value and the mean count, and of what the assistant
says the mean of another table. One hidden layer computes the encoder's logits from these. So it
needs only numpy, and is some hundred times as fast as the encoder, which taught it.

Where it is sure of all windows of a conversation that no threshold of any operating point and no
cue's would be reached, its logits stand, for the conversation and each message; all others go to
the encoder. Its file, ``screen.safetensors``, names the files that
it was made from and the logits (``limits``) which its bounds were chosen for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import ArtifactCorruptError
from affectlib.model.calibration import logit
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import EMOTIONAL

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact
    from affectlib.model.encoding import EncodedWindow

__all__ = [
    "BELOW",
    "SCREEN_FILE",
    "Screen",
    "lowest_limits",
    "made_from",
    "pair_buckets",
    "rows_of_windows",
]

SCREEN_FILE = "screen.safetensors"
_MADE_FROM = ("model.safetensors", "model.int8.onnx", "tokenizer.json")

_CHUNK = 256
"""Windows looked up at once."""
BELOW = 0.01
"""How far below a limit the logit of a settled window lies at least."""
_TYPES = {"I8": np.int8, "I16": np.int16, "F16": np.float16, "F32": np.float32}

Rows = Mapping[str, NDArray[np.int64]]


class Screen:
    """A screen, loaded; safe to share between threads.

    Args:
        tensors: ``before``, ``here``, ``after`` and ``pairs``: what each filter makes of each token
            or bucket, shape ``[rows, filters]`` (int8), with a ``bias`` (int16) and a ``scale`` for
            each filter; ``context``, the same for what the assistant says, with a
            ``context.scale``; ``hidden.weight``, ``hidden.bias``, ``out.weight`` and ``out.bias``.
            The last output says how likely the window reaches a limit.
        limits: The logit of each output that no settled window reaches; infinite without one.
        bound: From which value of that last output on the encoder is asked.
    """

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        limits: Sequence[float],
        bound: float,
    ) -> None:
        """Keep the tables as integers that can be added."""
        tables = ("before", "here", "after", "pairs", "context", "bias")
        self._tables = {name: tensors[name].astype(np.int16) for name in tables}
        self._values = {
            name: tensor.astype(np.float32)
            for name, tensor in tensors.items()
            if name not in tables
        }
        self._highest = np.asarray(limits, dtype=np.float32) - BELOW
        self._bound = bound

    @classmethod
    def load(cls, artifact: Artifact) -> Screen | None:
        """Load the screen of an artifact.

        Returns:
            None if it has none, or one whose bounds were chosen for higher thresholds than the
            artifact has now.

        Raises:
            ArtifactCorruptError: It is unreadable, or made for other weights or text rules.
        """
        if not artifact.has_file(SCREEN_FILE):
            return None
        path = artifact.file(SCREEN_FILE)
        try:
            tensors, metadata = read_tensors(path)
            facts = json.loads(metadata["screen"])
            limits, source = facts["limits"], facts["made_from"]
            order = [limits.get(name, inf) for name in artifact.outputs]
            screen = cls(tensors, order, float(facts["bound"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactCorruptError(f"{path}: it cannot be read as a screen") from error
        if source != made_from(artifact):
            raise ArtifactCorruptError(
                f"{path}: the screen was made for other weights; install or download the model "
                "again, or leave the screen out with `screen=False`"
            )
        lowest = lowest_limits(artifact)
        # Processors differ in the last digit of a logarithm; what is settled lies `BELOW` beneath.
        covered = all(limits.get(name, inf) <= limit + BELOW / 2 for name, limit in lowest.items())
        return screen if covered else None

    def prefilter(
        self, windows: Sequence[Sequence[EncodedWindow]]
    ) -> dict[int, list[NDArray[np.float32]]]:
        """Return the logits of the conversations that the encoder need not read.

        Returns:
            By the conversation's place, for each window its logits and those of its messages,
            shape ``[1 + messages, outputs]``.
        """
        places = [place for place, group in enumerate(windows) for _ in group]
        flat = [window for group in windows for window in group]
        rows: dict[int, list[NDArray[np.float32]]] = {}
        unsure: set[int] = set()
        for start in range(0, len(flat), _CHUNK):
            chunk = flat[start : start + _CHUNK]
            logits, reach = self.outputs(chunk)
            for place, window, row, value in zip(
                places[start:], chunk, logits, reach, strict=False
            ):
                rows.setdefault(place, []).append(np.tile(row, (1 + len(window.messages), 1)))
                if value >= self._bound:
                    unsure.add(place)
        return {place: found for place, found in rows.items() if place not in unsure}

    def outputs(
        self, windows: Sequence[EncodedWindow]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the logits of windows, and the value that the bound is for.

        Returns:
            Logits, shape ``[windows, outputs]``, each below its limit; and how likely each window
            reaches a limit, as a logit, shape ``[windows]``.
        """
        found = self._head(self._features(rows_of_windows(windows, len(self._tables["pairs"]))))
        return np.minimum(found[:, :-1], self._highest), found[:, -1]

    def _features(self, rows: Rows) -> NDArray[np.float32]:
        tables, values = self._tables, self._values
        found = tables["here"][rows["here"]]
        for name in ("before", "after", "pairs"):
            found += tables[name][rows[name]]
        found += tables["bias"]
        np.maximum(found, 0, out=found)
        starts, lengths = rows["starts"], rows["lengths"]
        highest = np.maximum.reduceat(found, starts, axis=0) * values["scale"]
        total = np.add.reduceat(found, starts, axis=0, dtype=np.int32)
        mean = total / lengths[:, None] * values["scale"]
        around = np.add.reduceat(
            tables["context"][rows["context"]], rows["context_starts"], axis=0, dtype=np.int32
        )
        context = around / rows["context_lengths"][:, None] * values["context.scale"]
        facts = np.log1p(np.stack([lengths, rows["context_lengths"]], axis=1)) / 5
        return np.concatenate([highest, mean, context, facts], axis=1, dtype=np.float32)

    def _head(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        values = self._values
        hidden = _product(features, values["hidden.weight"]) + values["hidden.bias"]
        return _product(np.maximum(hidden, 0), values["out.weight"]) + values["out.bias"]


def _product(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix product, in which no row depends on the others.

    In that of BLAS a row can change in its last digits with what stands beside it.
    """
    found = np.zeros((len(rows), weights.shape[1]), np.float32)
    for column, weight in zip(rows.T, weights, strict=True):
        found += column[:, None] * weight
    return found


def rows_of_windows(windows: Sequence[EncodedWindow], buckets: int) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each table that windows look up, and where each window's begin.

    Returns:
        ``before``, ``here``, ``after`` and ``pairs`` for each token of the user's messages;
        ``context`` for the first token and each of the assistant's; where those of each window
        begin (``starts``, ``context_starts``), and how many they are. A window without a message of
        the user counts as one whose user says its first token.
    """
    lengths = np.array([len(window.ids) for window in windows], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    tokens = np.concatenate([window.ids for window in windows]).astype(np.int64)
    said = np.concatenate([window.of_user for window in windows])
    context = ~said
    context[starts + lengths - 1] = False
    silent = np.array([not window.of_user.any() for window in windows])
    said[starts[silent] + 1] = True
    places = np.flatnonzero(said)
    counts = np.add.reduceat(said.astype(np.int64), starts)
    around = np.add.reduceat(context.astype(np.int64), starts)
    return {
        "before": tokens[places - 1],
        "here": tokens[places],
        "after": tokens[places + 1],
        "pairs": pair_buckets(tokens, buckets)[places],
        "context": tokens[context],
        "starts": np.cumsum(counts) - counts,
        "lengths": counts,
        "context_starts": np.cumsum(around) - around,
        "context_lengths": around,
    }


def pair_buckets(tokens: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each token and the next.

    Example:
        >>> pair_buckets(np.array([3, 4, 5]), 1000).tolist()
        [481, 427]
    """
    mixed = (tokens[:-1] * 1_000_003 + tokens[1:]) * 0x9E3779B1 & 0xFFFFFFFF
    return (mixed >> 7) % buckets


def made_from(artifact: Artifact) -> dict[str, Any]:
    """Return what a screen depends on: SHA-256 by file, and the version of the text rules."""
    return {**{name: artifact.sha256(name) for name in _MADE_FROM}, "text_rules": TEXT_RULES}


def lowest_limits(artifact: Artifact, room: float = 0.0) -> dict[str, float]:
    """Return the logit of each output below which neither a conversation nor a message matters.

    Below it, no operating point is reached, even if they become lower by some `room` in logits, or,
    for a cue, not its threshold. Themes have none, as they are shown for charged messages only, nor
    have outputs without a threshold.
    """
    points = artifact.operating_points.values()
    line = artifact.recalibration

    def of_line(name: str, value: float) -> float:
        return (value - artifact.messages[name].intercept) / artifact.messages[name].slope

    def before(threshold: float) -> float:
        return (logit(threshold) - room - line.intercept) / line.slope

    whole = before(min(point.conversation for point in points))
    single = of_line(EMOTIONAL, before(min(point.message for point in points)))
    cues = {name: logit(value) for name, value in artifact.cue_thresholds.items()}
    lowest = {name: min(value, of_line(name, value)) for name, value in cues.items()}
    return {EMOTIONAL: min(whole, single), **lowest}


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file in the format of safetensors: its tensors, and what it says about itself."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    facts = header.pop("__metadata__", {})
    body = memoryview(content)[8 + size :]
    tensors = {}
    for name, about in header.items():
        start, stop = about["data_offsets"]
        flat = np.frombuffer(body[start:stop], dtype=_TYPES[about["dtype"]])
        tensors[name] = flat.reshape(about["shape"])
    return tensors, facts
