"""Why a conversation has its label: which turns, and which words.

Both are counterfactuals: a turn, or a group of words, is left out, and read by itself; what changes
is its share (erasure or occlusion; Li, Monroe and Jurafsky 2016, "Understanding neural networks
through representation erasure"). They say what this model responds to, not why somebody wrote
something.

Nothing here is kept longer than the caller keeps it. An explanation holds the text that it
explains for `to_html`, and never prints it in its ``repr``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from affectlib import _views
from affectlib._batching import in_buffers
from affectlib.conversation import Conversation, Message
from affectlib.errors import OptionError
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, reproducible, sigmoid
from affectlib.model.decisions import build_prediction, message_logits
from affectlib.model.encoding import EncodedWindow
from affectlib.model.scoring import Scores
from affectlib.model.text.groups import word_groups
from affectlib.predictions import ConversationPrediction, MessagePrediction, title_html
from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, EMOTIONAL

__all__ = [
    "Explanation",
    "TurnShare",
    "WordExplanation",
    "WordShare",
    "explain_turns",
    "explain_words",
]

Scorer: TypeAlias = Callable[[Sequence[Conversation]], list[Scores]]
"""Scores conversations; see `affectlib.model.scoring.score`."""
Encoder: TypeAlias = Callable[[Sequence[Conversation]], list[list[EncodedWindow]]]
"""Returns the windows of conversations."""
WindowScorer: TypeAlias = Callable[[Sequence[Sequence[EncodedWindow]]], list[Scores]]
"""Scores them; see `affectlib.model.scoring.score_windows`."""

_NOTHING = "…"


@dataclass(frozen=True, slots=True)
class TurnShare:
    """How much one of the user's messages adds to the decision.

    Attributes:
        index: Its position in the conversation.
        label: The message's own label.
        probability: P(emotional) of the message itself.
        without: P(emotional) of the conversation without this message; the prevalence if nothing
            else of the user is left.
        share: Half of what P(emotional) of the conversation loses without the message, and half of
            what that of the message by itself is above the prevalence: above 0 if it speaks for
            emotional, below 0 if it speaks for task.
    """

    index: int
    label: str
    probability: float
    without: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each turn adds to a decision, as `AffectClassifier.explain` returns it.

    Attributes:
        prediction: What was found.
        turns: The share of each message of the user that was read, in order.
        conversation: What was explained.
        base: P(emotional) of a chat of which nothing is known, the model's prevalence.
    """

    prediction: ConversationPrediction
    turns: tuple[TurnShare, ...]
    conversation: Conversation = field(repr=False)
    base: float = 0.0

    def __str__(self) -> str:
        """Say what was found, and what each turn adds to it."""
        rows = [
            f"  message {turn.index}: probability {turn.probability:.3f}, adds {turn.share:+.3f}"
            for turn in self.turns
        ]
        return "\n".join([str(self.prediction), *rows])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON, without any text."""
        return {
            "id": self.prediction.id,
            "label": self.prediction.label,
            "probability": self.prediction.probability,
            "base": self.base,
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
    """How much a group of words adds to a logit.

    Attributes:
        start: Where it begins in the text, in characters.
        stop: Where it ends, excluded.
        share: Half of what the logit loses where it is left out, and half of what it gains where
            nothing else is there: above 0 if it speaks for the output, below 0 if against.
    """

    start: int
    stop: int
    share: float


@dataclass(frozen=True, slots=True)
class WordExplanation:
    """What each word of a message adds, as `AffectClassifier.explain_words` returns it.

    Attributes:
        index: The message's position in the conversation.
        output: What is explained, ``emotional``, or the name of another charge, a cue or a theme.
        probability: Its probability in the message.
        words: The share of each group of words, in order.
        text: The message.
    """

    index: int
    output: str
    probability: float
    words: tuple[WordShare, ...]
    text: str = field(repr=False)

    def top(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the groups of words with the largest shares, for or against, as text and share.

        Args:
            count: How many at most.

        Example:
            >>> words = (WordShare(0, 4, -0.5), WordShare(5, 8, 2.0))
            >>> WordExplanation(0, "emotional", 0.9, words, "very sad").top()
            [('sad', 2.0), ('very', -0.5)]
        """
        ranked = sorted(self.words, key=lambda word: -abs(word.share))
        return [(self.text[word.start : word.stop], word.share) for word in ranked[:count]]

    def __str__(self) -> str:
        """Show the words with the largest shares, in the order of these."""
        title = f"message {self.index}: probability of {self.output} {self.probability:.3f}"
        rows = [f"  {share:+6.2f}  {_views.excerpt(words)}" for words, share in self.top() if share]
        return "\n".join([title, *rows])

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
    conversation: Conversation,
    encode: Encoder,
    score: WindowScorer,
    artifact: Artifact,
    point: OperatingPoint,
) -> Explanation:
    """Tell each turn's share of a conversation's decision; see `AffectClassifier.explain`.

    Args:
        conversation: The conversation.
        encode: Returns its windows.
        score: Scores them.
        artifact: The model behind `score`.
        point: The thresholds.

    Raises:
        NoUserTextError: There is nothing to read in what the user wrote.
    """
    (windows,) = encode([conversation])
    (scores,) = score([windows])
    prediction = build_prediction(artifact, conversation, scores, point)
    base = artifact.prevalence
    turns = [turn for turn in prediction.messages if turn.label is not None]
    without = [base]
    if len(turns) > 1:
        without = _without(turns, windows, scores, score, artifact)
    messages = (Conversation((conversation.messages[turn.index],)) for turn in turns)
    alone = [
        _probability(artifact, found.windows)
        for buffer in in_buffers(messages)
        for found in score(encode(buffer))
    ]
    shares = tuple(
        TurnShare(
            turn.index,
            str(turn.label),
            float(turn.probability or 0.0),
            less,
            (prediction.probability - less + itself - base) / 2,
        )
        for turn, less, itself in zip(turns, without, alone, strict=True)
    )
    return Explanation(prediction, shares, conversation, base)


def _without(
    turns: Sequence[MessagePrediction],
    windows: Sequence[EncodedWindow],
    scores: Scores,
    score: WindowScorer,
    artifact: Artifact,
) -> list[float]:
    """Return P(emotional) of the conversation without each of several turns.

    Only the windows that hold a turn are read again, so that the work grows with the conversation.
    """
    held: dict[int, list[int]] = {}
    for place, window in enumerate(windows):
        for message in window.messages:
            held.setdefault(message, []).append(place)
    found = []
    for buffer in in_buffers(turns):
        lessened = [[windows[p].without(turn.index) for p in held[turn.index]] for turn in buffer]
        kept = [[window for window in group if window.messages] for group in lessened]
        for turn, changed in zip(buffer, score(kept), strict=True):
            others = np.delete(scores.windows, held[turn.index], axis=0)
            rows = [rows for rows in (others, changed.windows) if len(rows)]
            found.append(_probability(artifact, np.concatenate(rows)))
    return found


def _probability(artifact: Artifact, windows: NDArray[Any]) -> float:
    """Return P(emotional) of a conversation from the logits of its windows."""
    emotional = artifact.conversation.logits(windows)[artifact.outputs.index(EMOTIONAL)]
    return artifact.recalibration.probability(sigmoid(float(emotional)))


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
        score: Scores conversations.
        artifact: The model behind `score`.
        output: What is explained.

    Raises:
        OptionError: `output` is unknown, or there is no message of the user to read there.
        NoUserTextError: There is nothing to read in what the user wrote.
    """
    outputs = [name for name in artifact.outputs if name not in ASSISTANT_CUES]
    if output not in outputs:
        raise OptionError(f"unknown output {output!r}; use {', '.join(outputs)}")
    column = artifact.outputs.index(output)
    (scores,) = score([conversation])
    read = {
        place: float(logits[column])
        for place, logits in message_logits(artifact, conversation, scores).items()
        if conversation.messages[place].role == "user"
    }
    if message is None:
        message = max(read, key=lambda index: read[index])
    elif message not in read:
        raise OptionError(
            f"message {message} is not a user message with text; those are "
            f"{', '.join(map(str, [*read][:20]))}{' …' if len(read) > 20 else ''}"
        )
    text = conversation.messages[message].content
    spans = word_groups(text)
    ends = [*(start for start, _ in spans[1:]), len(text)]
    others = [text[:start] + text[end:] for (start, _), end in zip(spans, ends, strict=True)]
    alone = [text[start:stop] for start, stop in spans]
    whole = read[message]
    texts = [_NOTHING, *others, *alone]
    nothing, *found = _logits(texts, conversation, message, score, artifact, column)
    unread = whole if nothing is None else nothing
    logits = [unread if logit is None else logit for logit in found]
    words = tuple(
        WordShare(*span, (whole - without + by_itself - unread) / 2)
        for span, without, by_itself in zip(
            spans, logits[: len(spans)], logits[len(spans) :], strict=True
        )
    )
    probability = sigmoid(whole)
    if output in CHARGES:
        probability = artifact.recalibration.probability(probability)
    return WordExplanation(message, output, reproducible(probability), words, text)


def _logits(
    texts: Sequence[str],
    conversation: Conversation,
    place: int,
    score: Scorer,
    artifact: Artifact,
    column: int,
) -> list[float | None]:
    """Return the logit of each text in the place of a message; None where nothing can be read."""
    before, after = conversation.messages[:place], conversation.messages[place + 1 :]
    chats = (Conversation((*before, Message("user", text), *after)) for text in texts)
    found: list[float | None] = []
    for buffer in in_buffers(chats):
        for chat, scores in zip(buffer, score(buffer), strict=True):
            known = place in scores.messages
            logits = message_logits(artifact, chat, scores)[place] if known else None
            found.append(None if logits is None else float(logits[column]))
    return found
