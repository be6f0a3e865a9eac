"""What is said of hand labels that can be read in several ways, or are too few."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import AnalysisWarning, TableError, agreement, prevalence
from affectlib.analysis.prevalence import more_to_label
from tests.analysis.known import filled_in
from tools.simulate import simulate

PEOPLE = simulate(300, seed=4, prevalence=0.05)
CHARGED = pl.col("gold") == "emotional"


def filled(n: int = 400, labels: pl.DataFrame = PEOPLE.conversations) -> pl.DataFrame:
    return filled_in(PEOPLE, n, labels)


def notes(sheet: pl.DataFrame, **options: Any) -> list[str]:
    """What `prevalence` warns of."""
    labels = options.pop("labels", PEOPLE.conversations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AnalysisWarning)
        prevalence(labels, sheet, **options)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("kinds", [[pl.Int64], [pl.Float64], [pl.Int64, pl.String]])
def test_numbers_may_be_charges(kinds: list[Any]) -> None:
    answers = CHARGED
    for kind in kinds:
        answers = answers.cast(kind)
    numbers = filled().with_columns(gold=answers)
    (note,) = notes(numbers)
    assert note.startswith("gold, gold: 1 is read as emotional and 0 as task")
    assert "charges (0 and 1 task, 2 and 3 emotional)" in note
    with pytest.warns(AnalysisWarning, match="second sheet, gold: 1 is read as emotional"):
        agreement(filled(), numbers)


@pytest.mark.parametrize("highest", ["2", "3.0"])
def test_charges_are_told_by_their_higher_numbers(highest: str) -> None:
    charges = filled().with_columns(gold=pl.when(CHARGED).then(pl.lit(highest)).otherwise(0))
    with pytest.raises(TableError, match="a charge of 2 or 3 is emotional, 0 or 1 task"):
        prevalence(PEOPLE.conversations, charges)


@pytest.mark.parametrize(("yes", "no"), [("true", "False"), ("yes", "NO"), ("Oui", "non")])
def test_words_are_no_charges(yes: str, no: str) -> None:
    words = filled().with_columns(gold=pl.when(CHARGED).then(pl.lit(yes)).otherwise(pl.lit(no)))
    assert notes(words) == []
    found, expected = (prevalence(PEOPLE.conversations, each) for each in (words, filled()))
    assert found.equals(expected)
    gaps = pl.Series(["NA", "unsure", "", None, *words["gold"][4:]])
    open_ended = words.with_columns(gold=gaps)
    assert notes(open_ended) == ["gold: 4 of 400 rows have no answer and are left out"]


@pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")
def test_bad_rows_are_named_by_their_place_in_the_sheet() -> None:
    sheet = filled()
    place = pl.int_range(pl.len())
    gaps = sheet.with_columns(gold=pl.when(place < 5).then(None).otherwise("gold"))
    light = gaps.with_columns(weight=pl.when(place == 9).then(0.0).otherwise("weight"))
    with pytest.raises(TableError, match=r"weight: row 9 \(from 0\)"):
        prevalence(PEOPLE.conversations, light)
    odd = gaps.with_columns(
        gold=pl.when(place.is_in([7, 8])).then(place.cast(str)).otherwise("gold")
    )
    with pytest.raises(TableError, match=r"gold: 2 unknown answers, the first in row 7 \(from 0\)"):
        prevalence(PEOPLE.conversations, odd)
    twice = pl.concat([gaps, gaps.slice(11, 2), gaps.slice(11, 1)])
    same = (
        r"gold: rows with the same record and conversation_id, such as 11 and 400 \(from 0\); keep"
    )
    with pytest.raises(TableError, match=same):
        prevalence(PEOPLE.conversations, twice)
    people = twice.with_columns(
        annotator=pl.when(place.is_in([11, 402])).then(pl.lit("b")).otherwise(pl.lit("a"))
    )
    with pytest.raises(TableError, match=r"such as 11 and 402 \(from 0\)"):
        prevalence(PEOPLE.conversations, people)


def test_groups_of_few_charged_gold_labels_are_corrected_by_those_of_all() -> None:
    found = prevalence(PEOPLE.conversations, filled(), by="week", min_users=0)
    assert not found.filter(method="ppi")["estimate"].has_nulls()
    assert notes(filled(), by="week", min_users=10**6) == []


def test_how_many_more_to_label_is_said_where_the_interval_is_wide() -> None:
    assert notes(filled()) == []
    (note,) = notes(filled(25))
    assert "label about" in note
    more = int(note.split("label about ")[1].split()[0].replace(",", ""))
    assert more > 25


def test_nothing_more_is_asked_for_where_all_rows_are_labelled() -> None:
    few = PEOPLE.conversations.head(30)
    gold = PEOPLE.gold_conversations.select("record", "gold").with_columns(weight=1.0)
    sheet = few.select("record").join(gold, on="record", maintain_order="left")
    assert not any("label about" in note for note in notes(sheet, labels=few, min_users=0))


@pytest.mark.parametrize("json_lines", [[], ["--json"]])
def test_the_command_says_so_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], json_lines: list[str]
) -> None:
    PEOPLE.conversations.write_parquet(tmp_path / "labels.parquet")
    numbers = filled().drop("weight").with_columns(gold=CHARGED.cast(pl.Int64))
    numbers.write_csv(tmp_path / "gold.csv")
    options = ["--gold", str(tmp_path / "gold.csv"), *json_lines]
    assert cli.main(["prevalence", str(tmp_path / "labels.parquet"), *options]) == 0
    out, err = capsys.readouterr()
    said = [line for line in (err if json_lines else out).splitlines() if line.startswith("note: ")]
    assert sorted(line.split()[1] for line in said) == ["gold,", "gold:"]
    if json_lines:
        assert len([json.loads(line) for line in out.splitlines()]) == 3
    sheet = str(tmp_path / "gold.csv")
    assert cli.main(["evaluate", "--agreement", sheet, sheet, *json_lines]) == 0
    assert "note: first sheet, gold: 1 is read as" in capsys.readouterr()[bool(json_lines)]


def advice(row: dict[str, float], naive: tuple[float, float, float]) -> int | None:
    return more_to_label(row, dict(zip(("estimate", "low", "high"), naive, strict=True)), 0.95)


def test_no_more_rows_are_asked_for_than_there_are_or_than_would_help() -> None:
    wide = {"estimate": 0.02, "low": 0.0, "high": 0.06, "gold": 100}
    sure, unsure = (0.04, 0.038, 0.042), (0.04, 0.01, 0.08)
    more = advice(wide | {"units": 5000}, sure)
    assert more is not None
    assert 100 < more < 2000
    assert advice(wide | {"units": 110}, sure) is None
    # Hand labels do not change that users differ.
    assert advice(wide | {"units": 5000}, unsure) is None
    assert advice(wide | {"units": 100}, sure) == 0
    assert advice({"estimate": 0.02, "low": 0.01, "high": 0.03, "gold": 9, "units": 99}, sure) == 0


def test_that_more_hand_labels_would_not_do_is_said() -> None:
    few = PEOPLE.conversations.filter(pl.col("record") < 120)
    said = " ".join(notes(filled(60, few), labels=few, min_users=0))
    assert "takes more transcripts" in said
    assert "label about" not in said
