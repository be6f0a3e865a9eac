"""The rows of an output: their columns, what they say about a conversation, and what is counted."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from affectlib._values import is_missing
from affectlib.conversation import Conversation, clean_text
from affectlib.errors import OptionError
from affectlib.predictions import ConversationFailure, ConversationPrediction, by_column
from affectlib.taxonomy import ASSISTANT_CUES, CUES, EMOTIONAL, THEME_COLUMNS, USER_CUES

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Counts",
    "Labelled",
    "Level",
    "Outcome",
    "Row",
    "RowLevel",
    "output_schema",
    "row_levels",
]

RowLevel: TypeAlias = Literal["conversation", "message"]
"""What a row is."""

Level: TypeAlias = Literal["conversation", "message", "both"]
"""What the rows of an output are; ``both`` makes two tables."""

Outcome: TypeAlias = ConversationPrediction | ConversationFailure
Row: TypeAlias = dict[str, Any]

_FOUND = ("label", "probability", "intensity", "any", "adjusted", "rate", "truncated_tokens")
_CUES_AND_THEMES = dict.fromkeys((*CUES, *THEME_COLUMNS.values()), "double")
_COLUMNS: Mapping[RowLevel, Mapping[str, str]] = {
    "conversation": {
        "conversation_id": "string",
        "record": "int64",
        "user_id": "string",
        "model": "string",
        "language": "string",
        "source": "string",
        "started_at": "timestamp",
        "status": "string",
        "error": "string",
        "label": "string",
        "probability": "double",
        "intensity": "double",
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
        "conversation_id": "string",
        "record": "int64",
        "user_id": "string",
        "message": "int64",
        "role": "string",
        "timestamp": "timestamp",
        "status": "string",
        "error": "string",
        "label": "string",
        "probability": "double",
        "intensity": "double",
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

    Raises:
        OptionError: `level` is unknown, or the output has a column of such a name itself.

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

    Raises:
        OptionError: `level` is unknown.

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
    """What is counted of the conversations labelled; see `LabelSummary`."""

    conversations: int = 0
    emotional: int = 0
    failed: int = 0
    user_messages: int = 0
    messages: int = 0
    truncated_tokens: int = 0
    empty: int = 0
    screened: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Count both together."""
        return Counts(
            self.conversations + other.conversations,
            self.emotional + other.emotional,
            self.failed + other.failed,
            self.user_messages + other.user_messages,
            self.messages + other.messages,
            self.truncated_tokens + other.truncated_tokens,
            self.empty + other.empty,
            self.screened + other.screened,
        )


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record of the input with what was found in it.

    Attributes:
        record: Its position in the input.
        conversation: The conversation, or None if it could not be read.
        outcome: What was found.
        keep: What of the conversation's metadata goes into its rows.
        provenance: Which model found it (`affectlib.corpus.provenance.provenance_code`).
    """

    record: int
    conversation: Conversation | None
    outcome: Outcome
    keep: tuple[str, ...] = ()
    provenance: str | None = None

    def counts(self) -> Counts:
        """Return what it adds to the counts."""
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
        """Return its rows: one at level ``conversation``, else one a message.

        Texts in them are clean, as every kind of output needs them.
        """
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
            row |= {
                name: getattr(self.conversation, name) for name in ("model", "language", "source")
            }
        if isinstance(self.outcome, ConversationPrediction):
            row |= {name: getattr(self.outcome, name) for name in _FOUND}
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
            row["timestamp"] = _utc(message.timestamp)
            if (turn := turns.get(index)) is not None:
                applicable = USER_CUES if message.role == "user" else ASSISTANT_CUES
                row |= {name: turn.cues[name] for name in applicable if name in turn.cues}
                row |= by_column(turn.themes)
                row |= {
                    "label": turn.label,
                    "probability": turn.probability,
                    "intensity": turn.intensity,
                    "truncated_tokens": turn.truncated_tokens,
                    "screened": turn.screened,
                }
            rows.append(row)
        return rows

    def _started_at(self) -> datetime | None:
        if self.conversation is None:
            return None
        given = self.conversation.metadata.get("started_at")
        times = (message.timestamp for message in self.conversation.messages)
        started = given if isinstance(given, datetime) else next(filter(None, times), None)
        return _utc(started)

    def _count(self, role: str) -> int | None:
        if self.conversation is None:
            return None
        return sum(message.role == role for message in self.conversation.messages)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_text(value: Any) -> str | None:
    """Return what a column held as text: numbers and dates as usual, anything nested as JSON."""
    if is_missing(value):
        return None
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
