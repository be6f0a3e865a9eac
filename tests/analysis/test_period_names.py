"""A user's own column ``day``, ``week`` or ``month`` is a column to group by, and no time."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest

from affectlib.analysis import evaluate, prevalence, report, themes
from tests.analysis.known import gold_of
from tools.simulate import Population, simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")


@cache
def people() -> Population:
    return simulate(150, seed=3, prevalence=0.2)


def halves(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    even = pl.int_range(pl.len()) % 2 == 0
    return rows.with_columns(pl.when(even).then(pl.lit("x")).otherwise(pl.lit("y")).alias(name))


@pytest.mark.parametrize("name", ["day", "month"])
def test_each_analysis_groups_by_it(name: str) -> None:
    labels, gold = halves(people().conversations, name), gold_of(people())
    for found in (
        prevalence(labels, gold, by=name),
        themes(labels, gold, by=name),
        evaluate(labels, gold, by=name),
    ):
        assert {*found[name]} == {"x", "y"}


@pytest.mark.parametrize(("name", "of_users"), [("week", True), ("month", False)])
def test_the_report_groups_by_it_and_still_shows_change_over_time(
    name: str, of_users: bool
) -> None:
    labels, participants = people().conversations, people().participants
    if of_users:
        participants = halves(participants, name)
    else:
        labels = halves(labels, name)
    gold = gold_of(people())
    found = report(labels, gold=gold, participants=participants, by=name, min_users=0).figures()
    assert {"x", "y"} <= {*found.filter(section="group-0")["group"]}
    others = found.filter(pl.col("group").is_in(["x", "y"]).not_().fill_null(value=True))
    usual = report(people().conversations, gold=gold, min_users=0).figures()
    for section in ("time", "themes"):
        assert others.filter(section=section).equals(usual.filter(section=section))
