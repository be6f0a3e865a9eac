"""Which column of a table holds what, found by its usual names or named by the caller."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from affectlib.errors import OptionError
from affectlib.formats._fields import name_list

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "conversation_id": (
            "conversation_id",
            "conversation",
            "chat_id",
            "thread_id",
            "conv_id",
            "session_id",
            "dialogue_id",
            "dialog_id",
        ),
        "role": ("role", "sender", "speaker", "author", "from"),
        "content": ("content", "text", "message", "body", "utterance"),
        "messages": ("messages", "conversation", "conversations", "dialogue", "dialog", "chat"),
        "turn": ("turn", "index", "turn_index", "message_index", "position"),
        "timestamp": (
            "timestamp",
            "created_at",
            "create_time",
            "created",
            "datetime",
            "sent_at",
            "started_at",
            "date",
            "time",
        ),
        "message_id": ("message_id",),
        "user_id": ("user_id", "user"),
        "model": ("model",),
        "language": ("language", "lang"),
        "title": ("title",),
        "source": ("source",),
    }
)
"""What a row can say, and the column names that are taken for it, the likeliest first."""

_LONG = ("conversation_id", "role", "content")
_NESTED = "messages"
_SHORT = {"conversation": "conversation_id", "user": "user_id", "time": "timestamp"}
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
        Column names by field: of a long table, with one row a message; of a nested one, with one
        row a conversation (it has ``messages``); or, if `given` has ``content`` and there is
        neither an id of conversations nor a role, of a table of texts, each of which is a
        conversation of one message of the user. None if a column needed cannot be found.

    Raises:
        OptionError: The caller named an unknown field or a column that is not there.

    Example:
        >>> find_columns(["Chat ID", "sender", "body"])
        {'conversation_id': 'Chat ID', 'role': 'sender', 'content': 'body'}
        >>> find_columns(["id", "review"], {"content": "review"})
        {'conversation_id': 'id', 'content': 'review'}
    """
    given = {_SHORT.get(field, field): column for field, column in (given or {}).items()}
    if unknown := given.keys() - FIELDS.keys():
        raise OptionError(f"columns cannot say where {min(unknown)!r} is; use {', '.join(FIELDS)}")
    for column in given.values():
        if column not in names:
            raise OptionError(f"there is no column {column!r}; the table has {name_list(names)}")
    by_name = {
        re.sub(r"[\s-]+", "_", name.strip().lower()): name
        for name in reversed(names)
        if isinstance(name, str)
    }
    found = {}
    for field, synonyms in FIELDS.items():
        if field in given:
            found[field] = given[field]
        else:
            free = (by_name[name] for name in synonyms if name in by_name)
            guess = next((name for name in free if name not in given.values()), None)
            if guess is not None:
                found[field] = guess
    if all(field in found for field in _LONG) and _NESTED not in given:
        found.pop(_NESTED, None)
        return found
    texts = "content" in given and not {"conversation_id", "role", _NESTED} & {*found, *given}
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
        if field == _NESTED or (field not in _LONG[1:] and column != nested)
    }


def find_delimiter(header: str, given: Mapping[str, str] | None = None) -> str | None:
    r"""Return the delimiter under which the header names the columns needed, None if none does.

    Raises:
        OptionError: The caller named a column that is there under no delimiter.

    Example:
        >>> find_delimiter("conversation_id;role;content\n")
        ';'
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


def describe_header(text: str) -> str:
    """Say that a text's first line is not the header of a table of messages."""
    header = re.split("[\r\n]", text, maxsplit=1)[0]
    delimiter = max(_DELIMITERS, key=header.count)
    if "\x00" in header:
        return "neither JSON nor a table"
    if delimiter not in header:
        return (
            "neither JSON nor a table of several columns; if each row is a text by itself, name "
            "the column, for example columns={'content': 'text'}"
        )
    return describe_columns(header.strip().split(delimiter))


def describe_columns(names: Sequence[str]) -> str:
    """Say that a table has not the columns needed."""
    return (
        f"a table with the columns {name_list(names)}, but none of its columns has a usual "
        "name for the conversation's id, the role or the content; name them, "
        "for example columns={'conversation_id': 'chat', 'role': 'who', 'content': 'words'}, "
        "or columns={'content': 'words'} alone if each row is a text by itself"
    )
