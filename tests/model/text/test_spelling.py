"""Words are read as those that are meant, and known words are left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.model.text.spelling import Speller, collapse_repeats

WORDS = ["so", "alone", "feel", "fel", "marre", "www", "iii", "hello", "soo"]
PLACES = {word: place for place, word in enumerate(WORDS)}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("sooooo aloooone", "so alone"),
        ("I feeeel it", "I feel it"),
        ("Hellllooo!!! SOOOO", "Hello!!! SO"),
        ("www.site.org, Louis III", "www.site.org, Louis III"),
        ("j'en ai maaarre", "j'en ai marre"),
        ("zzzzaaaa", "za"),
        ("1000 ... ---- ___", "1000 ... ---- ___"),
        ("soo good", "soo good"),
    ],
)
def test_drawn_out_words_are_read_as_the_words_they_stand_for(text, read):
    assert collapse_repeats(text, PLACES.get) == read


@given(st.text("abcABCéosw .'3_\n", max_size=60))
def test_only_runs_of_letters_change(text):
    read = collapse_repeats(text, PLACES.get)
    assert collapse_repeats(read, PLACES.get) == read
    single = re.compile(r"([^\W\d_])\1+", re.IGNORECASE)
    assert single.sub(r"\1", read) == single.sub(r"\1", text)
    words = re.findall(r"[^\W\d_]+", read)
    assert all(w.lower() in PLACES or not re.search(r"([a-zA-Zé])\1\1", w) for w in words)


def test_a_word_of_many_runs_takes_few_looks():
    looks = []
    collapse_repeats("aaabbb" * 1000 + " " + "a" * 100_000, looks.append)
    assert len(looks) < 100


KNOWN = ["friend", "lonely", "want", "wasn", "didn", "they", "there", "what", "parle", "message"]
SPELLER = Speller({word: place for place, word in enumerate(KNOWN)})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("lonley, my freind", "lonely, my friend"),
        ("lonly frriend lonnely", "lonely friend lonely"),
        ("LONLEY", "lonely"),
        ("it wasnt, theyre, didnt", "it wasn't, they're, didn't"),
        ("whats it", "what's it"),
        ("mésage", "message"),
        ("Lonley the friend", "Lonley the friend"),  # may be a name
        ("frend lnly", "friend lnly"),  # too short
        ("onlely riend", "onlely riend"),  # the first letter is kept
        ("lxnxly", "lxnxly"),  # two slips
        ("message want friend", "message want friend"),
        ("frien_d friend2 лонели", "frien_d friend2 лонели"),
        ("", ""),
    ],
)
def test_unknown_words_are_read_as_known_ones_that_differ_by_a_slip(text, read):
    assert SPELLER.correct_typos(text) == read


def test_the_commonest_of_several_words_is_taken():
    assert Speller({"wander": 3, "wonder": 1}).correct_typos("wnder") == "wonder"


@given(st.text(max_size=80))
def test_what_is_no_letter_stays(text):
    read = SPELLER.correct_typos(text)
    kept = re.compile(r"[^\W\d_]+")
    assert kept.sub("", read).replace("'", "") == kept.sub("", text).replace("'", "")
    assert SPELLER.correct_typos(read) == read


@given(st.sampled_from(["frien", "parler", "messages", "lone"]), st.text("aefilnrs", max_size=3))
def test_all_that_one_slip_makes_is_looked_at(word, more):
    written = word + more
    letters = "abcdefghijklmnopqrstuvwxyz"
    cuts = [(written[:place], written[place:]) for place in range(1, len(written) + 1)]
    slips = {before + letter + after for before, after in cuts for letter in letters}
    slips |= {before + after[1:] for before, after in cuts if after}
    slips |= {before + after[1] + after[0] + after[2:] for before, after in cuts if len(after) > 1}
    assert {*SPELLER._within_a_slip(written)} == slips & {*KNOWN}


def test_a_long_text_takes_one_look_a_word():
    looks = []

    class Places(dict):
        def __contains__(self, word):
            looks.append(word)
            return super().__contains__(word)

    speller = Speller(Places(lonely=0))
    speller.correct_typos("qwertyuiopasdfghjklzxcv " * 1000)
    assert len(looks) <= 3000
    looks.clear()
    assert speller.correct_typos("a" * 100_000) == "a" * 100_000
    assert not looks
