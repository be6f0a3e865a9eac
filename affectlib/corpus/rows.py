"""The rows of an output: their columns, what they say of a conversation, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from affectlib.conversation import Conversation, clean_text
from affectlib.errors import OptionError
from affectlib.predictions import ConversationFailure, ConversationPrediction
from affectlib.taxonomy import ASSISTANT_CUES, CUES, EMOTIONAL, USER_CUES

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

_CUES = dict.fromkeys(CUES, "double")
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
        "any": "bool",
        "adjusted": "double",
        "rate": "double",
        "user_messages": "int64",
        "assistant_messages": "int64",
        "truncated_tokens": "int64",
        **_CUES,
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
        "truncated_tokens": "int64",
        **_CUES,
    },
}


def output_schema(level: RowLevel = "conversation") -> pyarrow.Schema:
    """Return the columns of an output, their order and types.

    Times are UTC. ``record`` is the position in the input from 0, and ``message`` that in the
    conversation. A cue is null where it does not apply to the role, or was not asked for.

    Args:
        level: What a row is.

    Raises:
        OptionError: `level` is unknown.

    Example:
        >>> output_schema("message").names[:4]
        ['conversation_id', 'record', 'user_id', 'message']
    """
    import pyarrow

    if level not in _COLUMNS:
        raise OptionError(f"unknown level {level!r}; use {' or '.join(_COLUMNS)}")
    types = {"timestamp": pyarrow.timestamp("us", tz="UTC")}
    return pyarrow.schema(
        [
            (name, types.get(kind) or pyarrow.type_for_alias(kind))
            for name, kind in _COLUMNS[level].items()
        ]
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
    """What is counted of the conversations labelled; see `affectlib.LabelSummary`."""

    conversations: int = 0
    emotional: int = 0
    failed: int = 0
    user_messages: int = 0
    messages: int = 0
    truncated_tokens: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Count both together."""
        return Counts(
            self.conversations + other.conversations,
            self.emotional + other.emotional,
            self.failed + other.failed,
            self.user_messages + other.user_messages,
            self.messages + other.messages,
            self.truncated_tokens + other.truncated_tokens,
        )


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record of the input with what was found in it.

    Attributes:
        record: Its position in the input.
        conversation: The conversation, None if it could not be read.
        outcome: What was found.
    """

    record: int
    conversation: Conversation | None
    outcome: Outcome

    def counts(self) -> Counts:
        """Return what it adds to the counts."""
        if isinstance(self.outcome, ConversationFailure):
            return Counts(conversations=1, failed=1)
        user = self._count("user") or 0
        return Counts(
            conversations=1,
            emotional=int(self.outcome.label == EMOTIONAL),
            user_messages=user,
            messages=user + (self._count("assistant") or 0),
            truncated_tokens=self.outcome.truncated_tokens,
        )

    def rows(self, level: RowLevel) -> list[Row]:
        """Return its rows: one at level ``conversation``, else one a message."""
        return [self._conversation_row()] if level == "conversation" else self._message_rows()

    def _common(self) -> Row:
        failed = isinstance(self.outcome, ConversationFailure)
        return {
            "conversation_id": self.outcome.id,
            "record": self.record,
            "user_id": None if self.conversation is None else self.conversation.user_id,
            "status": "error" if failed else "ok",
            "error": clean_text(self.outcome.error)
            if isinstance(self.outcome, ConversationFailure)
            else None,
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
            names = ("label", "probability", "any", "adjusted", "rate", "truncated_tokens")
            row |= {name: getattr(self.outcome, name) for name in names} | dict(self.outcome.cues)
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
                row |= {
                    "label": turn.label,
                    "probability": turn.probability,
                    "truncated_tokens": turn.truncated_tokens,
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
