"""Whoever subtracts what is shown from a total must not learn of few users."""

from __future__ import annotations

from itertools import combinations, pairwise, product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.analysis import compare, prevalence, simulate, users
from affectlib.analysis._privacy import hidden_cells

PEOPLE = simulate(300, seed=3, prevalence=0.1)


def differences(labels: pl.DataFrame, columns: list[str], min_users: int) -> list[int]:
    """Return of how many users the rows are that come out by subtraction.

    The attacker has the figures by every choice of the columns, and takes the shown cells of a
    finer table from a shown cell of a coarser one.
    """
    tables = {
        chosen: prevalence(labels, by=[*chosen], min_users=min_users).filter(method="naive")
        for size in range(len(columns) + 1)
        for chosen in combinations(columns, size)
    }
    found = []
    for coarse, fine in product(tables, tables):
        if not {*coarse} < {*fine}:
            continue
        for row in tables[coarse].filter(~pl.col("suppressed")).iter_rows(named=True):
            same = [pl.col(name).eq_missing(row[name]) for name in coarse]
            shown = tables[fine].filter(~pl.col("suppressed"), *same)
            inside = labels.filter(*same) if same else labels
            rest = inside.join(shown, on=[*fine], how="anti", nulls_equal=True)
            if row["units"] > shown["units"].sum():
                found.append(rest["user_id"].n_unique())
    return found


@pytest.mark.parametrize("columns", [["team"], ["team", "model"], ["team", "language", "model"]])
def test_an_attacker_learns_nothing_of_few_users(columns: list[str]) -> None:
    sizes = {"large": 200, "small": 60, "little": 30, "tiny": 6, "two": 4}
    teams = [name for name, size in sizes.items() for _ in range(size)]
    names = PEOPLE.participants["user_id"]
    labels = PEOPLE.conversations.join(
        pl.DataFrame({"user_id": names, "team": teams}), on="user_id", how="left"
    )
    assert min(differences(labels, columns, 0), default=0) == 0
    assert min(differences(labels, columns, 20), default=20) >= 20


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 15)), max_size=9),
    st.integers(1, 12),
)
def test_sums_of_hidden_cells_are_of_enough_users(
    drawn: list[tuple[int, int, int]], min_users: int
) -> None:
    sizes = {(one, other): size for one, other, size in drawn}
    starts = np.cumsum([0, *sizes.values()])
    own = [np.arange(a, b) for a, b in pairwise(starts)]
    hidden = hidden_cells([*sizes], own, min_users)
    for kept in ((), (0,), (1,)):
        slices: dict[tuple[int, ...], list[int]] = {}
        for place, cell in enumerate(sizes):
            slices.setdefault(tuple(cell[column] for column in kept), []).append(place)
        for inside in slices.values():
            gone = sum(len(own[place]) for place in inside if hidden[place])
            total = sum(len(own[place]) for place in inside)
            assert gone == 0 or gone >= min(min_users, total)


def test_comparisons_hide_the_groups_that_would_show_a_small_one() -> None:
    people = users(PEOPLE.messages).with_columns(
        team=pl.when(pl.int_range(pl.len()) < 4)
        .then(pl.lit("tiny"))
        .when(pl.int_range(pl.len()) < 40)
        .then(pl.lit("small"))
        .otherwise(pl.lit("large"))
    )
    found = compare(people, "team", outcomes=["turn_rate"])
    assert found["suppressed"].to_list() == [True, True]
    assert found["users"].to_list() == [None, None]
