"""What the annotation sheet says, by language; its codebook is the project's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affectlib.analysis._pages import LANGUAGES, texts_of
from affectlib.taxonomy import THEMES


@dataclass(frozen=True, slots=True)
class SheetTexts:
    """Texts of the sheet in one language.

    Attributes:
        levels: Charge by number: a word and its definition in the codebook.
        rule: How the label follows from the charge.
        unit: What is judged.
        decoys: What is not charged however sad the words.
        advice: When advice is charged.
        words: The rest, by name.
    """

    title: str
    question: str
    question_of_message: str
    levels: Sequence[tuple[str, str]]
    rule: str
    unit: str
    decoys: str
    advice: str
    roles: Mapping[str, str]
    themes: Mapping[str, str]
    theme_definitions: Mapping[str, str]
    words: Mapping[str, str]


def _texts(lang: str) -> SheetTexts:
    english: dict[str, Any] = {
        "themes": {name: theme.title for name, theme in THEMES.items()},
        "theme_definitions": {name: theme.definition for name, theme in THEMES.items()},
    }
    return SheetTexts(**(english | texts_of("sheet", lang)))


TEXTS: Mapping[str, SheetTexts] = {lang: _texts(lang) for lang in LANGUAGES}
