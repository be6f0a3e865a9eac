"""Dev conversations, each judged by a calibration and thresholds that never saw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from affectlib.conversation import Conversation
from affectlib.finetuning.export import MODEL_FILES
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact, sha256
from affectlib.model.calibration import Line, WindowCombination
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import load_engine
from affectlib.model.reference import Reference, reference_of
from affectlib.model.scoring import Scores, WindowCache, score
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import CHARGES, OUTPUTS, THEMES
from training.data.sources import from_gold, in_languages, read_corpus, read_dev_labels, read_source
from training.model.calibrate import FEWEST_POSITIVES, Calibration, Kind, ScoredConversation, fit

LOGS = ("sharegpt_dev", "arena_wildchat_dev")
"""Logs that people shared, or that public chat pages keep."""
STUDIES = "studies_dev"
"""Chats of people with assistants in published studies."""
STUDY_SOURCES = ("duo_ed", "isle_social", "support", "isle_job", "isle_inquiry", "coach_de")
OTHER_LANGUAGES = ("es", "de", "it", "pt")
FOLDS = 5
"""Folds of the cross-fitting that honest dev figures come from."""
Floats = NDArray[np.float64]


def dev_conversations(real_dev: bool, data: Path | None) -> Iterator[LabelledConversation]:
    """Yield the dev conversations: the corpus's, and those of real people if wanted."""
    for row in read_corpus("dev"):
        yield from_gold(row, "corpus")
    if not real_dev:
        return
    labels = read_dev_labels()
    for name in (*LOGS, STUDIES):
        for row in read_source(name, data):
            yield from_gold({**row, "labels": labels[row["id"]]}, name)


def uncalibrated(folder: Path, windows: WindowSettings = WindowSettings()) -> Artifact:  # noqa: B008
    """Return a trained model, as training leaves it in a folder, as an artifact to calibrate."""
    names = [name for name in MODEL_FILES if (folder / name).is_file()]
    return Artifact(
        folder=folder,
        name=folder.name,
        version="0",
        outputs=OUTPUTS,
        windows=windows,
        conversation=WindowCombination(),
        messages={name: Line() for name in OUTPUTS},
        operating_points={},
        cue_thresholds={},
        prevalence=0.5,
        description={},
        fingerprint="",
        _hashes={name: sha256(folder / name) for name in names},
    )


_KINDS: dict[str, Kind] = {**dict.fromkeys(LOGS, "logs"), STUDIES: "personal"}


class Reader:
    """Scores labelled conversations with an artifact; runs no window twice."""

    def __init__(self, artifact: Artifact) -> None:
        self.engine = load_engine(artifact, engine="onnx", device="cpu")
        self.encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
        self._known = WindowCache(size=1_000_000)
        self._places = [OUTPUTS.index(name) for name in artifact.outputs]

    def scores(self, conversations: Sequence[Conversation]) -> list[Scores]:
        """Score conversations. An output that the artifact does not have is 0."""
        found = score(conversations, self.encoder, self.engine, known=self._known)
        return [
            replace(
                own,
                windows=self._in_order(own.windows),
                messages={place: self._in_order(row) for place, row in own.messages.items()},
            )
            for own in found
        ]

    def _in_order(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        ordered = np.zeros((*logits.shape[:-1], len(OUTPUTS)), np.float32)
        ordered[..., self._places] = logits
        return ordered

    def score(self, conversations: Sequence[LabelledConversation]) -> list[ScoredConversation]:
        """Score conversations; those of which nothing can be read are left out."""
        found = self.scores([c.conversation for c in conversations])
        scored = [
            ScoredConversation(labelled, own, _KINDS.get(labelled.source, "corpus"))
            for labelled, own in zip(conversations, found, strict=True)
        ]
        return [s for s in scored if s.user_places]


@dataclass(frozen=True, slots=True)
class Judged:
    """A conversation with its P(emotional), and that of each user message that was read."""

    scored: ScoredConversation
    calibration: Calibration
    probability: float
    turns: Floats

    @property
    def conversation(self) -> Conversation:
        """The conversation itself."""
        return self.scored.labelled.conversation

    @property
    def row(self) -> Any:
        """What its row says, messages aside."""
        return self.scored.labelled.row

    @property
    def emotional(self) -> bool:
        """Whether it is emotional by annotation."""
        return self.scored.labelled.emotional

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.scored.labelled.source

    @property
    def at_random(self) -> bool:
        """Whether it is a shared log that was drawn at random."""
        return self.source in LOGS and self.row["pool"] == "random"

    @property
    def language(self) -> str:
        """Its language, as two letters."""
        return str(self.row["lang"])

    @property
    def cluster(self) -> str:
        """The person who wrote it where that is known, else the conversation itself."""
        return str(self.row.get("writer") or self.conversation.id or id(self.scored))

    def flagged(self, point: str) -> bool:
        """Whether it is labelled emotional at an operating point."""
        return self.probability >= self.calibration.operating_points[point].conversation

    def flagged_turns(self, point: str) -> NDArray[np.bool_]:
        """Return for each user message that was read whether it is labelled emotional."""
        threshold = self.calibration.operating_points[point].of_messages(len(self.turns))
        return self.turns >= threshold

    def charged_turns(self) -> NDArray[np.bool_]:
        """Return for each user message that was read whether it is charged by annotation."""
        charged = self.scored.labelled.charged or frozenset()
        return np.array([index in charged for index in self.scored.user_places], bool)


GROUPS: dict[str, Callable[[Judged], bool]] = {
    "shared logs": lambda j: j.source in LOGS,
    "shared logs: random half": lambda j: j.at_random,
    "shared logs: ShareGPT": lambda j: j.source == LOGS[0],
    "shared logs: Arena, WildChat": lambda j: j.source == LOGS[1],
    "studies": lambda j: j.source == STUDIES,
    "studies: English": lambda j: j.source == STUDIES and j.language == "en",
    "corpus dev": lambda j: j.source == "corpus",
    "corpus dev: English": lambda j: j.source == "corpus" and j.language == "en",
    "corpus dev: French": lambda j: j.source == "corpus" and j.language == "fr",
    "all dev: es, de, it, pt": lambda j: j.language in OTHER_LANGUAGES,
}
"""The groups of conversations that are reported by themselves."""


def judge(scored: Sequence[ScoredConversation], seed: int = 0) -> list[Judged]:
    """Judge each conversation by a calibration that was fitted without its fold.

    Conversations in other languages than `LANGUAGES` are judged, but have no say in it. Folds keep
    the chats of a person and contrast pairs together.
    """
    groups = [
        str(x.row.get("writer") or x.row.get("pair") or x.conversation.id or place)
        for place, x in enumerate(s.labelled for s in scored)
    ]
    strata = [f"{s.labelled.source} {s.labelled.emotional}" for s in scored]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    judged: dict[int, Judged] = {}
    for others, own in folds.split(strata, strata, groups):
        calibration = fit(with_a_say([scored[place] for place in others]))
        judged |= {place: judge_by(scored[place], calibration) for place in own}
    return [judged[place] for place in range(len(scored))]


def with_a_say(scored: Sequence[ScoredConversation]) -> list[ScoredConversation]:
    """Return the conversations that thresholds and calibration rest on: those in `LANGUAGES`."""
    return [s for s in scored if in_languages(s.labelled.row)]


def judge_by(scored: ScoredConversation, calibration: Calibration) -> Judged:
    """Judge a conversation by a given calibration."""
    return Judged(
        scored, calibration, calibration.probability(scored), calibration.turn_probabilities(scored)
    )


def judge_as_shipped(
    artifact: Artifact, reader: Reader, conversations: Sequence[LabelledConversation]
) -> list[Judged]:
    """Judge conversations that chose nothing, by the artifact's own calibration and thresholds."""
    line = artifact.recalibration
    charges = [OUTPUTS.index(name) for name in CHARGES]
    weights, intercepts = np.eye(len(OUTPUTS)), np.zeros(len(OUTPUTS))
    weights[charges, charges], intercepts[charges] = line.slope, line.intercept
    lines = np.tile([0.0, 1.0], (len(OUTPUTS), 1))
    for name, fitted in artifact.messages.items():
        lines[OUTPUTS.index(name)] = fitted.intercept, fitted.slope
    # The user's line comes after those of messages there, and before them here.
    lines[charges, 0] = line.slope * lines[charges, 0] + line.intercept * (1 - lines[charges, 1])
    own = Calibration(  # the rest of it is in the weights of its head
        weights,
        intercepts,
        WindowCombination(line.slope * artifact.conversation.log_windows),
        lines,
        dict(artifact.operating_points),
        dict(artifact.cue_thresholds),
        dict(artifact.theme_thresholds),
    )
    return [judge_by(scored, own) for scored in reader.score(conversations)]


def judge_again(
    judged: Sequence[Judged], conversations: Sequence[Conversation], reader: Reader
) -> list[Judged]:
    """Judge what became of conversations, each by calibration and labels of the original."""
    scores = reader.scores(conversations)
    return [
        judge_by(
            replace(j.scored, labelled=replace(j.scored.labelled, conversation=chat), scores=found),
            j.calibration,
        )
        for j, chat, found in zip(judged, conversations, scores, strict=True)
    ]


def measured(judged: Sequence[Judged], points: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Count what is right and wrong on chats of real people, for ``affect.json``.

    That is nothing if one of both labels is missing. False alarms in the shared logs are counted on
    those that were drawn at random: the others were chosen for being like emotional ones.
    """
    sets = {
        "logs": [j for j in judged if j.source in LOGS],
        "random": [j for j in judged if j.at_random],
        "studies": [j for j in judged if j.source == STUDIES],
    }
    if not any(j.emotional for j in sets["logs"]) or all(j.emotional for j in sets["random"]):
        return {}
    counts: dict[str, dict[str, Any]] = {}
    for point in points:
        chats = {name: [(j.flagged(point), j.emotional) for j in own] for name, own in sets.items()}
        turns = (
            [x for j in own for x in zip(j.flagged_turns(point), j.charged_turns(), strict=True)]
            for own in (sets["logs"], sets["random"])
        )
        counts[point] = {
            "conversation": _counts(chats["logs"], chats["random"]),
            "message": _counts(*turns),
        }
        if sets["studies"]:
            counts[point]["studies"] = _counts(chats["studies"], chats["studies"])
        flagged = [j for j in (*sets["logs"], *sets["studies"]) if j.flagged(point)]
        if themes := _theme_counts(flagged):
            counts[point]["themes"] = themes
    return counts


def _theme_counts(flagged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Count what is right and wrong of each theme, where it is known and common enough."""
    # What is labelled emotional and is not has no theme.
    known = [j for j in flagged if j.scored.labelled.themes or not j.emotional]
    counts = {}
    for name in THEMES:
        found = [(j.calibration.shows(j.scored, name), name in j.scored.named) for j in known]
        own = _counts(found, found)
        if own["true_positives"] + own["false_negatives"] >= FEWEST_POSITIVES:
            counts[name] = own
    return counts


def _counts(
    known: Iterable[tuple[bool, bool]], natural: Iterable[tuple[bool, bool]]
) -> dict[str, int]:
    """Count the charged among pairs of flag and truth, and the uncharged among natural ones."""
    found = [bool(flag) for flag, charged in known if charged]
    alarms = [bool(flag) for flag, charged in natural if not charged]
    return {
        "true_positives": sum(found),
        "false_negatives": len(found) - sum(found),
        "true_negatives": len(alarms) - sum(alarms),
        "false_positives": sum(alarms),
    }


def reference_for(scored: Sequence[ScoredConversation], calibration: Calibration) -> Reference:
    """Return what the transcripts of real people look like that a model is measured on."""
    real = [s for s in scored if s.labelled.source in (*LOGS, STUDIES)] or scored
    names = (str(s.labelled.row.get("source", s.labelled.source)) for s in real)
    chats = (s.labelled.conversation for s in real)
    return reference_of(zip(names, chats, map(calibration.probability, real), strict=True))
