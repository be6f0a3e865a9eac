"""Dev conversations, each judged by a calibration and thresholds that never saw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from affectlib.model.scoring import score_messages
from training.config import CalibrateSettings
from training.data.sources import corpus_part
from training.evaluation import metrics
from training.model.calibrate import Calibration, ScoredConversation, cross_fit

PLAIN_PART = ("pl1", "pl2", "pl3", "pl4")
OTHER_LANGUAGES = ("es", "de", "it", "pt")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A conversation with what a calibration that never saw it makes of it.

    Attributes:
        scored: The conversation with its labels and logits.
        calibration: The calibration, with thresholds.
        probability: P(emotional) of the conversation.
        turns: P(emotional) of each user message that was read.
    """

    scored: ScoredConversation
    calibration: Calibration
    probability: float
    turns: Floats

    @property
    def emotional(self) -> bool:
        """Whether it is emotional by annotation."""
        return self.scored.labelled.emotional

    @property
    def real(self) -> bool:
        """Whether it is a real transcript."""
        return self.scored.real

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.scored.labelled.source

    @property
    def row(self) -> Any:
        """What its row says, messages aside."""
        return self.scored.labelled.row

    @property
    def language(self) -> str:
        """Its language, as two letters."""
        return str(self.row["lang"])

    @property
    def part(self) -> str:
        """The part of the corpus that it comes from."""
        return corpus_part(str(self.scored.labelled.conversation.id))

    def flagged(self, point: str) -> bool:
        """Whether it is labelled emotional at an operating point."""
        return self.probability >= self.calibration.operating_points[point].conversation

    def flagged_turns(self, point: str) -> NDArray[np.bool_]:
        """Return for each user message that was read whether it is labelled emotional."""
        threshold = self.calibration.operating_points[point].of_messages(len(self.turns))
        return self.turns >= threshold

    def charged_turns(self) -> NDArray[np.bool_]:
        """Return for each user message that was read whether it is charged by annotation."""
        messages = self.scored.labelled.conversation.messages
        charged = self.scored.labelled.charged or frozenset()
        return np.array([i in charged for i in self.scored.logits if messages[i].role == "user"])


GROUPS: dict[str, Callable[[Judged], bool]] = {
    "real transcripts": lambda j: j.real,
    "real: ShareGPT": lambda j: j.source == "sharegpt_dev",
    "real: Arena, WildChat": lambda j: j.source == "arena_wildchat_dev",
    "real: random pool": lambda j: j.real and j.row["pool"] == "random",
    "corpus dev": lambda j: not j.real,
    "corpus dev: English": lambda j: not j.real and j.language == "en",
    "corpus dev: French": lambda j: not j.real and j.language == "fr",
    "corpus dev: plain part": lambda j: not j.real and j.part in PLAIN_PART,
    "corpus dev: subtle part": lambda j: not j.real and j.part not in PLAIN_PART,
    "all dev: es, de, it, pt": lambda j: j.language in OTHER_LANGUAGES,
    "1 user message": lambda j: len(j.turns) == 1,
    "2-4 user messages": lambda j: 2 <= len(j.turns) <= 4,
    "5 or more user messages": lambda j: len(j.turns) >= 5,
}
"""The groups of conversations that are reported by themselves."""


def judge(scored: Sequence[ScoredConversation], settings: CalibrateSettings) -> list[Judged]:
    """Judge each conversation by cross-fitting (`training.model.calibrate.cross_fit`).

    Args:
        scored: All dev conversations that calibration rests on.
        settings: How calibration and thresholds are chosen.
    """
    return [judge_by(s, c) for s, c in zip(scored, cross_fit(scored, settings), strict=True)]


def judge_by(scored: ScoredConversation, calibration: Calibration) -> Judged:
    """Judge a conversation by a given calibration."""
    return Judged(
        scored,
        calibration,
        calibration.conversation_probability(scored),
        calibration.turn_probabilities(scored),
    )


def judge_again(
    judged: Sequence[Judged],
    conversations: Sequence[Conversation],
    encoder: WindowEncoder,
    engine: Engine,
) -> list[Judged]:
    """Judge altered conversations, each by the calibration of the one it was made from.

    Args:
        judged: The conversations as they were.
        conversations: What became of each; the labels of the result are those of the original.
        encoder: Lays out and tokenizes them.
        engine: Runs the windows; the user's alone.
    """
    scores = score_messages(conversations, encoder, engine, assistant_targets=False)
    result = []
    for j, conversation, by_message in zip(judged, conversations, scores, strict=True):
        changed = replace(
            j.scored,
            labelled=replace(j.scored.labelled, conversation=conversation),
            logits={index: found.logits for index, found in by_message.items()},
        )
        result.append(judge_by(changed, j.calibration))
    return result


def measured(
    judged: Iterable[Judged], points: Iterable[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """Count what is right and wrong on the real transcripts, for ``affect.json``.

    What was found and missed is counted on all of them, since few are emotional. False alarms are
    counted on those that were drawn at random alone: the others were chosen for being like
    emotional ones, and give more false alarms than a natural collection does.

    Args:
        judged: Dev conversations; those of the corpus do not count.
        points: Names of the operating points.

    Returns:
        The counts by operating point and level (``conversation``, and ``message`` for those of
        the user); nothing if the real transcripts are not of both labels.
    """
    real = [j for j in judged if j.real]
    at_random = [j for j in real if j.row["pool"] == "random"]
    if not any(j.emotional for j in real) or all(j.emotional for j in at_random):
        return {}
    return {
        point: {
            "conversation": {
                **_hits([j.flagged(point) for j in real if j.emotional]),
                **_alarms([j.flagged(point) for j in at_random if not j.emotional]),
            },
            "message": {
                **_hits([x for j in real for x in j.flagged_turns(point)[j.charged_turns()]]),
                **_alarms(
                    [x for j in at_random for x in j.flagged_turns(point)[~j.charged_turns()]]
                ),
            },
        }
        for point in points
    }


def _hits(flagged: Sequence[bool]) -> dict[str, int]:
    found = int(sum(flagged))
    return {"true_positives": found, "false_negatives": len(flagged) - found}


def _alarms(flagged: Sequence[bool]) -> dict[str, int]:
    found = int(sum(flagged))
    return {"true_negatives": len(flagged) - found, "false_positives": found}


def labels(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """Return 1 for each conversation that is emotional by annotation, else 0."""
    return np.array([j.emotional for j in judged], np.int64)


def probabilities(judged: Sequence[Judged]) -> Floats:
    """Return P(emotional) of each conversation."""
    return np.array([j.probability for j in judged], np.float64)


def calibrations(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """Return a number for each conversation that is the same for those of one calibration."""
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(id(j.calibration), len(numbers)) for j in judged], np.int64)


def estimate(metric: Callable[..., float], *columns: Any, groups: Any = None) -> dict[str, Any]:
    """Return a metric with its bootstrap interval, fit for JSON."""
    return asdict(metrics.bootstrap(metric, *columns, groups=groups))


def proportion(hits: NDArray[Any]) -> dict[str, Any]:
    """Return a share with its interval (`training.evaluation.metrics.proportion`), fit for JSON."""
    return asdict(metrics.proportion(hits))
