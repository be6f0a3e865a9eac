"""How the report writes numbers, dates and sentences."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from string import Formatter

import pytest

from affectlib.analysis.report import _translator
from affectlib.analysis.report._translator import LANGUAGES, Translator
from affectlib.errors import OptionError
from affectlib.taxonomy import CUES

FOLDER = Path(_translator.__file__).parent
TEMPLATE = FOLDER.parent / "templates" / "report.html"
ENGLISH = LANGUAGES["en"].texts
FRENCH = LANGUAGES["fr"].texts


def placeholders(text: str) -> set[str]:
    return {name.casefold() for _, name, _, _ in Formatter().parse(text) if name}


def test_every_language_says_the_same_things():
    cues = {f"cue.{name}" for name in CUES}  # in English, these are in the taxonomy
    assert {*FRENCH} == {*ENGLISH} | cues
    for name, text in ENGLISH.items():
        assert placeholders(FRENCH[name]) <= placeholders(text), name


def test_every_text_is_used():
    paths = [*FOLDER.glob("*.py"), TEMPLATE]
    source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    made = {*re.findall(r'f"(\w+\.)\{', source)}
    made |= {*re.findall(r'"(\w+\.)" ~ name', source)}
    unused = [
        name
        for name in ENGLISH
        if f'"{name}"' not in source
        and f'"{name.removesuffix("_labelled")}"' not in source
        and not name.startswith(tuple(made))
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("share", "english", "french"),
    [
        (0, "0.0%", "0,0\u202f%"),
        (0.0315, "3.1%", "3,1\u202f%"),
        (0.00571, "0.57%", "0,57\u202f%"),
        (0.000291, "0.029%", "0,029\u202f%"),
        (0.462, "46.2%", "46,2\u202f%"),
        (-0.012, "−1.2%", "−1,2\u202f%"),
    ],
)
def test_shares(share, english, french):
    assert Translator("en").percent(share) == english
    assert Translator("fr").percent(share) == french


def test_numbers_dates_and_ticks():
    english, french = Translator("en"), Translator("fr")
    assert (english.number(12345), french.number(12345.5, 1)) == ("12,345", "12\u202f345,5")
    assert [english.number(value, 2) for value in (-0.001, -0.01)] == ["0.00", "−0.01"]
    assert english.day(date(2025, 3, 1)) == "1 March 2025"
    assert french.day(date(2025, 8, 1)) == "1er août 2025"
    assert french.day(date(2025, 8, 21)) == "21 août 2025"
    assert [english.tick(value) for value in (0.05, 0.025, 1)] == ["5%", "2.5%", "100%"]
    assert [english.p(value) for value in (None, 0.0001, 0.04)] == ["–", "< 0.001", "0.040"]


def test_rows():
    row = {"estimate": 0.031, "low": 0.02, "high": 0.049, "suppressed": False}
    hidden = {"estimate": None, "low": None, "high": None, "suppressed": True}
    words = Translator("en")
    assert (words.share(row), words.interval(row)) == ("3.1%", "2.0% to 4.9%")
    assert words.difference(row) == ("3.1 points", "2.0 to 4.9")
    little = row | {"estimate": 0.012}
    assert words.difference(little)[0] == "1.2 points"
    assert Translator("fr").difference(little)[0] == "1,2 point"
    assert Translator("fr").difference(row)[0] == "3,1 points"
    assert (words.share(hidden), words.interval(hidden)) == ("not shown", "–")
    assert words.share(hidden | {"suppressed": False}) == "–"


def test_french_signs_stay_on_the_line_of_their_word():
    words = Translator("fr")
    assert words("time.title") == "Est-ce en hausse\u00a0?"
    assert "«\u00a0modality\u00a0»" in words("groups.title", column="modality")


def test_unknown_language():
    with pytest.raises(OptionError, match="unknown language 'de'; use en or fr"):
        Translator("de")
