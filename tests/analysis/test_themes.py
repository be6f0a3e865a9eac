"""What charged talk is about: shares of themes, against planted truth."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import polars as pl
import pytest

from affectlib.analysis import Accuracy, AnalysisWarning, TableError, themes
from affectlib.errors import OptionError
from affectlib.taxonomy import THEME_COLUMNS, THEMES
from tools.simulate import Population, simulate

KEYS = ["record", "conversation_id"]
COLUMNS = ["theme", "method", "estimate", "low", "high", "units", "users", "gold", "suppressed"]


@cache
def people() -> Population:
    return simulate(1500, seed=3, prevalence=0.15)


def truth(population: Population) -> dict[str, float]:
    """The share of conversations labelled emotional that truly have each theme."""
    called = population.conversations.filter(pl.col("label") == "emotional")
    known = called.join(population.gold_conversations, on=KEYS)["themes"].str.split(",")
    return {name: (known.list.contains(name)).mean() for name in THEMES}  # type: ignore[misc]


def by_method(found: pl.DataFrame, method: str) -> dict[str, dict[str, Any]]:
    rows = found.filter(pl.col("method") == method).rows(named=True)
    return {row["theme"]: row for row in rows}


def labels(
    rows: list[tuple[str, str, dict[str, float]]], missing: float | None = 0.0
) -> pl.DataFrame:
    """Labels of conversations of these users, labels and themes."""
    return pl.DataFrame(
        {
            "conversation_id": [f"c{place}" for place in range(len(rows))],
            "user_id": [user for user, _, _ in rows],
            "label": [label for _, label, _ in rows],
            **{
                column: pl.Series([own.get(name, missing) for _, _, own in rows], dtype=pl.Float64)
                for name, column in THEME_COLUMNS.items()
            },
        }
    )


def test_shares_are_of_what_is_labelled_emotional() -> None:
    rows = [(f"u{n}", "emotional", {"grief": 0.9, "love": 0.6 * (n < 5)}) for n in range(20)]
    rows += [(f"u{n}", "task", {"money": 0.9}) for n in range(20)]
    found = themes(labels(rows), min_users=0)
    assert found.columns == COLUMNS
    assert found["theme"].to_list() == [*THEMES]
    shown = by_method(found, "naive")
    assert (shown["grief"]["estimate"], shown["love"]["estimate"]) == (1.0, 0.25)
    assert shown["money"]["estimate"] == 0.0
    assert {row["units"] for row in shown.values()} == {20}
    strict = by_method(themes(labels(rows), theme_threshold={"love": 0.7}, min_users=0), "naive")
    assert strict["love"]["estimate"] == 0.0


def test_intervals_allow_for_users() -> None:
    # Ten users of twenty chats each, all about the same or none: as good as ten chats.
    rows = [
        (f"u{user}", "emotional", {"grief": 0.9 * (user < 5)})
        for user in range(10)
        for _ in range(20)
    ]
    row = by_method(themes(labels(rows), min_users=0), "naive")["grief"]
    assert row["estimate"] == 0.5
    assert row["high"] - row["low"] > 0.4


@pytest.mark.parametrize("level", ["conversation", "message"])
def test_gold_themes_correct_the_labels(level: str) -> None:
    population = people()
    if level == "conversation":
        given, gold, expected = population.conversations, population.gold_conversations, None
        expected = truth(population)
    else:
        given, gold = population.messages, population.gold_messages
        called = given.filter(pl.col("label") == "emotional")
        known = called.join(gold, on=[*KEYS, "message"])["themes"].str.split(",")
        expected = {name: known.list.contains(name).mean() for name in THEMES}
    drawn = gold.sample(3000, seed=5).with_columns(weight=pl.lit(len(gold) / 3000))
    found = themes(given, drawn)
    ppi, naive = by_method(found, "ppi"), by_method(found, "naive")
    inside = [row["low"] <= expected[name] <= row["high"] for name, row in ppi.items()]
    assert sum(inside) >= 12
    wrong = [name for name, row in naive.items() if row["low"] > expected[name]]
    assert len(wrong) > 3  # labels alone find rare themes too often
    assert {row["gold"] for row in ppi.values()} == {ppi["love"]["gold"]}
    assert 0 < ppi["love"]["gold"] < 3000


def test_what_was_measured_corrects_the_labels() -> None:
    population = people()
    measured = {name: Accuracy(800, 200, 970, 30) for name in THEMES}
    with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
        found = by_method(themes(population.conversations, measured=measured), "rogan_gladen")
    expected = truth(population)
    assert {*found} == {*THEMES}
    inside = [row["low"] <= expected[name] <= row["high"] for name, row in found.items()]
    assert sum(inside) >= 12


def test_only_measured_themes_are_corrected() -> None:
    measured = {"love": Accuracy(800, 200, 970, 30)}
    with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
        found = themes(people().conversations, measured=measured)
    assert found.filter(pl.col("method") == "rogan_gladen")["theme"].to_list() == ["love"]


def test_groups_and_time() -> None:
    by_model = themes(people().conversations, by="model")
    assert by_model.columns == ["theme", "model", *COLUMNS[1:]]
    assert by_model.height == 2 * len(THEMES)
    whole = by_method(themes(people().conversations), "naive")
    of_love = by_model.filter(pl.col("theme") == "love")
    pooled = (of_love["estimate"] * of_love["units"]).sum() / of_love["units"].sum()
    assert pooled == pytest.approx(whole["love"]["estimate"])
    by_month = themes(people().conversations, by=["model", "month"])
    assert by_month["units"].sum() == len(THEMES) * whole["love"]["units"]


def test_what_few_users_show_is_hidden_and_does_not_come_back() -> None:
    rows = [
        (f"u{group}{n}", "emotional", {"grief": 0.9 * (n < few), "love": 0.9})
        for group, few in (("a", 3), ("b", 15), ("c", 20))
        for n in range(30)
    ]
    frame = labels(rows).with_columns(group=pl.col("user_id").str.slice(1, 1))
    found = themes(frame, by="group")
    hidden = found.filter("suppressed").select("theme", "group").rows()
    # Those of c would be the total less those of b: the smallest of the others is hidden as well.
    assert hidden == [("grief", "a"), ("grief", "b")]
    gone = found.filter("suppressed")
    assert gone["estimate"].null_count() == gone["units"].null_count() == 2
    assert not themes(frame, by="group", min_users=0)["suppressed"].any()
    alone = themes(labels([("u", "emotional", {"grief": 0.9})] * 40))
    assert alone["suppressed"].all()


def test_other_annotators_and_open_answers() -> None:
    rows = [(f"u{n}", "emotional", {"grief": 0.9}) for n in range(20)]
    sheet = pl.DataFrame(
        {
            "conversation_id": ["c0", "c0", "c1", "c1", "c2", "c2", "c3", "c3"],
            "annotator": ["a", "b"] * 4,
            "gold": ["emotional"] * 6 + ["task"] * 2,
            "themes": ["Grief; love", "grief", "none", "family", None, " ", None, None],
            "weight": [1.0] * 8,
        }
    )
    with pytest.warns(AnalysisWarning, match="1 of 3 charged rows have no answer"):
        found = by_method(themes(labels(rows), sheet, min_users=0), "gold")
    # Of c0 both, of c1 family and none (a half is enough), c3 is a task. The two that were
    # answered stand for the third, which was not.
    assert {row["gold"] for row in found.values()} == {3}
    shares = {name: row["estimate"] for name, row in found.items() if row["estimate"]}
    part = pytest.approx(1.5 / 4)
    assert shares == {"grief": part, "love": part, "family": part}
    with pytest.raises(TableError, match="no row labelled emotional has an answer yet"):
        themes(labels(rows), sheet.with_columns(themes=pl.lit(None, pl.String)))


def test_a_theme_that_one_person_names_twice_counts_once() -> None:
    rows = [(f"u{n}", "emotional", {"grief": 0.9}) for n in range(20)]
    sheet = pl.DataFrame(
        {
            "conversation_id": ["c0"] * 3,
            "annotator": ["a", "b", "c"],
            "gold": "emotional",
            "themes": ["love,love", "grief", "grief"],
            "weight": 1.0,
        }
    )
    found = by_method(themes(labels(rows), sheet, min_users=0), "gold")
    assert {name for name, row in found.items() if row["estimate"]} == {"grief"}


@pytest.mark.parametrize(
    ("change", "options", "error", "named"),
    [
        ({}, {"theme_threshold": 2}, OptionError, "theme_threshold must be"),
        ({}, {"theme_threshold": {"joy": 0.5}}, OptionError, "no theme 'joy'; there are love"),
        ({}, {"by": "theme"}, OptionError, "the result has a column 'theme'"),
        ({}, {"by": "nation"}, OptionError, "no column 'nation'"),
        ({}, {"target": "all"}, OptionError, "unknown target 'all'"),
        ({"label": "task"}, {}, TableError, "no row is labelled emotional"),
        (dict.fromkeys(THEME_COLUMNS.values()), {}, TableError, "no themes; label"),
    ],
)
def test_bad_input(change: Any, options: Any, error: type[Exception], named: str) -> None:
    frame = labels([(f"u{n}", "emotional", {}) for n in range(20)])
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in change.items())
    with pytest.raises(error, match=named):
        themes(frame, **options)


def test_gold_without_themes_or_with_unknown_ones() -> None:
    frame = labels([(f"u{n}", "emotional", {}) for n in range(20)])
    sheet = pl.DataFrame({"conversation_id": ["c1"], "gold": ["emotional"], "weight": [1.0]})
    with pytest.raises(TableError, match="gold: no column 'themes'"):
        themes(frame, sheet)
    with pytest.raises(TableError, match="1 unknown names; use love"):
        themes(frame, sheet.with_columns(themes=pl.lit("secret")))


def test_other_frames_give_the_same() -> None:
    given = people().conversations
    expected = themes(given, by="model")
    assert themes(given.lazy(), by="model").equals(expected)
    pandas = themes(given.to_pandas(), by="model")
    assert pl.from_pandas(pandas)["estimate"].to_list() == expected["estimate"].to_list()


def test_missing_users_are_said_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        themes(people().conversations.drop("user_id"))
    assert [warning.category for warning in caught] == [AnalysisWarning]
