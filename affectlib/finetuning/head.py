"""The head of a model: its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from affectlib._extras import requires_extra
from affectlib.model.engines.torch import outputs_of, set_head
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS

with requires_extra("train"):
    import torch

__all__ = ["with_outputs"]


def with_outputs(model: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Give a model these outputs, in place; those that it has keep their weights.

    Others go. In a model with fewer outputs, a charge begins as the label, other outputs as they
    come.
    """
    before = outputs_of(model)
    if before == (*outputs,):
        return
    old = model.classifier
    new = torch.nn.Linear(old.in_features, len(outputs), dtype=old.weight.dtype)
    with torch.no_grad():
        for place, name in enumerate(outputs):
            known = EMOTIONAL if name in CHARGES and name not in before else name
            if known in before:
                new.weight[place] = old.weight[before.index(known)]
                new.bias[place] = old.bias[before.index(known)]
    set_head(model, new, outputs)
