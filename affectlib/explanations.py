"""Why a conversation got its label: which turns, and which words.

Both are counterfactuals: something is left out, and what changes is its share. For turns it is
the turn's logit, for words (or stretches of words) the text itself (erasure or occlusion; Zeiler
and Fergus 2014, "Visualizing and understanding convolutional networks"; Li, Monroe and Jurafsky
2016, "Understanding neural networks through representation erasure"). They say what this model
heeds, not why somebody wrote something.

Nothing here is kept longer than the caller keeps it. An explanation holds the text that it
explains for `to_html`, and never prints it in its ``repr``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

import numpy as np

from affectlib import _views
from affectlib._inputs import in_buffers
from affectlib.conversation import Conversation, Message
from affectlib.errors import OptionError
from affectlib.model.aggregation import TOP
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, sigmoid
from affectlib.model.decisions import conclude, user_logits
from affectlib.model.scoring import MessageScore
from affectlib.model.windows import WindowSettings
from affectlib.predictions import ConversationPrediction, title_html
from affectlib.taxonomy import EMOTIONAL, USER_CUES

__all__ = [
    "Explanation",
    "TurnShare",
    "WordExplanation",
    "WordShare",
    "explain_turns",
    "explain_words",
]

Scorer: TypeAlias = Callable[[Sequence[Conversation]], list[dict[int, MessageScore]]]
"""Scores the messages of conversations; see `affectlib.model.scoring.score_messages`."""

STRETCHES = 128
"""Stretches of one message that are left out in turn, at most."""

_WORD = re.compile(r"\S{1,24}")
_NOTHING = "…"


@dataclass(frozen=True, slots=True)
class TurnShare:
    """What one of the user's messages adds to the decision.

    Attributes:
        index: Its position in the conversation.
        label: The message's own label.
        probability: P(emotional) of the message itself.
        without: P(emotional) of the conversation if this message had no logit.
        share: P(emotional) of the conversation less `without`: above 0 if the message speaks for
            emotional, below 0 if it speaks for task.
    """

    index: int
    label: str
    probability: float
    without: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The turns' shares of a conversation's decision; what `AffectClassifier.explain` returns.

    Attributes:
        prediction: What was found.
        turns: The share of each message of the user that was read, in order.
        conversation: What was explained.
    """

    prediction: ConversationPrediction
    turns: tuple[TurnShare, ...]
    conversation: Conversation = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, without any text."""
        return {
            "id": self.prediction.id,
            "label": self.prediction.label,
            "probability": self.prediction.probability,
            "turns": [
                {name: getattr(turn, name) for name in TurnShare.__slots__} for turn in self.turns
            ],
        }

    def to_html(self) -> str:
        """Return a table as HTML, with the beginning of each turn's text, escaped."""
        turns = _views.foremost(self.turns, [abs(turn.share) for turn in self.turns])
        messages = self.conversation.messages
        rows = [
            (
                turn.label == EMOTIONAL,
                [
                    str(turn.index),
                    _views.bar(turn.probability),
                    _views.bar(turn.share, signed=True),
                    f"<bdi>{escape(_views.excerpt(messages[turn.index].content))}</bdi>",
                ],
            )
            for turn in turns
        ]
        header = ["message", "probability", "share of P(emotional)", "text"]
        left_out = len(self.turns) - len(rows)
        return _views.page(title_html(self.prediction), _views.table(header, rows), left_out)

    def _repr_html_(self) -> str:
        return self.to_html()


@dataclass(frozen=True, slots=True)
class WordShare:
    """What a word, or a stretch of words in a long message, adds to a logit.

    Attributes:
        start: Where it begins in the text, in characters.
        stop: Where it ends, excluded.
        share: The message's logit less that of the message without it: above 0 if it speaks for
            the output, below 0 if against.
    """

    start: int
    stop: int
    share: float


@dataclass(frozen=True, slots=True)
class WordExplanation:
    """The words' shares of one message; what `AffectClassifier.explain_words` returns.

    Attributes:
        index: The message's position in the conversation.
        output: What is explained, ``emotional`` or the name of a cue.
        probability: Its probability in the message.
        words: The share of each word, or stretch of words, in order.
        text: The message.
    """

    index: int
    output: str
    probability: float
    words: tuple[WordShare, ...]
    text: str = field(repr=False)

    def top(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the words with the largest shares, for or against, as text and share.

        Args:
            count: How many at most.

        Example:
            >>> words = (WordShare(0, 4, -0.5), WordShare(5, 8, 2.0))
            >>> WordExplanation(0, "emotional", 0.9, words, "very sad").top()
            [('sad', 2.0), ('very', -0.5)]
        """
        ranked = sorted(self.words, key=lambda word: -abs(word.share))
        return [(self.text[word.start : word.stop], word.share) for word in ranked[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON; these hold the message's words."""
        return {
            "index": self.index,
            "output": self.output,
            "probability": self.probability,
            "words": [
                {
                    "word": self.text[word.start : word.stop],
                    "start": word.start,
                    "stop": word.stop,
                    "share": word.share,
                }
                for word in self.words
            ],
        }

    def to_html(self) -> str:
        """Return the message as HTML, escaped, its words tinted by their shares.

        Orange speaks for the output and blue against it. The tint is full at the largest share,
        but never at less than 1: shares that hardly matter should not look as if they did.
        """
        most = max((abs(word.share) for word in self.words), default=0.0)
        parts = []
        done = 0
        for word in self.words:
            colour = _views.ORANGE if word.share > 0 else _views.BLUE
            strength = 0.6 * abs(word.share) / max(most, 1.0)
            style = f"background:rgba({colour},{strength:.2f});border-radius:.2em"
            text = escape(self.text[word.start : word.stop])
            parts.append(escape(self.text[done : word.start]))
            parts.append(f'<span style="{style}" title="{word.share:+.2f}">{text}</span>')
            done = word.stop
        parts.append(escape(self.text[done:]))
        title = (
            f"message {self.index}: probability of {escape(self.output)} "
            f"{self.probability:.3f}; orange speaks for it, blue against, "
            f"at most {most:.2f} of the logit"
        )
        body = f'<bdi style="white-space:pre-wrap;overflow-wrap:anywhere">{"".join(parts)}</bdi>'
        return _views.page(title, f"<div>{body}</div>")

    def _repr_html_(self) -> str:
        return self.to_html()


def explain_turns(
    conversation: Conversation, score: Scorer, artifact: Artifact, point: OperatingPoint
) -> Explanation:
    """Tell each turn's share of a conversation's decision; see `AffectClassifier.explain`.

    Args:
        conversation: The conversation.
        score: Scores its messages.
        artifact: The model behind `score`.
        point: The thresholds.

    Raises:
        NoUserTextError: There is nothing to read in what the user wrote.
    """
    (scores,) = score([conversation])
    prediction = conclude(artifact, conversation, scores, point)
    logits = user_logits(artifact, conversation, scores)
    without = dict(zip(logits, _left_out([*logits.values()], artifact), strict=True))
    turns = tuple(
        TurnShare(
            turn.index,
            turn.label,
            turn.probability,
            without[turn.index],
            prediction.probability - without[turn.index],
        )
        for turn in prediction.messages
        if turn.label is not None and turn.probability is not None
    )
    return Explanation(prediction, turns, conversation)


def explain_words(
    conversation: Conversation,
    message: int | None,
    score: Scorer,
    artifact: Artifact,
    output: str = EMOTIONAL,
) -> WordExplanation:
    """Tell each word's share of one message; see `AffectClassifier.explain_words`.

    Args:
        conversation: The conversation.
        message: The message's position; that of the highest logit if None.
        score: Scores messages.
        artifact: The model behind `score`.
        output: What is explained.

    Raises:
        OptionError: `output` is unknown, or there is no message of the user to read there.
        NoUserTextError: There is nothing to read in what the user wrote.
    """
    outputs = [name for name in artifact.outputs if name == EMOTIONAL or name in USER_CUES]
    if output not in outputs:
        raise OptionError(f"unknown output {output!r}; use {', '.join(outputs)}")
    column = artifact.outputs.index(output)
    (scores,) = score([conversation])
    read = user_logits(artifact, conversation, scores)
    if message is None:
        message = max(read, key=lambda index: float(scores[index].logits[column]))
    elif message not in read:
        raise OptionError(
            f"message {message} is none of the user's with text; those are "
            f"{', '.join(map(str, [*read][:20]))}{' …' if len(read) > 20 else ''}"
        )
    text = conversation.messages[message].content
    context = _context(conversation.messages[:message], artifact.windows)
    spans = _stretches(text)
    ends = [*(start for start, _ in spans[1:]), len(text)]
    texts = [text[:start] + text[end:] for (start, _), end in zip(spans, ends, strict=True)]
    nothing, *without = _logits([_NOTHING, *texts], context, score, column)
    whole = float(scores[message].logits[column])
    unread = whole if nothing is None else nothing
    words = tuple(
        WordShare(*span, whole - (unread if logit is None else logit))
        for span, logit in zip(spans, without, strict=True)
    )
    probability = sigmoid(whole)
    if output == EMOTIONAL:
        probability = artifact.recalibration.probability(probability)
    return WordExplanation(message, output, probability, words, text)


def _left_out(logits: Sequence[float], artifact: Artifact) -> list[float]:
    """Return the conversation's probability without each logit in turn."""
    if len(logits) == 1:
        return [artifact.prevalence]
    order = np.argsort(logits)[::-1]
    ranked = np.asarray(logits, dtype=np.float64)[order]
    # Beyond those that count by themselves, it makes no difference which one is left out.
    distinct = [
        artifact.conversation_probability(np.delete(ranked, rank))
        for rank in range(min(len(logits), TOP + 1))
    ]
    without = np.empty(len(logits))
    without[order] = [distinct[min(rank, TOP)] for rank in range(len(logits))]
    return [float(value) for value in without]


def _context(earlier: Iterable[Message], settings: WindowSettings) -> tuple[Message, ...]:
    """Return those of the earlier messages that a window may hold."""
    limits: Mapping[str, int] = {
        "user": settings.user_context_tokens,
        "assistant": settings.assistant_context_tokens,
    }
    held = [m for m in earlier if limits.get(m.role) and m.content.strip()]
    return tuple(held[-settings.context_messages :] if settings.context_messages else ())


def _stretches(text: str) -> list[tuple[int, int]]:
    """Cut a text into words, or into as many stretches of words as are left out at most."""
    words = [found.span() for found in _WORD.finditer(text)]
    size = -(-len(words) // STRETCHES) or 1
    groups = [words[i : i + size] for i in range(0, len(words), size)]
    return [(group[0][0], group[-1][1]) for group in groups]


def _logits(
    texts: Sequence[str], context: tuple[Message, ...], score: Scorer, column: int
) -> list[float | None]:
    """Return the logit of each text as the last message; None where nothing can be read."""
    chats = (Conversation((*context, Message("user", text))) for text in texts)
    found: list[float | None] = []
    for buffer in in_buffers(chats):
        for scores in score(buffer):
            last = scores.get(len(context))
            found.append(None if last is None else float(last.logits[column]))
    return found
