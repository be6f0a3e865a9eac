"""Scores of labelled conversations, through any engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from affectlib.aggregation import merge_windows
from affectlib.encoding import WindowEncoder, token_batches
from affectlib.engines import Engine
from affectlib.taxonomy import OUTPUTS
from training.calibrate import ScoredConversation
from training.labelled import LabelledConversation, from_gold
from training.sources import read_corpus, read_source

REAL_DEV = ("sharegpt_dev", "arena_wildchat_dev")
BATCH_TOKENS = 4096


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
    windows = encoder.encode([labelled.conversation for labelled in conversations])
    logits = np.empty((len(windows), len(OUTPUTS)), dtype=np.float32)
    batches = token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=encoder.pad_id)
    for places, ids, mask in batches:
        logits[places] = engine.logits(ids, mask)
    keys = [(window.conversation, window.message) for window in windows]
    by_conversation: list[dict[int, NDArray[np.float32]]] = [{} for _ in conversations]
    for (conversation, message), values in merge_windows(keys, logits).items():
        by_conversation[conversation][message] = values
    return [
        ScoredConversation(labelled, by_message, labelled.source in REAL_DEV)
        for labelled, by_message in zip(conversations, by_conversation, strict=True)
        if by_message
    ]
