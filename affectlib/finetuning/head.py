"""The head of a model: its outputs, and one more for those who use it by transformers alone.

A pipeline of transformers returns the label with the highest score. Of a text that shows nothing,
that would be some cue, or ``emotional`` with a score of 0.02. So an exported model has a further
output, ``task``, whose logit is that of ``emotional`` with the other sign: their probabilities sum
up to 1, and the pipeline says ``task`` with 0.98. affectlib reads only the outputs before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS, TASK

_EMOTIONAL = OUTPUTS.index(EMOTIONAL)


def name_outputs(config: Any, outputs: Sequence[str] = OUTPUTS) -> None:
    """Write into a configuration what the outputs are, in place."""
    config.num_labels = len(outputs)
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: i for i, name in enumerate(outputs)}
    config.problem_type = "multi_label_classification"


def add_task(model: Any) -> None:
    """Add the output ``task`` to a model with our outputs, in place."""
    head = model.classifier
    wider = torch.nn.Linear(head.in_features, len(OUTPUTS) + 1, dtype=head.weight.dtype)
    with torch.no_grad():
        for new, old in ((wider.weight, head.weight), (wider.bias, head.bias)):
            new[:-1], new[-1] = old, -old[_EMOTIONAL]
    _replace(model, wider, (*OUTPUTS, TASK))


def with_our_outputs(model: Any) -> None:
    """Give a model the outputs that are trained, in place; those that it has keep their weights.

    ``task`` goes. In a model with fewer outputs, a charge begins as the label, other outputs as
    they come.
    """
    before = [model.config.id2label[i] for i in range(model.config.num_labels)]
    if before == [*OUTPUTS]:
        return
    old = model.classifier
    new = torch.nn.Linear(old.in_features, len(OUTPUTS), dtype=old.weight.dtype)
    with torch.no_grad():
        for place, name in enumerate(OUTPUTS):
            known = EMOTIONAL if name in CHARGES and name not in before else name
            if known in before:
                new.weight[place] = old.weight[before.index(known)]
                new.bias[place] = old.bias[before.index(known)]
    _replace(model, new, OUTPUTS)


def _replace(model: Any, head: torch.nn.Linear, outputs: Sequence[str]) -> None:
    model.classifier = head.to(model.device)
    name_outputs(model.config, outputs)
    model.num_labels = len(outputs)
