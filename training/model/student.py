"""The screen while it learns: what `training.model.screen` trains, and its tensors afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from affectlib.model.encoding import EncodedWindow
from affectlib.model.screen import pooled_features

BUCKETS = 1 << 16
SIZES = {"tokens": 56, "pairs": 24, "context": 12}
HIDDEN = 64
EPOCHS = 8
BATCH = 512
RARE = 4.0
"""How much more a window that reaches a limit counts than one that does not."""


class Student(torch.nn.Module):
    """What becomes a screen: tables whose rows are looked up, and a head."""

    def __init__(self, words: torch.Tensor, outputs: int) -> None:
        """Begin with what the encoder knows of words (shape ``[vocabulary, width]``), else low."""
        super().__init__()
        rows = {"tokens": len(words), "pairs": BUCKETS, "context": len(words)}
        self.tables = torch.nn.ModuleDict(
            {
                name: torch.nn.EmbeddingBag(rows[name], size, mode="sum")
                for name, size in SIZES.items()
            }
        )
        self.weights = torch.nn.ParameterDict(
            {name: torch.nn.Parameter(torch.zeros(rows[name])) for name in SIZES}
        )
        torch.nn.init.normal_(self.tables["pairs"].weight, std=0.02)  # type: ignore[arg-type]
        centred = words - words.mean(dim=0)
        directions = torch.linalg.svd(centred, full_matrices=False)[2]
        for name in ("tokens", "context"):
            shares = centred @ directions[: SIZES[name]].T
            self.tables[name].weight.data = shares / shares.std()
        self.hidden = torch.nn.Linear(sum(SIZES.values()) + 2, HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, outputs + 2)

    def forward(self, rows: Mapping[str, Any], facts: torch.Tensor) -> torch.Tensor:
        """Return the outputs of windows; see `affectlib.model.screen.Screen.outputs`."""
        means = []
        for name, table in self.tables.items():
            places, starts = (torch.from_numpy(part) for part in rows[name])
            weights = torch.nn.functional.softplus(self.weights[name])[places]
            ends = torch.cat([torch.zeros(1), weights.cumsum(0)])
            bounds = torch.cat([starts, torch.tensor([len(places)])])
            total = ends[bounds[1:]] - ends[bounds[:-1]]
            sums = table(places, starts, per_sample_weights=weights)
            means.append(sums / (1 + total)[:, None])
        hidden = torch.relu(self.hidden(torch.cat([*means, facts], dim=1)))
        logits: torch.Tensor = self.out(hidden)
        return logits


def fit(
    student: Student,
    windows: Sequence[EncodedWindow],
    sides: NDArray[np.int64],
    logits: NDArray[np.float32],
    reach: NDArray[np.bool_],
    applies: NDArray[np.bool_],
) -> None:
    """Train a student.

    Args:
        student: What learns.
        windows: What it reads.
        sides: 0 for a user's message, 1 for an assistant's.
        logits: What the encoder says of each window, shape ``[windows, outputs]``.
        reach: Whether each window reaches a limit.
        applies: Which outputs are asked of either side, shape ``[2, outputs]``.
    """
    batches = -(-len(windows) // BATCH)
    optimizer = torch.optim.Adam(student.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=EPOCHS * batches)
    draw = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for batch in np.array_split(draw.permutation(len(windows)), batches):
            chosen, side = [windows[place] for place in batch], sides[batch]
            rows = pooled_features([w.ids for w in chosen], [w.target for w in chosen], BUCKETS)
            lengths = [len(w.ids) - w.target for w in chosen]
            facts = torch.from_numpy(np.stack([side, np.log1p(lengths) / 5], 1, dtype=np.float32))
            found = student(rows, facts)
            counts = torch.from_numpy(applies[side])
            gap = torch.nn.functional.smooth_l1_loss(
                found[:, :-2], torch.from_numpy(logits[batch]), reduction="none"
            )
            own = found[torch.arange(len(batch)), torch.from_numpy(side) - 2]
            miss = torch.nn.functional.binary_cross_entropy_with_logits(
                own, torch.from_numpy(reach[batch]).float(), pos_weight=torch.tensor(RARE)
            )
            loss = (gap * counts).sum() / counts.sum() + miss
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def quantized(student: Student) -> dict[str, NDArray[Any]]:
    """Return the tensors that `Screen` takes: tables in int8 with a scale for each row."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, table in student.tables.items():
        values = table.weight.detach().numpy()  # type: ignore[operator]
        scale = np.maximum(np.abs(values).max(axis=1), 1e-6) / 127
        tensors[name] = np.round(values / scale[:, None]).astype(np.int8)
        tensors[f"{name}.scale"] = scale.astype(np.float16)
        weight = torch.nn.functional.softplus(student.weights[name]).detach().numpy()
        tensors[f"{name}.weight"] = weight.astype(np.float16)
    for name, layer in (("hidden", student.hidden), ("out", student.out)):
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight.detach().numpy().T)
        tensors[f"{name}.bias"] = layer.bias.detach().numpy()
    return tensors
