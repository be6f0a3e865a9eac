"""From labelled conversations to new weights, near the base's where nothing is labelled.

The lower layers of the encoder stay as they are. What the base says about a window and its messages
is the target of every output that is not labelled, and a part of the target of those that are, so
that cues, themes and charges stay what they were (Li and Hoiem 2016, "Learning without
forgetting").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from affectlib._extras import requires_extra
from affectlib.finetuning.head import with_outputs
from affectlib.finetuning.labelled import UNKNOWN, LabelledConversation
from affectlib.finetuning.progress import CountedEngine
from affectlib.finetuning.settings import TrainSettings
from affectlib.finetuning.trainer import (
    ModelEngine,
    average_weights,
    fit,
    freeze_layers,
    mix_targets,
)
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import EncodedWindow
from affectlib.model.engines.torch import load_model
from affectlib.model.scoring import Scores, score_windows
from affectlib.taxonomy import EMOTIONAL, OUTPUTS

with requires_extra("train"):
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

__all__ = ["Learned", "learn"]

SETTINGS = TrainSettings(
    epochs=3,
    learning_rate=5e-5,
    head_learning_rate=1e-4,
    warmup=0.1,
    batch_size=8,
    label_smoothing=0.0,  # it would draw cues, which follow the base, towards one half
)
SOFT = 0.2
"""Share of the base in the target of an output that is labelled."""
_NOT_SAID = {True: "charge_3", False: "charge_1_or_more"}
"""The charge of which the label of a conversation, emotional or not, says nothing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What was learned: the model before, and its weights after.

    Attributes:
        model: The model; its weights are those of the last share that was asked for.
        before: The base's weights, by name.
        after: The weights that training ended with.
    """

    model: Any
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def averaged(self, share: float) -> Any:
        """Return the model with this share of the new weights, and the rest of the base's."""
        self.model.load_state_dict(self.after)
        average_weights(self.model, self.before, share)
        return self.model.cpu().eval()


def learn(
    base: Artifact,
    conversations: Sequence[LabelledConversation],
    windows: Sequence[Sequence[EncodedWindow]],
    pad_id: int,
    folder: Path,
    *,
    seed: int,
    prepared: Callable[[float], None],
    learnt: Callable[[float], None],
) -> Learned:
    """Train the base on labelled conversations.

    Args:
        base: The model to start from.
        conversations: What is learnt.
        windows: The windows of each.
        pad_id: The padding token.
        folder: A folder for what training needs on the way.
        seed: Seed of all that is random.
        prepared: Told how much the base has read before it learns, from 0 to 1.
        learnt: Told how much is learnt, from 0 to 1.

    Raises:
        ArtifactCorruptError: A file of the base is missing or altered.
    """
    torch.manual_seed(seed)
    model = load_model(base)
    with_outputs(model, base.outputs)
    engine = CountedEngine(ModelEngine(model), windows, prepared)
    rows = [*_rows(base.outputs, conversations, windows, engine, pad_id)]
    freeze_layers(model, len(model.base_model.encoder.layer) // 2)
    before = _weights(model)
    tokenizer = _tokenizer(base, pad_id)
    fit(model, tokenizer, Dataset.from_list(rows), folder, SETTINGS, seed=seed, report=learnt)
    model = model.cpu()
    return Learned(model, before, _weights(model))


def _weights(model: Any) -> dict[str, Any]:
    """Return a copy of a model's weights, by name."""
    return {name: values.clone() for name, values in model.state_dict().items()}


def _tokenizer(base: Artifact, pad_id: int) -> Any:
    """Return the base's tokenizer, by which batches are padded."""
    file = str(base.file("tokenizer.json"))
    pad = Tokenizer.from_file(file).id_to_token(pad_id)
    return PreTrainedTokenizerFast(tokenizer_file=file, pad_token=pad)


def _rows(
    outputs: Sequence[str],
    conversations: Sequence[LabelledConversation],
    windows: Sequence[Sequence[EncodedWindow]],
    engine: CountedEngine,
    pad_id: int,
) -> Iterator[dict[str, Any]]:
    """Yield what is learnt of each window; see `fit`."""
    columns = [OUTPUTS.index(name) for name in outputs]
    scores = iter(score_windows([[w] for own in windows for w in own], engine, pad_id))
    for labelled, own in zip(conversations, windows, strict=True):
        found = [next(scores) for _ in own]
        known = _likeliest_charged(labelled, found, outputs.index(EMOTIONAL))
        for window, score in zip(own, found, strict=True):
            soft = sigmoid(np.vstack([score.windows, *score.messages.values()]))
            targets = _targets(labelled, known, window.messages)[:, columns]
            yield {
                "input_ids": window.ids.tolist(),
                "turns": window.turns.tolist(),
                "targets": mix_targets(targets, soft, SOFT).tolist(),
                "weight": 1.0,
                "length": len(window.ids),
            }


def _likeliest_charged(
    labelled: LabelledConversation, scores: Sequence[Scores], emotional: int
) -> LabelledConversation:
    """Take the message in which the base finds most for the charged one, if none is known."""
    if labelled.turns_known:
        return labelled
    logits = [
        (row[emotional], place)
        for score in scores
        for place, row in score.messages.items()
        if place in labelled.charges
    ]
    return labelled.with_charged({max(logits)[1]})


def _targets(
    labelled: LabelledConversation, known: LabelledConversation, places: Sequence[int]
) -> Floats:
    """Return what is known of a window and of its messages, shape ``[1 + messages, OUTPUTS]``."""
    # `known` is the same conversation; if it is emotional, one message is taken for charged.
    whole, of_messages = known.whole_targets(places), known.targets()
    whole[OUTPUTS.index(_NOT_SAID[known.emotional])] = UNKNOWN
    nothing = [UNKNOWN] * len(OUTPUTS)
    guessed = {*known.charges} - known.charged if not labelled.turns_known else {}
    return np.array([whole, *(nothing if p in guessed else of_messages[p] for p in places)])
