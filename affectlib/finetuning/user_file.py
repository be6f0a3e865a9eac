"""A user's own labelled conversations, as JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectlib.conversation import parse_conversation, parse_message
from affectlib.errors import TranscriptFormatError
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.formats.delimited import allow_long_cells
from affectlib.taxonomy import CUES, EMOTIONAL, LABELS, TASK

__all__ = ["read_labelled_file"]

_COLUMNS = ("conversation_id", "role", "content", "label")
_OURS = {*_COLUMNS, "id", "messages", "turns", "cues"}


def read_labelled_file(path: str | Path) -> Iterator[LabelledConversation]:
    """Read a user's own labelled conversations.

    JSONL: one conversation a line, ``{"messages": [...], "label": "emotional" | "task"}``, and
    optionally ``"id"``, ``"turns"`` (numbers of the charged user turns, from 1) and ``"cues"``
    (names). CSV: a message per row with the columns ``conversation_id, role, content, label``; the
    label of a user's message is its own, and a conversation is emotional if any of its messages
    is. Other fields, and other columns of a conversation's first row, are kept in `row`.

    Without ``"turns"``, it is not known which of several messages of an emotional conversation
    are charged (`LabelledConversation.turns_known`).

    Raises:
        TranscriptFormatError: A row is malformed, or an id occurs twice; the message names file,
            row and field.
        OSError: The file cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        yield from _read_csv(path)
    else:
        yield from _read_jsonl(path)


def _read_jsonl(path: Path) -> Iterator[LabelledConversation]:
    lines_of: dict[str, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                labelled = _from_row(json.loads(line.decode("utf-8-sig")))
            except (ValueError, RecursionError) as error:
                raise TranscriptFormatError(_problem(error), path=str(path), line=number) from error
            identifier = labelled.conversation.id
            if identifier is not None and lines_of.setdefault(identifier, number) != number:
                raise TranscriptFormatError(
                    f'field "id": {identifier!r} is also that of line {lines_of[identifier]}; give '
                    "each conversation an id of its own, or none",
                    path=str(path),
                    line=number,
                )
            yield labelled


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg})"
    if isinstance(error, UnicodeDecodeError):
        return "not JSON (the text is not UTF-8)"
    return "not JSON (nested too deeply)" if isinstance(error, RecursionError) else str(error)


def _from_row(row: Any) -> LabelledConversation:
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
    labelled = LabelledConversation(
        conversation,
        "file",
        charge=2 if emotional else 0,
        charges=dict.fromkeys(user, (0, 3) if emotional else (0, 1)),
        cues=None if cues is None else frozenset(cues),
        row={name: value for name, value in row.items() if name != "messages"},
    )
    if emotional and (turns is not None or len(user) == 1):
        return labelled.with_charged({user[turn - 1] for turn in turns or [1]})
    return labelled


def _check_list(field: str, values: Any, known: Collection[Any], expected: str) -> None:
    if not isinstance(values, list) or not all(
        isinstance(value, int | str) and value in known for value in values
    ):
        raise ValueError(f'field "{field}": expected a list of {expected}')


def _read_csv(path: Path) -> Iterator[LabelledConversation]:
    for identifier, rows in _csv_rows(path).items():
        try:
            yield _from_csv_rows(identifier, rows)
        except ValueError as error:
            raise TranscriptFormatError(f"{path}, conversation {identifier!r}: {error}") from error


def _csv_rows(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each conversation."""
    allow_long_cells()
    conversations: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            missing = {*_COLUMNS} - set(reader.fieldnames or ())
            if missing:
                raise TranscriptFormatError(
                    f"missing columns {', '.join(sorted(missing))}", path=str(path)
                )
            for row in reader:
                if not row["conversation_id"]:
                    raise TranscriptFormatError(
                        'field "conversation_id" is empty', path=str(path), line=reader.line_num
                    )
                conversations.setdefault(row["conversation_id"], []).append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            reason = error if isinstance(error, csv.Error) else "the text is not UTF-8"
            place = f"{path}, after line {reader.line_num}"
            raise TranscriptFormatError(f"{place}: cannot be read as CSV ({reason})") from error
    return conversations


def _from_csv_rows(identifier: str, rows: Sequence[Mapping[str, str]]) -> LabelledConversation:
    messages = [parse_message(row, index) for index, row in enumerate(rows)]
    labels = [
        row["label"] for row, message in zip(rows, messages, strict=True) if message.role == "user"
    ]
    if not set(labels) <= {*LABELS, ""} or (labels and not any(labels)):
        raise ValueError(f'field "label" of the user\'s messages: expected {" or ".join(LABELS)}')
    charged = [turn for turn, label in enumerate(labels, 1) if label == EMOTIONAL]
    others = {n: v for n, v in rows[0].items() if isinstance(n, str) and n not in _OURS}
    return _from_row(
        others
        | {
            "id": identifier,
            "messages": messages,
            "label": EMOTIONAL if charged else TASK,
            "turns": charged,
        }
    )
