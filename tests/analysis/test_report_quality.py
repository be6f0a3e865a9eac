"""The report on how good labels are, and on conversations that become charged."""

from __future__ import annotations

from functools import cache
from typing import Any

import polars as pl
import pytest

from affectlib.analysis import evaluate, report
from affectlib.analysis._correction import ErrorRates, becomes_charged
from affectlib.analysis.report import Report
from affectlib.analysis.report._translator import Translator
from affectlib.taxonomy import EMOTIONAL
from tests.analysis.known import KNOWN, gold_of, knowing
from tests.analysis.test_report import cells
from tools.simulate import Population, simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")


@cache
def population() -> Population:
    return simulate(300, seed=7, prevalence=0.2)


@cache
def gold() -> pl.DataFrame:
    return gold_of(population())


def made(patch: pytest.MonkeyPatch, **options: Any) -> Report:
    """Make a report on labels whose errors are known."""
    knowing(patch, KNOWN)
    people = population()
    return report(people.conversations, messages=people.messages, **options)


def row(found: Report, measure: str) -> dict[str, Any]:
    (figure,) = found.figures().filter(measure=measure).to_dicts()
    return figure


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_report_measures_labels_as_evaluate_does(lang: str) -> None:
    words = Translator(lang)
    found = report(population().conversations, gold=gold(), lang=lang)
    shown = cells(found.html(), "quality")
    expected = {
        each["measure"]: each for each in evaluate(population().conversations, gold()).to_dicts()
    }
    for name in expected:
        figure = row(found, f"quality: {name}")
        assert figure["method"] == "gold"
        for end in ("estimate", "low", "high"):
            assert figure[end] == pytest.approx(expected[name][end], abs=1e-11)
        texts = shown[words(f"quality.{name}")]
        values = words.share(figure), words.interval(figure)
        if name == "calibration error":
            values = words.difference(figure)
        elif name in ("average precision", "AUROC"):
            values = words.value(figure, 3), words.reach(figure, 3)
        assert texts == [*values]


def test_hand_labels_of_one_kind_measure_nothing() -> None:
    for kind, name in (("task", "quality.all_task"), ("emotional", "quality.all_charged")):
        found = report(population().conversations, gold=gold().filter(gold=kind))
        said = found.markdown()
        assert Translator("en")(name, units="conversations") in said
        assert ("how many of the charged" in said) == (kind == "task")
        assert not found.figures()["measure"].str.starts_with("quality").any()


def test_what_hand_labels_of_few_users_are_is_not_said() -> None:
    calm = gold().filter(gold="task").head(5)
    found = report(population().conversations, gold=calm).markdown()
    assert Translator("en")("quality.few", users=10) in found
    assert "say task" not in found
    # Nor is asked for what is there already.
    assert "Label a sample by hand" not in found


def test_rows_without_a_probability_are_counted_and_nothing_else_is_lost() -> None:
    labels = population().conversations
    gaps = labels.with_columns(
        probability=pl.when(pl.col("record").is_in(gold()["record"].head(7).implode()).not_())
        .then("probability")
    )  # fmt: skip
    found = report(gaps, gold=gold())
    said = Translator("en")("quality.unranked", rows="7", units="conversations")
    assert said in found.markdown()
    assert row(found, "quality: AUROC")["estimate"] is not None
    assert said[2:] not in report(labels, gold=gold()).markdown()


def test_columns_without_any_probability_are_like_none() -> None:
    labels = population().conversations.with_columns(probability=pl.lit(None))
    found = report(labels, gold=gold())
    assert row(found, "quality: recall")["estimate"] is not None
    assert row(found, "quality: AUROC")["estimate"] is None
    assert "so they do not tell" not in found.markdown()


def test_labels_without_probabilities_are_measured() -> None:
    labels = population().conversations.drop("probability")
    found = report(labels, gold=gold())
    assert row(found, "quality: recall")["estimate"] is not None
    assert row(found, "quality: calibration error")["estimate"] is None


def test_what_becomes_charged_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    people = population()
    turns = people.gold_messages.group_by("record").agg(
        (pl.col("gold").sort_by("message") == EMOTIONAL).first().alias("first"),
        (pl.col("gold") == EMOTIONAL).any().alias("any"),
        pl.len(),
    )
    begun = turns.filter((pl.col("len") > 1) & ~pl.col("first"))
    truth = begun["any"].mean()
    found = made(monkeypatch)
    figure = row(found, "becomes charged after beginning with a task")
    assert figure["method"] == "rogan_gladen"
    assert figure["low"] <= truth <= figure["high"]
    known = ErrorRates.measured(KNOWN)
    assert known is not None
    labels, messages = people.conversations.lazy(), people.messages.lazy()
    alike = becomes_charged(labels, messages, known, known, 10)
    assert alike is not None  # as if these chats were of the kind that errors were measured on
    assert figure["low"] < alike["low"] <= alike["high"] < figure["high"]
    assert "onset: turns personal" not in found.figures()["measure"].to_list()
    table = cells(found.html(), "within")
    words = Translator("en")
    assert table[words("within.later_row")] == [words.share(figure), words.interval(figure)]


def test_differences_allow_for_transcripts_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    people = population()
    options = {"participants": people.participants.drop("growing"), "by": "modality"}
    measures = ("difference between users: own_share", "change from first to last day")
    found = made(monkeypatch, **options)
    monkeypatch.setattr(ErrorRates, "with_domain_shift", lambda errors: errors)
    alike = made(monkeypatch, **options)
    for measure in measures:
        wide, narrow = row(found, measure), row(alike, measure)
        assert wide["method"] == narrow["method"] == "rogan_gladen"
        assert wide["estimate"] == narrow["estimate"]
        assert wide["high"] - wide["low"] > 1.05 * (narrow["high"] - narrow["low"])


def test_without_what_is_known_of_errors_it_is_labelled() -> None:
    people = population()
    found = report(people.conversations, messages=people.messages)
    assert row(found, "onset: turns personal")["method"] == "labelled"
    of_messages = report(people.messages, measured=KNOWN)
    assert row(of_messages, "onset: turns personal")["method"] == "labelled"


def test_few_users_do_not_show_in_what_becomes_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    few = population().participants["user_id"].head(5).implode()
    people = population()
    knowing(monkeypatch, KNOWN)
    found = report(
        people.conversations.filter(pl.col("user_id").is_in(few)), messages=people.messages
    )
    figure = row(found, "becomes charged after beginning with a task")
    assert figure["estimate"] is figure["units"] is figure["users"] is None
