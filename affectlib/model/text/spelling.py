"""Words that a vocabulary does not hold, read as those that their writers meant.

A tokenizer cuts a word that it does not know into pieces that mean nothing. Before text is
tokenized, in training and in prediction alike,

- words with drawn-out letters (``soooo``) are written in the usual way (`collapse_repeats`);
- words that are one slip of the keys away from a known one are read as that (`Speller`).

Known words are never touched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import product
from string import ascii_lowercase

__all__ = ["Speller", "collapse_repeats"]

Rank = Callable[[str], int | None]
"""Returns the place of a word in small letters in a vocabulary, common words first; None if it is
not there."""

_WORD = re.compile(r"[^\W\d_]+")
_DRAWN_OUT = re.compile(r"([A-Za-zé])\1\1")
_RUN = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_MOST_RUNS = 4
_LONGEST_WORD = 100

_MISSPELT = re.compile(r"(?<!\w)[^\W\d_]{5,24}(?!\w)")
_NOT = re.compile(r"(\w+n)(t)")
_PRONOUN = re.compile(r"(they|you|what|that|where|there|here)(re|ve|ll|s|d)")


def collapse_repeats(text: str, rank: Rank) -> str:
    """Return text in which drawn-out letters are written once or twice, as the word wants it.

    Of the words that a word with three and more of a letter in a row may stand for, the commonest
    is taken; if none of them is known, that with single letters. Known words stay (``www``), and so
    does what is too long for a word.

    Example:
        >>> vocabulary = ["so", "feel", "alone", "www"]
        >>> places = {word: place for place, word in enumerate(vocabulary)}
        >>> collapse_repeats("Sooooo aloooone, I feeeel www.example.com", places.get)
        'So alone, I feel www.example.com'
    """
    if _DRAWN_OUT.search(text) is None:
        return text

    def usual(found: re.Match[str]) -> str:
        word = found[0]
        if len(word) > _LONGEST_WORD:
            return word
        runs = len(_RUN.findall(word))
        if not runs or rank(word.lower()) is not None:
            return word
        counts = product((1, 2), repeat=runs) if runs <= _MOST_RUNS else [(1,) * runs]
        written = [_write_runs(word, iter(times)) for times in counts]
        return _commonest(written, rank) or written[0]

    return _WORD.sub(usual, text)


class Speller:
    """Reads unknown words as the known ones that they differ from by one slip.

    A slip swaps two letters that stand side by side, leaves one out, or puts one in, but for the
    first (Damerau 1964, https://doi.org/10.1145/363958.363994); of several words the commonest is
    taken, in small letters. A missing apostrophe is put back. Words of fewer than five letters
    stay, and so do parts of longer names (``my_lst2``) and words with a capital and small letters,
    which are mostly names.

    Args:
        places: The place of each word in a vocabulary, in Latin letters without accents, common
            words first.

    Example:
        >>> vocabulary = ["depressed", "lonely", "didn"]
        >>> places = {word: place for place, word in enumerate(vocabulary)}
        >>> Speller(places).correct_typos("so deprssed and lonley, it didnt help Lonny")
        "so depressed and lonely, it didn't help Lonny"
    """

    def __init__(self, places: Mapping[str, int]) -> None:
        """Take a vocabulary."""
        self._places = places

    def correct_typos(self, text: str) -> str:
        """Return text in which misspelt words are written as those that are meant."""
        return _MISSPELT.sub(self._meant, text)

    def _meant(self, found: re.Match[str]) -> str:
        word, places = found[0], self._places
        if not (word.islower() or word.isupper()) or word.lower() in places:
            return word
        plain = _without_accents(word.lower())
        if not plain.isascii() or plain in places:
            return word
        cut = _NOT.fullmatch(plain) or _PRONOUN.fullmatch(plain)
        if cut and cut[1] in places:
            return f"{cut[1]}'{cut[2]}"
        return min(self._within_a_slip(plain), key=places.__getitem__, default=word)

    def _within_a_slip(self, word: str) -> Iterator[str]:
        """Yield the known words that one slip makes of a word, its first letter apart."""
        beginnings, ends = self._parts
        places = self._places
        for place in range(1, len(word) + 1):
            before, after = word[:place], word[place:]
            if before not in beginnings:
                return
            found = []
            if after in ends:  # else no letter between the two makes a known word
                found += [before + letter + after for letter in ascii_lowercase]
            if after:
                found.append(before + after[1:])
            if len(after) > 1:
                found.append(before + after[1] + after[0] + after[2:])
            yield from filter(places.__contains__, found)

    @cached_property
    def _parts(self) -> tuple[set[str], set[str]]:
        """What known words begin with, and what they end with."""
        words = [word for word in self._places if word.isascii() and word.isalpha()]
        return (
            {word[:place] for word in words for place in range(1, len(word) + 1)},
            {word[place:] for word in words for place in range(len(word) + 1)},
        )


def _commonest(words: Iterable[str], rank: Rank) -> str | None:
    """Return the word that stands first in the vocabulary; None if none is there."""
    ranks = [(place, word) for word in words if (place := rank(word.lower())) is not None]
    return min(ranks)[1] if ranks else None


def _write_runs(word: str, times: Iterator[int]) -> str:
    """Write the letter of each run in a word as often as is said."""
    return _RUN.sub(lambda run: run[1] * next(times), word)


def _without_accents(word: str) -> str:
    parts = unicodedata.normalize("NFD", word)
    return "".join(part for part in parts if not unicodedata.combining(part))
