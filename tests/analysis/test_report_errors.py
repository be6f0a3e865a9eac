"""The report where errors differ between groups, or where columns are few or serve two ends."""

from __future__ import annotations

import polars as pl
import pytest

from affectlib.analysis import report
from affectlib.analysis.report import Report
from affectlib.analysis.report._translator import Translator
from affectlib.taxonomy import CUES
from tests.analysis.test_group_errors import rows_of_sites, useless
from tests.analysis.test_report import population

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")


def full(labels: pl.DataFrame) -> pl.DataFrame:
    """Labels with what `affectlib label` says of each conversation besides."""
    charged = (pl.col("label") == "emotional").cast(pl.Int64)
    return labels.with_columns(
        any=charged, adjusted=charged, rate=charged, user_messages=1, assistant_messages=1
    )


def of_sites(lang: str = "en") -> Report:
    """A report on two sites at which the program errs otherwise."""
    rows = rows_of_sites()
    gold = rows.select("record", "gold").gather_every(2).with_columns(weight=pl.lit(2.0))
    people = rows.select("user_id", "site").unique().sort("user_id")
    labels = full(rows.drop("gold", "site"))
    return report(labels, participants=people, gold=gold, by="site", lang=lang)


def test_where_hand_labels_contradict_common_errors_it_says_so_and_takes_their_share() -> None:
    found, words = of_sites(), Translator("en")
    page = found.markdown()
    assert words("note.contradicted", groups="“a”, “b”") in page
    assert words("groups.uncorrected") in page
    figures = found.figures()
    shares = figures.filter(section="group-0", measure="share")
    assert shares["method"].to_list() == ["gold", "gold"]
    compared = figures.filter(measure="difference between users: own_share")
    assert compared["method"].to_list() == ["labelled"]


def test_it_says_so_in_french() -> None:
    page = of_sites("fr").markdown()
    assert "contredisent cette hypothèse pour « a », « b »" in page


def test_where_hand_labels_agree_nothing_of_the_kind_is_said() -> None:
    people = population()
    found = report(
        people.conversations,
        participants=people.participants,
        gold=people.gold_conversations.sample(600, seed=1).with_columns(weight=pl.lit(1.0)),
        by="modality",
    )
    assert "contradict" not in found.markdown()
    assert {*found.figures().filter(section="group-0", measure="share")["method"]} == {"ppi"}


def test_labels_that_tell_nothing_are_said_to() -> None:
    labels, gold = useless()
    found, words = report(full(labels), gold=gold, by="site"), Translator("en")
    page = found.markdown()
    assert "hardly tell charged ones from others here" in page
    assert words("note.useless") in page
    assert words("note.same_errors") not in page


def test_a_column_of_labels_is_not_taken_for_the_tenths() -> None:
    people = population()
    labels = people.conversations.with_columns(usage_decile=pl.lit(3))
    tenths = report(labels).figures().filter(section="deciles")["group"].to_list()
    assert tenths == [f"tenth {place}" for place in range(1, 11)]


def test_a_column_may_be_a_group_and_held_constant() -> None:
    people = population()
    found = report(
        people.conversations,
        participants=people.participants.drop("growing"),
        by="modality",
        outcomes=["loneliness_end"],
        controls=["modality", "loneliness_start", "usage_decile", "modality"],
    )
    terms = found.figures().filter(section="outcome-0")["measure"].to_list()
    assert len(terms) == len({*terms})
    assert "coefficient of modality: voice" in terms
    assert "held constant" in found.markdown()


@pytest.mark.parametrize("names", [("shows_empathy",), ("seeks_support", "shows_empathy")])
def test_one_cue_of_each_role_makes_no_pair(names: tuple[str, ...]) -> None:
    messages = population().messages
    few = messages.drop(name for name in CUES if name in messages.columns and name not in names)
    found = report(few)
    shown = [row for row in found.figures()["measure"] if row.startswith("share that shows")]
    assert len(shown) == (len(names) if len(names) > 1 else 0)


def test_labels_without_a_probability_have_no_examples_and_it_says_so() -> None:
    people = population()
    for labels in (
        people.conversations.drop("probability"),
        people.conversations.with_columns(probability=pl.lit(None, pl.Float64)),
    ):
        found = report(labels, show_text=[])
        assert found.excerpts == []
        assert Translator("en")("missing.excerpts") in found.missing
