"""Attack the figures of reports by linear algebra: ``python -m tools.disclosure``.

Each report has several columns to group by, nested (a city lies in a country), overlapping (a
language is spoken in several countries) and crossed. The attacker knows the number of rows in every
group that is shown, and in all. Each group, each combination of values and each two of these that
are of too few users are tried: does their number of rows follow by adding and subtracting?
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib.analysis._privacy import hidden_groups, is_few

Columns = tuple[str, ...]

TABLES: Sequence[Sequence[Columns]] = (
    (("country",), ("city",)),
    (("city",), ("country",), ("month",)),
    (("country",), ("language",), ("month",)),
    (("country",), ("city",), ("language",), ("team",)),
    (("country",), ("city",), ("country", "city")),
    (("team",), ("language",), ("team", "language"), ("month",)),
)
MIN_USERS = 10
_PAIRS = 3000


def corpus(rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of users with skewed groups; some users have very many rows."""
    users = int(rng.integers(40, 400))
    country = rng.choice(4, users, p=rng.dirichlet(np.full(4, 0.7)))
    city = country * 3 + rng.choice(3, users, p=rng.dirichlet(np.full(3, 0.7)))
    language = np.where(rng.random(users) < rng.choice([0.8, 0.95, 1.0]), country // 2, 2)
    team = rng.choice(5, users, p=rng.dirichlet(np.full(5, 0.5)))
    counts = np.ceil(rng.pareto(rng.choice([0.8, 1.5, 3.0]), users) + 0.01).astype(int).clip(1, 500)
    user = np.repeat(np.arange(users), counts)
    month = rng.choice(6, len(user), p=rng.dirichlet(np.full(6, 0.7)))
    rows = pl.DataFrame(
        {
            "_user": user,
            "country": country[user],
            "city": city[user],
            "language": language[user],
            "team": team[user],
            "month": month,
        }
    )
    if rng.random() < 0.3:
        gap = pl.Series(rng.random(len(rows)) < 0.05)
        rows = rows.with_columns(team=pl.when(~gap).then("team"))
    return rows


def recovered(
    rows: pl.DataFrame,
    hidden: Mapping[Columns, Mapping[tuple[object, ...], bool]],
    min_users: int,
) -> tuple[int, int]:
    """Return how many parts of too few users follow from what is shown, and how many there are."""
    columns = [*dict.fromkeys(name for names in hidden for name in names)]
    atoms = rows.select(columns).unique().sort(columns)
    values = atoms.rows()
    groups = [
        (gone, np.array([tuple(row[columns.index(n)] for n in names) == cell for row in values]))
        for names, cells in hidden.items()
        for cell, gone in cells.items()
    ]
    shown = [inside for gone, inside in groups if not gone]
    shown.append(np.ones(len(values), dtype=bool))
    of = rows.join(atoms.with_row_index("atom"), on=columns, nulls_equal=True)
    counts = np.zeros((len(values), of["_user"].n_unique()))
    _, user = np.unique(of["_user"].to_numpy(), return_inverse=True)
    np.add.at(counts, (of["atom"].to_numpy(), user), 1)

    def thin(inside: NDArray[np.bool_]) -> bool:
        units = counts[inside].sum(axis=0)
        return is_few(units[units > 0], min_users)

    targets = [t for t in _targets([inside for _, inside in groups], len(values)) if thin(t)]
    if not targets:
        return 0, 0
    matrix, wanted = np.array(shown, float).T, np.array(targets, float).T
    found = matrix @ np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    return int((np.abs(found - wanted).max(axis=0) < 1e-6).sum()), len(targets)


def _targets(groups: Sequence[NDArray[np.bool_]], atoms: int) -> Iterator[NDArray[np.bool_]]:
    """Yield groups, what two have in common or one alone, and one or two combinations of values."""
    yield from groups
    for one, other in combinations(groups, 2):
        for part in (one & other, one & ~other, other & ~one, one | other):
            if part.any():
                yield part
    each = np.eye(atoms, dtype=bool)
    yield from each
    for one, other in list(combinations(range(atoms), 2))[:_PAIRS]:
        yield each[one] | each[other]


def attack(reports: int, seed: int = 0) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(("reports", "groups", "suppressed", "small", "tried", "recovered"), 0)
    for place in range(reports):
        rows = corpus(rng)
        tables = TABLES[place % len(TABLES)]
        names = [*dict.fromkeys(name for table in tables for name in table)]
        units = rows.group_by(*names, "_user").agg(pl.len().alias("units"))
        hidden = hidden_groups(units, tables, MIN_USERS)
        small = hidden_groups_alone(units, tables)
        got, tried = recovered(rows, hidden, MIN_USERS)
        cells = [gone for table in hidden.values() for gone in table.values()]
        found["reports"] += 1
        found["groups"] += len(cells)
        found["suppressed"] += sum(cells)
        found["small"] += small
        found["tried"] += tried
        found["recovered"] += got
    return found


def hidden_groups_alone(units: pl.DataFrame, tables: Sequence[Columns]) -> int:
    """Count the groups that are of too few users by themselves."""
    return sum(
        is_few(group["units"].to_numpy(), MIN_USERS)
        for names in tables
        for _, group in units.group_by(*names, "_user").agg(pl.col("units").sum()).group_by(names)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, count in attack(options.reports, options.seed).items():
        print(f"{name}: {count:,}")


if __name__ == "__main__":
    main()
