"""The screen: a static model that settles plain tasks, so that the encoder need not read them.

It looks up a vector for each token of a window and for each pair of neighbours in the target,
takes weighted means of the target's and of the context's, and computes the encoder's logits from
these with one hidden layer: numpy only, some hundred times as fast as the encoder, which taught it.
Where it is sure that no threshold of any operating point and no cue's would be reached, its logits
stand; all other windows go to the encoder. Its file, ``screen.safetensors``, names the weights that
taught it and the logits (``limits``) which its bounds were chosen for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import ArtifactCorruptError
from affectlib.model.calibration import logit
from affectlib.model.text import TEXT_RULES

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact
    from affectlib.model.encoding import EncodedWindow

__all__ = ["SCREEN_FILE", "WEIGHTS", "Screen", "lowest_limits", "pair_buckets", "pooled_features"]

SCREEN_FILE = "screen.safetensors"
WEIGHTS = "model.safetensors"
"""The file whose SHA-256 says which encoder taught a screen."""

_BLOCK = 64
"""Rows of a product; always as many, so that a window's logits do not depend on its neighbours."""
_CHUNK = 256
"""Windows looked up at once."""
_BELOW = 0.01
"""How far below a limit the logit of a settled window lies at least."""
_MANY_TURNS = 100
_TYPES = {"I8": np.int8, "F16": np.float16, "F32": np.float32}
_TABLES = ("tokens", "pairs", "context")


class Screen:
    """A screen, loaded; safe to share between threads.

    Args:
        tensors: ``tokens``, ``pairs`` and ``context`` (int8, a row for each token or bucket) with
            a ``scale`` and a ``weight`` for each row; ``hidden.weight``, ``hidden.bias``,
            ``out.weight`` and ``out.bias``. The last two outputs say how likely the windows of
            users and of assistants reach a limit.
        limits: The logit of each output that no settled window reaches.
        bounds: From which value of those two outputs on the encoder is asked.
    """

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        limits: Sequence[float],
        bounds: Mapping[str, float],
    ) -> None:
        """Spell the tables out."""
        values = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        self._weights = {name: values[f"{name}.weight"] for name in _TABLES}
        self._tables = {
            name: values[name] * (values[f"{name}.scale"] * self._weights[name])[:, None]
            for name in _TABLES
        }
        self._hidden = values["hidden.weight"], values["hidden.bias"]
        self._out = values["out.weight"], values["out.bias"]
        self._highest = np.asarray(limits, dtype=np.float32) - _BELOW
        self._bounds = np.array([bounds["user"], bounds["assistant"]], dtype=np.float32)

    @classmethod
    def load(cls, artifact: Artifact) -> Screen | None:
        """Load the screen of an artifact.

        Returns:
            None if it has none, or one whose bounds were chosen for higher thresholds than the
            artifact has now.

        Raises:
            ArtifactCorruptError: The file is missing, altered, unreadable, or made for other
                weights or text rules.
        """
        if not artifact.has_file(SCREEN_FILE):
            return None
        path = artifact.file(SCREEN_FILE)
        try:
            tensors, facts = read_tensors(path)
            limits, bounds = json.loads(facts["limits"]), json.loads(facts["bounds"])
            teacher = facts["weights"], facts["text_rules"]
            order = [limits[name] for name in artifact.outputs]
            screen = cls(tensors, order, bounds)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactCorruptError(f"{path}: it is no screen that can be read") from error
        if teacher != (artifact.sha256(WEIGHTS), str(TEXT_RULES)):
            raise ArtifactCorruptError(
                f"{path}: the screen was made for other weights; make it anew with "
                "python -m training.model.screen"
            )
        lowest = lowest_limits(artifact)
        return screen if all(lowest[name] >= limits[name] for name in lowest) else None

    def settle(
        self, windows: Sequence[EncodedWindow], users: Sequence[bool]
    ) -> list[EncodedWindow]:
        """Return the windows, those with logits that the encoder need not read.

        Args:
            windows: The windows.
            users: Whether the target of each is a user's message.
        """
        settled: list[EncodedWindow] = []
        for start in range(0, len(windows), _CHUNK):
            chunk = windows[start : start + _CHUNK]
            side = 1 - np.asarray(users[start : start + _CHUNK], dtype=np.int64)
            found = self.outputs([w.ids for w in chunk], [w.target for w in chunk], side)
            reach = found[np.arange(len(chunk)), side - 2]
            logits = np.minimum(found[:, :-2], self._highest)
            sure = reach < self._bounds[side]
            settled += [
                replace(window, logits=row) if settles else window
                for window, row, settles in zip(chunk, logits, sure.tolist(), strict=True)
            ]
        return settled

    def outputs(
        self, ids: Sequence[NDArray[np.int32]], targets: Sequence[int], side: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the outputs of windows, shape ``[windows, outputs + 2]``.

        Args:
            ids: The token ids of each window.
            targets: Where the target begins in each, with the token that marks it.
            side: 0 for a user's message, 1 for an assistant's.
        """
        rows = pooled_features(ids, targets, len(self._tables["pairs"]))
        means = [self._mean(name, *rows[name]) for name in _TABLES]
        lengths = [len(window) - place for window, place in zip(ids, targets, strict=True)]
        facts = np.stack([side, np.log1p(lengths) / 5], axis=1)
        features = np.concatenate([*means, facts], axis=1, dtype=np.float32)
        padded = np.zeros((-(-len(ids) // _BLOCK) * _BLOCK, features.shape[1]), np.float32)
        padded[: len(ids)] = features
        blocks = [self._head(padded[at : at + _BLOCK]) for at in range(0, len(padded), _BLOCK)]
        return np.concatenate(blocks)[: len(ids)]

    def _mean(
        self, name: str, rows: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        weights = np.add.reduceat(self._weights[name][rows], starts)
        sums = np.add.reduceat(self._tables[name][rows], starts, axis=0)
        mean: NDArray[np.float32] = sums / (1 + weights)[:, None]
        return mean

    def _head(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        (first, first_bias), (second, second_bias) = self._hidden, self._out
        out: NDArray[np.float32] = np.maximum(features @ first + first_bias, 0) @ second
        return out + second_bias


def pooled_features(
    ids: Sequence[NDArray[np.int32]], targets: Sequence[int], buckets: int
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the rows of each table that windows look up, and where each window's begin.

    Args:
        ids: The token ids of each window.
        targets: Where the target begins in each.
        buckets: Rows for pairs.
    """
    lengths = np.array([len(window) for window in ids])
    starts = np.cumsum(lengths) - lengths
    cuts = np.asarray(targets, dtype=np.int64)
    tokens = np.concatenate(ids).astype(np.int64)
    places = np.arange(len(tokens)) - np.repeat(starts, lengths)
    in_target = places >= np.repeat(cuts, lengths)
    pairs = pair_buckets(tokens, buckets)[in_target[:-1] & in_target[1:] & (places[1:] > 0)]
    inside = lengths - cuts
    return {
        "tokens": (tokens[in_target], np.cumsum(inside) - inside),
        "pairs": (pairs, np.cumsum(inside - 1) - (inside - 1)),
        "context": (tokens[~in_target], np.cumsum(cuts) - cuts),
    }


def pair_buckets(tokens: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each token and the next.

    Example:
        >>> pair_buckets(np.array([3, 4, 5]), 1000).tolist()
        [955, 566]
    """
    mixed = (tokens[:-1] * 1_000_003 + tokens[1:]) * 0x9E3779B1 & 0xFFFFFFFF
    return (mixed >> 7) % buckets


def lowest_limits(artifact: Artifact) -> dict[str, float]:
    """Return the logit of each output below which no message matters, to its conversation either.

    Below it, the message reaches no operating point or, for a cue, not the cue's threshold.
    """
    points = artifact.operating_points.values()
    line, function = artifact.recalibration, artifact.conversation
    lowest = logit(min(min(point.message, point.conversation) for point in points))
    single = (lowest - line.intercept) / line.slope
    threshold = logit(min(point.conversation for point in points))
    several = (threshold - line.intercept) / line.slope - function.intercept
    turns = max(function.log_turns * log(count) for count in (2, _MANY_TURNS))
    both = (several - turns) / (function.max + function.top)
    cues = {name: logit(value) for name, value in artifact.cue_thresholds.items()}
    return {name: cues.get(name, min(single, both)) for name in artifact.outputs}


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file in the format of safetensors: its tensors, and what it says of itself.

    Raises:
        ValueError: It is in another format.
        KeyError: A tensor has another type than screens have.
    """
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
