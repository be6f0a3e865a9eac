from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("evaluate", reason="training needs affectlib[train]")
pytest.importorskip("torch", reason="training needs affectlib[train]")

from training.evaluate import MEASURES
from training.evaluation import card as module
from training.evaluation.card import TARGETS, Table, Target, tables
from training.screen.chats import KINDS

RESULTS: dict[str, Any] = {
    "artifact": {"name": "tiny", "version": "1", "fingerprint": "f" * 64},
    "corpus": {"accuracy": {"value": 0.95, "low": 0.8, "high": 1.0, "n": 50}},
    "sizes": {"total": 90_000_000},
}


@pytest.mark.parametrize(
    ("bounds", "value", "met"),
    [
        ({"least": 0.9}, 0.9, True),
        ({"least": 0.9}, 0.899, False),
        ({"most": 0.1}, 0.1, True),
        ({"most": 0.1}, 0.11, False),
        ({"least": -0.1, "most": 0.1}, -0.11, False),
        ({"least": -0.1, "most": 0.1}, 0.0, True),
        ({"least": 0.5}, float("nan"), False),
    ],
)
def test_target_is_met_within_its_bounds(bounds: dict[str, float], value: float, met: bool) -> None:
    target = Target("what", ("a", "b"), **bounds)
    assert target.met({"a": {"b": {"value": value}}}) is met
    assert target.met({"a": {"b": value}}) is met
    assert target.met({"a": {}}) is None
    assert target.met({}) is None


def test_bounds_read_as_words() -> None:
    assert Target("what", (), least=-0.1, most=0.1).bounds == "≥ -0.1 and ≤ 0.1"
    assert Target("what", (), most=0.03).bounds == "≤ 0.03"
    assert Target("what", (), most=75e6).bounds == "≤ 75,000,000"


def test_every_target_has_a_bound_and_a_place_of_its_own() -> None:
    assert all(target.bounds for target in TARGETS)
    assert len({target.path for target in TARGETS}) == len(TARGETS)
    assert len({target.what for target in TARGETS}) == len(TARGETS)
    assert {target.path[0] for target in TARGETS} <= {*MEASURES}


def test_table_as_markdown_and_as_text() -> None:
    table = Table("Title", ["", "value"], [["a name", 1], ["b", "0.5"]])
    assert table.markdown().splitlines() == [
        "||value|",
        "|---|---|",
        "|a name|1|",
        "|b|0.5|",
    ]
    assert table.text().splitlines() == ["Title", "        value", "a name  1", "b       0.5"]


def test_what_was_measured_has_a_table_and_no_more() -> None:
    found = dict(tables(RESULTS))
    assert [*found] == ["targets"]
    assert found["targets"].rows == [
        ["corpus dev: accuracy", "0.950 (0.800–1.000)", "50", "≥ 0.9", "yes"],
        ["bytes of the artifact", "90,000,000", "", "≤ 81,000,000", "no"],
    ]


def test_screen_is_shown_with_what_it_leaves_and_loses() -> None:
    loss = {"hits": 1, "of": 2000, "most": 0.00237}
    none = {"hits": 0, "of": 0, "most": 0.0}
    counts = {"conversations": 2000, "settled": 1500, "other_label": loss, "charged_lost": none}
    counts |= {"messages_lost": loss, "other_cues": loss}
    empty = {**dict.fromkeys(counts, none), "conversations": 0, "settled": 0}
    screen = {"chosen_on": {"corpus": empty}, "checked_on": {"corpus": counts}}
    (table,) = [table for name, table in tables({"screen": screen}) if name == "screen"]
    lost = "1 of 2,000 (up to 0.24%)"
    assert table.rows == [
        ["corpus, chose the bounds", "0", *"-----"],
        ["corpus, took no part", "2,000", "25.0%", lost, "-", lost, lost],
    ]
    assert len(table.head) == len(table.rows[1])


def test_what_other_bounds_would_lose_is_shown() -> None:
    loss = {"hits": 1, "of": 2000, "most": 0.00237}
    counts = {"conversations": 4000, "settled": 3000, "other_label": loss, "charged_lost": loss}
    rows = [dict.fromkeys(KINDS, counts)]
    (table,) = [t for name, t in tables({"screen_trade_off": rows}) if name == "screen_trade_off"]
    lost = "1 of 2,000 (up to 0.24%)"
    assert table.rows == [["25.0%", "25.0%", lost, lost, f"{len(KINDS)} of {2000 * len(KINDS):,}"]]
    assert len(table.head) == len(table.rows[0])


def test_every_measure_has_a_table_or_a_target() -> None:
    assert {*MEASURES} <= {*module._TABLES} | {target.path[0] for target in TARGETS}
