"""What the figures of the report rest on: who gave the answers, and what corrected them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import polars as pl
import pytest

from affectlib.analysis import AnalysisWarning, prevalence, report, sample
from affectlib.analysis.report import Report
from affectlib.analysis.report._translator import Answers, Translator
from tests.analysis.known import KNOWN, gold_of, knowing
from tests.analysis.test_report import part, text_of
from tools.simulate import Population, simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

MODEL, PROMPT = "llama", "abc123"


@cache
def population() -> Population:
    return simulate(150, seed=2, prevalence=0.2)


@cache
def gold() -> pl.DataFrame:
    return gold_of(population())


def filled(answers: Answers) -> pl.DataFrame:
    """Return the sheet as a person, a language model, or both fill it in."""
    by_model = pl.int_range(pl.len()) % 2 == 0 if answers == "mixed" else pl.lit(value=True)
    who = pl.when(by_model).then(pl.lit(f"model:{MODEL}")).otherwise(pl.lit("ada"))
    sheet = gold().with_columns(annotator=who if answers != "hand" else pl.lit("ada"))
    named = pl.col("annotator").str.starts_with("model:")
    return sheet.with_columns(prompt=pl.when(named).then(pl.lit(PROMPT)))


def section(page: str, name: str) -> str:
    return text_of(part(page, name))


def row(found: Report, measure: str, **more: Any) -> dict[str, Any]:
    (figure,) = found.figures().filter(measure=measure, **more).to_dicts()
    return figure


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("answers", ["model", "mixed"])
def test_answers_of_a_language_model_are_said_to_be(answers: Answers, lang: str) -> None:
    words = Translator(lang, answers)
    found = report(population().conversations, gold=filled(answers), lang=lang)
    page = found.html()
    model = words("who.prompt", model=MODEL, prompt=PROMPT)
    note = text_of(words(f"filled.{answers}", models=model))
    assert MODEL in note
    assert PROMPT in note
    for name in ("overall", "quality", "methods"):
        assert note in section(page, name), name
    assert words("method.gold") in section(page, "overall")
    assert model in section(page, "question")
    hand = Translator(lang)("answers.hand")
    assert hand not in text_of(page).casefold()
    assert words("method.ppi") in found.markdown()


@pytest.mark.parametrize("answers", ["model", "mixed"])
def test_figures_tell_which_language_model_they_rest_on(answers: Answers) -> None:
    found = report(population().conversations, gold=filled(answers))
    figures = found.figures()
    rests = pl.col("method").is_in(["gold", "ppi"])
    assert {*figures.filter(rests)["annotator"]} == {f"model:{MODEL} prompt:{PROMPT}"}
    assert figures.filter(~rests)["annotator"].null_count() == len(figures.filter(~rests)) > 0
    data = json.loads(found.json())
    assert data["annotators"] == [f"model:{MODEL} prompt:{PROMPT}"]
    assert data["summary"][0]["figures"][0]["annotator"] == data["annotators"][0]


def test_answers_of_people_are_hand_labels() -> None:
    for sheet in (filled("hand"), gold()):
        found = report(population().conversations, gold=sheet)
        assert "Hand labels only" in section(found.html(), "overall")
        assert "language model" not in text_of(found.html()).replace("-", " ")
        assert json.loads(found.json())["annotators"] == []
        assert found.figures()["annotator"].null_count() == len(found.figures())


def test_hand_labels_of_few_users_correct_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    knowing(monkeypatch, KNOWN)
    people = population()
    own = people.conversations.select("record", "user_id")
    few = own["user_id"].unique().sort().head(9)
    sheet = people.gold_conversations.join(
        own.filter(pl.col("user_id").is_in(few.implode())), on="record", how="semi"
    )
    known = people.participants.drop("growing")
    given: dict[str, Any] = {"messages": people.messages, "participants": known, "by": "modality"}
    found = report(people.conversations, gold=sheet, **given)
    shown = found.figures().filter(pl.col("estimate").is_not_null())
    assert not shown["method"].str.contains("ppi").any()
    assert row(found, "change from first to last day")["method"] == "rogan_gladen"
    differences = shown.filter(pl.col("measure") == "difference between users: own_share")
    assert {*differences["method"]} == {"rogan_gladen"}
    without = report(people.conversations, **given)
    change = row(without, "change from first to last day")
    assert row(found, "change from first to last day") == change
    assert Translator("en")("overall.shift") in section(found.html(), "overall")


def test_what_becomes_charged_names_both_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    knowing(monkeypatch, KNOWN)
    people, words = population(), Translator("en")
    found = report(people.conversations, messages=people.messages, gold=gold())
    measure = "becomes charged after beginning with a task"
    assert row(found, measure)["method"] == "ppi+rogan_gladen"
    methods = {"whole": words("method.ppi"), "first": words("method.rogan_gladen")}
    assert words("within.later_note", **methods) in section(found.html(), "within")


def test_hand_labels_of_messages_correct_what_happens_within() -> None:
    people = population()
    sheet = people.gold_messages.sample(600, seed=1)
    found = report(people.messages, gold=sheet)
    assert {*found.figures().filter(measure="share of messages: charged")["method"]} == {"ppi"}


@pytest.mark.parametrize("known", [True, False])
def test_coefficients_tell_whether_the_rate_is_corrected(known: bool) -> None:
    people, words = population(), Translator("en")
    options: dict[str, Any] = {"participants": people.participants.drop("growing")}
    options |= {"outcomes": ["loneliness_end"], "measured": KNOWN if known else None}
    found = report(people.messages, **options)
    methods = dict(
        found.figures()
        .filter(pl.col("measure").str.contains(r"^coefficient of \w+$"))
        .select("measure", "method")
        .rows()
    )
    rate = row(found, "coefficient of charged_rate")
    assert (rate["low"] is not None, rate["high"] is not None) == (known, known)
    expected = "calibrated" if known else "labelled"
    assert methods.pop("coefficient of charged_rate") == expected
    assert {*methods.values()} == {"counted"}
    name = "term.charged_rate" if known else "term.charged_rate_labelled"
    assert words(name) in section(found.html(), "outcome-0")


def test_the_page_says_how_many_more_rows_to_label_as_prevalence_does() -> None:
    people = simulate(400, prevalence=0.02)
    sheet = sample(people.conversations, 100, seed=1).drop("gold", "themes")
    sheet = sheet.join(people.gold_conversations, on=["record", "conversation_id"])
    with pytest.warns(AnalysisWarning, match="more rows") as caught:
        found = prevalence(people.conversations, sheet).row(-1, named=True)
    (advice,) = (str(each.message) for each in caught if "more rows" in str(each.message))
    (more,) = re.findall(r"label about ([\d,]+) more", advice)
    words = Translator("en")
    said = words("overall.little", rows=more, interval=words.interval(found))
    assert said in section(report(people.conversations, gold=sheet).html(), "overall")
    sure = report(population().conversations, gold=gold())
    assert "more rows by hand" not in section(sure.html(), "overall")
