"""What the report says agrees with its figures, in every form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import Accuracy, prevalence, report, sample
from affectlib.analysis.report._translator import Translator
from affectlib.taxonomy import THEME_COLUMNS
from tests.analysis.known import knowing
from tests.analysis.test_report import bare, block, cells, full, part, population, text_of
from tools.simulate import simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.parquet"
    population().conversations.write_parquet(path)
    return path


@cache
def corrected(lang: str) -> str:
    """A page on which every kind of statement can be made."""
    people = simulate(400, seed=3, prevalence=0.2)
    gold = sample(people.conversations, 400, seed=1).drop("gold", "themes")
    with pytest.MonkeyPatch.context() as patch:
        knowing(patch, Accuracy(80, 20, 980, 20))
        return report(
            people.conversations,
            messages=people.messages,
            participants=people.participants.drop("growing"),
            gold=gold.join(people.gold_conversations, on=["record", "conversation_id"]),
            by=["modality"],
            outcomes=["loneliness_end"],
            lang=lang,
        ).html()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_statements_agree_with_the_data_block_and_with_the_tables(lang: str) -> None:
    words, data, page = Translator(lang), block(corrected(lang)), text_of(corrected(lang))
    named = {"overall", "time", "deciles", "outcome-0", "themes"}
    assert {found["section"] for found in data["summary"]} == named
    for found in data["summary"]:
        assert page.count(found["text"].replace("\u202f", " ").replace("\u00a0", " ")) >= 1
        assert found["figures"]
        for figure in found["figures"]:
            assert figure["method"] in ("ppi", "rogan_gladen", "calibrated")
            assert figure in data["figures"]
            shown = [words.share(figure), words.interval(figure)]
            if found["section"] == "time":
                shown = [*words.difference(figure)]
            if found["section"].startswith("outcome"):
                shown = [words.value(figure, 3), words.reach(figure, 3)]
            assert all(text in found["text"] for text in shown), found
            if found["section"] in ("overall", "deciles"):
                rows = cells(corrected(lang), found["section"]).values()
                assert shown in [row[:2] for row in rows]


NUMBER = re.compile(r"[−-]?\d[\d\u202f,.]*\d|\d")


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_number_of_a_statement_is_one_of_its_figures(lang: str) -> None:
    words, data = Translator(lang), block(corrected(lang))
    assert len(data["summary"]) == 5
    for found in data["summary"]:
        known = {"95", "10"} if found["section"] != "time" else {"95"}
        for figure in found["figures"]:
            for end in ("estimate", "low", "high"):
                value = figure[end]
                texts = (words.percent(value), words.points(value), words.number(value, 3))
                known |= {NUMBER.findall(text)[0] for text in texts}
        text = re.sub(r"« .*? »|“.*?”", "", found["text"])
        if found["section"] == "time":
            text = re.sub(r"\d+ \w+ \d{4}", "", text)
        assert [number for number in NUMBER.findall(text) if number not in known] == [], text


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_what_a_section_says_is_what_the_summary_says(lang: str) -> None:
    page = corrected(lang)
    assert block(page)["summary"]
    for found in block(page)["summary"]:
        inside = part(page, found["section"])
        if found["section"] == "overall":
            (figure,) = found["figures"]
            assert Translator(lang).share(figure) in inside
        else:
            assert text_of(found["text"]) in text_of(inside).replace("&#34;", '"')


def test_a_correction_that_goes_up_is_said_to() -> None:
    people, words = simulate(300, seed=2, prevalence=0.5), Translator("en")
    page = report(people.conversations, measured=Accuracy(600, 400, 980, 20)).html()
    share, naive = (
        next(f for f in block(page)["figures"] if f["section"] == "overall" and f["method"] == m)
        for m in ("rogan_gladen", "labelled")
    )
    assert share["estimate"] > naive["estimate"]
    said = words(
        "overall.corrected_up",
        naive=words.share(naive),
        best=words.share(share),
        units=words("units.conversation"),
    )
    assert said in text_of(page)


@pytest.mark.parametrize("page", [full, bare])
def test_what_counts_labels_is_not_in_short(page: Callable[[], str]) -> None:
    data = block(page())
    for found in data["summary"]:
        assert all(figure["method"] != "labelled" for figure in found["figures"])
    assert {"labelled"} < {*(figure["method"] for figure in data["figures"])} or page is bare


def test_a_change_is_said_with_the_direction_of_its_interval() -> None:
    words = Translator("en")
    (change,) = (f for f in block(corrected("en"))["summary"] if f["section"] == "time")
    (figure,) = change["figures"]
    name = "rose" if figure["low"] > 0 else "fell" if figure["high"] < 0 else "flat"
    start = words(f"time.{name}", **dict.fromkeys(("units", "change", "interval"), "…"), **DATES)
    assert change["text"].split("charged")[1].split()[0] == start.split("charged")[1].split()[0]


DATES = {"first": "…", "last": "…"}


@pytest.mark.parametrize("form", ["html", "md", "json", "csv"])
def test_forms_hold_the_same_figures(labels: Path, form: str) -> None:
    output = labels.with_name(f"report.{form}")
    assert cli.main(["report", str(labels), "-o", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    found = prevalence(pl.read_parquet(labels)).row(0, named=True)
    words = Translator("en")
    digits = str(round(found["estimate"], 12))
    expected = digits if form in ("json", "csv") else words.share(found)
    assert expected in text
    if form == "csv":
        assert pl.read_csv(output).columns[:3] == ["section", "measure", "group"]


def test_several_forms_are_written_beside_each_other(labels: Path) -> None:
    page = labels.with_name("report.html")
    assert cli.main(["report", str(labels), "-o", str(page), "--to", "html,csv"]) == 0
    assert page.is_file()
    assert page.with_suffix(".csv").is_file()
    assert cli.main(["report", str(labels), "-o", str(page), "--to", "pdf"]) == 2


def test_no_name_of_a_group_is_a_formula_in_csv(labels: Path) -> None:
    names = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "plain"]
    frame = pl.read_parquet(labels)
    of_row = pl.int_range(pl.len()) % len(names)
    plans = of_row.replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    frame.with_columns(plan=plans).write_parquet(labels)
    output = labels.with_name("report.csv")
    assert cli.main(["report", str(labels), "-o", str(output), "--by", "plan"]) == 0
    groups = pl.read_csv(output).filter(section="group-0")["group"].to_list()
    assert {*groups} == {*(name if name == "plain" else f"'{name}" for name in names)}


def test_control_characters_in_names_of_groups_are_escaped(labels: Path) -> None:
    plan = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("\x1b[31mred\x9b")).otherwise(None)
    pl.read_parquet(labels).with_columns(plan=plan).write_parquet(labels)
    output = labels.with_name("report.html")
    options = ["-o", str(output), "--to", "html,md,json,csv", "--by", "plan"]
    assert cli.main(["report", str(labels), *options]) == 0
    for suffix in (".html", ".md", ".json", ".csv"):
        text = output.with_suffix(suffix).read_text("utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), suffix
        assert re.search(r"1b(\\?)\[31mred", text), suffix
    figures = json.loads(output.with_suffix(".json").read_text("utf-8"))["figures"]
    assert "\x1b[31mred\x9b" in {figure["group"] for figure in figures}


def test_messages_that_the_known_errors_cannot_explain_are_not_corrected(monkeypatch) -> None:
    knowing(monkeypatch, Accuracy(60, 40, 990, 10))
    people, note = population(), Translator("en")("within.unexplained")
    place = pl.int_range(pl.len()) % 10
    for tenths, corrected_here in ((4, True), (9, False)):
        named = pl.when(place < tenths).then(pl.lit("emotional")).otherwise(pl.lit("task"))
        messages = people.messages.with_columns(label=named)
        page = text_of(report(people.conversations, messages=messages).html())
        assert (note in page) is not corrected_here
        assert ("User: charged, middle" in page) is corrected_here


def test_a_share_that_correction_does_not_change_is_said_to_be_the_same(monkeypatch) -> None:
    knowing(monkeypatch, Accuracy(10_000_000, 0, 10_000_000, 0))
    page = text_of(report(population().conversations).html())
    assert "corrected for both, the share is the same" in page


def test_a_theme_that_nothing_is_about_is_not_among_the_commonest(monkeypatch) -> None:
    knowing(monkeypatch, Accuracy(80, 20, 980, 20))
    people = simulate(400, seed=3, prevalence=0.2)
    without = {column: pl.lit(0.0) for column in THEME_COLUMNS.values()}
    gold = sample(people.conversations, 400, seed=1).drop("gold", "themes")
    gold = gold.join(people.gold_conversations, on=["record", "conversation_id"])
    page = report(
        people.conversations.with_columns(**without), gold=gold.with_columns(themes=pl.lit("none"))
    ).html()
    shares = [f for f in block(page)["figures"] if f["measure"].startswith("share about")]
    assert {(f["estimate"], f["method"]) for f in shares} == {(0.0, "gold")}
    assert "themes" not in {found["section"] for found in block(page)["summary"]}
