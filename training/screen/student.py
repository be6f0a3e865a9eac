"""The screen while it learns, and its tensors afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectlib.model.screen import rows_of_windows
from training.screen.chats import Windows

FILTERS = 32
CONTEXT = 8
BUCKETS = 1 << 16
WORDS = 64
"""Directions in which the encoder's words differ most, from which filters begin."""
HIDDEN = 64
EPOCHS = 4
BATCH = 512
RATE = 6e-3
RARE = 8.0
"""How much more a window that reaches a limit counts than one that is far from all."""
NEAR = 1.0
"""How far below a limit, in logits, a window counts as one that nearly reaches it."""
_CLIPPED = 1e-4
_STEPS = 127


class Student(nn.Module):
    """What becomes a screen; see `affectlib.model.screen.Screen`."""

    def __init__(self, words: torch.Tensor, outputs: int) -> None:
        """Begin with what the encoder knows of words, shape ``[vocabulary, width]``."""
        super().__init__()
        centred = words - words.mean(dim=0)
        directions = torch.linalg.svd(centred, full_matrices=False)[2]
        known = centred @ directions[:WORDS].T
        self.words = nn.Parameter(known / known.std(), requires_grad=False)
        width = 3 * FILTERS + CONTEXT
        self.read = nn.Linear(known.shape[1], width, bias=False)
        self.own = nn.Parameter(torch.zeros(len(words), width))
        self.pairs = nn.Parameter(torch.zeros(BUCKETS, FILTERS))
        self.bias = nn.Parameter(torch.zeros(FILTERS))
        self.hidden = nn.Linear(2 * FILTERS + CONTEXT + 2, HIDDEN)
        self.out = nn.Linear(HIDDEN, outputs + 1)

    def tables(self) -> dict[str, torch.Tensor]:
        """Return what each filter makes of each token, and the rows of pairs and of context."""
        table = self.read(self.words) + self.own
        sizes = [FILTERS] * 3 + [CONTEXT]
        names = ("before", "here", "after", "context")
        return {**dict(zip(names, table.split(sizes, dim=1), strict=True)), "pairs": self.pairs}

    def forward(self, rows: Mapping[str, NDArray[np.int64]]) -> torch.Tensor:
        """Return the outputs of windows, then the value that the bound is for."""
        tables = self.tables()
        index = {name: torch.from_numpy(values) for name, values in rows.items()}
        parts = [
            nn.functional.embedding(index[name], tables[name])
            for name in ("before", "here", "after", "pairs")
        ]
        found = torch.relu(sum(parts[1:], parts[0]) + self.bias)
        lengths = index["lengths"]
        around = nn.functional.embedding_bag(
            index["context"], tables["context"].contiguous(), index["context_starts"], mode="mean"
        )
        pooled = [torch.segment_reduce(found, how, lengths=lengths) for how in ("max", "mean")]
        facts = torch.log1p(torch.stack([lengths, index["context_lengths"]], dim=1)) / 5
        features = torch.cat([*pooled, around, facts], dim=1)
        logits: torch.Tensor = self.out(torch.relu(self.hidden(features)))
        return logits


def learn(
    windows: Windows, words: torch.Tensor, margin: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Train a screen; returns the tensors that `Screen` takes.

    Windows whose highest output nearly reaches its limit, by the `margin`, must not be settled and
    weigh more. The target rises about the limit, where the encoder itself is unsure.
    """
    torch.manual_seed(0)
    student = Student(words, windows.logits.shape[1])
    batches = -(-len(windows) // BATCH)
    optimizer = torch.optim.Adam(student.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    draw = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for batch in np.array_split(draw.permutation(len(windows)), batches):
            loss = _loss(student, windows.where(batch), margin[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return quantized(student)


def size_of(words: torch.Tensor, outputs: int) -> int:
    """Return the bytes of a screen's tensors, which are the same whatever it learns."""
    return sum(tensor.nbytes for tensor in quantized(Student(words, outputs)).values())


def _loss(student: Student, windows: Windows, margin: NDArray[np.float32]) -> torch.Tensor:
    found = student(rows_of_windows(windows.windows, BUCKETS))
    gap = nn.functional.smooth_l1_loss(found[:, :-1], torch.from_numpy(windows.logits))
    above = torch.from_numpy(margin)
    weight = 1 + (RARE - 1) * torch.clamp(above / NEAR + 1, 0, 1)
    miss = nn.functional.binary_cross_entropy_with_logits(
        found[:, -1], torch.sigmoid(2 * above / NEAR), weight
    )
    loss: torch.Tensor = gap + miss
    return loss


def quantized(student: Student) -> dict[str, NDArray[Any]]:
    """Return the tensors that `Screen` takes: small integers, with a scale for each filter."""
    with torch.no_grad():
        tables = {name: table.numpy() for name, table in student.tables().items()}
    filters = np.concatenate([table for name, table in tables.items() if name != "context"])
    scale = _scale(filters)
    tensors: dict[str, NDArray[Any]] = {
        name: _small(table, _scale(table) if name == "context" else scale)
        for name, table in tables.items()
    }
    bias = np.round(student.bias.detach().numpy() / scale).astype(np.int16)
    tensors |= {"bias": bias, "scale": scale, "context.scale": _scale(tables["context"])}
    for name, layer in (("hidden", student.hidden), ("out", student.out)):
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight.detach().numpy().T)
        tensors[f"{name}.bias"] = layer.bias.detach().numpy().copy()
    return tensors


def _scale(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the step of each column; a few values that lie far out are cut."""
    most = np.quantile(np.abs(table), 1 - _CLIPPED, axis=0)
    return np.maximum(most / _STEPS, 1e-8).astype(np.float32)


def _small(table: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.clip(np.round(table / scale), -_STEPS, _STEPS).astype(np.int8)
