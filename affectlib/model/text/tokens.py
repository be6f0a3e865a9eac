"""From texts to token ids, with what is the same in all of them looked up once.

Most words of a text are whole tokens. A tokenizer that splits at white space and punctuation
(BERT's) is asked only for the others, each distinct one once for many texts; what it says of a word
does not depend on those beside it. Other tokenizers are given whole texts. Nothing of a text is
kept after a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from affectlib.model.text.spelling import Speller

__all__ = ["TokenReader", "vocabulary_places"]

_BEGINS_WORD = "▁"
"""Before the pieces of Unigram vocabularies that words begin with."""
_GOES_ON = "##"
"""Before the pieces of WordPiece vocabularies that words go on with."""

_ALONE = r"!-/:-@\[-^`{-~\u2018-\u201d\u2013\u2014\u2022\u2026"
"""Punctuation that is a token by itself in BERT, the underscore apart: it binds words."""
_BLANK = r" \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What BERT splits at; it takes form feeds and the like out without a split."""
_SYMBOLS = {"Regex": r"\p{S}"}
_UNITS = re.compile(rf"[^{_BLANK}{_ALONE}]+|[{_ALONE}]")


class TokenReader:
    """Turns texts into token ids; safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Read the vocabulary."""
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab(with_added_tokens=False)
        self.places = vocabulary_places(vocabulary)
        self._speller = Speller(self.places)
        self._whole = _whole_words(vocabulary) if _splits_like_bert(tokenizer) else None

    def read(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return the token ids of each text, in the words that are meant, no special ones."""
        units = [_UNITS.findall(text) if self._whole is not None else [text] for text in texts]
        codes, pieces = self._look_up(set(chain.from_iterable(units)))
        total = sum(map(len, units))
        found = np.fromiter(map(codes.__getitem__, chain.from_iterable(units)), np.int32, total)
        ids, lengths = _spell_out(found, pieces)
        ends = np.concatenate(([0], np.cumsum(lengths)))[np.cumsum([0, *map(len, units)])]
        return [ids[start:stop] for start, stop in pairwise(ends)]

    def _look_up(self, units: set[str]) -> tuple[dict[str, int], list[list[int]]]:
        """Return a code for each unit, and the ids that negative codes, from -1, stand for."""
        whole = self._whole or {}
        codes = {
            unit: whole[lowered]
            for unit in units
            if unit.isascii() and (lowered := unit.lower()) in whole
        }
        others = [*(units - codes.keys())]
        codes.update(zip(others, range(-1, -1 - len(others), -1), strict=True))
        encodings = self._tokenizer.encode_batch_fast(
            [self._speller.correct_typos(unit) for unit in others], add_special_tokens=False
        )
        return codes, [encoding.ids for encoding in encodings]


def vocabulary_places(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Return the place of each word in a vocabulary, whose first words are the commonest.

    Example:
        >>> vocabulary_places({"so": 4, "##ing": 5, "▁is": 6})
        {'so': 4, 'is': 6}
    """
    words = {
        piece: place
        for piece, place in vocabulary.items()
        if not piece.startswith((_BEGINS_WORD, _GOES_ON))
    }
    begun = {
        piece.removeprefix(_BEGINS_WORD): place
        for piece, place in vocabulary.items()
        if piece.startswith(_BEGINS_WORD)
    }
    return {**words, **begun}


def _splits_like_bert(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer is one of BERT's for small letters, with punctuation split off."""
    facts = json.loads(tokenizer.to_str())
    normalizer, splitter = facts["normalizer"] or {}, facts["pre_tokenizer"] or {}
    *before, last = splitter.get("pretokenizers", [splitter])
    return (
        facts["model"].get("type") == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        and normalizer["lowercase"]
        and last.get("type") == "BertPreTokenizer"
        and all(step.get("pattern") == _SYMBOLS for step in before)
        and all(added["special"] for added in facts["added_tokens"])
    )


def _whole_words(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Return the words that are one token each, as long as they are plain."""
    return {
        piece: place
        for piece, place in vocabulary.items()
        if piece.isascii() and _UNITS.fullmatch(piece) and "_" not in piece
    }


def _spell_out(
    codes: NDArray[np.int32], pieces: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Put ids in the place of negative codes; return them with the number of each code."""
    lengths = np.ones(len(codes), dtype=np.int64)
    several = np.flatnonzero(codes < 0)
    chosen = [pieces[place] for place in (-1 - codes[several]).tolist()]
    lengths[several] = [len(piece) for piece in chosen]
    ids = np.repeat(codes, lengths)
    ids[ids < 0] = [*chain.from_iterable(chosen)]
    return ids, lengths
