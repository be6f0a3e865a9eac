"""From the scores of a conversation's messages to its prediction."""

from __future__ import annotations

from collections.abc import Mapping

from affectlib.conversation import Conversation, Role
from affectlib.errors import NoUserTextError
from affectlib.model.aggregation import adjusted, any_charged, rate
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, sigmoid
from affectlib.model.scoring import MessageScore
from affectlib.predictions import ConversationPrediction, MessagePrediction
from affectlib.taxonomy import ASSISTANT_CUES, EMOTIONAL, TASK, USER_CUES

_CUES: Mapping[Role, tuple[str, ...]] = {"user": USER_CUES, "assistant": ASSISTANT_CUES}


def conclude(
    artifact: Artifact,
    conversation: Conversation,
    scores: Mapping[int, MessageScore],
    point: OperatingPoint,
) -> ConversationPrediction:
    """Turn the scores of a conversation's messages into a prediction.

    Where one message of the user was read, the conversation has its probability and its label.

    Args:
        artifact: The model that gave them.
        conversation: The conversation.
        scores: What was found in its messages, by their position.
        point: The thresholds.

    Raises:
        NoUserTextError: No message of the user has a score.
    """
    emotional = [*user_logits(artifact, conversation, scores).values()]
    threshold = point.of_messages(len(emotional))
    messages = tuple(
        _message(artifact, index, conversation.messages[index].role, score, threshold)
        for index, score in scores.items()
    )
    flags = [message.label == EMOTIONAL for message in messages if message.role == "user"]
    probability = artifact.conversation_probability(emotional)
    cues: dict[str, float] = {}
    for message in messages:
        for name, value in message.cues.items():
            cues[name] = max(value, cues.get(name, value))
    return ConversationPrediction(
        id=conversation.id,
        label=EMOTIONAL if probability >= point.conversation else TASK,
        probability=probability,
        messages=messages,
        cues=cues,
        any=any_charged(flags),
        adjusted=adjusted(flags),
        rate=rate(flags),
        truncated_tokens=sum(message.truncated_tokens for message in messages),
        shown_cues=_shown(artifact, cues),
        threshold=point.conversation,
    )


def user_logits(
    artifact: Artifact, conversation: Conversation, scores: Mapping[int, MessageScore]
) -> dict[int, float]:
    """Return the emotional logit of each message of the user, by its position.

    Raises:
        NoUserTextError: No message of the user has a score.
    """
    output = artifact.outputs.index(EMOTIONAL)
    logits = {
        index: float(score.logits[output])
        for index, score in scores.items()
        if conversation.messages[index].role == "user"
    }
    if not logits:
        raise NoUserTextError("the tokenizer finds nothing to read in what the user wrote")
    return logits


def _message(
    artifact: Artifact, index: int, role: Role, score: MessageScore, threshold: float
) -> MessagePrediction:
    found = dict(zip(artifact.outputs, sigmoid(score.logits).tolist(), strict=True))
    cues = {name: found[name] for name in _CUES[role] if name in found}
    probability = artifact.recalibration.probability(found[EMOTIONAL])
    labelled = role == "user"
    label = EMOTIONAL if probability >= threshold else TASK
    return MessagePrediction(
        index=index,
        role=role,
        label=label if labelled else None,
        probability=probability if labelled else None,
        cues=cues,
        truncated_tokens=score.truncated_tokens,
        screened=score.screened,
        shown_cues=_shown(artifact, cues),
        threshold=threshold if labelled else None,
    )


def _shown(artifact: Artifact, cues: Mapping[str, float]) -> tuple[str, ...]:
    """Return the cues that reach the artifact's thresholds, the likeliest first."""
    reached = [name for name, value in cues.items() if value >= artifact.cue_thresholds[name]]
    return tuple(sorted(reached, key=lambda name: -cues[name]))
