"""Sentences, numbers and dates of the report in its language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any, Literal, TypeAlias

from affectlib.analysis._pages import LANGUAGES as NAMES
from affectlib.analysis._pages import in_language, texts_of

_NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class Language:
    """How a language writes; what is in braces in `texts` is filled in."""

    texts: Mapping[str, str]
    point: str
    thousands: str
    percent: str
    months: tuple[str, ...]
    tied: str

    @classmethod
    def read(cls, lang: str) -> Language:
        """Read the file of a language; a text in one of its sections is ``section.name``."""
        found = texts_of("report", lang)
        writing = found.pop("writing")
        return cls(dict(_flat(found)), **writing)


def _flat(texts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, text in texts.items():
        if isinstance(text, str):
            yield name, text
        else:
            yield from ((f"{name}.{key}", each) for key, each in text.items())


LANGUAGES = {lang: Language.read(lang) for lang in NAMES}

Answers: TypeAlias = Literal["hand", "model", "mixed"]
"""Who gave the answers of a sheet: people, language models, or both."""


class Translator:
    """A language at work.

    Args:
        lang: Which one, a key of `LANGUAGES`.
        answers: Who gave the answers in the sheet, by which these are called ``{hand}``.
        level: What the rows of the labels are, by which these are called ``{units}``.

    Raises:
        OptionError: The language is none of them.
    """

    def __init__(self, lang: str, answers: Answers = "hand", level: str | None = None) -> None:
        self.lang = lang
        self.answers = answers
        self._language = in_language(LANGUAGES, lang)
        hand = self._language.texts[f"answers.{answers}"]
        self._called = {"hand": hand, "Hand": hand[0].upper() + hand[1:]}
        if level is not None:
            self._called["units"] = self._language.texts[f"units.{level}"]

    def __call__(self, name: str, **values: Any) -> str:
        """Return a sentence with values filled in."""
        text = self._language.texts[name].format(**(self._called | values))
        for sign in self._language.tied:
            text = text.replace(f" {sign}", f"{_NO_BREAK}{sign}")
        return text.replace("« ", f"«{_NO_BREAK}")

    def maybe(self, name: str, otherwise: str) -> str:
        """Return a sentence, or the other text if the language has none of that name."""
        return self._language.texts.get(name, otherwise)

    def quoted(self, names: Iterable[str]) -> str:
        """Write names in quotation marks, one after the other."""
        return ", ".join(self("quoted", text=name) for name in names)

    def number(self, value: float, digits: int = 0) -> str:
        """Write a number."""
        text = f"{value:z,.{digits}f}".replace("-", "−")
        return text.translate({ord(","): self._language.thousands, ord("."): self._language.point})

    def percent(self, share: float) -> str:
        """Write a share in percent, small ones with more digits."""
        size = abs(share) * 100
        digits = 1 if size >= 1 or size == 0 else 2 if size >= 0.1 else 3
        return f"{self.number(share * 100, digits)}{self._language.percent}"

    def points(self, share: float) -> str:
        """Write a difference of shares in percentage points."""
        return self.number(share * 100, 1 if abs(share) >= 0.01 or share == 0 else 2)

    def tick(self, share: float) -> str:
        """Write a share on an axis, as short as it goes."""
        value = round(share * 100, 3)
        digits = next(n for n in range(4) if n == 3 or round(value, n) == value)
        return f"{self.number(value, digits)}{self._language.percent}"

    def share(self, row: Mapping[str, Any]) -> str:
        """Write the estimate of a row in percent, or that it is not shown."""
        return self._estimate(row, self.percent)

    def difference(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """Write a difference of shares and its interval, in percentage points."""

        def written(share: float) -> str:
            singular = self.lang == "fr" and abs(round(share * 100, 1)) < 2
            return self("point" if singular else "points", value=self.points(share))

        return self._estimate(row, written), self._interval(row, self.points)

    def interval(self, row: Mapping[str, Any]) -> str:
        """Write the interval of a row in percent."""
        return self._interval(row, self.percent)

    def value(self, row: Mapping[str, Any], digits: int = 2) -> str:
        """Write the estimate of a row as a number, or that it is not shown."""
        return self._estimate(row, lambda value: self.number(value, digits))

    def reach(self, row: Mapping[str, Any], digits: int = 2) -> str:
        """Write the interval of a row as numbers."""
        return self._interval(row, lambda value: self.number(value, digits))

    def p(self, value: float | None) -> str:
        """Write a p-value."""
        if value is None:
            return "–"
        return f"< {self.number(0.001, 3)}" if value < 0.001 else self.number(value, 3)

    def day(self, moment: date) -> str:
        """Write a date."""
        month = self._language.months[moment.month - 1]
        day = "1er" if self.lang == "fr" and moment.day == 1 else moment.day
        return f"{day} {month} {moment.year}"

    def _estimate(self, row: Mapping[str, Any], write: Callable[[float], str]) -> str:
        value = row["estimate"]
        if value is None or not isfinite(value):
            return self("hidden") if row.get("suppressed") else "–"
        return write(value)

    def _interval(self, row: Mapping[str, Any], write: Callable[[float], str]) -> str:
        if row["low"] is None or row["high"] is None:
            return "–"
        return self("to", low=write(row["low"]), high=write(row["high"]))
