"""From labelled conversations to new weights, near the base's where nothing is labelled.

The lower layers of the encoder stay as they are. What the base says about a window is the target of
every output that is not labelled, and a part of the target of those that are, so that cues,
themes and charges stay what they were (Li and Hoiem 2016, "Learning without forgetting").
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from affectlib._extras import requires_extra
from affectlib.finetuning.head import with_outputs
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.settings import TrainSettings
from affectlib.finetuning.trainer import (
    average_weights,
    fit,
    freeze_layers,
    mix_targets,
    window_logits,
)
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.model.engines.torch import load_model
from affectlib.model.scoring import MessageScore, encode_windows
from affectlib.taxonomy import EMOTIONAL, OUTPUTS

with requires_extra("train"):
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

__all__ = ["Learned", "ModelEngine", "learn"]

SETTINGS = TrainSettings(
    epochs=3,
    learning_rate=5e-5,
    head_learning_rate=1e-4,
    warmup=0.1,
    batch_size=16,
    label_smoothing=0.0,  # it would draw cues, which follow the base, towards one half
)
SOFT = 0.2
"""Share of the base in the target of an output that is labelled."""
USER_MESSAGES = 8
"""Messages of the user of each conversation at most."""
ASSISTANT_MESSAGES = 2
HARDEST = 3
"""Messages of each that come first, those in which the base finds most; the rest is drawn."""

Scores = Mapping[int, MessageScore]


@dataclass(frozen=True)
class ModelEngine:
    """Runs a model that is in memory; see `affectlib.model.engines.Engine`."""

    model: Any
    name: str = "torch"
    device: str = "cpu"

    def logits(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the logits of a batch."""
        with torch.inference_mode():
            output = self.model(
                input_ids=torch.from_numpy(input_ids),
                attention_mask=torch.from_numpy(attention_mask),
            )
        return np.asarray(output.logits.float().numpy())


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
    encoder: WindowEncoder,
    conversations: Sequence[LabelledConversation],
    scores: Sequence[Scores],
    folder: Path,
    *,
    seed: int,
    prepared: Callable[[float], None],
    learnt: Callable[[float], None],
) -> Learned:
    """Train the base on labelled conversations.

    Args:
        base: The model to start from.
        encoder: Lays out and tokenizes for it.
        conversations: What is learnt.
        scores: What the base says about the messages of each.
        folder: A folder for what training needs on the way.
        seed: Seed of all that is random.
        prepared: Told how much the new model has read before it learns, from 0 to 1.
        learnt: Told how much is learnt, from 0 to 1.

    Raises:
        ArtifactCorruptError: A file of the base is missing or altered.
    """
    torch.manual_seed(seed)
    model = load_model(base)
    with_outputs(model, base.outputs)
    rows = [*_rows(base, encoder, conversations, scores, random.Random(seed))]
    soft = sigmoid(window_logits(model, [ids for ids, _, _ in rows], report=prepared))
    columns = [OUTPUTS.index(name) for name in base.outputs]
    labels = np.array([targets for _, targets, _ in rows])[:, columns]
    user = np.array([of_user for _, _, of_user in rows])
    share = np.full(len(rows), SOFT)
    targets = mix_targets(labels, soft, share, user, base.outputs)
    windows = Dataset.from_dict(
        {
            "input_ids": [ids for ids, _, _ in rows],
            "targets": targets.tolist(),
            "weight": [1.0] * len(rows),
            "length": [len(ids) for ids, _, _ in rows],
        }
    )
    freeze_layers(model, len(model.base_model.encoder.layer) // 2)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    tokenizer = _tokenizer(base, encoder.pad_id)
    fit(model, tokenizer, windows, folder, SETTINGS, seed=seed, report=learnt)
    model = model.cpu()
    after = {name: values.clone() for name, values in model.state_dict().items()}
    return Learned(model, before, after)


def _tokenizer(base: Artifact, pad_id: int) -> Any:
    """Return the base's tokenizer, by which batches are padded."""
    file = str(base.file("tokenizer.json"))
    pad = Tokenizer.from_file(file).id_to_token(pad_id)
    return PreTrainedTokenizerFast(tokenizer_file=file, pad_token=pad)


def _rows(
    base: Artifact,
    encoder: WindowEncoder,
    conversations: Sequence[LabelledConversation],
    scores: Sequence[Scores],
    generator: random.Random,
) -> Iterator[tuple[list[int], list[float], bool]]:
    """Yield the windows that are learnt: token ids, targets, and whether they are of the user."""
    emotional = base.outputs.index(EMOTIONAL)
    chats = [labelled.conversation for labelled in conversations]
    for labelled, found, windows in zip(
        conversations, scores, encode_windows(chats, encoder), strict=True
    ):
        charge = {index: float(score.logits[emotional]) for index, score in found.items()}
        known = labelled if labelled.turns_known else _likeliest_charged(labelled, charge)
        targets = known.targets()
        of_message: dict[int, list[EncodedWindow]] = {}
        for window in windows:
            of_message.setdefault(window.message, []).append(window)
        for index in _chosen(known, charge, [*of_message], generator):
            user = known.conversation.messages[index].role == "user"
            unknown = not labelled.turns_known and index not in known.charged
            values = [np.nan] * len(OUTPUTS) if user and unknown else targets[index]
            for window in of_message[index]:
                yield window.ids.tolist(), values, user


def _likeliest_charged(
    labelled: LabelledConversation, charge: Mapping[int, float]
) -> LabelledConversation:
    """Take the message in which the base finds most for the charged one."""
    read = [index for index in labelled.charges if index in charge]
    return labelled.with_charged({max(read, key=lambda index: charge[index])}) if read else labelled


def _chosen(
    labelled: LabelledConversation,
    charge: Mapping[int, float],
    places: Sequence[int],
    generator: random.Random,
) -> list[int]:
    """Choose messages: charged ones, those in which the base finds most, and some at random."""
    messages = labelled.conversation.messages
    user = [index for index in places if messages[index].role == "user"]
    ranked = sorted(user, key=lambda index: charge[index], reverse=True)
    rest = ranked[HARDEST:]
    generator.shuffle(rest)
    first = [*ranked[:HARDEST], *rest]
    first.sort(key=lambda index: index not in labelled.charged)
    assistant = [index for index in places if messages[index].role == "assistant"]
    generator.shuffle(assistant)
    return sorted(first[:USER_MESSAGES] + assistant[:ASSISTANT_MESSAGES])
