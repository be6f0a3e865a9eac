"""Why a conversation has its label: which turns, and which words.

Both are counterfactuals: something is left out or added, and what changes is its share. For turns
it is the turn's logit, and the share is its Shapley value (Shapley 1953, "A value for n-person
games"; Strumbelj and Kononenko 2010, "An efficient explanation of individual classifications using
game theory"). For groups of words it is the text itself (erasure or occlusion; Li, Monroe and
Jurafsky 2016, "Understanding neural networks through representation erasure"). They say what this
model heeds, not why somebody wrote something.

Nothing here is kept longer than the caller keeps it. An explanation holds the text that it
explains for `to_html`, and never prints it in its ``repr``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import comb
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from affectlib import _views
from affectlib._batching import in_buffers
from affectlib.conversation import Conversation, Message
from affectlib.errors import OptionError
from affectlib.model.aggregation import TOP
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import OperatingPoint, Recalibration, logit, reproducible, sigmoid
from affectlib.model.decisions import build_prediction, user_logits
from affectlib.model.scoring import MessageScore
from affectlib.model.text.groups import word_groups
from affectlib.model.text.unicode import normalize_unicode
from affectlib.model.windows import WindowSettings
from affectlib.predictions import ConversationPrediction, title_html
from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, EMOTIONAL

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

EXACT = 12
"""Turns of which the Shapley values are exact, at most."""
ORDERS = 64
"""Orders of turns that are drawn where there are more."""

Floats: TypeAlias = NDArray[np.float64]

_NOTHING = "…"


@dataclass(frozen=True, slots=True)
class TurnShare:
    """How much one of the user's messages adds to the decision.

    Attributes:
        index: Its position in the conversation.
        label: The message's own label.
        probability: P(emotional) of the message itself.
        without: P(emotional) of the conversation if this message had no logit.
        share: What the message adds to P(emotional) of the conversation, on average over all orders
            in which messages could be added to an empty chat (its Shapley value): above 0 if it
            speaks for emotional, below 0 if it speaks for task. Messages that say the same have the
            same share.
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
        turns: The share of each message of the user that was read, in order. With `base`, they sum
            up to the conversation's probability.
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
    prediction = build_prediction(artifact, conversation, scores, point)
    logits = user_logits(artifact, conversation, scores)
    values = np.array([*logits.values()], dtype=np.float64)
    without = dict(zip(logits, _left_out(values, artifact), strict=True))
    shares = dict(zip(logits, _shapley(values, artifact), strict=True))
    turns = tuple(
        TurnShare(turn.index, turn.label, turn.probability, without[turn.index], shares[turn.index])
        for turn in prediction.messages
        if turn.label is not None and turn.probability is not None
    )
    return Explanation(prediction, turns, conversation, artifact.prevalence)


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
    outputs = [name for name in artifact.outputs if name not in ASSISTANT_CUES]
    if output not in outputs:
        raise OptionError(f"unknown output {output!r}; use {', '.join(outputs)}")
    column = artifact.outputs.index(output)
    (scores,) = score([conversation])
    read = user_logits(artifact, conversation, scores)
    if message is None:
        message = max(read, key=lambda index: float(scores[index].logits[column]))
    elif message not in read:
        raise OptionError(
            f"message {message} is not a user message with text; those are "
            f"{', '.join(map(str, [*read][:20]))}{' …' if len(read) > 20 else ''}"
        )
    text = conversation.messages[message].content
    context = _context(conversation.messages[:message], artifact.windows)
    spans = word_groups(text)
    ends = [*(start for start, _ in spans[1:]), len(text)]
    others = [text[:start] + text[end:] for (start, _), end in zip(spans, ends, strict=True)]
    alone = [text[start:stop] for start, stop in spans]
    whole = float(scores[message].logits[column])
    nothing, *found = _logits([_NOTHING, *others, *alone], context, score, column)
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


def _left_out(logits: Floats, artifact: Artifact) -> list[float]:
    """Return the conversation's probability without each logit in turn."""
    if len(logits) == 1:
        return [artifact.prevalence]
    order = np.argsort(logits)[::-1]
    ranked = logits[order]
    # Beyond those that count by themselves, it makes no difference which one is left out.
    distinct = [
        artifact.conversation_probability(np.delete(ranked, rank))
        for rank in range(min(len(logits), TOP + 1))
    ]
    without = np.empty(len(logits))
    without[order] = [distinct[min(rank, TOP)] for rank in range(len(logits))]
    return [float(value) for value in without]


def _shapley(logits: Floats, artifact: Artifact) -> list[float]:
    """Return each turn's Shapley value, exact for up to `EXACT` turns and else sampled.

    They sum up to the conversation's probability less the prevalence, which stands for that of an
    empty chat. Turns of the same logit have the same value.
    """
    shares = _exact(logits, artifact) if len(logits) <= EXACT else _sampled(logits, artifact)
    _, group, size = np.unique(logits, return_inverse=True, return_counts=True)
    alike = np.bincount(group, weights=shares) / size
    return [float(share) for share in alike[group]]


def _exact(logits: Floats, artifact: Artifact) -> Floats:
    """Return the Shapley values over all subsets of turns."""
    count = len(logits)
    subsets = np.arange(1 << count)
    members = (subsets[:, None] >> np.arange(count)) & 1 == 1
    ranked = -np.sort(-np.where(members, logits, -np.inf), axis=1)[:, :TOP]
    sizes = members.sum(axis=1)
    worth = _worth(ranked, sizes, artifact)
    weights = np.array([1 / (count * comb(count - 1, size)) for size in range(count)])
    shares = np.empty(count)
    for turn in range(count):
        others = subsets[~members[:, turn]]
        gain = worth[others | (1 << turn)] - worth[others]
        shares[turn] = weights[sizes[others]] @ gain
    return shares


def _sampled(logits: Floats, artifact: Artifact) -> Floats:
    """Return the mean gain of each turn over orders that are drawn, each with its reverse."""
    generator = np.random.default_rng(0)
    drawn = [generator.permutation(len(logits)) for _ in range(ORDERS // 2)]
    orders = np.array([order for each in drawn for order in (each, each[::-1])])
    ranked = np.full((len(orders), TOP), -np.inf)
    before = np.full(len(orders), artifact.prevalence)
    shares = np.zeros(len(logits))
    for place in range(len(logits)):
        turns = orders[:, place]
        added = np.column_stack([ranked, logits[turns]])
        ranked = -np.sort(-added, axis=1)[:, :TOP]
        worth = _worth(ranked, np.full(len(orders), place + 1), artifact)
        np.add.at(shares, turns, worth - before)
        before = worth
    return shares / len(orders)


def _worth(ranked: Floats, sizes: NDArray[np.int_], artifact: Artifact) -> Floats:
    """Return P(emotional) of sets of turns, by their highest logits (-inf where there are fewer).

    It is what `Artifact.conversation_probability` gives, for many at once.
    """
    counted = np.minimum(np.maximum(sizes, 1), ranked.shape[1])
    top = np.where(np.isfinite(ranked), ranked, 0.0).sum(axis=1) / counted
    highest = np.where(sizes > 0, ranked[:, 0], 0.0)
    by_function = artifact.conversation.of_features(highest, top, np.log(np.maximum(sizes, 1)))
    found = np.where(sizes == 1, sigmoid(highest), by_function)
    line = artifact.recalibration
    if line != Recalibration():
        found = sigmoid(line.intercept + line.slope * logit(found))
    return np.where(sizes == 0, artifact.prevalence, found)


def _context(earlier: Iterable[Message], settings: WindowSettings) -> tuple[Message, ...]:
    """Return those of the earlier messages that a window may hold."""
    limits: Mapping[str, int] = {
        "user": settings.user_context_tokens,
        "assistant": settings.assistant_context_tokens,
    }
    held = [m for m in earlier if limits.get(m.role) and normalize_unicode(m.content).strip()]
    return tuple(held[-settings.context_messages :] if settings.context_messages else ())


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
