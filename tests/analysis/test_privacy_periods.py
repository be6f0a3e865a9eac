"""Whoever has figures by day, week and month, or a whole report, learns nothing of few users."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.analysis import evaluate, prevalence, report_page, simulate
from affectlib.analysis._privacy import hidden_groups
from affectlib.errors import OptionError

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

MONDAY = datetime(2025, 2, 24, tzinfo=UTC)
LENGTHS = {"day": "1d", "week": "1w", "month": "1mo"}


def labels_of(days: Sequence[Sequence[int]], team: Sequence[str] = ()) -> pl.DataFrame:
    """Return a label for each user of each day."""
    rows = [
        {"user_id": f"u{user}", "started_at": MONDAY + timedelta(days=day), "label": "task"}
        | ({"team": team[user]} if team else {})
        for day, users in enumerate(days)
        for user in users
    ]
    return pl.DataFrame(rows)


def recovered(labels: pl.DataFrame, views: Sequence[Sequence[str]], min_users: int) -> set[int]:
    """Return of how many users the sums are, below `min_users`, that an attacker can work out.

    What is shown are sums over atoms: rows of one day and of one value in all other columns. A sum
    over other atoms comes out if its indicator is a linear combination of those that are shown.
    """
    columns = sorted({name for view in views for name in view if name not in LENGTHS})
    time = pl.col("started_at")
    rows = labels.with_columns(time.dt.truncate(size).alias(name) for name, size in LENGTHS.items())
    atoms = rows.group_by("day", "week", "month", *columns).agg(pl.col("user_id").unique())
    known = []
    for view in [(), *views]:
        found = prevalence(labels, by=[*view] or None, min_users=min_users)
        for row in found.filter(~pl.col("suppressed")).iter_rows(named=True):
            inside = [pl.col(name).eq_missing(row[name]) for name in view]
            known.append(atoms.select(pl.all_horizontal(pl.lit(True), *inside)).to_series())
    if not known:
        return set()
    shown = np.array([each.extend_constant(each[0], len(atoms) - len(each)) for each in known])
    _, values, basis = np.linalg.svd(shown.astype(float), full_matrices=False)
    basis = basis[values > 1e-9]
    users = [{*own} for own in atoms["user_id"]]
    thin = [place for place, own in enumerate(users) if len(own) < min_users]
    sums = []
    for size in (1, 2, 3):
        for chosen in combinations(thin, size):
            people = len(set().union(*(users[place] for place in chosen)))
            if people < min_users:
                target = np.zeros(len(atoms))
                target[[*chosen]] = 1.0
                if np.linalg.norm(target - basis.T @ (basis @ target)) < 1e-6:
                    sums.append(people)
    return {*sums}


EVERY = (("day",), ("week",), ("month",))


def test_a_week_that_is_hidden_does_not_come_back_by_months() -> None:
    crowd, few = [*range(30)], [90, 91, 92]
    days = [crowd] * 70
    days[40:47] = [few] * 7  # no week of its own: Saturday to Friday
    days[56:63] = [[95]] * 7  # a week, in a month that is otherwise full
    labels = labels_of(days)
    assert recovered(labels, EVERY, 0) == set()
    for chosen in (EVERY, EVERY[:2], EVERY[1:], (EVERY[0], EVERY[2])):
        assert recovered(labels, chosen, 10) == set()
    found = prevalence(labels, by="week").filter(~pl.col("suppressed"))
    assert len(found) >= 5
    assert not prevalence(labels, by="month")["suppressed"].any()


def test_without_the_rule_the_attacker_would_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days hidden by the total only come back from the total of their week."""
    days = [[*range(30)] for _ in range(28)]
    days[3], days[17] = [90, 91, 92], [*range(40, 52)]
    labels = labels_of(days)
    assert recovered(labels, EVERY, 10) == set()
    monkeypatch.setattr(
        sys.modules["affectlib.analysis.prevalence"],
        "hidden_groups",
        lambda rows, names, least, _: hidden_groups(rows, names, least),
    )
    assert recovered(labels, EVERY, 10) == {3}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=10, max_size=60),
    st.integers(2, 6),
    st.integers(0, 27),
    st.sampled_from([EVERY, EVERY[:2], EVERY[1:]]),
)
def test_sums_that_come_out_are_of_enough_users(
    sizes: list[int], min_users: int, start: int, views: tuple[tuple[str, ...], ...]
) -> None:
    days = [[*range(start + day, start + day + size)] for day, size in enumerate(sizes)]
    if any(days):
        assert recovered(labels_of(days), views, min_users) == set()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=10, max_size=45), st.integers(2, 5))
def test_nor_in_groups_of_users(sizes: list[int], min_users: int) -> None:
    days = [[*range(size)] for size in sizes]
    if any(days):
        team = ["a", "b", "a", "b", "a", "a", "b"]
        labels = labels_of(days, team)
        views = (("team",), ("week",), ("month",), ("team", "week"), ("team", "month"))
        assert recovered(labels, views, min_users) == set()


def test_two_periods_at_a_time_are_refused() -> None:
    labels = labels_of([[*range(12)]] * 20)
    with pytest.raises(OptionError, match="by: week and month cannot be combined; name one"):
        prevalence(labels, by=["week", "month"])


def test_groups_of_few_users_with_gold_labels_do_not_come_back() -> None:
    people = simulate(120, seed=4, prevalence=0.2)
    names = people.participants["user_id"]
    teams = ["large"] * 80 + ["small"] * 36 + ["tiny"] * 4
    team = pl.DataFrame({"user_id": names, "team": teams})
    labels = people.conversations.join(team, on="user_id", how="left")
    found = evaluate(labels, people.gold_conversations, by="team")
    assert found.filter(team="tiny")["suppressed"].all()
    assert found.filter(team="small")["suppressed"].all()  # else the total less it shows the tiny
    assert not evaluate(labels, people.gold_conversations, by="team", min_users=0)[
        "suppressed"
    ].any()


@cache
def page() -> tuple[str, pl.DataFrame]:
    """A report with small groups, thin weeks, and rows without a user or a time."""
    people = simulate(260, seed=5, prevalence=0.15)
    names = people.participants["user_id"]
    teams = ["large"] * 200 + ["small"] * 55 + ["tiny"] * 5
    participants = people.participants.drop("growing").with_columns(team=pl.Series(teams))
    place = pl.int_range(pl.len())
    week = pl.col("started_at").dt.truncate("1w")
    keep = ~(
        (week == week.min().dt.offset_by("3w")) & ~pl.col("user_id").is_in(names[:5].implode())
    )
    labels = people.conversations.filter(keep).with_columns(
        started_at=pl.when(place % 40 > 0).then("started_at"),
        user_id=pl.when(place % 50 > 0).then("user_id"),
    )
    html = report_page(
        labels, messages=people.messages, participants=participants, by=["team", "language"]
    )
    return html, labels.join(participants.select("user_id", "team"), on="user_id", how="left")


def users_in(rows: pl.DataFrame) -> int:
    """Count users; a row without one is a user of its own."""
    return rows["user_id"].drop_nulls().n_unique() + rows["user_id"].null_count()


def test_nobody_comes_back_by_subtraction_within_a_report() -> None:
    html, labels = page()
    data = json.loads(html.split('id="figures">')[1].split("</script>")[0])
    figures = [each for each in data["figures"] if each["measure"] == "share"]
    (total,) = {each["units"] for each in figures if each["section"] == "overall"}
    assert total == len(labels)
    attacked = 0
    for section, key, known in (
        ("time", pl.col("started_at").dt.truncate("1w").dt.date().cast(pl.String), "started_at"),
        ("group-0", pl.col("team").fill_null("not known"), None),
        ("group-1", pl.col("language"), None),
    ):
        own = [each for each in figures if each["section"] == section]
        shown = {each["group"] for each in own if each["units"] is not None}
        # What has no time or user is counted on the page, so it is taken off as well.
        inside = labels if known is None else labels.filter(pl.col(known).is_not_null())
        rest = inside.filter(~key.is_in([*shown]))
        missing = len(inside) - sum(each["units"] or 0 for each in own)
        assert len(rest) == missing
        assert missing == 0 or users_in(rest) >= 10
        attacked += missing > 0
    assert attacked == 2
    tenths = [each for each in figures if each["section"] == "deciles"]
    assert sum(each["units"] for each in tenths) == labels["user_id"].count()
    trends = html.split('<section id="trends"')[1].split("</section>")[0]
    assert "fewer than 10" not in trends or trends.count("not shown") >= 1
