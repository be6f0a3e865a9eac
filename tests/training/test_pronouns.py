from __future__ import annotations

import pytest

from training.data.augment import mask_pronouns


@pytest.mark.parametrize(
    ("language", "text", "masked"),
    [
        ("en", "I lost my keys, help me", "_ lost _ keys, help _"),
        ("en", "i'm here and I’ve seen ours", "_'m here and _’ve seen _"),
        ("en", "im tired", "_ tired"),
        ("en", "the US is big, tell us more", "the US is big, tell _ more"),
        ("en", "mint, meme, army, I-beam", "mint, meme, army, _-beam"),
        ("fr", "Je t'aime, j'ai peur, m’entends-tu ?", "_ t'aime, _'ai peur, _’entends-tu ?"),
        ("fr", "Mon père et notre fils", "_ père et _ fils"),
        ("fr", "la maison de Jean", "la maison de Jean"),
        ("de", "Ich bin me and my", "Ich bin me and my"),
    ],
)
def test_first_person_pronouns_alone_are_masked(language: str, text: str, masked: str) -> None:
    assert mask_pronouns(text, language) == masked
