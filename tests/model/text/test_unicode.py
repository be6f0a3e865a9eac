"""Text is read as it looks, and text that hides nothing is left alone."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Message
from affectlib.model.text import unicode as _unicode
from affectlib.model.text.spelling import collapse_repeats
from affectlib.model.text.unicode import normalize_unicode
from tests.conftest import SINGLE_MESSAGE, user

ENGLISH_AND_FRENCH = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n\t\r.,;:!?'\"()[]{}<>@#$%^&*"
    "_-+=/\\|~`àâäæçéèêëîïôœöùûüÿÀÂÄÆÇÉÈÊËÎÏÔŒÖÙÛÜŸñßøåłšž’‘“”«»‹›–—…•·°€£¥§©®™²³½¼×÷±≤≥≠→←✓\xa0"
    "\u202f№ªº¿¡"
)
EMOJI = [
    "🙂",
    "😭",
    "❤️",
    "☺️",
    "👍🏽",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "👨🏿‍⚕️",
    "1️⃣",
    "🇫🇷",
    "💔",
    "™️",
    "🫶",
    "🤷🏻‍♀️",
    "🅰️",
]

SAD = {
    "zero-width": "s\u200ba\u200cd\u200d\u2060\ufeff",
    "direction marks": "\u202e\u2066sad\u2069\u200f\u061c",
    "soft hyphens": "s\xada\xadd",
    "selectors": "s\ufe0fa\ufe00d\U000e0100",
    "tags": "s\U000e0061a\U000e007fd",
    "controls": "\x00s\x08a\x1bd\x7f\x90",
    "stacks of marks": "s\u0300\u0301\u0302\u0489a" + "\u0336" * 50 + "d\u034f\u0315\u031a\u0300",
    "strokes": "s\u0336a\u0336d\u0336",
    "Cyrillic": "ѕаd",
    "Cyrillic and Greek": "ѕαd",
    "fullwidth": "ｓａｄ",
    "mathematical": "𝓼𝐚𝙙",
    "circled": "ⓢⓐⓓ",
    "small capitals": "sᴀᴅ",
}


@pytest.mark.parametrize("way", SAD)
def test_what_reads_as_sad_is_sad(way):
    assert normalize_unicode(SAD[way]) == "sad"
    assert normalize_unicode(f"I am {SAD[way]}, déjà 🙂") == "I am sad, déjà 🙂"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("cafe\u0301, de\u0301ja\u0300 vu", "café, déjà vu"),
        ("🆂🅷🆈 and 🅂🄰🄳", "SHY and SAD"),
        ("𝓁𝒾𝓀ℯ 𝒽ℴ𝓂ℯ", "like home"),
        ("і аm аlоnе ѕо", "i am alone so"),
        ("s\u3164a\u2800d", "s a d"),
        ("s\x1fa\x85d", "s a d"),
        ("s\u200d🙂\u200d", "s🙂"),
    ],
)
def test_other_disguises(text, seen):
    assert normalize_unicode(text) == seen


@pytest.mark.parametrize(
    "text",
    [
        "Привет, как дела? Я дома.",
        "роса means dew",
        "слово Python-скрипт и import",
        "Καλημέρα, τι κάνεις;",
        "the angle α, the speed ν, αx + νt",
        "το κόστος in English is cost",
        "10 μm at 5 kΩ, Δx → 0 for all x ∈ ℝ",
        "می‌خواهم",
        "क्‍ष",
        "日本語のテキスト！",
        "s a d, a b c d e",
        "il y a à manger",
        "за\u0301мок",
        "مرحبا بالعالم",
        "\x00".replace("\x00", "�"),
    ],
)
def test_genuine_words_stay(text):
    assert normalize_unicode(text) == text


@given(st.lists(st.text(ENGLISH_AND_FRENCH, max_size=12) | st.sampled_from(EMOJI)).map("".join))
def test_plain_text_is_left_alone(text):
    assert normalize_unicode(text) == text


def test_plain_text_is_not_even_copied():
    text = "Déjà vu… I’m “fine” – 20 € 🙂\n" * 3
    assert normalize_unicode(text) is text


def test_examples_are_left_alone():
    file = Path(__file__).parents[3] / "training" / "data" / "corpus.jsonl"
    texts = [
        message["content"]
        for line in file.read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"]
    ]
    assert len(texts) > 3000
    changed = [
        text for text in texts if normalize_unicode(text) != unicodedata.normalize("NFC", text)
    ]
    assert changed == []


@given(st.text(st.characters(exclude_categories=())))
def test_seen_once_is_seen(text):
    seen = normalize_unicode(text)
    assert len(seen) <= len(text)
    assert normalize_unicode(seen) == seen


def test_each_lookalike_is_another_letter():
    for code, letter in _unicode._LOOKALIKES.items():
        assert code > 0x24F
        assert "A" <= chr(letter) <= "z"
    assert all(
        code > 0x24F and len(plain) == 1 and plain.isascii()
        for code, plain in _unicode._STYLED.items()
        if not 0x1D6A4 <= code <= 0x1D7CB  # dotless and Greek ones
    )


class Counting:
    """A pattern that counts the characters it is run over."""

    def __init__(self, pattern):
        self.pattern, self.seen = pattern, 0

    def __getattr__(self, name):
        def run(*arguments):
            self.seen += len(arguments[-1])
            return getattr(self.pattern, name)(*arguments)

        return run


@pytest.mark.parametrize(
    "piece",
    [
        "\u200b",
        "\u0336",
        "а",
        "аa",
        "aа ",
        "\u200d",
        "\ufe0f",
        "a\u0301",
        "🙂\u200d",
        "ｓ",
        "\x1b[",
    ],
)
def test_work_grows_as_the_text(monkeypatch, piece):
    patterns = {name: value for name, value in vars(_unicode).items() if hasattr(value, "findall")}
    counters = [*map(Counting, patterns.values())]
    for name, counter in zip(patterns, counters, strict=True):
        monkeypatch.setattr(_unicode, name, counter)

    def work(size):
        before = sum(counter.seen for counter in counters)
        normalize_unicode(piece * size)
        return sum(counter.seen for counter in counters) - before

    assert work(20_000) <= 2.1 * work(10_000)


def test_a_hundred_thousand_marks_take_few_steps():
    """Python's own normalization takes steps by the square of a stack; none is left of it."""
    steps = 0

    def count(frame, event, argument):
        nonlocal steps
        steps += event in ("call", "c_call")

    text = "a" + "\u0301\u0316" * 50_000
    sys.setprofile(count)
    try:
        assert normalize_unicode(text) == "a"
    finally:
        sys.setprofile(None)
    assert steps < 100


@pytest.mark.parametrize(
    "text", ["i am so al\u200bone", "i am so aloooone", "i am so аlоne", "i am so a\u0336lone"]
)
def test_the_classifier_reads_it_so(tiny_classifier, text):
    assert tiny_classifier.predict(text) == tiny_classifier.predict(SINGLE_MESSAGE)
    (word,) = tiny_classifier.explain_words(text).top(1)
    *_, last = word[0].split()
    assert collapse_repeats(normalize_unicode(last), {"alone": 0}.get) == "alone"
    chat = Conversation((Message("user", text),))
    assert tiny_classifier.predict(chat) == tiny_classifier.predict([user(SINGLE_MESSAGE)])
