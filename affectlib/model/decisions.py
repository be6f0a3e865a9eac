"""From the scores of a conversation to its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from affectlib.conversation import Conversation, Role
from affectlib.errors import NoUserTextError
from affectlib.model.aggregation import adjusted, any_charged, rate
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, expected_charge, reproducible, sigmoid
from affectlib.model.scoring import Scores
from affectlib.predictions import ConversationPrediction, MessagePrediction
from affectlib.taxonomy import (
    ASSISTANT_CUES,
    CHARGES,
    CUES,
    EMOTIONAL,
    TASK,
    THEMES,
    USER_CUES,
)

_CUES: Mapping[Role, tuple[str, ...]] = {"user": USER_CUES, "assistant": ASSISTANT_CUES}


def build_prediction(
    artifact: Artifact, conversation: Conversation, scores: Scores, point: OperatingPoint
) -> ConversationPrediction:
    """Turn the scores of a conversation into a prediction.

    The only message of a user has the conversation's probabilities and its label. All are rounded
    before they are compared with thresholds; see `reproducible`.

    Raises:
        NoUserTextError: No message of the user was read.
    """
    logits = message_logits(artifact, conversation, scores)
    of_user = user_places(conversation, scores)
    threshold = point.of_messages(len(of_user))
    roles = {index: conversation.messages[index].role for index in logits}
    messages = tuple(
        _message(artifact, index, roles[index], row, scores, threshold)
        for index, row in logits.items()
    )
    flags = [message.label == EMOTIONAL for message in messages if message.label is not None]
    found = _probabilities(artifact, conversation_logits(artifact, scores))
    label = EMOTIONAL if found[EMOTIONAL] >= point.conversation else TASK
    spoken = {*roles.values()}
    cues = {name: found[name] for name in CUES if CUES[name].unit in spoken and name in found}
    themes = {name: found[name] for name in THEMES if name in found}
    return ConversationPrediction(
        id=conversation.id,
        label=label,
        probability=found[EMOTIONAL],
        messages=messages,
        cues=cues,
        any=any_charged(flags),
        adjusted=adjusted(flags),
        rate=rate(flags),
        truncated_tokens=sum(scores.truncated.values()),
        shown_cues=_shown(cues, artifact.cue_thresholds),
        threshold=point.conversation,
        intensity=_intensity(found),
        themes=themes,
        shown_themes=_shown(themes, artifact.theme_thresholds) if label == EMOTIONAL else (),
    )


def user_places(conversation: Conversation, scores: Scores) -> list[int]:
    """Return the positions of the user's messages that were read.

    Raises:
        NoUserTextError: There are none.
    """
    places = [place for place in scores.messages if conversation.messages[place].role == "user"]
    if not places:
        raise NoUserTextError("the tokenizer finds nothing to read in what the user wrote")
    return places


def conversation_logits(artifact: Artifact, scores: Scores) -> NDArray[Any]:
    """Return the calibrated logits of a conversation, shape ``[outputs]``."""
    return artifact.conversation.logits(scores.windows)


def message_logits(
    artifact: Artifact, conversation: Conversation, scores: Scores
) -> dict[int, NDArray[Any]]:
    """Return the calibrated logits of each message that was read, by its position.

    Those of a user's only message are the conversation's.
    """
    first, *others = user_places(conversation, scores)
    logits = {place: artifact.message_logits(row) for place, row in scores.messages.items()}
    return logits if others else logits | {first: conversation_logits(artifact, scores)}


def _probabilities(artifact: Artifact, logits: NDArray[Any]) -> dict[str, float]:
    """Return the probability of each output; those of the charges are recalibrated."""
    found = dict(zip(artifact.outputs, sigmoid(logits).tolist(), strict=True))
    line = artifact.recalibration
    found |= {name: line.probability(found[name]) for name in CHARGES if name in found}
    return {name: reproducible(probability) for name, probability in found.items()}


def _message(
    artifact: Artifact,
    index: int,
    role: Role,
    logits: NDArray[Any],
    scores: Scores,
    threshold: float,
) -> MessagePrediction:
    found = _probabilities(artifact, logits)
    cues = {name: found[name] for name in _CUES[role] if name in found}
    labelled = role == "user"
    themes = {name: found[name] for name in THEMES if labelled and name in found}
    label = EMOTIONAL if found[EMOTIONAL] >= threshold else TASK
    return MessagePrediction(
        index=index,
        role=role,
        label=label if labelled else None,
        probability=found[EMOTIONAL] if labelled else None,
        cues=cues,
        truncated_tokens=scores.truncated[index],
        screened=scores.screened,
        shown_cues=_shown(cues, artifact.cue_thresholds),
        threshold=threshold if labelled else None,
        intensity=_intensity(found) if labelled else None,
        themes=themes,
        shown_themes=_shown(themes, artifact.theme_thresholds) if label == EMOTIONAL else (),
    )


def _intensity(found: Mapping[str, float]) -> float | None:
    """Return the expected charge; None if the model has no outputs for it."""
    if not {*CHARGES} <= {*found}:
        return None
    return reproducible(expected_charge(*(found[name] for name in CHARGES)))


def _shown(found: Mapping[str, float], thresholds: Mapping[str, float]) -> tuple[str, ...]:
    """Return what reaches its threshold, the likeliest first."""
    reached = [name for name, value in found.items() if value >= thresholds[name]]
    return tuple(sorted(reached, key=lambda name: -found[name]))
