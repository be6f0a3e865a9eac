"""Statistical disclosure control: which figures to suppress, so that none is of too few users.

Three rules hold for all tables of one call:

1. A figure of fewer than `min_users` users is suppressed.
2. So is a figure where one user has more than 80 % of the rows (dominance).
3. Suppressed figures must not follow from the others by adding and subtracting (complementary
   suppression). In each table, the sum of what is suppressed follows from the total, so it must
   pass rules 1 and 2. For each two tables, so must groups of one less the groups of the other that
   lie in them. Where they do not, the smallest group is suppressed, too.

See Hundepool et al., Statistical Disclosure Control (2012), chapter 4. Other calls are not
considered. ``python -m tools.disclosure`` attacks the rules with a linear solver.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib.errors import OptionError

__all__ = ["check_min_users", "hidden_crossed", "hidden_groups", "is_few", "rows_of_users"]

Cell: TypeAlias = tuple[Hashable, ...]
"""The values of a group in each column to group by."""

Mask: TypeAlias = NDArray[np.bool_]

_DOMINANT = 0.8


def check_min_users(min_users: int) -> None:
    """Refuse a negative number of users."""
    if min_users < 0:
        raise OptionError(f"min_users must be 0 (show all) or more, got {min_users}")


def is_few(units: NDArray[np.number], min_users: int) -> bool:
    """Tell whether a figure is of too few users, or nearly all of one, from the rows of each."""
    if min_users < 2 or not len(units):
        return False
    return len(units) < min_users or bool(units.max() > _DOMINANT * units.sum())


def rows_of_users(rows: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """Count the rows of each user (``_user``) with the same values in some columns."""
    counted = rows.group_by(*names, "_user").agg(pl.len().alias("units"))
    return counted.collect(engine="streaming")


def hidden_crossed(rows: pl.DataFrame, names: Sequence[str], min_users: int) -> Mapping[Cell, bool]:
    """Say which groups of crossed columns to suppress, given tables of fewer of them."""
    sizes = range(len(names) + 1)
    tables = [kept for size in sizes for kept in combinations(names, size)]
    return hidden_groups(rows, tables, min_users)[tuple(names)]


def hidden_groups(
    rows: pl.DataFrame, tables: Iterable[Sequence[str]], min_users: int
) -> dict[tuple[str, ...], Mapping[Cell, bool]]:
    """Say which groups to suppress in all tables of one call.

    Args:
        rows: What `rows_of_users` returns for the columns of all tables.
        tables: The columns of each table. Earlier tables have priority. The total counts as known.
        min_users: The fewest users that a figure may be of; 0 shows all.

    Returns:
        For each table, by its columns, whether each group is suppressed.
    """
    check_min_users(min_users)
    found: dict[tuple[str, ...], _Table] = {}
    for names in dict.fromkeys(((), *map(tuple, tables))):
        table = _Table(rows, names, min_users)
        if min_users > 1:
            table.complete([_Crossed(rows, earlier, table) for earlier in found.values()])
        found[names] = table
    return {
        names: dict(zip(table.cells, table.hidden.tolist(), strict=True))
        for names, table in found.items()
    }


class _Parts:
    """Users and their rows in each combination of values."""

    def __init__(self, rows: pl.DataFrame, names: Sequence[str], min_users: int) -> None:
        self.names, self.min_users = tuple(names), min_users
        sums = rows.group_by(*names, "_user").agg(pl.col("units").sum()).sort(*names, "_user")
        values = sums.select(names).rows() if names else [()] * len(sums)
        number = {value: place for place, value in enumerate(dict.fromkeys(values))}
        self.cells: list[Cell] = [*number]
        self.place = np.array([number[value] for value in values], dtype=np.int64)
        _, self.user = np.unique(sums["_user"].to_numpy(), return_inverse=True)
        self.units = sums["units"].to_numpy().astype(np.float64)
        self.users = np.bincount(self.place, minlength=len(number))
        self.sizes = np.bincount(self.place, self.units, len(number))
        self.most = np.bincount(self.user, self.units).max(initial=0.0)

    def are_few(self, chosen: Mask) -> bool:
        """Tell whether some parts together are of too few users."""
        if not chosen.any():
            return False
        enough = self.users[chosen].max() >= self.min_users
        if enough and self.most <= _DOMINANT * self.sizes[chosen].sum():
            return False
        inside = chosen[self.place]
        units = np.bincount(self.user[inside], self.units[inside])
        return is_few(units[units > 0], self.min_users)


class _Table(_Parts):
    """A table, and which of its groups are suppressed."""

    def __init__(self, rows: pl.DataFrame, names: Sequence[str], min_users: int) -> None:
        super().__init__(rows, names, min_users)
        most = np.zeros(len(self.cells))
        np.maximum.at(most, self.place, self.units)
        few = (self.users < min_users) | (most > _DOMINANT * self.sizes)
        self.hidden = few & (min_users > 1)
        self.unknown = np.array([None in cell for cell in self.cells], dtype=bool)
        self.blocks = [np.zeros(len(self.cells), dtype=np.int64)]

    def views(self) -> list[NDArray[np.int64]]:
        """Return what is known of each group: itself, or the suppressed rest of a block.

        The total is a block, and so is each group of another table in which this one is nested.
        """
        own = np.arange(len(self.cells))
        return [np.where(self.hidden, len(own) + block, own) for block in self.blocks]

    def _beside_hidden(self) -> Mask:
        """Return the groups in the smallest blocks that have suppressed ones."""
        sides = (np.isin(block, block[self.hidden]) & ~self.hidden for block in self.blocks[::-1])
        return next((beside for beside in sides if beside.any()), ~self.hidden)

    def complete(self, crossed: Sequence[_Crossed]) -> None:
        """Suppress the smallest groups until nothing of too few users follows."""
        while not self.hidden.all():
            views = self.views()
            found = (each.exposing(views, len(self.cells)) for each in crossed)
            near = next((cells for cells in found if cells is not None), None)
            if near is None:
                # Rows without a value hide nothing: their number is often shown elsewhere.
                near = self._beside_hidden()
                if not (self.are_few(self.hidden) or self.are_few(self.hidden & ~self.unknown)):
                    return
            near = near & ~self.hidden
            among = np.flatnonzero(near if near.any() else ~self.hidden)
            self.hidden[among[np.argmin(self.users[among])]] = True


class _Crossed(_Parts):
    """An earlier table, crossed with a table."""

    def __init__(self, rows: pl.DataFrame, earlier: _Table, table: _Table) -> None:
        names = [*dict.fromkeys((*earlier.names, *table.names))]
        super().__init__(rows, names, table.min_users)
        places = self._places(earlier)
        self.earlier = [view[places] for view in earlier.views()]
        self.own = self._places(table)
        block = np.zeros(len(table.cells), dtype=np.int64)
        block[self.own] = self.earlier[0]
        if earlier.names and (block[self.own] == self.earlier[0]).all():
            table.blocks.append(block)

    def _places(self, table: _Table) -> NDArray[np.int64]:
        """Return in which group of a table each part lies."""
        columns = [self.names.index(name) for name in table.names]
        number = {cell: place for place, cell in enumerate(table.cells)}
        found = [number[tuple(cell[column] for column in columns)] for cell in self.cells]
        return np.array(found, dtype=np.int64)

    def exposing(self, views: Sequence[NDArray[np.int64]], groups: int) -> Mask | None:
        """Return groups of the table of which one must be suppressed, None if nothing follows.

        Groups of one table less all groups of the other that lie in them follow from the figures.
        """
        for earlier, own in product(self.earlier, (view[self.own] for view in views)):
            touching = np.zeros((earlier.max() + 1, max(own.max() + 1, groups)), dtype=bool)
            touching[earlier, own] = True
            for covers, inside in _covered(touching):
                if self.are_few(covers[earlier] & ~inside[own]):
                    return inside[:groups]
            for covers, inside in _covered(touching.T):
                if self.are_few(covers[own] & ~inside[earlier]):
                    return covers[:groups]
        return None


def _covered(touching: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Yield for each column which rows cover it, and which columns they cover."""
    outside = touching.T.astype(np.float32) @ (~touching).astype(np.float32)
    for place in np.flatnonzero(touching.any(axis=0)):
        yield touching[:, place], (outside[:, place] == 0) & touching.any(axis=0)
