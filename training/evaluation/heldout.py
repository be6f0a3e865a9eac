"""The corpus's test split and real small talk, judged by an artifact as it is shipped.

Their conversations take no part in training, calibration, thresholds or the choice of recipes. So
no cross-fitting is needed: the artifact's own calibration and thresholds decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from affectlib.model.artifacts import Artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from affectlib.taxonomy import OUTPUTS
from training.data.labelled import from_gold
from training.data.sources import read_corpus, read_small_talk
from training.evaluation.figures import (
    corpus_figures,
    cue_figures,
    french_less_english,
    group_figures,
)
from training.evaluation.judged import GROUPS, OTHER_LANGUAGES, Judged, judge_by
from training.evaluation.scoring import score
from training.model.calibrate import Calibration

MAIN_LANGUAGES = ("en", "fr")
LENGTHS = ("1 user message", "2-4 user messages", "5 or more user messages")
"""The groups of `training.evaluation.judged.GROUPS` that are reported, of the main languages."""


def held_out(
    artifact: Artifact, encoder: WindowEncoder, engine: Engine, points: Iterable[str]
) -> dict[str, Any]:
    """Measure an artifact on the test split.

    Args:
        artifact: The artifact.
        encoder: Its encoder of windows.
        engine: Its engine.
        points: Names of the operating points.

    Returns:
        ``groups``: figures by group and language; ``corpus``, ``cues`` and
        ``french_less_english``: those of pairs and turns, of cues, and the difference of accuracy,
        of the English and French conversations.
    """
    judged = _judge("corpus", read_corpus("test"), artifact, encoder, engine)
    points = list(points)
    main = [j for j in judged if j.language in MAIN_LANGUAGES]
    groups = {
        "English and French": main,
        **{name: list(filter(GROUPS[name], main)) for name in LENGTHS},
        **{x: [j for j in judged if j.language == x] for x in (*MAIN_LANGUAGES, *OTHER_LANGUAGES)},
    }
    return {
        "groups": {name: group_figures(members, points) for name, members in groups.items()},
        "corpus": corpus_figures(main),
        "cues": cue_figures(main),
        "french_less_english": french_less_english(main),
    }


def small_talk(
    artifact: Artifact,
    encoder: WindowEncoder,
    engine: Engine,
    points: Iterable[str],
    data: Path | None,
) -> dict[str, Any]:
    """Measure an artifact on small talk between people, of which the first plays the user.

    Args:
        artifact: The artifact.
        encoder: Its encoder of windows.
        engine: Its engine.
        points: Names of the operating points.
        data: Folder of the public sets.
    """
    judged = _judge("small talk", read_small_talk(data), artifact, encoder, engine)
    return group_figures(judged, points)


def _judge(
    source: str,
    rows: Iterable[dict[str, Any]],
    artifact: Artifact,
    encoder: WindowEncoder,
    engine: Engine,
) -> list[Judged]:
    """Judge annotated rows by the artifact's own calibration and thresholds."""
    own = shipped_calibration(artifact)
    conversations = [from_gold(row, source) for row in rows]
    return [judge_by(scored, own) for scored in score(conversations, encoder, engine)]


def shipped_calibration(artifact: Artifact) -> Calibration:
    """Return an artifact's calibration; that of single outputs is in the weights of its head."""
    return Calibration(
        np.ones(len(OUTPUTS)),
        np.zeros(len(OUTPUTS)),
        artifact.conversation,
        dict(artifact.operating_points),
        dict(artifact.cue_thresholds),
    )
