"""Whoever subtracts what is shown from a total must not learn of few users."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import polars as pl
import pytest

from affectlib.analysis import compare, prevalence, report, themes, trajectory, users
from affectlib.analysis._privacy import hidden_groups, rows_of_users
from affectlib.errors import OptionError
from affectlib.taxonomy import THEME_COLUMNS, THEMES
from tools.disclosure import attack
from tools.simulate import simulate

PEOPLE = simulate(300, seed=3, prevalence=0.1)


Tables = dict[tuple[str, ...], pl.DataFrame]


def choices(columns: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield every choice of columns, none and all included."""
    for size in range(len(columns) + 1):
        yield from combinations(columns, size)


def differences(tables: Tables, rows: pl.DataFrame) -> list[int]:
    """Return of how many users the rows are that come out by subtraction.

    The attacker takes the shown cells of a finer table from a shown cell of a coarser one.

    Args:
        tables: Figures, and whether they are suppressed, by the columns that they are grouped by.
        rows: What they count, with these columns and ``user_id``.
    """
    found = []
    for coarse, fine in product(tables, tables):
        if not {*coarse} < {*fine}:
            continue
        for row in tables[coarse].filter(~pl.col("suppressed")).iter_rows(named=True):
            same = [pl.col(name).eq_missing(row[name]) for name in coarse]
            shown = tables[fine].filter(~pl.col("suppressed"), *same)
            inside = rows.filter(*same) if same else rows
            rest = inside.join(shown, on=[*fine], how="anti", nulls_equal=True)
            if len(rest):
                found.append(rest["user_id"].n_unique())
    return found


def with_teams(labels: pl.DataFrame) -> pl.DataFrame:
    sizes = {"large": 200, "small": 60, "little": 30, "tiny": 6, "two": 4}
    teams = [name for name, size in sizes.items() for _ in range(size)]
    names = PEOPLE.participants["user_id"]
    team = pl.DataFrame({"user_id": names, "team": teams})
    return labels.join(team, on="user_id", how="left")


@pytest.mark.parametrize("columns", [["team"], ["team", "model"], ["team", "language", "model"]])
def test_an_attacker_learns_nothing_of_few_users(columns: list[str]) -> None:
    labels = with_teams(PEOPLE.conversations)

    def least(min_users: int) -> int | None:
        tables = {
            chosen: prevalence(labels, by=[*chosen], min_users=min_users).filter(method="naive")
            for chosen in choices(columns)
        }
        return min(differences(tables, labels), default=None)

    assert least(0) is None
    assert (least(20) or 20) >= 20


@pytest.mark.parametrize("columns", [["team"], ["team", "model"]])
def test_an_attacker_learns_no_theme_of_few_users(columns: list[str]) -> None:
    labels = with_teams(PEOPLE.conversations).filter(label="emotional")
    tables = {
        chosen: themes(labels, by=[*chosen], min_users=10).filter(method="naive")
        for chosen in choices(columns)
    }
    assert tables[*columns,]["suppressed"].any()
    for name in THEMES:
        own = {chosen: found.filter(theme=name) for chosen, found in tables.items()}
        shown = labels.filter(pl.col(THEME_COLUMNS[name]) >= 0.5)
        assert min(differences(own, shown), default=10) >= 10


def test_reports_by_several_columns_give_away_no_small_group() -> None:
    found = attack(30, seed=1)
    assert found["suppressed"] > found["small"] > 100
    assert found["tried"] > 5000
    assert found["recovered"] == 0


def units_of(**columns: list[object]) -> pl.DataFrame:
    return rows_of_users(pl.LazyFrame(columns), [name for name in columns if name != "_user"])


def test_a_nested_column_does_not_show_what_its_groups_leave_of_one_of_the_other() -> None:
    rows = units_of(
        _user=[*range(80)],
        country=["fr"] * 40 + ["be"] * 40,
        city=["Paris"] * 35 + ["Lyon"] * 5 + ["Liège"] * 20 + ["Namur"] * 20,
    )
    hidden = hidden_groups(rows, [("country",), ("city",)], 10)
    assert not any(hidden["country",].values())
    assert hidden["city",] == {
        ("Liège",): False,
        ("Lyon",): True,
        ("Namur",): False,
        ("Paris",): True,
    }


def test_no_figure_is_nearly_all_of_one_user() -> None:
    user = [0] * 500 + [*range(9)]
    people = [f"u{u}" for u in [*user, 9]]
    labels = pl.DataFrame({"user_id": people, "label": "task", "provenance": None})
    assert prevalence(labels, min_users=10)["suppressed"].all()
    assert not prevalence(labels, min_users=0)["suppressed"].any()


def test_no_figure_of_turns_is_nearly_all_of_one_user() -> None:
    few = PEOPLE.participants["user_id"].head(11).to_list()
    own = pl.when(pl.col("user_id").is_in(few)).then("user_id").otherwise(pl.lit("one"))
    messages = PEOPLE.messages.with_columns(user_id=own)
    assert trajectory(messages, min_users=10)["suppressed"].all()
    assert not trajectory(messages, min_users=0)["suppressed"].any()


def test_a_negative_number_of_users_is_refused() -> None:
    labels = PEOPLE.conversations
    for ask in (prevalence, report, themes):
        with pytest.raises(OptionError, match="min_users"):
            ask(labels, min_users=-5)


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
