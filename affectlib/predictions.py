"""What the classifier returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from affectlib import _views
from affectlib._extras import requires_extra
from affectlib.conversation import Role
from affectlib.errors import ConversationFailure, InputTypeError
from affectlib.taxonomy import CUES, EMOTIONAL, THEME_COLUMNS, THEMES

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = [
    "ConversationFailure",
    "ConversationPrediction",
    "MessagePrediction",
    "Predictions",
    "to_frame",
]

_T = TypeVar("_T", bound="MessagePrediction | ConversationPrediction")

_OF_A_MESSAGE = ("status", "error", "label", "probability", "intensity")
_TITLES = {name: cue.title for name, cue in CUES.items()} | {
    name: theme.title for name, theme in THEMES.items()
}
_OF_A_CONVERSATION = ("conversation_id", *_OF_A_MESSAGE, "any", "adjusted", "rate")


@dataclass(frozen=True, slots=True)
class MessagePrediction:
    """The prediction for one message.

    Attributes:
        index: Its position in the conversation, from 0.
        role: Who wrote it.
        label: "emotional" or "task"; None for an assistant's message, as are `probability`,
            `threshold` and `intensity`.
        probability: Calibrated P(emotional), whatever the label.
        cues: Probability of each cue that this role can show.
        truncated_tokens: Tokens of the message that the model did not read.
        shown_cues: The cues that reach the model's thresholds, the likeliest first.
        threshold: Probability from which it is emotional.
        screened: Whether the screen settled it, so that the encoder did not read it.
        intensity: The expected charge, from 0 to 3; None if the model does not give it.
        themes: Probability of each theme, if the message is charged; empty for an assistant's
            message, or if the model knows none.
        shown_themes: The themes that reach the model's thresholds, the likeliest first; none if it
            is not emotional.
    """

    index: int
    role: Role
    label: str | None
    probability: float | None
    cues: Mapping[str, float]
    truncated_tokens: int = 0
    shown_cues: tuple[str, ...] = ()
    threshold: float | None = None
    screened: bool = False
    intensity: float | None = None
    themes: Mapping[str, float] = field(default_factory=dict)
    shown_themes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return label and probability; the role for an assistant's message."""
        if self.probability is None:
            return self.role
        return f"{self.label} (probability of emotional {self.probability:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return _plain(self)

    def _repr_html_(self) -> str:
        """Return a table for notebooks, without text of the message."""
        return _views.page(_title(self.label or self.role, self), _table([self]))


@dataclass(frozen=True, slots=True)
class ConversationPrediction:
    """The prediction for one conversation.

    Attributes:
        id: The conversation's id, or None if it had none.
        label: "emotional" or "task".
        probability: Calibrated P(emotional) of the conversation, whatever the label.
        messages: One prediction for each user and assistant message that has text, in order.
        cues: Probability of each cue, the highest of the messages.
        any: Whether any of the user's messages is emotional.
        adjusted: Probability that at least one of 20 of the user's messages, drawn at random
            without replacement, is emotional.
        rate: Share of the user's messages that are emotional.
        truncated_tokens: Tokens of the messages that the model did not read.
        shown_cues: The cues that reach the model's thresholds, the likeliest first.
        threshold: Probability from which it is emotional.
        intensity: The expected charge, from 0 to 3; None if the model does not give it.
        themes: Probability of each theme, the mean of the emotional messages (of all of the
            user's if none is); empty if the model knows none.
        shown_themes: The themes that reach the model's thresholds, the likeliest first; none if it
            is not emotional.
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
    shown_cues: tuple[str, ...] = ()
    threshold: float | None = None
    intensity: float | None = None
    themes: Mapping[str, float] = field(default_factory=dict)
    shown_themes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return label and probability."""
        return f"{self.label} (probability of emotional {self.probability:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return _plain(self) | {"messages": [message.to_dict() for message in self.messages]}

    def plot(self, *, threshold: float | None = None, ax: Axes | None = None) -> Axes:
        """Plot the probabilities of the user's messages, in order, with their threshold.

        Args:
            threshold: Another line to draw in place of the threshold of the messages.
            ax: The matplotlib axes to draw on and return; new ones if None.

        Example:
            >>> import affectlib
            >>> messages = [{"role": "user", "content": "she left me and I cry all day"}]
            >>> affectlib.predict(messages).plot().get_ylabel()
            'P(emotional)'
        """
        points = [
            (message.index, message.probability, message.label)
            for message in self.messages
            if message.probability is not None
        ]
        if threshold is None:
            threshold = next((m.threshold for m in self.messages if m.threshold is not None), None)
        return _views.plot_points(points, threshold, ax)

    def _repr_html_(self) -> str:
        """Return a table of the messages for notebooks, without their text."""
        shown = _views.foremost(self.messages, [m.probability or 0.0 for m in self.messages])
        left_out = len(self.messages) - len(shown)
        return _views.page(title_html(self), _table(shown), left_out)


class Predictions(list[_T | ConversationFailure], Generic[_T]):
    """A list of predictions, shown as a table in notebooks.

    Example:
        >>> missing = ConversationFailure(None, "it is missing", "empty")
        >>> Predictions([missing]).to_frame()["status"].tolist()
        ['empty']
    """

    def to_frame(self) -> pandas.DataFrame:
        """Return them as a pandas data frame; see `affectlib.to_frame`."""
        return to_frame(self)

    def _repr_html_(self) -> str:
        """Return a table for notebooks of those most likely to be emotional, without their text."""
        places = _views.foremost(range(len(self)), [item.probability or 0.0 for item in self])
        known = any(getattr(item, "intensity", None) is not None for item in self)
        rows = []
        for place in places:
            item = self[place]
            name = getattr(item, "id", None)
            label = item.status if isinstance(item, ConversationFailure) else str(item.label)
            cells = [
                str(place),
                "" if name is None else _name_html(name),
                escape(label),
                "" if item.probability is None else _views.bar(item.probability),
                *_intensity(item, known=known),
                _titles(getattr(item, "shown_cues", ())),
                _titles(getattr(item, "shown_themes", ())),
            ]
            rows.append((item.label == EMOTIONAL, cells))
        intensity = ["intensity"] if known else []
        header = ["position", "id", "label", "probability", *intensity, "cues", "themes"]
        emotional = sum(item.label == EMOTIONAL for item in self)
        title = f"{len(self):,} predictions, {emotional:,} of them emotional"
        return _views.page(title, _views.table(header, rows), len(self) - len(rows))


def to_frame(
    predictions: Iterable[MessagePrediction | ConversationPrediction | ConversationFailure],
) -> pandas.DataFrame:
    """Return predictions as a pandas data frame, with a row for each, in order.

    Args:
        predictions: What `affectlib.predict` or `AffectClassifier.stream` gave for several texts
            or for several conversations.

    Returns:
        A data frame with the columns ``status``, ``error``, ``label``, ``probability``,
        ``intensity``, ``truncated_tokens`` and one for each cue and theme (``theme_grief``); those
        of conversations also have ``conversation_id``, ``any``, ``adjusted`` and ``rate``. A
        failure has only its id, status and error.

    Example:
        >>> import affectlib
        >>> texts = ["my dad died last night", None, "sort this list"]
        >>> found = affectlib.predict(texts, on_error="record")
        >>> frame = affectlib.to_frame(found)
        >>> frame["status"].tolist(), frame["label"].dropna().tolist()
        (['ok', 'empty', 'ok'], ['emotional', 'task'])
    """
    with requires_extra("analysis"):
        import pandas
    items = [*predictions]
    kinds = {type(item) for item in items} - {ConversationFailure}
    if not kinds <= {MessagePrediction} and not kinds <= {ConversationPrediction}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputTypeError(f"expected predictions of texts or of conversations; got {found}")
    names: tuple[str, ...] = _OF_A_MESSAGE if kinds <= {MessagePrediction} else _OF_A_CONVERSATION
    rows = []
    for item in items:
        row: dict[str, Any] = {"conversation_id": getattr(item, "id", None), "status": "ok"}
        if isinstance(item, ConversationFailure):
            row["status"] = item.status
            row["error"] = item.error if item.status == "error" else None
        else:
            row = {name: getattr(item, name, None) for name in (*names, "truncated_tokens")} | row
            row |= {**item.cues, **by_column(item.themes)}
        rows.append(row)
    scores = [name for name in (*CUES, *THEME_COLUMNS.values()) if any(name in r for r in rows)]
    return pandas.DataFrame(rows, columns=[*names, "truncated_tokens", *scores])


def _plain(prediction: MessagePrediction | ConversationPrediction) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(prediction):
        value = getattr(prediction, each.name)
        value = dict(value) if isinstance(value, Mapping) else value
        found[each.name] = [*value] if isinstance(value, tuple) else value
    return found


def by_column(themes: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities of themes by the names of their columns in a table."""
    return {THEME_COLUMNS[name]: value for name, value in themes.items()}


def title_html(prediction: ConversationPrediction) -> str:
    """Return the id, label and probability of a conversation as HTML."""
    name = "" if prediction.id is None else f"{_name_html(prediction.id)}: "
    return name + _title(prediction.label, prediction)


def _name_html(name: str) -> str:
    return f"<bdi>{escape(_views.excerpt(name))}</bdi>"


def _title(label: str, prediction: MessagePrediction | ConversationPrediction) -> str:
    probability, intensity = prediction.probability, prediction.intensity
    found = "" if probability is None else f", P(emotional) {probability:.3f}"
    charge = "" if intensity is None else f", intensity {intensity:.2f}"
    return f"<b>{escape(label)}</b>{found}{charge}"


def _table(messages: Iterable[MessagePrediction]) -> str:
    messages = [*messages]
    known = any(message.intensity is not None for message in messages)
    rows = [
        (
            message.label == EMOTIONAL,
            [
                str(message.index),
                message.role,
                *_found(message),
                *_intensity(message, known=known),
                _shown(message.cues, message.shown_cues),
                _shown(message.themes, message.shown_themes),
            ],
        )
        for message in messages
    ]
    intensity = ["intensity"] if known else []
    header = ["message", "role", "label", "probability", *intensity, "cues", "themes"]
    return _views.table(header, rows)


def _found(message: MessagePrediction) -> tuple[str, str]:
    if message.label is None or message.probability is None:
        return "", ""
    return escape(message.label), _views.bar(message.probability)


def _intensity(item: object, *, known: bool) -> list[str]:
    """Return the cell of the intensity, none if no row of the table has one (`known`)."""
    intensity = getattr(item, "intensity", None)
    return ["" if intensity is None else f"{intensity:.2f}"] if known else []


def _shown(found: Mapping[str, float], names: Iterable[str]) -> str:
    return ", ".join(f"{_titles([name])} {found[name]:.2f}" for name in names)


def _titles(names: Iterable[str]) -> str:
    return ", ".join(escape(_TITLES.get(name, name)) for name in names)
