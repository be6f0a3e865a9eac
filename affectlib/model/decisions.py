"""From the scores of a conversation's messages to its prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from affectlib.conversation import Conversation, Role
from affectlib.errors import NoUserTextError
from affectlib.model.aggregation import adjusted, any_charged, rate
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, expected_charge, reproducible, sigmoid
from affectlib.model.scoring import MessageScore
from affectlib.predictions import ConversationPrediction, MessagePrediction
from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, EMOTIONAL, TASK, THEMES, USER_CUES

_CUES: Mapping[Role, tuple[str, ...]] = {"user": USER_CUES, "assistant": ASSISTANT_CUES}


def build_prediction(
    artifact: Artifact,
    conversation: Conversation,
    scores: Mapping[int, MessageScore],
    point: OperatingPoint,
) -> ConversationPrediction:
    """Turn the scores of a conversation's messages into a prediction.

    Where one message of the user was read, the conversation has its probability, its intensity and
    its label. Of longer ones, P(charge >= 1) and P(charge >= 3) come from the messages' logits by
    the function that gives P(emotional). The probability of a theme is its mean in the charged
    messages, or in all of the user's if none is. All are rounded before they are compared with
    thresholds; see `reproducible`.

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
    of_user = [message for message in messages if message.role == "user"]
    charged = [message for message in of_user if message.label == EMOTIONAL]
    flags = [message.label == EMOTIONAL for message in of_user]
    probability = reproducible(artifact.conversation_probability(emotional))

    def at_least(output: str) -> float:
        logits = user_logits(artifact, conversation, scores, output)
        return artifact.conversation_probability([*logits.values()])

    label = EMOTIONAL if probability >= point.conversation else TASK
    cues = _highest(message.cues for message in messages)
    themes = _mean([message.themes for message in charged or of_user])
    return ConversationPrediction(
        id=conversation.id,
        label=label,
        probability=probability,
        messages=messages,
        cues=cues,
        any=any_charged(flags),
        adjusted=adjusted(flags),
        rate=rate(flags),
        truncated_tokens=sum(message.truncated_tokens for message in messages),
        shown_cues=_shown(cues, artifact.cue_thresholds),
        threshold=point.conversation,
        intensity=_intensity(artifact, probability, at_least),
        themes=themes,
        shown_themes=_shown_themes(artifact, label, themes),
    )


def user_logits(
    artifact: Artifact,
    conversation: Conversation,
    scores: Mapping[int, MessageScore],
    output: str = EMOTIONAL,
) -> dict[int, float]:
    """Return a logit of each message of the user, by its position.

    Raises:
        NoUserTextError: No message of the user has a score.
    """
    place = artifact.outputs.index(output)
    logits = {
        index: float(score.logits[place])
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
    cues = {name: reproducible(found[name]) for name in _CUES[role] if name in found}
    themes = {
        name: reproducible(found[name]) for name in THEMES if role == "user" and name in found
    }
    probability = reproducible(artifact.recalibration.probability(found[EMOTIONAL]))
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
        shown_cues=_shown(cues, artifact.cue_thresholds),
        threshold=threshold if labelled else None,
        intensity=_intensity(
            artifact, probability, lambda name: artifact.recalibration.probability(found[name])
        )
        if labelled
        else None,
        themes=themes,
        shown_themes=_shown_themes(artifact, label, themes),
    )


def _intensity(
    artifact: Artifact, probability: float, at_least: Callable[[str], float]
) -> float | None:
    """Return the expected charge; None if the model has no outputs for it."""
    first, _, third = CHARGES
    if not {first, third} <= {*artifact.outputs}:
        return None
    return reproducible(expected_charge(at_least(first), probability, at_least(third)))


def _highest(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the highest value of each name."""
    highest: dict[str, float] = {}
    for values in found:
        for name, value in values.items():
            highest[name] = max(value, highest.get(name, value))
    return highest


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean value of each name, where all have the same names."""
    return {name: reproducible(fmean(values[name] for values in found)) for name in found[0]}


def _shown_themes(artifact: Artifact, label: str, themes: Mapping[str, float]) -> tuple[str, ...]:
    """Return the themes that are shown; what is not charged has none."""
    return _shown(themes, artifact.theme_thresholds) if label == EMOTIONAL else ()


def _shown(found: Mapping[str, float], thresholds: Mapping[str, float]) -> tuple[str, ...]:
    """Return what reaches its threshold, the likeliest first."""
    reached = [name for name, value in found.items() if value >= thresholds[name]]
    return tuple(sorted(reached, key=lambda name: -found[name]))
