"""Labelled conversations: rows of our sources turned into targets for single messages."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affectlib.conversation import Conversation, parse_conversation, parse_message
from affectlib.formats._csv import allow_long_cells
from affectlib.taxonomy import ASSISTANT_CUES, CUES, EMOTIONAL, LABELS, OUTPUTS, TASK, USER_CUES

UNKNOWN = math.nan
SEVERAL_TURNS = 0.7
"""Target of a cue at each charged turn when the conversation has several of them and only the
conversation is known to show the cue."""

_CODES = {cue.code: cue.name for cue in CUES.values()}
_POSITION = {name: i for i, name in enumerate(OUTPUTS)}


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """A conversation with what is known of its messages.

    Attributes:
        conversation: The conversation.
        source: Name of its source.
        emotional: Whether it is emotional as a whole.
        cues: Names of the cues it shows; None if not annotated.
        charged: Positions of the charged messages; None if only the conversation is labelled.
        turn_cues: Cues of each message that shows any, by its position; None if only those of the
            whole conversation are known.
        row: The row it came from, less its messages.
    """

    conversation: Conversation
    source: str
    emotional: bool
    cues: frozenset[str] | None = None
    charged: frozenset[int] | None = None
    turn_cues: Mapping[int, frozenset[str]] | None = field(default=None, hash=False)
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def targets(self) -> dict[int, list[float]]:
        """Return the targets of each user and assistant message, in the order of `OUTPUTS`.

        An output that does not apply to the role, or is not known, is `UNKNOWN` (NaN).
        """
        charged = self.charged if self.charged is not None else self._guess_charged()
        targets: dict[int, list[float]] = {}
        last_user: int | None = None
        for index, message in enumerate(self.conversation.messages):
            if message.role == "user":
                last_user = index
                targets[index] = self._user_targets(index in charged, len(charged))
                self._set_known_cues(targets[index], index, USER_CUES)
            elif message.role == "assistant":
                targets[index] = self._assistant_targets(last_user in charged, len(charged))
                self._set_known_cues(targets[index], index, ASSISTANT_CUES)
        return targets

    def _set_known_cues(self, values: list[float], index: int, cues: Iterable[str]) -> None:
        if self.turn_cues is not None:
            for cue in cues:
                values[_POSITION[cue]] = float(cue in self.turn_cues.get(index, ()))

    def _guess_charged(self) -> frozenset[int]:
        """Take the user's longest message for the charged one of an emotional conversation."""
        if not self.emotional:
            return frozenset()
        user = [i for i, m in enumerate(self.conversation.messages) if m.role == "user"]
        return frozenset(
            sorted(user, key=lambda i: -len(self.conversation.messages[i].content))[:1]
        )

    def _user_targets(self, charged: bool, turns: int) -> list[float]:
        values = [UNKNOWN] * len(OUTPUTS)
        values[_POSITION[EMOTIONAL]] = float(charged)
        for cue in USER_CUES if self.cues is not None else ():
            values[_POSITION[cue]] = self._cue_target(cue, charged, turns)
        return values

    def _assistant_targets(self, charged: bool, turns: int) -> list[float]:
        values = [UNKNOWN] * len(OUTPUTS)
        for cue in ASSISTANT_CUES if self.cues is not None else ():
            value = self._cue_target(cue, charged, turns)
            uncertain = cue in (self.cues or ()) and not charged
            values[_POSITION[cue]] = UNKNOWN if uncertain else value
        return values

    def _cue_target(self, cue: str, charged: bool, turns: int) -> float:
        if cue not in (self.cues or ()):
            return 0.0
        if turns == 0:
            return UNKNOWN
        if not charged:
            return 0.0
        return 1.0 if turns == 1 else SEVERAL_TURNS


def from_gold(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Turn an annotated row (charge, cues, turns) into a labelled conversation."""
    conversation = parse_conversation(_said_by_user(row["messages"]), id=row["id"])
    labels = row["labels"]
    user = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    return LabelledConversation(
        conversation,
        source,
        emotional=labels["charge"] >= 2,
        cues=frozenset(_CODES[code] for code in labels["cues"]),
        charged=frozenset(user[turn - 1] for turn in labels["turns"]),
        turn_cues=_turn_cues(conversation, user, labels["turn_cues"])
        if "turn_cues" in labels
        else None,
        row={key: value for key, value in row.items() if key != "messages"},
    )


def _turn_cues(
    conversation: Conversation, user: Sequence[int], codes: Mapping[str, Sequence[str]]
) -> dict[int, frozenset[str]]:
    """Return the cues of each message, from their codes by the number of the user's turn.

    A turn's assistant cues are those of the answer, the messages up to the user's next one.
    """
    ends = [*user[1:], len(conversation.messages)]
    cues: dict[int, frozenset[str]] = {}
    for turn, of_turn in codes.items():
        names = {_CODES[code] for code in of_turn}
        start, end = user[int(turn) - 1], ends[int(turn) - 1]
        for index in range(start, end):
            role = conversation.messages[index].role
            cues[index] = frozenset(n for n in names if CUES[n].unit == role)
    return cues


def _said_by_user(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the user as the speaker of those that are of neither role."""
    return [{**m, "role": "user" if m["role"] == "other" else m["role"]} for m in messages]


def from_silver(row: Mapping[str, Any], source: str, emotional: bool) -> LabelledConversation:
    """Give a row of a public set the label of its source; all its user messages share it.

    Cues stay unknown where the source is emotional; a task has none.
    """
    messages = [m for m in row["messages"] if isinstance(m.get("content"), str)]
    conversation = parse_conversation(_said_by_user(messages), id=str(row["id"]))
    user = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    return LabelledConversation(
        conversation,
        source,
        emotional=emotional,
        cues=None if emotional else frozenset(),
        charged=frozenset(user) if emotional else frozenset(),
        row={"lang": row["lang"]} if "lang" in row else {},
    )


def read_labelled_file(path: str | Path) -> Iterator[LabelledConversation]:
    """Read a user's own labelled conversations.

    JSONL: one conversation a line, ``{"messages": [...], "label": "emotional" | "task"}``, and
    optionally ``"turns"`` (numbers of the charged user turns, from 1) and ``"cues"`` (names).
    CSV: one message a row with the columns ``conversation_id, role, content, label``; the label
    of a user's message is its own, and a conversation is emotional if any of its messages is.

    Raises:
        ValueError: A row is malformed; the message names file, row and field.
    """
    path = Path(path)
    table = path.suffix.lower() == ".csv"
    for place, row in _read_csv(path) if table else _read_jsonl(path):
        try:
            labelled = _from_csv_rows(row) if table else _from_user_row(row)
        except ValueError as error:
            raise ValueError(f"{path}, {place}: {error}") from error
        yield labelled


def _from_user_row(row: Any) -> LabelledConversation:
    if not isinstance(row, Mapping) or not isinstance(row.get("messages"), list):
        raise ValueError('expected an object with a list "messages"')
    identifier = row.get("id")
    conversation = parse_conversation(
        row["messages"], id=None if identifier is None else str(identifier)
    )
    conversation.require_user_text()
    if row.get("label") not in LABELS:
        raise ValueError(f'field "label": expected one of {", ".join(LABELS)}')
    emotional = row["label"] == EMOTIONAL
    user = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    turns, cues = row.get("turns"), row.get("cues")
    if turns is not None:
        _check_list("turns", turns, range(1, len(user) + 1), f"numbers from 1 to {len(user)}")
        if emotional != bool(turns):
            raise ValueError(
                f'field "turns": {len(turns)} charged turns in a conversation labelled '
                f"{row['label']}; leave the field out if they are not known"
            )
    if cues is not None:
        _check_list("cues", cues, CUES, f"names of {', '.join(CUES)}")
    return LabelledConversation(
        conversation,
        "file",
        emotional=emotional,
        cues=None if cues is None else frozenset(cues),
        charged=None if turns is None else frozenset(user[turn - 1] for turn in turns),
    )


def _check_list(field: str, values: Any, known: Collection[Any], expected: str) -> None:
    if not isinstance(values, list) or not all(
        isinstance(value, int | str) and value in known for value in values
    ):
        raise ValueError(f'field "{field}": expected a list of {expected}')


def _read_jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    reason = getattr(error, "msg", "the text is not UTF-8")
                    raise ValueError(f"{path}, line {number}: not JSON ({reason})") from error
                yield f"line {number}", row


def _read_csv(path: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    allow_long_cells()
    conversations: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            missing = {"conversation_id", "role", "content", "label"} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"{path}: missing columns {', '.join(sorted(missing))}")
            for row in reader:
                if not row["conversation_id"]:
                    raise ValueError(
                        f'{path}, line {reader.line_num}: field "conversation_id" is empty'
                    )
                conversations.setdefault(row["conversation_id"], []).append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            reason = error if isinstance(error, csv.Error) else "the text is not UTF-8"
            place = f"{path}, after line {reader.line_num}"
            raise ValueError(f"{place}: cannot be read as CSV ({reason})") from error
    for identifier, rows in conversations.items():
        yield f"conversation {identifier!r}", rows


def _from_csv_rows(rows: Sequence[Mapping[str, str]]) -> LabelledConversation:
    messages = [parse_message(row, index) for index, row in enumerate(rows)]
    labels = [
        row["label"] for row, message in zip(rows, messages, strict=True) if message.role == "user"
    ]
    if not set(labels) <= {*LABELS, ""} or (labels and not any(labels)):
        raise ValueError(f'field "label" of the user\'s messages: expected {" or ".join(LABELS)}')
    charged = [turn for turn, label in enumerate(labels, 1) if label == EMOTIONAL]
    return _from_user_row(
        {
            "id": rows[0]["conversation_id"],
            "messages": messages,
            "label": EMOTIONAL if charged else TASK,
            "turns": charged,
        }
    )
