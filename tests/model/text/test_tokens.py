"""Tokens that are looked up are those that the tokenizer itself gives for the whole text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from affectlib.conversation import clean_text
from affectlib.model.artifacts import load_artifact
from affectlib.model.text.spelling import Speller
from affectlib.model.text.tokens import TokenReader, vocabulary_places
from affectlib.model.text.unicode import normalize_unicode

PIECES = [
    *("the", "lonely", "Lonely", "deprssed", "didnt", "don't", "don’t", "my_lst2", "_", "##ing"),
    *("café", "cafe\u0301s", "naïve", "Straße", "ΣΑΣ", "мир", "日本", "🙂", "€5", "a+b=c", "½"),
    *("[CLS]", "<|user|>", "…", "“so”", "well—ok", "www.site.org", "x" * 120, "\u200b", "K"),
    *(" ", "\n", "\t", "\xa0", "\u2003", "\x85"),
    *("\x1d", "\x00", "\u2028", "\ufffd", "a\x0cb", "\x0b"),
]
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60) | st.lists(
    st.sampled_from(PIECES), max_size=20
).map("".join)


@pytest.fixture(scope="module")
def bundled():
    tokenizer = Tokenizer.from_file(str(load_artifact().file("tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.fixture(scope="module")
def reader(bundled):
    return TokenReader(bundled)


@settings(max_examples=200)
@given(st.lists(TEXTS, max_size=4))
def test_tokens_are_those_of_the_whole_text(bundled, reader, texts):
    texts = [normalize_unicode(clean_text(text)) for text in texts]
    speller = Speller(reader.places)
    expected = [
        bundled.encode(speller.correct_typos(text), add_special_tokens=False).ids for text in texts
    ]
    assert [ids.tolist() for ids in reader.read(texts)] == expected


def test_words_that_are_one_token_are_not_given_to_the_tokenizer(reader, monkeypatch):
    asked: list[str] = []
    tokenizer = reader._tokenizer

    class Listening:
        def encode_batch_fast(self, texts, **options):
            asked.extend(texts)
            return tokenizer.encode_batch_fast(texts, **options)

    monkeypatch.setattr(reader, "_tokenizer", Listening())
    reader.read(["Hello, how are you? frobnicate", "I FEEL (very) alone; frobnicate!"])
    assert asked == ["frobnicate"]


def test_other_tokenizers_are_given_whole_texts():
    tokenizer = Tokenizer(models.WordLevel({"ab": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert [ids.tolist() for ids in TokenReader(tokenizer).read(["a b", "", "b"])] == [[0], [], [1]]


def test_a_place_is_that_of_a_word_and_not_of_what_goes_on():
    assert vocabulary_places({"so": 0, "##so": 1, "▁so": 2}) == {"so": 2}
