"""Figures of few users stay hidden, also from whoever subtracts the shown ones from a total."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["hidden_cells"]


def hidden_cells(
    cells: Sequence[tuple[Hashable, ...]], users: Sequence[NDArray[Any]], min_users: int
) -> list[bool]:
    """Say which cells of a table to suppress, so that none of few users comes back by subtraction.

    A cell of fewer than `min_users` users is suppressed. Where its row, column or the whole table
    is known, the sum of all suppressed cells in it comes back; so the smallest of the others are
    suppressed as well until enough users stand behind that sum (complementary suppression;
    Willenborg and de Waal, Elements of Statistical Disclosure Control, 2001).

    Args:
        cells: The cells by their values in each column to group by.
        users: The users of each cell; one may be in several.
        min_users: The fewest users that a figure may be of.
    """
    hidden = [0 < len(own) < min_users for own in users]
    if not any(hidden):
        return hidden
    places = range(len(cells[0]) if cells else 0)
    margins = [kept for size in range(len(places)) for kept in combinations(places, size)]
    changed = True
    while changed:
        changed = False
        for kept in margins:
            slices: dict[tuple[Hashable, ...], list[int]] = {}
            for place, values in enumerate(cells):
                slices.setdefault(tuple(values[column] for column in kept), []).append(place)
            for inside in slices.values():
                changed |= _hide_more(inside, hidden, users, min_users)
    return hidden


def _hide_more(
    inside: Sequence[int], hidden: list[bool], users: Sequence[NDArray[Any]], min_users: int
) -> bool:
    """Suppress the smallest cell of a slice if too few users stand behind the suppressed ones."""
    gone = [users[place] for place in inside if hidden[place]]
    shown = [place for place in inside if not hidden[place] and len(users[place])]
    if not gone or not shown or len(np.unique(np.concatenate(gone))) >= min_users:
        return False
    hidden[min(shown, key=lambda place: len(users[place]))] = True
    return True
