"""Which column of a table holds what, found by its usual names or named by the caller."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any

from affectlib._values import name_list
from affectlib.errors import OptionError

FIELDS: Mapping[str, tuple[str, ...]] = {
    "conversation_id": (
        *("conversation_id", "conversation", "chat_id", "thread_id", "conv_id", "session_id"),
        *("dialogue_id", "dialog_id"),
    ),
    "role": ("role", "sender", "speaker", "author", "from"),
    "content": ("content", "text", "message", "body", "utterance", "value"),
    "messages": ("messages", "conversation", "conversations", "dialogue", "dialog", "chat"),
    "turn": ("turn", "index", "turn_index", "message_index", "position"),
    "timestamp": (
        *("timestamp", "created_at", "create_time", "created", "created_date", "datetime"),
        *("sent_at", "started_at", "date", "time"),
    ),
    "message_id": ("message_id",),
    "user_id": ("user_id", "user"),
    "model": ("model",),
    "language": ("language", "lang"),
    "title": ("title",),
    "source": ("source",),
}
"""What a row or a record can say, and the names that are taken for it, the likeliest first."""

_LONG: Mapping[str, tuple[str, str]] = {
    "conversation_id": ("the conversation's id", "chat"),
    "role": ("the role", "who"),
    "content": ("the content", "words"),
}
"""What a row of a long table must say: its name, and what a column may be called, for errors."""
_NESTED = "messages"
_SHORT = {"conversation": "conversation_id", "user": "user_id", "time": "timestamp"}
_IDS = frozenset(FIELDS["conversation_id"])
_WITHIN = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where a word begins within a name such as ``conversationId``."""
_DELIMITERS = ",\t;|"


def find_columns(
    names: Sequence[str], given: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """Find out which column holds what.

    Args:
        names: The table's columns.
        given: Columns that the caller named, by field; ``conversation``, ``user`` and ``time``
            are short for ``conversation_id``, ``user_id`` and ``timestamp``.

    Returns:
        Column names by field, or None if a column needed cannot be found. The table is long, with
        a row per message; nested, with a row per conversation (it has ``messages``); or one of
        texts by users, if `given` has ``content`` and there is no role. The ids of such texts may
        be those of conversations (`has_conversation_ids`), which then may not occur twice.

    Example:
        >>> find_columns(["Chat ID", "sender", "body"])
        {'conversation_id': 'Chat ID', 'role': 'sender', 'content': 'body'}
        >>> find_columns(["id", "review"], {"content": "review"})
        {'conversation_id': 'id', 'content': 'review'}
    """
    given = _in_full(given)
    if unknown := given.keys() - FIELDS.keys():
        raise OptionError(f"`columns`: unknown field {min(unknown)!r}; use {', '.join(FIELDS)}")
    for column in given.values():
        if column not in names:
            raise OptionError(f"there is no column {column!r}; the table has {name_list(names)}")
    by_name = _by_name(names)
    found = _found(by_name, given)
    if all(field in found for field in _LONG) and _NESTED not in given:
        found.pop(_NESTED, None)
        return found
    texts = "content" in given and not {"role", _NESTED} & found.keys()
    if _NESTED not in found and not texts:
        return None
    # Here a row is a conversation, so that its id is that of the conversation.
    if "conversation_id" not in found and (own := by_name.get("id", by_name.get("uuid"))):
        found = {"conversation_id": own, **found}
    if texts:
        return found
    nested = found[_NESTED]
    return {
        field: column
        for field, column in found.items()
        if field == _NESTED or (field not in ("role", "content") and column != nested)
    }


def has_conversation_ids(columns: Mapping[str, str], given: Mapping[str, str]) -> bool:
    """Whether the ids in a table are those of conversations and not of rows.

    They are by their column's usual name, or because the caller named it.
    """
    named = "conversation_id" in _in_full(given)
    return named or is_conversation_id(columns.get("conversation_id"))


def is_conversation_id(name: Any) -> bool:
    """Whether a column or key has a usual name for the id of a conversation."""
    return isinstance(name, str) and not _by_name([name]).keys().isdisjoint(_IDS)


def _in_full(given: Mapping[str, str] | None) -> dict[str, str]:
    return {_SHORT.get(field, field): column for field, column in (given or {}).items()}


def _by_name(names: Sequence[str]) -> dict[str, str]:
    """Return the columns by their names in small letters with underscores.

    A name such as ``chatId`` stands for ``chat_id`` unless another column has that name itself.
    """
    found = {}
    for part in ("_", ""):
        for name in reversed(names):
            if isinstance(name, str):
                usual = _WITHIN.sub(part, name.strip()).lower()
                found[re.sub(r"[\s-]+", "_", usual)] = name
    return found


def _found(by_name: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that were named, and those that have a usual name."""
    found = {}
    for field, synonyms in FIELDS.items():
        usual = (by_name[name] for name in synonyms if name in by_name)
        free = (name for name in usual if name not in given.values())
        column = given.get(field, next(free, None))
        if column is not None:
            found[field] = column
    return found


def find_delimiter(header: str, given: Mapping[str, str] | None = None) -> str | None:
    """Return the delimiter under which the header names the columns needed, or None if none does.

    Raises:
        OptionError: The caller named columns that are not there under the likeliest delimiter.
    """
    problems: dict[int, OptionError | None] = {}
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            continue
        try:
            if (given or len(names) > 1) and find_columns(names, given):
                return delimiter
            problems.setdefault(len(names), None)
        except OptionError as error:
            problems.setdefault(len(names), error)
    # The delimiter that makes the most columns is the likeliest, and so is what it lacks.
    if problems and (problem := problems[max(problems)]) is not None:
        raise problem
    return None


def describe_header(text: str, given: Mapping[str, str] | None = None) -> str:
    """Say that a text's first line is not the header of a table of messages."""
    header = re.split("[\r\n]", text, maxsplit=1)[0]
    delimiter = max(_DELIMITERS, key=header.count)
    if "\x00" in header:
        return "neither JSON nor a table"
    if delimiter not in header:
        return (
            "neither JSON nor a table of several columns; if each row is a text by itself, name "
            "the column, for example `columns={'content': 'text'}`"
        )
    return describe_columns(header.strip().split(delimiter), given)


def describe_columns(
    names: Sequence[str],
    given: Mapping[str, str] | None = None,
    *,
    what: str = "a table with the columns",
) -> str:
    """Say which of the columns needed `what` lacks, and what to do."""
    found = _found(_by_name(names), _in_full(given))
    missing = [field for field in _LONG if field not in found] or [*_LONG]
    *others, last = (_LONG[field][0] for field in missing)
    lacking = " or ".join(filter(None, (", ".join(others), last)))
    example = {field: _LONG[field][1] for field in missing}
    problem = (
        f"{what} {name_list(names)}, but none with a usual name for {lacking}; "
        f"name {'them' if others else 'it'}, for example `columns={example}`"
    )
    if "role" in missing:
        text = {"content": found.get("content", _LONG["content"][1])}
        problem += f", or only `columns={text}` if each row is a text by itself"
    return problem
