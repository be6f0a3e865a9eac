"""Scores of labelled conversations, through any engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from affectlib.model.scoring import score_messages
from training.data.labelled import LabelledConversation, from_gold
from training.data.sources import read_corpus, read_source
from training.model.calibrate import ScoredConversation

REAL_DEV = ("sharegpt_dev", "arena_wildchat_dev")


class TrainedModel:
    """The trained model as an engine, before it is exported.

    Args:
        folder: Folder of the model.
    """

    name = "trained"
    device = "cpu"

    def __init__(self, folder: Path) -> None:
        """Load the model."""
        self._model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32
        ).eval()

    def logits(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return logits, shape ``[batch, outputs]``."""
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(input_ids),
                attention_mask=torch.from_numpy(attention_mask),
            )
        logits: NDArray[np.float32] = output.logits.float().numpy()
        return logits


class CachedEngine:
    """An engine that runs no window twice, however often it is asked.

    Altered conversations share most of their windows with those they were made from.

    Args:
        engine: The engine that runs the windows; what it says of one must not depend on the
            others of its batch.
    """

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing remembered."""
        self._engine = engine
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self.name, self.device = engine.name, engine.device

    def logits(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return logits, shape ``[batch, outputs]``."""
        keys = [
            ids[mask == 1].tobytes() for ids, mask in zip(input_ids, attention_mask, strict=True)
        ]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        if new:
            found = self._engine.logits(input_ids[new], attention_mask[new])
            self._known.update(zip((keys[row] for row in new), found, strict=True))
        return np.array([self._known[key] for key in keys])


def dev_conversations(real_dev: bool, data: Path | None) -> Iterator[LabelledConversation]:
    """Yield the dev conversations: the corpus's, and the real transcripts if wanted."""
    for row in read_corpus("dev"):
        yield from_gold(row, "corpus")
    for name in REAL_DEV if real_dev else ():
        for row in read_source(name, data):
            yield from_gold(row, name)


def score(
    conversations: Sequence[LabelledConversation], encoder: WindowEncoder, engine: Engine
) -> list[ScoredConversation]:
    """Score every message of the conversations; of several windows the highest logit counts."""
    scores = score_messages([labelled.conversation for labelled in conversations], encoder, engine)
    return [
        ScoredConversation(
            labelled,
            {index: found.logits for index, found in by_message.items()},
            labelled.source in REAL_DEV,
        )
        for labelled, by_message in zip(conversations, scores, strict=True)
        if by_message
    ]
