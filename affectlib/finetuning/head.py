"""The head of a model: its outputs, and one more for those who use it with only transformers.

A pipeline of transformers returns the label with the highest score. For a text that shows nothing,
that would be some cue, or ``emotional`` with a score of 0.02. So an exported model has a further
output, ``task``, whose logit is that of ``emotional`` with the other sign: their probabilities sum
up to 1, and the pipeline says ``task`` with 0.98. All other outputs are lowered, so that the answer
to a charged text is ``emotional``, not a cue. affectlib takes both back as it loads the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from affectlib._extras import requires_extra
from affectlib.model.engines.torch import LOWERED, drop_task, outputs_of, set_head
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS, TASK

with requires_extra("train"):
    import torch

__all__ = ["add_task", "with_outputs"]


def add_task(model: Any) -> None:
    """Add the output ``task`` to a model, in place, and lower all others but ``emotional``.

    See `affectlib.model.engines.torch.drop_task`.
    """
    head, outputs = model.classifier, outputs_of(model)
    wider = torch.nn.Linear(head.in_features, len(outputs) + 1, dtype=head.weight.dtype)
    emotional = outputs.index(EMOTIONAL)
    with torch.no_grad():
        for new, old in ((wider.weight, head.weight), (wider.bias, head.bias)):
            new[:-1], new[-1] = old, -old[emotional]
        lowered = [name != EMOTIONAL for name in outputs]
        wider.bias[torch.tensor([*lowered, False])] -= LOWERED
    set_head(model, wider, (*outputs, TASK))


def with_outputs(model: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Give a model these outputs, in place; those that it has keep their weights.

    Others go, such as ``task``. In a model with fewer outputs, a charge begins as the label, other
    outputs as they come.
    """
    drop_task(model)
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
