"""What is in a decoded JSON value: as it should be, empty in place of it, or a clear error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from affectlib._values import kind_of, to_text
from affectlib.errors import ConversationError


def as_dict(value: Any) -> Mapping[str, Any]:
    """Return an object, and an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list, and an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return text, and the empty string in place of anything else."""
    return value if isinstance(value, str) else ""


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first of several fields that is there and not null, or None if there is none."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def first_text(values: Iterable[Any]) -> str | None:
    """Return the first of several values that is an id or another short text (`to_text`)."""
    return next(filter(None, map(to_text, values)), None)


def require_object(
    value: Any, index: int | None = None, field: str | None = None
) -> Mapping[str, Any]:
    """Return a value that must be an object; `index` and `field` name its place in the error."""
    if not isinstance(value, Mapping):
        raise ConversationError(
            f"expected an object, got {kind_of(value)}", index=index, field=field
        )
    return value


def require_list(record: Any, field: str) -> list[Any]:
    """Return a field of a record that must be a list."""
    record = require_object(record)
    if field not in record:
        raise ConversationError(f'the record has no "{field}"', field=field)
    return require_array(record[field], field)


def require_array(value: Any, field: str) -> list[Any]:
    """Return a value that must be a list; `field` names its place in the error."""
    if not isinstance(value, list):
        raise ConversationError(f"expected a list, got {kind_of(value)}", field=field)
    return value


def text_or_none(value: Any, field: str, index: int | None = None) -> str | None:
    """Return a value that must be text or null."""
    if value is not None and not isinstance(value, str):
        raise ConversationError(f"expected text, got {kind_of(value)}", index=index, field=field)
    return value
