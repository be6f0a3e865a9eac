"""What the classifier returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from warnings import warn

from affectlib import _views
from affectlib.conversation import Role
from affectlib.taxonomy import CUES, EMOTIONAL

__all__ = ["ConversationFailure", "ConversationPrediction", "MessagePrediction"]

_CUE = 0.5


@dataclass(frozen=True, slots=True)
class MessagePrediction:
    """What was found in one message.

    Attributes:
        index: Its position in the conversation, 0 if it was given alone.
        role: Who wrote it.
        label: "emotional" or "task"; None for an assistant's message, which has no label.
        probability: Calibrated P(emotional), whatever the label; None where label is.
        cues: Probability of each cue that this role can show.
        truncated_tokens: Tokens of the message that the model did not read.
    """

    index: int
    role: Role
    label: str | None
    probability: float | None
    cues: Mapping[str, float]
    truncated_tokens: int = 0

    def __str__(self) -> str:
        """Say label and probability; an assistant's message has its role in place of them."""
        if self.probability is None:
            return self.role
        return f"{self.label} (probability of emotional {self.probability:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {
            "index": self.index,
            "role": self.role,
            "label": self.label,
            "probability": self.probability,
            "cues": dict(self.cues),
            "truncated_tokens": self.truncated_tokens,
        }


@dataclass(frozen=True, slots=True)
class ConversationPrediction:
    """What was found in one conversation.

    Attributes:
        id: The conversation's id, None if it had none.
        label: "emotional" or "task".
        probability: Calibrated P(emotional) of the conversation, whatever the label.
        messages: One prediction for each user and assistant message that has text, in order.
        cues: Probability of each cue, the highest of the messages.
        any: Whether any of the user's messages is emotional.
        adjusted: Chance that at least one of 20 of the user's messages, drawn at random without
            replacement, is emotional.
        rate: Share of the user's messages that are emotional.
        truncated_tokens: Tokens of the messages that the model did not read.
    """

    id: str | None
    label: str
    probability: float
    messages: tuple[MessagePrediction, ...]
    cues: Mapping[str, float]
    any: bool
    adjusted: float
    rate: float
    truncated_tokens: int = 0

    @property
    def turns(self) -> tuple[MessagePrediction, ...]:
        """The former name of `messages`, which goes in 0.15."""
        warn("turns is now called messages", DeprecationWarning, stacklevel=2)
        return self.messages

    def __str__(self) -> str:
        """Say label and probability."""
        return f"{self.label} (probability of emotional {self.probability:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {
            "id": self.id,
            "label": self.label,
            "probability": self.probability,
            "cues": dict(self.cues),
            "any": self.any,
            "adjusted": self.adjusted,
            "rate": self.rate,
            "truncated_tokens": self.truncated_tokens,
            "messages": [message.to_dict() for message in self.messages],
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dict a message: its conversation's id and what `to_dict` gives of it."""
        return [
            {"conversation_id": self.id, **{k: v for k, v in row.items() if k != "cues"}, **cues}
            for message in self.messages
            for row, cues in ((message.to_dict(), message.cues),)
        ]

    def plot(self, *, threshold: float | None = None, ax: Any | None = None) -> Any:
        """Plot the probabilities of the user's messages, in order.

        Args:
            threshold: A line to draw; what messages were labelled by is
                ``classifier.artifact.operating_point(classifier.operating_point).message``.
            ax: The matplotlib axes to draw on; new ones if None.

        Returns:
            The matplotlib axes.

        Raises:
            MissingExtraError: matplotlib is not installed.

        Example:
            >>> import affectlib
            >>> messages = [{"role": "user", "content": "she left me and I cry all day"}]
            >>> affectlib.predict(messages).plot(threshold=0.5).get_ylabel()
            'P(emotional)'
        """
        points = [
            (message.index, message.probability, message.label)
            for message in self.messages
            if message.probability is not None
        ]
        return _views.plot_points(points, threshold, ax)

    def _repr_html_(self) -> str:
        """Show in a notebook which turns were charged; there is no text in it."""
        shown = _views.foremost(self.messages, [m.probability or 0.0 for m in self.messages])
        rows = [(m.label == EMOTIONAL, [str(m.index), m.role, *_found(m), _cues(m)]) for m in shown]
        header = ["message", "role", "label", "probability", f"cues of {_CUE} or more"]
        left_out = len(self.messages) - len(rows)
        return _views.page(title_html(self), _views.table(header, rows), left_out)


@dataclass(frozen=True, slots=True)
class ConversationFailure:
    """A conversation that could not be read or labelled, and why.

    Attributes:
        id: The conversation's id, None if it had none or could not be read that far.
        error: The exception's class and message; never holds transcript text.
    """

    id: str | None
    error: str


def title_html(prediction: ConversationPrediction) -> str:
    """Return the id, label and probability of a conversation as HTML."""
    name = ""
    if prediction.id is not None:
        name = f"<bdi>{escape(_views.excerpt(prediction.id))}</bdi>: "
    return f"{name}<b>{escape(prediction.label)}</b>, P(emotional) {prediction.probability:.3f}"


def _found(message: MessagePrediction) -> tuple[str, str]:
    if message.label is None or message.probability is None:
        return "", ""
    return escape(message.label), _views.bar(message.probability)


def _cues(message: MessagePrediction) -> str:
    found = sorted(message.cues.items(), key=lambda cue: -cue[1])
    return ", ".join(
        f"{escape(CUES[name].title if name in CUES else name)} {probability:.2f}"
        for name, probability in found
        if probability >= _CUE
    )
