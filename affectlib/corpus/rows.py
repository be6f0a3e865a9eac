"""The rows of an output: their columns, values and counts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from affectlib._values import is_missing, to_time
from affectlib.conversation import Conversation, clean_text
from affectlib.errors import OptionError
from affectlib.predictions import ConversationFailure, ConversationPrediction, by_column
from affectlib.taxonomy import ASSISTANT_CUES, CUES, EMOTIONAL, THEME_COLUMNS, USER_CUES

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Level", "RowLevel", "output_schema"]

RowLevel: TypeAlias = Literal["conversation", "message"]
"""What a row is."""

Level: TypeAlias = Literal["conversation", "message", "both"]
"""What the rows of an output are; ``both`` makes two tables."""

Outcome: TypeAlias = ConversationPrediction | ConversationFailure
Row: TypeAlias = dict[str, Any]

_OF_BOTH = ("label", "probability", "intensity", "truncated_tokens")
_OF_CONVERSATION = (*_OF_BOTH, "any", "adjusted", "rate")
_OF_MESSAGE = (*_OF_BOTH, "screened")
_RECORD = {"conversation_id": "string", "record": "int64", "user_id": "string"}
_LABEL = {
    **dict.fromkeys(("status", "error", "label"), "string"),
    **dict.fromkeys(("probability", "intensity"), "double"),
}
_CUES_AND_THEMES = dict.fromkeys((*CUES, *THEME_COLUMNS.values()), "double")
_COLUMNS: Mapping[RowLevel, Mapping[str, str]] = {
    "conversation": {
        **_RECORD,
        **dict.fromkeys(("model", "language", "source"), "string"),
        "started_at": "timestamp",
        **_LABEL,
        "any": "bool",
        "adjusted": "double",
        "rate": "double",
        "user_messages": "int64",
        "assistant_messages": "int64",
        "truncated_tokens": "int64",
        "provenance": "string",
        **_CUES_AND_THEMES,
    },
    "message": {
        **_RECORD,
        "message": "int64",
        "role": "string",
        "timestamp": "timestamp",
        **_LABEL,
        "truncated_tokens": "int64",
        "screened": "bool",
        "provenance": "string",
        **_CUES_AND_THEMES,
    },
}


def output_schema(level: RowLevel = "conversation", keep: Collection[str] = ()) -> pyarrow.Schema:
    """Return the columns of an output, their order and types.

    Times are UTC. ``record`` is the position in the input from 0, and ``message`` that in the
    conversation. ``status`` is ``ok``, ``error``, or ``empty`` where no user wrote anything.
    ``provenance`` is a code for the model and thresholds that made the label. A cue is null where
    it does not apply to the role, or was not asked for. ``intensity`` and the themes
    (``theme_grief`` and so on) are null where the model does not give them.

    Args:
        level: What a row is.
        keep: Names of columns that are carried through from the input, as text; they come last.

    Example:
        >>> output_schema("message").names[:4]
        ['conversation_id', 'record', 'user_id', 'message']
    """
    import pyarrow

    if level not in _COLUMNS:
        raise OptionError(f"unknown level {level!r}; use {' or '.join(_COLUMNS)}")
    if taken := [name for name in keep if name in _COLUMNS[level]]:
        raise OptionError(f"`keep`: the output has a column {taken[0]!r} of its own; leave it out")
    types = {"timestamp": pyarrow.timestamp("us", tz="UTC")}
    columns = {**_COLUMNS[level], **dict.fromkeys(keep, "string")}
    return pyarrow.schema(
        [(name, types.get(kind) or pyarrow.type_for_alias(kind)) for name, kind in columns.items()]
    )


def row_levels(level: Level) -> tuple[RowLevel, ...]:
    """Return the tables of an output.

    Example:
        >>> row_levels("both")
        ('conversation', 'message')
    """
    if level == "both":
        return ("conversation", "message")
    if level not in _COLUMNS:
        raise OptionError(f"unknown level {level!r}; use {', '.join(_COLUMNS)} or both")
    return (level,)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of the conversations labelled; see `LabelSummary`."""

    conversations: int = 0
    emotional: int = 0
    failed: int = 0
    user_messages: int = 0
    messages: int = 0
    truncated_tokens: int = 0
    empty: int = 0
    screened: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, _figures(self), _figures(other)))


_figures = attrgetter(*(field.name for field in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record of the input with its labels.

    Attributes:
        record: Its position in the input.
        conversation: The conversation, or None if it could not be read.
        outcome: Its prediction, or why it has none.
        keep: Names in the conversation's metadata that go into its rows.
        provenance: The model's code (`affectlib.corpus.provenance.provenance_code`).
    """

    record: int
    conversation: Conversation | None
    outcome: Outcome
    keep: tuple[str, ...] = ()
    provenance: str | None = None

    def counts(self) -> Counts:
        """Return its counts."""
        if isinstance(self.outcome, ConversationFailure):
            empty = self.outcome.status == "empty"
            return Counts(conversations=1, failed=int(not empty), empty=int(empty))
        user = self._count("user") or 0
        return Counts(
            conversations=1,
            emotional=int(self.outcome.label == EMOTIONAL),
            user_messages=user,
            messages=user + (self._count("assistant") or 0),
            truncated_tokens=self.outcome.truncated_tokens,
            screened=sum(message.screened for message in self.outcome.messages),
        )

    def rows(self, level: RowLevel) -> list[Row]:
        """Return its rows, one at level ``conversation``, else one a message, with clean texts."""
        rows = [self._conversation_row()] if level == "conversation" else self._message_rows()
        return [
            {name: clean_text(v) if isinstance(v, str) else v for name, v in row.items()}
            for row in rows
        ]

    def _common(self) -> Row:
        status, error = "ok", None
        if isinstance(self.outcome, ConversationFailure):
            status = self.outcome.status
            error = self.outcome.error if status == "error" else None
        metadata = {} if self.conversation is None else self.conversation.metadata
        return {
            "conversation_id": self.outcome.id,
            "record": self.record,
            "user_id": None if self.conversation is None else self.conversation.user_id,
            "status": status,
            "error": error,
            "provenance": self.provenance,
            **{name: _as_text(metadata.get(name)) for name in self.keep},
        }

    def _conversation_row(self) -> Row:
        row = self._common() | {
            "started_at": self._started_at(),
            "user_messages": self._count("user"),
            "assistant_messages": self._count("assistant"),
        }
        if self.conversation is not None:
            about = ("model", "language", "source")
            row |= {name: getattr(self.conversation, name) for name in about}
        if isinstance(self.outcome, ConversationPrediction):
            row |= {name: getattr(self.outcome, name) for name in _OF_CONVERSATION}
            row |= {**self.outcome.cues, **by_column(self.outcome.themes)}
        return row

    def _message_rows(self) -> list[Row]:
        common = self._common()
        if isinstance(self.outcome, ConversationFailure) or self.conversation is None:
            return [common]
        turns = {turn.index: turn for turn in self.outcome.messages}
        rows = []
        for index, message in enumerate(self.conversation.messages):
            if message.role not in ("user", "assistant"):
                continue
            row = common | {"message": index, "role": message.role}
            row["timestamp"] = to_time(message.timestamp)
            if (turn := turns.get(index)) is not None:
                applicable = USER_CUES if message.role == "user" else ASSISTANT_CUES
                row |= {name: turn.cues[name] for name in applicable if name in turn.cues}
                row |= by_column(turn.themes)
                row |= {name: getattr(turn, name) for name in _OF_MESSAGE}
            rows.append(row)
        return rows

    def _started_at(self) -> datetime | None:
        if self.conversation is None:
            return None
        given = self.conversation.metadata.get("started_at")
        times = (message.timestamp for message in self.conversation.messages)
        return to_time(given if isinstance(given, datetime) else next(filter(None, times), None))

    def _count(self, role: str) -> int | None:
        if self.conversation is None:
            return None
        return sum(message.role == role for message in self.conversation.messages)


def _as_text(value: Any) -> str | None:
    """Return a column's value as text, anything nested as JSON."""
    if is_missing(value):
        return None
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
