"""Figures of few users stay hidden, also from whoever subtracts the shown ones from a total."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["hidden_cells", "hidden_groups"]

Cell: TypeAlias = tuple[Hashable, ...]
"""The values of a group in each column to group by."""

_ZERO = 1e-9

_Users: TypeAlias = NDArray[Any]
_Slice: TypeAlias = Sequence[tuple[int, _Users]]
"""What is behind a figure that may be known: places of cells, and their users in it."""


def hidden_cells(
    cells: Sequence[Cell],
    users: Sequence[_Users],
    min_users: int,
    first: Iterable[int] = (),
    more: Sequence[_Slice] = (),
) -> list[bool]:
    """Say which cells of a table to suppress, so that none of few users comes back by subtraction.

    A cell of fewer than `min_users` users is suppressed. Where its row, column or the whole table
    is known, the sum of all suppressed cells in it comes back; so the smallest of the others are
    suppressed as well until enough users stand behind that sum (complementary suppression;
    Willenborg and de Waal, Elements of Statistical Disclosure Control, 2001). A cell of what has
    no value (rows without a time, say) is no cover for others, as it is often counted elsewhere.

    Args:
        cells: The cells by their values in each column to group by.
        users: The users of each cell; one may be in several.
        min_users: The fewest users that a figure may be of.
        first: Places of cells that are suppressed in any case.
        more: What else may be known but rows, columns and the whole table.
    """
    hidden = [0 < len(own) < min_users for own in users]
    for place in first:
        hidden[place] = True
    if not any(hidden):
        return hidden
    columns = range(len(cells[0]) if cells else 0)
    slices = [*more]
    for size in columns:
        for kept in combinations(columns, size):
            found: dict[Hashable, list[tuple[int, _Users]]] = {}
            for place, values in enumerate(cells):
                key = tuple(values[column] for column in kept)
                found.setdefault(key, []).append((place, users[place]))
                if None not in values:
                    found.setdefault((key, "known"), []).append((place, users[place]))
            slices += found.values()
    changed = True
    while changed:
        changed = False
        for inside in slices:
            changed |= _hide_more(inside, hidden, min_users)
    return hidden


def _hide_more(inside: _Slice, hidden: list[bool], min_users: int) -> bool:
    """Suppress the smallest cell of a slice if too few users stand behind the suppressed ones."""
    gone = [users for place, users in inside if hidden[place]]
    shown = [(len(users), place) for place, users in inside if not hidden[place] and len(users)]
    if not gone or not shown:
        return False
    if not 0 < len(np.unique(np.concatenate(gone))) < min_users:
        return False
    hidden[min(shown)[1]] = True
    return True


def hidden_groups(
    rows: pl.DataFrame, names: Sequence[str], min_users: int, periods: Sequence[str] = ()
) -> Mapping[Cell, bool]:
    """Say which groups to suppress, also from whoever has the figures of fewer columns and periods.

    Days make up weeks and months, and weeks overlap months, so that what one table hides could be
    worked out from another. Months are suppressed as other groups are. A week is suppressed, too,
    if its part in a month is of few users, or for the sake of other weeks: all that is suppressed
    of a month must be of enough users. A day is suppressed, too, if its week is, or for the sake
    of other days: all that is suppressed of a week's part in a month must be of enough users.
    Then it is tried out what adding and subtracting all that is shown brings to light, and as much
    is suppressed as that needs.

    Args:
        rows: The users of each group: `names`, `periods` and ``_user``, more than once at will.
        names: The columns to group by.
        min_users: The fewest users that a figure may be of.
        periods: A period among `names`, then the columns of coarser ones, the next one first.
    """
    return _Tables(rows, min_users, {}).hidden(tuple(names), tuple(periods))


@dataclass(frozen=True, slots=True)
class _Tables:
    """Tables of the same rows by different columns.

    Attributes:
        rows: The users of each group.
        min_users: The fewest users that a figure may be of.
        known: What is suppressed of a table, by its columns.
    """

    rows: pl.DataFrame
    min_users: int
    known: dict[tuple[str, ...], Mapping[Cell, bool]]

    def hidden(self, names: tuple[str, ...], periods: tuple[str, ...]) -> Mapping[Cell, bool]:
        """Say what to suppress of a table."""
        if names not in self.known:
            groups = _users_of(self.rows, names)
            first: set[int] = set()
            more: list[_Slice] = []
            if len(periods) > 1:
                first, more = self._beside_coarser(names, [*groups], periods)
            found = hidden_cells([*groups], [*groups.values()], self.min_users, first, more)
            if any(found):
                self._hide_exposed(names, periods, groups, found)
            self.known[names] = dict(zip(groups, found, strict=True))
        return self.known[names]

    def _beside_coarser(
        self, names: tuple[str, ...], cells: Sequence[Cell], periods: tuple[str, ...]
    ) -> tuple[set[int], list[_Slice]]:
        """Return which cells coarser periods would show, and what these may make known."""
        above = (*(name for name in names if name != periods[0]), periods[1])
        hidden_above = self.hidden(above, periods[1:])
        place_of = {cell: place for place, cell in enumerate(cells)}
        columns = (*names, *periods[1:])
        first: set[int] = set()
        slices: dict[Hashable, list[tuple[int, _Users]]] = {}
        for values, users in _users_of(self.rows, columns).items():
            part = dict(zip(columns, values, strict=True))
            place = place_of[tuple(part[name] for name in names)]
            coarse = tuple(part[name] for name in above)
            keys: list[Hashable] = [(*coarse, *(part[name] for name in periods[2:]))]
            if len(periods) > 2 and hidden_above[coarse]:
                first.add(place)
            elif len(periods) == 2:
                if hidden_above[coarse]:
                    keys = [(kept, tuple(coarse[at] for at in kept)) for kept in _fewer(coarse)]
                if len(users) < self.min_users:
                    first.add(place)
            for key in keys:
                slices.setdefault(key, []).append((place, users))
        return first, [*slices.values()]

    def _hide_exposed(
        self,
        names: tuple[str, ...],
        periods: tuple[str, ...],
        groups: Mapping[Cell, _Users],
        hidden: list[bool],
    ) -> None:
        """Suppress as much as is needed so that few users do not come back by linear algebra."""
        columns = (*names, *periods[1:])
        atoms = _users_of(self.rows, columns)
        users = [*atoms.values()]
        own = _places(atoms, columns, names)
        fixed = [
            row for table in _simpler(names, periods) for row in self._sums(atoms, columns, table)
        ]
        sizes = [len(each) for each in groups.values()]
        cells = [*groups]
        while not all(hidden):
            shown = [
                np.array(own[cell]) for cell, gone in zip(cells, hidden, strict=True) if not gone
            ]
            exposed = _exposed([*fixed, *shown], users, self.min_users)
            if not exposed:
                return
            covers: list[int] = []
            for near in (cell for cell, inside in own.items() if exposed & {*inside}):
                if any(_akin(cells[place], near) for place in covers):
                    continue  # for now: what hides another one may hide it as well
                left = (place for place, gone in enumerate(hidden) if not gone)
                cover = min(
                    left,
                    key=lambda place: (not _akin(cells[place], near), sizes[place], place),
                    default=None,
                )
                if cover is not None:
                    hidden[cover] = True
                    covers.append(cover)

    def _sums(
        self,
        atoms: Mapping[Cell, _Users],
        columns: tuple[str, ...],
        table: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> list[NDArray[np.int64]]:
        """Return which atoms each shown cell of a simpler table holds."""
        gone = self.hidden(*table)
        inside = _places(atoms, columns, table[0])
        return [np.array(places) for cell, places in inside.items() if not gone[cell]]


def _simpler(
    names: tuple[str, ...], periods: tuple[str, ...]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the tables that have fewer columns, or a coarser period: their columns and periods."""
    versions = [(names, periods)]
    for place in range(1, len(periods)):
        others = tuple(name for name in names if name != periods[0])
        versions.append(((*others, periods[place]), periods[place:]))
    found = versions[1:]
    for columns, own in versions:
        for kept in _fewer(columns):
            chosen = tuple(columns[place] for place in kept)
            found.append((chosen, own if own and own[0] in chosen else ()))
    return [*dict.fromkeys(found)]


def _fewer(columns: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return the places of every choice of some of the columns, or none."""
    return [
        kept for size in range(len(columns)) for kept in combinations(range(len(columns)), size)
    ]


def _places(
    atoms: Iterable[Cell], columns: Sequence[str], names: Sequence[str]
) -> dict[Cell, list[int]]:
    """Return the places of the atoms in each cell of a table."""
    chosen = [columns.index(name) for name in names]
    found: dict[Cell, list[int]] = {}
    for place, values in enumerate(atoms):
        found.setdefault(tuple(values[column] for column in chosen), []).append(place)
    return found


def _akin(one: Cell, other: Cell) -> bool:
    """Tell whether two cells are in the same row or column of a table."""
    return len(one) == 1 or any(mine == its for mine, its in zip(one, other, strict=True))


def _exposed(
    sums: Sequence[NDArray[np.int64]], users: Sequence[_Users], min_users: int
) -> set[int]:
    """Return atoms of few users, by themselves or two together, that follow from sums of atoms."""
    thin = [place for place, own in enumerate(users) if len(own) < min_users]
    if not thin:
        return set()
    known = {int(inside[0]) for inside in sums if len(inside) == 1}
    if found := known & {*thin}:
        return found
    rows = {tuple(sorted({*inside.tolist()} - known)) for inside in sums} - {()}
    open_ = sorted({place for row in rows for place in row})
    column = {place: at for at, place in enumerate(open_)}
    matrix = np.zeros((len(rows), len(open_)))
    for at, row in enumerate(rows):
        matrix[at, [column[place] for place in row]] = 1.0
    if not matrix.size:
        return set()
    _, values, basis = np.linalg.svd(matrix, full_matrices=False)
    thin = [place for place in thin if place in column]
    own = basis[values > _ZERO][:, [column[place] for place in thin]]
    joint = own.T @ own
    length = np.diag(joint)
    alone = {thin[at] for at in np.flatnonzero(length > 1 - _ZERO)}
    if alone:
        return alone
    both = length[:, None] + length[None, :] + 2 * joint > 2 - _ZERO
    for one, other in zip(*np.nonzero(np.triu(both, 1)), strict=True):
        pair = [users[thin[one]], users[thin[other]]]
        if len(np.unique(np.concatenate(pair))) < min_users:
            return {thin[one], thin[other]}
    return set()


def _users_of(rows: pl.DataFrame, names: Sequence[str]) -> dict[Cell, _Users]:
    """Return the users of each group, in the order of its values, whatever that of the rows."""
    if not names:
        return {(): rows["_user"].unique().to_numpy()}
    found = rows.group_by(names).agg(pl.col("_user").unique()).sort(names)
    values = found.select(names).iter_rows()
    return {cell: own.to_numpy() for cell, own in zip(values, found["_user"], strict=True)}
