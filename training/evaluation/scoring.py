"""Scores of a trained model, as `training.run` asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from affectlib.model.scoring import score_messages
from training.data.labelled import LabelledConversation
from training.evaluation.judged import LOGS
from training.evaluation.judged import dev_conversations as dev_conversations
from training.model.calibrate import ScoredConversation


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


def score(
    conversations: Sequence[LabelledConversation], encoder: WindowEncoder, engine: Engine
) -> list[ScoredConversation]:
    """Score every message of the conversations; of several windows the highest logit counts."""
    scores = score_messages([labelled.conversation for labelled in conversations], encoder, engine)
    return [
        ScoredConversation(
            labelled, {i: found.logits for i, found in by_message.items()}, labelled.source in LOGS
        )
        for labelled, by_message in zip(conversations, scores, strict=True)
        if by_message
    ]
