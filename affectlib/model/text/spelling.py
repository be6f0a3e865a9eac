"""Words that a vocabulary does not hold, read as those that their writers meant.

A tokenizer cuts a word that it does not know into pieces that mean nothing. Before text is
tokenized, in training and in prediction alike,

- words with drawn-out letters (``soooo``) are written in the usual way (`drawn_in`);
- words that are one slip of the keys away from a known one are read as that (`respelled`).

Known words are never touched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from string import ascii_lowercase

__all__ = ["drawn_in", "respelled"]

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


def drawn_in(text: str, rank: Rank) -> str:
    """Return text in which drawn-out letters are written once or twice, as the word wants it.

    Of the words that a word with three and more of a letter in a row may stand for, the commonest
    is taken; if none of them is known, that with single letters. Known words stay (``www``), and so
    does what is too long for a word.

    Args:
        text: Any text.
        rank: The vocabulary.

    Example:
        >>> vocabulary = ["so", "feel", "alone", "www"]
        >>> places = {word: place for place, word in enumerate(vocabulary)}
        >>> drawn_in("Sooooo aloooone, I feeeel www.example.com", places.get)
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


def respelled(text: str, rank: Rank) -> str:
    """Return text in which unknown words are read as known ones that differ by one slip.

    A slip swaps two letters that stand side by side, leaves one out, or puts one in, but for the
    first (Damerau 1964, https://doi.org/10.1145/363958.363994); of several words the commonest is
    taken, in small letters. A missing apostrophe is put back. Words of fewer than five letters
    stay, and so do parts of longer names (``my_lst2``) and words with a capital and small letters,
    which are mostly names.

    Args:
        text: Any text.
        rank: The vocabulary, in Latin letters without accents.

    Example:
        >>> vocabulary = ["depressed", "lonely", "didn"]
        >>> places = {word: place for place, word in enumerate(vocabulary)}
        >>> respelled("so deprssed and lonley, it didnt help Lonny", places.get)
        "so depressed and lonely, it didn't help Lonny"
    """

    def meant(found: re.Match[str]) -> str:
        word = found[0]
        if not (word.islower() or word.isupper()) or rank(word.lower()) is not None:
            return word
        plain = _without_accents(word.lower())
        if not plain.isascii() or rank(plain) is not None:
            return word
        cut = _NOT.fullmatch(plain) or _PRONOUN.fullmatch(plain)
        if cut and rank(cut[1]) is not None:
            return f"{cut[1]}'{cut[2]}"
        return _commonest(_slips(plain), rank) or word

    return _MISSPELT.sub(meant, text)


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


def _slips(word: str) -> Iterator[str]:
    """Yield what one slip makes of a word, its first letter apart."""
    for place in range(1, len(word) + 1):
        before, after = word[:place], word[place:]
        for letter in ascii_lowercase:
            yield before + letter + after
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
