"""How the report looks: what is orange, which plots are left out, and the words that go with it."""

from __future__ import annotations

import re
from functools import cache

import polars as pl
import pytest

from affectlib.analysis import Accuracy, report, themes
from affectlib.analysis.report._plots import Points, heat, series
from affectlib.analysis.report._translator import Translator
from affectlib.taxonomy import CUES, THEMES
from tests.analysis.known import KNOWN, gold_of, knowing
from tests.analysis.test_report import part, sections, text_of
from tools.simulate import Population, simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

ORANGE, BLUE = "#b3541e", "#0b5cad"
ENGLISH = Translator("en")
UNITS = ENGLISH("units.conversation")


@cache
def population() -> Population:
    return simulate(150, seed=2, prevalence=0.2)


@cache
def gold() -> pl.DataFrame:
    return gold_of(population())


@cache
def corrected() -> str:
    """A page on which some figures are corrected, and others cannot be."""
    people = population()
    with pytest.MonkeyPatch.context() as patch:
        knowing(patch, KNOWN)
        return report(people.conversations, messages=people.messages, gold=gold()).html()


@cache
def counted() -> str:
    """A page on which nothing is corrected."""
    return report(population().conversations, messages=population().messages).html()


def plot(page: str, name: str) -> str:
    return part(page, name).split("<svg")[1].split("</svg>")[0]


def rows(page: str, name: str) -> dict[str, bool]:
    """Return the rows of a section's tables, and whether each is marked as not corrected."""
    found = re.findall(r'<tr( class="labelled")?><th scope="row">(.*?)</th>', part(page, name))
    return {title: bool(marked) for marked, title in found}


def test_orange_is_what_is_not_corrected() -> None:
    assert rows(corrected(), "overall") == {
        ENGLISH("method.naive"): True,
        ENGLISH("method.rogan_gladen"): False,
        ENGLISH("method.gold"): False,
        ENGLISH("method.ppi"): False,
    }
    assert {ORANGE, BLUE} <= {*re.findall(r"#\w{6}", plot(corrected(), "overall"))}
    for name in ("time", "deciles"):
        assert ORANGE not in plot(corrected(), name)
        assert not any(rows(corrected(), name).values())
        assert BLUE not in plot(counted(), name)
        assert all(rows(counted(), name).values())
    for name in ("users", "cues"):
        assert all(rows(corrected(), name).values())
    within = rows(corrected(), "within")
    for title, marked in within.items():
        assert marked == (
            not title.startswith(ENGLISH("followed.charged")) and "later turn" not in title
        ), title
    assert ".labelled td { color: var(--labelled)" in corrected()
    assert f"--labelled: {ORANGE}" in corrected()


def test_series_differ_by_more_than_colour() -> None:
    values = [0.1, 0.2, 0.3]
    lines = [Points(name, values, values, values, labelled=name != "a") for name in "abc"]
    svg = series("test", ["x", "y", "z"], lines, ENGLISH, "", "")
    drawn = re.findall(r'style="fill: none;([^"]*)"', svg)
    of_data = {style for style in drawn if ORANGE in style or BLUE in style}
    assert sum(BLUE in style for style in of_data) >= 1
    dashes = {re.sub(r".*stroke-dasharray: ([^;]+).*", r"\1", s) for s in of_data if "dash" in s}
    assert len(dashes) == 2
    assert "#3f7d20" not in svg


def test_colours_of_lifts_mean_nothing_else() -> None:
    cells = [[None] * 3, [4.0, None, None], [0.2, 1.0, None]]
    svg = heat("test", ["a", "b", "c"], cells, Translator("fr"))
    assert not {ORANGE, BLUE} & {*re.findall(r"#\w{6}", svg)}
    for lang, colours in (("en", ("green", "purple")), ("fr", ("vert", "violet"))):
        caption = Translator(lang)("cues.caption", units="")
        assert all(colour in caption for colour in colours)
        assert "orange" not in caption


def test_without_correction_all_is_called_labelled() -> None:
    overall, within = (text_of(part(counted(), name)) for name in ("overall", "within"))
    assert ENGLISH("overall.grid_labelled") in overall
    assert ENGLISH("overall.caption_labelled", units=UNITS) in overall
    assert "that are charged" not in overall
    assert ENGLISH("within.caption_labelled") in within
    assert ENGLISH("within.caption") not in within
    assert ENGLISH("within.caption") in text_of(part(corrected(), "within"))


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_plots_that_are_left_out_are_said_to_be(lang: str) -> None:
    words, people = Translator(lang), simulate(15, seed=2, prevalence=0.2)
    silent = people.conversations.with_columns(pl.lit(0.0).alias(name) for name in CUES)
    few = people.gold_conversations.head(60)
    page = report(silent, gold=few, lang=lang).html()
    for name in ("users", "cues", "quality"):
        assert "<svg" not in part(page, name)
        assert words("note.left_out") in text_of(part(page, name)), name
    assert words("users.text") not in text_of(part(page, "users"))
    assert words("calibration.points") not in text_of(part(page, "quality"))
    for name in ("users", "cues", "quality"):
        assert words("note.left_out") not in text_of(part(corrected(), name)), name


def test_a_time_without_a_plot_speaks_of_its_table() -> None:
    page = report(population().conversations.head(40), min_users=30).html()
    assert "<svg" not in part(page, "time")
    text = text_of(part(page, "time"))
    assert "Each point" not in text
    assert ENGLISH("grid.behind") not in text
    assert ENGLISH("note.left_out") in text


def test_themes_without_groups_assume_nothing_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    of_themes = dict.fromkeys(THEMES, Accuracy(400, 100, 900, 100))
    knowing(monkeypatch, Accuracy(400, 100, 900, 100), of_themes)
    bare = report(population().conversations.drop("started_at")).html()
    assert ENGLISH("themes.shift") in text_of(part(bare, "themes"))
    assert ENGLISH("note.same_errors") not in text_of(part(bare, "themes"))
    dated = text_of(part(report(population().conversations).html(), "themes"))
    assert ("Common themes by" in dated) == (ENGLISH("note.same_errors") in dated)


@pytest.mark.parametrize("named", ["love", "love, family"])
def test_a_theme_is_the_commonest_only_if_no_other_may_be(named: str) -> None:
    labels = population().conversations.with_columns(
        theme_love=pl.lit(0.9), theme_family=pl.when(pl.col("record") % 3 == 0).then(0.9)
    )
    sheet = gold().with_columns(themes=pl.lit(named))
    found = report(labels, gold=sheet)
    (said,) = (each.finding for each in found.sections if each.name == "themes")
    assert said is not None
    rows = themes(labels, sheet).filter(method="ppi", suppressed=False)
    first, *others = rows.sort("estimate", descending=True).rows(named=True)
    surely = first["low"] > max(row["high"] for row in others)
    assert surely == (named == "love")
    assert ("The commonest theme" in said.text) == surely
    assert ("among the commonest" in said.text) != surely
    assert "labelled" not in said.text.split("method")[0]


def test_the_page_does_not_contradict_itself_on_what_is_labelled() -> None:
    assert "quality" in sections(corrected())
    short = text_of(part(corrected(), "short"))
    assert "labelled" not in re.sub(r"method: [^)]*", "", short)
