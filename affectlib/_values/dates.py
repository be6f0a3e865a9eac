"""Dates as devices write them, in the languages of exports.

Not by dateutil, which takes 3/4/2024 for 4 March and knows only English months.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

_NAMES = (
    "jan ene gen, feb fev fév, mar mär mrt, apr abr avr, may mai mei mag, jun giu juin, "
    "jul lug juil, aug ago aoû, sep set, oct okt out ott, nov, dec dez dic déc"
)
_MONTHS = {
    name: number for number, names in enumerate(_NAMES.split(","), 1) for name in names.split()
}
"""Beginnings of the months' names in English and the larger languages of Western Europe."""

_ZONES: Mapping[str, float] = {
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "AKST": -9, "AKDT": -8, "HST": -10, "BRT": -3, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2,
    "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3, "IST": 5.5, "JST": 9, "KST": 9,
    "AEST": 10, "AEDT": 11,
}  # fmt: skip
"""Hours from UTC of abbreviated time zones; CST is America's."""

_TIME = (
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:\.\d{1,9})?)?"
    r"(?:\s?(?P<half>[AaPp])\.?\s?[Mm]\.?)?"
)
_ZONE = r"(?:\s+(?P<zone>[A-Za-z]{1,5})?(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?)?"
_CERTAIN = (
    r"(?P<name>[^\W\d]{3,10})\.? (?P<day>\d{1,2}), (?P<year>\d{4})",
    r"(?P<day>\d{1,2})\.? (?:de )?(?P<name>[^\W\d]{3,10})\.? (?:de )?(?P<year>\d{4})",
    r"(?P<year>\d{4})[年./-] ?(?P<month>\d{1,2})[月./-] ?(?P<day>\d{1,2})(?P<han>日)?\.?",
)
_DAY_FIRST = r"(?P<day>\d{1,2})[./-](?P<month>\d{1,2})[./-](?P<year>\d{4})"
*_CERTAIN_LINES, _DAY_FIRST_LINE = (
    re.compile(rf"\s*{date}(?:,|T|\s)\s*{_TIME}{_ZONE}\s*") for date in (*_CERTAIN, _DAY_FIRST)
)
_DAY_OR_MONTH_FIRST = tuple(
    re.compile(
        rf"\s*(?P<{first}>\d{{1,2}})[./-](?P<{second}>\d{{1,2}})[./-](?P<year>\d{{4}}|\d{{2}})"
        rf"(?:(?:,|T|\s)\s*{_TIME}{_ZONE})?\s*"
    )
    for first, second in (("day", "month"), ("month", "day"))
)
_MAIL_DATE = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} ")
_LONGEST = 80


def parse_date(text: str) -> datetime | None:
    """Read a date whose order is certain: ISO 8601, with the month's name, or the year first.

    Returns:
        The time, without a zone if ISO 8601 or a mail has none; None for any other text, such as
        ``3/4/2024``, which may be in March or in April.

    Example:
        >>> parse_date("12 mars 2024 22:02").isoformat()
        '2024-03-12T22:02:00+00:00'
        >>> parse_date("Tue, 12 Mar 2024 22:02:00 +0100").isoformat()
        '2024-03-12T22:02:00+01:00'
        >>> parse_date("3/4/2024 22:02")
    """
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    if len(text) > _LONGEST:
        return None
    if not _MAIL_DATE.match(text):
        return _parse(text, _CERTAIN_LINES)
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        return parsedate_to_datetime(text)
    return None


class DateOrder:
    """Whether the day or the month comes first in the numeric dates of a table.

    Numbers above 12 decide. Without any, and with some in both places, no date is read.

    Example:
        >>> order = DateOrder()
        >>> for text in ("3/4/2024 22:02", "27/4/2024"):
        ...     order.see(text)
        >>> order.read("3/4/2024 22:02").isoformat()
        '2024-04-03T22:02:00+00:00'
    """

    def __init__(self) -> None:
        """Begin without having seen any date."""
        self._above_12 = [False, False]

    def see(self, value: Any) -> None:
        """Note the order of a date, if it is one."""
        if (found := _numeric(value, _DAY_OR_MONTH_FIRST[0])) is not None:
            for place, name in enumerate(("day", "month")):
                self._above_12[place] |= int(found[name]) > 12

    def read(self, value: Any) -> datetime | None:
        """Read a date in the table's order; None if that is not known."""
        day, month = self._above_12
        if day == month:
            return None
        found = _numeric(value, _DAY_OR_MONTH_FIRST[0 if day else 1])
        return None if found is None else _time(found.groupdict())


def _numeric(value: Any, pattern: re.Pattern[str]) -> re.Match[str] | None:
    return _match(value, pattern) if isinstance(value, str) and len(value) <= _LONGEST else None


def find_date_line(text: str) -> tuple[str, datetime, str] | None:
    r"""Find the first line that is a date and time and nothing else, day before month.

    Returns:
        The text before it, the time (UTC where its zone is unknown), and the text after it; None if
        there is no such line.

    Example:
        >>> before, time, after = find_date_line("hi\nApr 12, 2026, 3:34:31 PM EDT\nHello!")
        >>> before, time.isoformat(), after
        ('hi', '2026-04-12T19:34:31+00:00', 'Hello!')
    """
    lines = text.split("\n")
    for number, line in enumerate(lines):
        time = None
        if len(line) <= _LONGEST:
            time = _parse(line, [*_CERTAIN_LINES, _DAY_FIRST_LINE]) or _iso(line)
        if time is not None:
            return "\n".join(lines[:number]), time, "\n".join(lines[number + 1 :]).strip()
    return None


def _parse(line: str, patterns: Sequence[re.Pattern[str]]) -> datetime | None:
    match = next(filter(None, (_match(line, pattern) for pattern in patterns)), None)
    return None if match is None else _time(match.groupdict())


def _match(text: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    return pattern.fullmatch(text.replace("\u202f", " ").replace("\xa0", " "))


def _iso(line: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(line.strip())
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _time(found: Mapping[str, str | None]) -> datetime | None:
    name = found.get("name")
    month = _month(name) if name is not None else int(found["month"] or 0)
    half = found["half"]
    hour = int(found["hour"] or 0)
    hour = hour % 12 + 12 * (half in "Pp") if half is not None else hour
    minute, second = int(found["minute"] or 0), int(found["second"] or 0)
    try:
        year, day = int(found["year"] or 0), int(found["day"] or 0)
        year += 2000 if year < 100 else 0
        zone = timezone(timedelta(hours=_offset(found)))
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _month(name: str) -> int:
    name = name.lower()
    return next((_MONTHS[name[:size]] for size in (4, 3) if name[:size] in _MONTHS), 0)


def _offset(found: Mapping[str, str | None]) -> float:
    offset = found["offset"]
    if offset is not None:
        sign = -1 if offset[0] == "-" else 1
        digits = offset[1:].replace(":", "")
        hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
        return sign * (int(hours) + int(minutes) / 60)
    zone = (found["zone"] or "").upper()
    return 8 if zone == "CST" and found.get("han") else _ZONES.get(zone, 0)
