"""The report on users of whom something is known, and on labels that do not tell of their model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import AnalysisWarning, TableError, associate, compare, report
from affectlib.analysis.report._translator import Translator
from affectlib.errors import OptionError
from tests.analysis.test_report import part, population, text_of

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

ENGLISH = Translator("en")


def participants() -> pl.DataFrame:
    return population().participants.drop("growing")


def said(page: str, section: str) -> str:
    return text_of(part(page, section))


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_regression_that_cannot_be_shown_takes_nothing_else_away(lang: str) -> None:
    few = participants().with_columns(
        modality=pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("phone")).otherwise("modality")
    )
    options: dict[str, Any] = {"participants": few, "by": "modality", "lang": lang}
    with pytest.warns(AnalysisWarning, match=r"'dependence': not shown; .* fewer than 10 users"):
        page = report(population().conversations, outcomes=["dependence"], **options).html()
    hidden = Translator(lang)("associated.hidden", users=10)
    assert " ".join(hidden.split()) in said(page, "outcome-0")
    assert "<table>" not in part(page, "outcome-0")
    assert "phone" in said(page, "group-0")
    assert 'id="users"' in page


def test_a_regression_without_charge_takes_nothing_else_away() -> None:
    calm = population().conversations.with_columns(label=pl.lit("task"), any=pl.lit(False))
    calm = calm.with_columns(adjusted=pl.lit(0.0), rate=pl.lit(0.0))
    page = report(calm, participants=participants(), outcomes=["dependence"]).html()
    assert ENGLISH("associated.hidden", users=10) in said(page, "outcome-0")


def test_an_outcome_that_is_no_number_is_named_with_its_row() -> None:
    scores = pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("n/a")).otherwise("dependence")
    odd = participants().with_columns(dependence=scores)
    place = r"dependence: expected numbers, got String, first in row 7 \(from 0\)"
    with pytest.raises(TableError, match=f"participants, {place}"):
        report(population().conversations, participants=odd, outcomes=["dependence"]).html()
    gaps = odd.with_columns(age=pl.when(pl.int_range(pl.len()) > 5).then("age"))
    with pytest.raises(TableError, match=f"users, {place}"):
        associate(gaps, outcome="dependence", predictors=["age"])
    with pytest.raises(TableError, match=f"users, {place}"):
        compare(odd, "gender", outcomes=["dependence"])


def test_controls_without_outcomes_are_refused() -> None:
    with pytest.raises(OptionError, match=r"controls: .* name outcomes as well"):
        report(population().conversations, participants=participants(), controls=["age"]).html()


def report_command(labels: Path, people: Path) -> list[str]:
    """A command that writes a report beside the labels, with participants."""
    page = labels.with_name("page.html")
    return ["report", str(labels), "-o", str(page), "--participants", str(people)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda people: pl.concat([people, people.head(2)]), "user_id: users appear twice"),
        (lambda people: people.with_columns(pl.col("user_id") + "x"), "none of its user ids"),
        (lambda people: people.with_columns(user_id=None), "user_id: 150 rows have none"),
    ],
)
def test_trouble_with_participants_is_said_to_be_theirs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[pl.DataFrame], pl.DataFrame],
    problem: str,
) -> None:
    odd = change(participants())
    with pytest.raises(TableError, match=rf"^participants\W+{problem}"):
        report(population().conversations, participants=odd).html()
    labels, people = tmp_path / "labels.parquet", tmp_path / "people.csv"
    population().conversations.write_parquet(labels)
    odd.write_csv(people)
    command = report_command(labels, people)
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert line.endswith(f"; participants is {people}")


def test_scores_with_gaps_as_r_writes_them(tmp_path: Path) -> None:
    labels, people = tmp_path / "labels.parquet", tmp_path / "people.csv"
    population().conversations.write_parquet(labels)
    participants().with_columns(
        dependence=pl.when(pl.int_range(pl.len()) > 0).then("dependence")
    ).write_csv(people, null_value="NA")
    command = report_command(labels, people)
    assert cli.main([*command, "--outcome", "dependence"]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "for 149 users" in said(page, "outcome-0")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_cues_of_labels_that_do_not_tell_their_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    labels = tmp_path / f"labels.{suffix}"
    frame = population().messages
    getattr(frame, {"jsonl": "write_ndjson"}.get(suffix, "write_csv"))(labels)
    assert cli.main(["report", str(labels), "-o", str(tmp_path / "page.html")]) == 0
    note = (
        f"note: {labels}: the file does not hold the thresholds of the model that made its labels"
    )
    assert f"{note}, so every cue and theme counts" in capsys.readouterr().err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for section in ("cues", "within"):
        assert ENGLISH("cues.alike") in said(page, section)


def test_cues_with_thresholds_of_their_own_are_not_said_to_be_alike() -> None:
    page = report(population().messages, cue_threshold={"in_crisis": 0.3}).html()
    assert ENGLISH("cues.alike") not in page
