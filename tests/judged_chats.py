"""Labelled conversations, scored and judged with the tiny artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint
from affectlib.taxonomy import CUES, OUTPUTS, THEMES
from training.data.sources import from_gold
from training.evaluation.judged import Judged, Reader, judge_by
from training.model.calibrate import Calibration

POINT = OperatingPoint(message=0.5, conversation=0.5, sensitivity=1.0, specificity=1.0)
CALIBRATION = Calibration(
    np.eye(len(OUTPUTS)),
    np.zeros(len(OUTPUTS)),
    operating_points={"balanced": POINT},
    cue_thresholds=dict.fromkeys(CUES, 0.5),
    theme_thresholds=dict.fromkeys(THEMES, 0.5),
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
    cues: Sequence[str] = (),
    pool: str = "random",
    charge: int | None = None,
    labels: dict[str, Any] | None = None,
    **row: Any,
) -> LabelledConversation:
    """A conversation of user messages, of which those at the given places are charged."""
    messages = []
    for text in texts:
        messages.append({"role": "user", "content": text})
        if reply is not None:
            messages.append({"role": "assistant", "content": reply})
    given = {
        "charge": (2 if charged else 0) if charge is None else charge,
        "cues": [CUES[name].code for name in cues],
        "decoy": None,
        "turns": [place + 1 for place in charged],
    }
    about = {"id": id, "lang": lang, "pair": pair, "pool": pool, **row}
    return from_gold({**about, "messages": messages, "labels": given | (labels or {})}, source)


class TinyModel:
    """The tiny artifact, with other windows if wanted."""

    def __init__(self, artifact: Artifact, **windows: int) -> None:
        self.artifact = replace(artifact, windows=replace(artifact.windows, **windows))
        self.reader = Reader(self.artifact)

    def judge(
        self, *conversations: LabelledConversation, calibration: Any = CALIBRATION
    ) -> list[Judged]:
        """Judge conversations by one calibration."""
        return [judge_by(scored, calibration) for scored in self.reader.score(conversations)]
