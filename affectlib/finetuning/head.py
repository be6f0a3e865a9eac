"""The head of a model: its outputs, and one more for those who use it with only transformers.

A pipeline of transformers returns the label with the highest score. For a text that shows nothing,
that would be some cue, or ``emotional`` with a score of 0.02. So an exported model has a further
output, ``task``, whose logit is that of ``emotional`` with the other sign: their probabilities sum
up to 1, and the pipeline says ``task`` with 0.98. affectlib reads only the outputs before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from affectlib._extras import requires_extra
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS, TASK

with requires_extra("train"):
    import torch

__all__ = ["add_task", "name_outputs", "outputs_of", "with_outputs"]


def outputs_of(model: Any) -> tuple[str, ...]:
    """Return the names of a model's outputs, in order."""
    names = model.config.id2label
    return tuple(names[place] for place in sorted(names))


def name_outputs(config: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Write into a configuration what the outputs are, in place."""
    config.num_labels = len(outputs)
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: i for i, name in enumerate(outputs)}
    config.problem_type = "multi_label_classification"


def add_task(model: Any) -> None:
    """Add the output ``task`` to a model, in place."""
    head, outputs = model.classifier, outputs_of(model)
    wider = torch.nn.Linear(head.in_features, len(outputs) + 1, dtype=head.weight.dtype)
    emotional = outputs.index(EMOTIONAL)
    with torch.no_grad():
        for new, old in ((wider.weight, head.weight), (wider.bias, head.bias)):
            new[:-1], new[-1] = old, -old[emotional]
    _replace(model, wider, (*outputs, TASK))


def with_outputs(model: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Give a model these outputs, in place; those that it has keep their weights.

    Others go, such as ``task``. In a model with fewer outputs, a charge begins as the label, other
    outputs as they come.
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
    _replace(model, new, outputs)


def _replace(model: Any, head: torch.nn.Linear, outputs: Sequence[str]) -> None:
    model.classifier = head.to(model.device)
    name_outputs(model.config, outputs)
    model.num_labels = len(outputs)
