"""Whoever has a whole report learns nothing of few users."""

from __future__ import annotations

import json
from functools import cache

import polars as pl
import pytest

from affectlib.analysis import evaluate, prevalence, report
from affectlib.errors import OptionError
from tools.simulate import simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")


def test_two_periods_at_a_time_are_refused() -> None:
    labels = simulate(40, seed=1).conversations
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
    html = report(
        labels, messages=people.messages, participants=participants, by=["team", "language"]
    ).html()
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
