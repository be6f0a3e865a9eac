"""Sheets that know how they were drawn."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from affectlib.analysis import (
    AnalysisWarning,
    TableError,
    agreement,
    calibrate,
    evaluate,
    majority,
    prevalence,
    read_gold,
)
from affectlib.cli import main
from affectlib.model.artifacts import load_artifact
from tests.analysis.known import filled_in
from tools.simulate import simulate

PEOPLE = simulate(300, seed=4, prevalence=0.05)
LABELS = PEOPLE.conversations


def filled(n: int = 400) -> pl.DataFrame:
    return filled_in(PEOPLE, n)


def test_the_design_adds_up_to_the_rows_sampled_from() -> None:
    sheet = filled()
    strata = sheet.group_by("design").agg(pl.len(), pl.col("weight").sum())
    assert strata["weight"].sum() == pytest.approx(len(LABELS))
    assert strata.select(pl.col("design").str.extract(r"(\d+)/\d+$").cast(int)).sum().item() == 400


@pytest.mark.parametrize(
    "kept",
    [
        (pl.col("gold") == "task") | (pl.int_range(pl.len()) % 4 == 0),
        pl.int_range(pl.len()) < 200,
        pl.col("design").str.contains(" 1/").not_(),
    ],
)
def test_rows_that_are_gone_are_noticed(kept: pl.Expr, tmp_path: Path) -> None:
    some = filled().filter(kept)
    some.write_csv(tmp_path / "some.csv")
    with pytest.raises(TableError, match="are gone"):
        read_gold(tmp_path / "some.csv")
    for use in (prevalence, evaluate):
        with pytest.raises(TableError, match="are gone"):
            use(LABELS, some)
    with pytest.raises(TableError, match="are gone"):
        calibrate(LABELS, some, load_artifact(), tmp_path / "mine")


def test_people_are_compared_by_whole_sheets(tmp_path: Path) -> None:
    sheet, half = filled(), filled().head(200)
    for use in (agreement, majority):
        with pytest.raises(TableError, match=r"^second sheet: .* are gone"):
            use(sheet, half)
    merged = majority(sheet, sheet).sort("record")
    assert merged["design"].equals(sheet.sort("record")["design"])
    with pytest.warns(AnalysisWarning, match="200 rows have an answer in one sheet only"):
        found = agreement(sheet, read_gold(half, missing_at_random=True))
    assert found["units"].to_list() == [200] * 4
    paths = [str(tmp_path / name) for name in ("one.csv", "other.csv")]
    half.write_csv(paths[0])
    half.write_csv(paths[1])
    assert main(["evaluate", "--agreement", *paths]) == 2
    assert main(["evaluate", "--agreement", "--missing-at-random", *paths]) == 0


def test_a_sheet_of_fewer_or_more_rows_is_noted() -> None:
    sheet, half = filled(), LABELS.filter(pl.int_range(pl.len()) % 2 == 0)
    of_half = sheet.filter(pl.col("record").is_in(half["record"].implode()))
    with pytest.raises(TableError, match="are gone"):
        prevalence(half, of_half)
    own = filled_in(PEOPLE, 400, half)
    with pytest.warns(AnalysisWarning, match=f"drawn from {len(half):,} rows.*{len(LABELS):,}"):
        prevalence(LABELS, own)


def test_a_part_that_is_missing_at_random_is_weighted_up() -> None:
    whole, half = filled(), filled().sample(fraction=0.5, seed=1)
    given = read_gold(half, missing_at_random=True)
    assert given["weight"].sum() == pytest.approx(len(LABELS))
    one, other = (
        prevalence(LABELS, sheet).filter(method="gold").row(0, named=True)
        for sheet in (whole, given)
    )
    assert other["low"] < one["estimate"] < other["high"]
    with pytest.raises(TableError, match="whole stratum"):
        read_gold(half.filter(~pl.col("design").str.contains(" 1/")), missing_at_random=True)
    with pytest.raises(TableError, match="no column 'design'"):
        read_gold(half.drop("design"), missing_at_random=True)


def test_weights_that_were_changed_are_noticed() -> None:
    row = pl.int_range(pl.len())
    sheet = filled().with_columns(weight=pl.when(row == 7).then(500.0).otherwise("weight"))
    with pytest.raises(TableError, match=r"weight: row 7 \(from 0\)"):
        prevalence(LABELS, sheet)
    odd = filled().with_columns(design=pl.when(row == 9).then(pl.lit("x")).otherwise("design"))
    with pytest.raises(TableError, match=r"design: row 9 \(from 0\)"):
        prevalence(LABELS, odd)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_sheet_is_read_in_every_common_form(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    sheet = filled().with_columns(note=pl.lit("déjà vu"))
    path = tmp_path / "filled.csv"
    path.write_bytes(sheet.write_csv(separator=separator).encode(encoding))
    assert read_gold(path).equals(sheet)
