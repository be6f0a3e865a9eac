"""A user's own labelled conversations, as JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectlib.conversation import Conversation, parse_conversation, parse_message
from affectlib.formats._csv import allow_long_cells
from affectlib.taxonomy import CUES, EMOTIONAL, LABELS, TASK
from training.data.labelled import LabelledConversation


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
    charged = _longest(conversation, user) if turns is None else {user[t - 1] for t in turns}
    if not emotional:
        charged = set()
    return LabelledConversation(
        conversation,
        "file",
        charge=2 if emotional else 0,
        charges={i: (2, 3) if i in charged else (0, 1) for i in user},
        cues=None if cues is None else frozenset(cues),
    )


def _longest(conversation: Conversation, user: Sequence[int]) -> set[int]:
    """Take the user's longest message for the charged one, where turns are not labelled."""
    return {max(user, key=lambda i: len(conversation.messages[i].content))}


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
