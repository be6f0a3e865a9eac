"""Labelled conversations, scored and judged with the tiny artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from affectlib.conversation import Conversation, Message
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import ConversationCalibration, OperatingPoint
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import load_engine
from affectlib.taxonomy import OUTPUTS
from training.data.labelled import LabelledConversation
from training.evaluation.judged import Judged, judge_by
from training.evaluation.scoring import CachedEngine, score
from training.model.calibrate import Calibration

POINT = OperatingPoint(message=0.5, conversation=0.5, sensitivity=1.0, specificity=1.0)
CALIBRATION = Calibration(
    np.ones(len(OUTPUTS)),
    np.zeros(len(OUTPUTS)),
    ConversationCalibration(0.0, 1.0, 0.0, 0.0),
    {"balanced": POINT},
    {name: 0.5 for name in OUTPUTS if name != "emotional"},
)
"""Leaves logits as they are; a conversation is what its highest message is."""


def labelled(
    *texts: str,
    charged: Sequence[int] = (),
    reply: str | None = "sorry",
    source: str = "corpus",
    id: str = "pl1-1",
    lang: str = "en",
    pair: str | None = None,
    decoy: str | None = None,
    cues: Sequence[str] = (),
    pool: str = "random",
) -> LabelledConversation:
    """A conversation of user messages, of which those at the given places are charged."""
    messages: list[Message] = []
    places = []
    for text in texts:
        places.append(len(messages))
        messages.append(Message("user", text))
        if reply is not None:
            messages.append(Message("assistant", reply))
    labels = {"charge": 2 if charged else 0, "decoy": decoy}
    return LabelledConversation(
        Conversation(tuple(messages), id=id),
        source,
        emotional=bool(charged),
        cues=frozenset(cues),
        charged=frozenset(places[i] for i in charged),
        row={"lang": lang, "pair": pair, "pool": pool, "labels": labels},
    )


class TinyModel:
    """The tiny artifact, with other windows if wanted."""

    def __init__(self, artifact: Artifact, **windows: int) -> None:
        settings = replace(artifact.windows, **windows)
        self.encoder = WindowEncoder(artifact.folder / "tokenizer.json", settings)
        self.engine = CachedEngine(load_engine(artifact, engine="onnx", device="cpu"))

    def judge(
        self, *conversations: LabelledConversation, calibration: Any = CALIBRATION
    ) -> list[Judged]:
        """Judge conversations by one calibration."""
        scored = score(conversations, self.encoder, self.engine)
        return [judge_by(each, calibration) for each in scored]
