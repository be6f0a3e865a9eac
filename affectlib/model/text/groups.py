"""Groups of words that belong together, for explanations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["GROUPS", "word_groups"]

GROUPS = 64
"""Groups of words of one message, at most."""
_LONGEST = 8
_WORD = re.compile(r"\S{1,24}")
_AROUND = ".,;:!?…\"'()[]«»"
_CLAUSE_END = re.compile(r"[.,;:!?…)\]»]+[\"'»)]*$")
_JOINING_WORDS = (
    "and but because so since when that if or while though as then which who where "
    "et mais parce car donc quand que si ou puis qui alors"
)
_FUNCTION_WORDS = (
    "a an the this these those i you he she it we they me him her us them my your his its our "
    "their mine at by for from in into of off on onto out over to up with about than there here is "
    "am are was were be been being do does did have has had will would shall should can could may "
    "might must not no nor just very too really all any some what i'm i've i'd i'll you're it's "
    "he's she's don't doesn't didn't can't won't isn't wasn't that's "
    "le la les un une des du de ce cette ces je tu il elle on nous vous ils elles te se lui leur "
    "mon ma mes ton ta tes son sa ses dans en sur sous par pour avec sans chez au aux ne pas plus "
    "est suis es sont était ai avait très trop tout c'est j'ai"
)
_JOINS = frozenset(_JOINING_WORDS.split())
"""Words that begin a clause."""
_FUNCTION = _JOINS | frozenset(_FUNCTION_WORDS.split())
"""Words that carry little by themselves."""


def word_groups(text: str) -> list[tuple[int, int]]:
    """Cut a text into groups of words that belong together, as spans of characters.

    A group ends with a clause, and holds words that carry meaning together with the function words
    before them. In short texts groups are short, in long ones of up to 8 words, and longer if there
    would be more than `GROUPS` of them.

    Example:
        >>> text = "they left me and I was crying"
        >>> [text[start:stop] for start, stop in word_groups(text)]
        ['they left me', 'and I was crying']
    """
    words = [found.span() for found in _WORD.finditer(text)]
    longest = max(2, min(_LONGEST, -(-len(words) // 5)))
    groups: list[list[tuple[int, int]]] = []
    closed = True
    for unit, begins, ends in _units(text, words):
        together = groups and not (closed or begins) and len(groups[-1]) + len(unit) <= longest
        if together:
            groups[-1] += unit
        else:
            groups.append([*unit])
        closed = ends
    size = -(-len(groups) // GROUPS) or 1
    return [
        (groups[first][0][0], groups[min(first + size, len(groups)) - 1][-1][1])
        for first in range(0, len(groups), size)
    ]


def _units(
    text: str, words: Sequence[tuple[int, int]]
) -> Iterator[tuple[list[tuple[int, int]], bool, bool]]:
    """Yield function words with the word they belong to, and whether that begins or ends a clause.

    Function words at the end of a clause belong to the word before.
    """
    units: list[tuple[list[tuple[int, int]], bool, bool]] = []
    waiting: list[tuple[int, int]] = []
    last = 0

    def close(ends: bool) -> None:
        nonlocal waiting
        joins = bool(waiting) and _plain(text, waiting[0]) in _JOINS
        only_function = all(_plain(text, span) in _FUNCTION for span in waiting)
        fits = units and not units[-1][2] and len(units[-1][0]) + len(waiting) <= _LONGEST
        if waiting and only_function and not joins and fits:
            before, begins, _ = units.pop()
            units.append((before + waiting, begins, ends))
        elif waiting:
            units.append((waiting, joins, ends))
        elif units and ends:
            units[-1] = (units[-1][0], units[-1][1], True)
        waiting = []

    for span in words:
        word = _plain(text, span)
        new_line = "\n" in text[last : span[0]]
        last = span[1]
        if new_line or (waiting and (word in _JOINS or len(waiting) == _LONGEST)):
            close(ends=new_line)
        waiting.append(span)
        ends = _CLAUSE_END.search(text[slice(*span)]) is not None
        if ends or word not in _FUNCTION:
            close(ends)
    close(ends=True)
    yield from units


def _plain(text: str, span: tuple[int, int]) -> str:
    """Return a word in small letters without what is around it."""
    return text[slice(*span)].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").strip(_AROUND)
