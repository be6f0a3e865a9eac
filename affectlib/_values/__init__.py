"""Values as files and tables hold them: made into text and times, and named in errors."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from affectlib._values.dates import parse_date
from affectlib.conversation import clean_text

_LATEST = 1e10
"""Seconds after 1970, in the year 2286, beyond which a number is no time."""
_PYARROW = "Implementation.PYARROW"
"""What narwhals calls a table of PyArrow."""
_NUMBER = re.compile(r"-?\d{9,}(\.\d+)?")
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a cell that no Python value can hold, such as a time after the year 9999."""

    kind: str


def text_of_bytes(value: bytes) -> str | None:
    r"""Decode bytes as UTF-8 or else Windows-1252; None if they are neither, or have a NUL.

    Example:
        >>> [text_of_bytes(value) for value in (b"caf\xc3\xa9", b"caf\xe9", b"\x00\x9d")]
        ['café', 'café', None]
    """
    for encoding in ("utf-8", "windows-1252"):
        try:
            return None if b"\x00" in value else value.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def is_missing(value: Any) -> bool:
    """Whether a value is None, or the NaN, NaT or NA that pandas puts where there is none.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), 0.0, "")]
        [True, True, False, False]
    """
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NaTType", "NAType")


def to_text(value: Any) -> str | None:
    """Return an id or another short field as text, or None if it is empty or not a scalar.

    Whole floats and decimals lose their fraction: they are integer ids of a column with gaps. Bytes
    that are not text become hexadecimal.

    Example:
        >>> [to_text(value) for value in (12.0, Decimal("7.00"), b"a1", bytes(2), [])]
        ['12', '7', 'a1', '0000', None]
    """
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return None
        value = int(value) if value == int(value) else value
    if isinstance(value, bytes):
        value = text_of_bytes(value) or value.hex()
    if not isinstance(value, str | int | float | Decimal | UUID):
        return None
    return clean_text(str(value)).strip() or None


def to_time(value: Any) -> datetime | None:
    """Return a point in time, or None if it cannot be read as one.

    Numbers are seconds since 1970, or milli-, micro- or nanoseconds where seconds would be absurd.
    Texts are read by `parse_date`. Times without a zone are taken as UTC.

    Example:
        >>> [to_time(value) for value in (99_999_999_999_999_999, "yesterday")]
        [None, None]
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        value = value.strip()
        value = float(value) if _NUMBER.fullmatch(value) else value
    try:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            while math.isfinite(seconds) and abs(seconds) > 1e11:
                seconds /= 1000
            if abs(seconds) > _LATEST:
                return None
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            value = parse_date(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def column_values(column: Any) -> list[Any]:
    """Return a column of any table, an array or an iterable as Python values, None if missing."""
    if hasattr(column, "to_arrow") and str(getattr(column, "implementation", "")) == _PYARROW:
        column = column.to_arrow()
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            column = getattr(column, method)()
            break
    return [None if is_missing(value) else value for value in column]


def kind_of(value: Any) -> str:
    """Name the type of a value in JSON's terms."""
    names = {
        type(None): "null",
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "a boolean",
        bytes: "bytes that are no text",
        date: "a date",
        UUID: "a UUID",
    }
    if isinstance(value, Unreadable | datetime):
        return "a time" if isinstance(value, datetime) else value.kind
    return names.get(type(value), "a number")


def name_list(names: Sequence[Any]) -> str:
    """List keys or column names for an error, or count them where they may be transcript text."""
    if all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
    return f"({len(names)} that are not all plain names)"
