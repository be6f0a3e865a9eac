"""The report: what it says, what it must not say, and how it looks in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from pyarrow import parquet

from affectlib import cli
from affectlib.analysis import (
    AnalysisWarning,
    TableError,
    concentration,
    prevalence,
    report,
    themes,
    users,
)
from affectlib.analysis._pages import write_page
from affectlib.analysis.report._translator import Translator
from affectlib.analysis.sampling import sample
from affectlib.errors import OptionError
from affectlib.formats import read_conversations
from affectlib.model.artifacts import load_artifact
from affectlib.taxonomy import THEME_COLUMNS, THEMES
from tests.chromium import Page, chromium, needs_chromium
from tools.simulate import Population, simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

HOSTILE = "</blockquote><script>document.title = 'broken'</script><img src=https://example.com/x>"
SHOWN = ("question", "short", "overall", "time", "group-0", "users", "deciles", "outcome-0")
SHOWN += ("themes", "within", "cues", "quality", "data", "methods", "limits")


@cache
def population() -> Population:
    return simulate(150, seed=2, prevalence=0.06)


@cache
def gold() -> pl.DataFrame:
    people = population()
    drawn = sample(people.conversations, 300, seed=1).drop("gold", "themes")
    return drawn.join(people.gold_conversations, on=["record", "conversation_id"])


@cache
def full(lang: str = "en") -> str:
    people = population()
    return report(
        people.conversations,
        messages=people.messages,
        participants=people.participants.drop("growing"),
        gold=gold(),
        by=["modality"],
        outcomes=["loneliness_end"],
        controls=["loneliness_start"],
        title="Use of <our> assistant",
        made_with="a model",
        made_on=date(2025, 6, 1),
        lang=lang,
    ).html()


@cache
def bare() -> str:
    return report(population().conversations.drop("user_id", "started_at")).html()


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)"', page)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_it_has_every_part(lang):
    assert [name for name in SHOWN if name not in sections(full(lang))] == []
    assert full(lang).count("<svg") == len(re.findall('role="img" aria-label="[^"]', full(lang)))
    assert f'<html lang="{lang}">' in full(lang)
    assert Translator(lang)("limits.cause").split("\n")[0][:40] in text_of(full(lang))


def test_its_figures_are_those_of_the_analyses():
    words, page = Translator("en"), text_of(full())
    found = prevalence(population().conversations, gold()).to_dicts()
    assert [row["method"] for row in found] == ["naive", "gold", "ppi"]
    for row in found:
        assert f"{words.share(row)} {words.interval(row)}" in page
    best = next(row for row in found if row["method"] == "ppi")
    assert f"About {words.share(best)} of conversations are emotionally charged" in page
    top = concentration(users(population().messages)).filter(measure="top 10%").row(0, named=True)
    assert f"the top 10% of users have {words.share(top)} {words.interval(top)}" in page
    assert f"conversations with a label {len(population().conversations):,}" in page


def test_title_and_origin_are_escaped():
    assert "<title>Use of &lt;our&gt; assistant</title>" in full()
    assert "Made on 1 June 2025 with affectlib" in full()
    assert "labels by a model" in full()


def test_the_two_languages_differ_in_every_heading():
    english, french = ({*re.findall("<h2>(.*?)</h2>", full(lang))} for lang in ("en", "fr"))
    assert len(english) == len(french) > 10
    assert not english & french


def test_ids_in_the_page_differ():
    ids = re.findall(r'\bid="([^"]+)"', full())
    assert len(ids) == len({*ids})
    for target in re.findall(r'(?:url\(|href=")#([^")]+)', full()):
        assert target in ids


def test_nobody_can_be_made_out():
    page = full() + bare()
    assert not re.search(r"\bu\d{5}\b", page)
    assert not re.search(r"\bc\d{6}\b", page)
    few = population().participants.with_columns(
        team=pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("tiny")).otherwise(pl.lit("large"))
    )
    page = text_of(report(population().conversations, participants=few, by="team").html())
    assert "tiny not shown – – not shown" in page
    assert "large not shown – – not shown" in page  # else all minus them are the tiny one
    assert "Figures of fewer than 10 users are not shown" in page


def test_a_cue_of_few_users_is_hidden():
    labels = population().conversations
    few = labels["user_id"].unique().sort().head(3).to_list()
    rare = labels.with_columns(in_crisis=pl.col("user_id").is_in(few).cast(pl.Float64))
    page = report(rare).html()
    assert "In crisis fewer than 10 user" in text_of(page)
    plot = page.split('aria-label="How many times')[1].split("</svg>")[0]
    assert "Seeks company" in plot
    assert "In crisis" not in plot


def block(page: str) -> dict[str, Any]:
    """Return what the page holds as data."""
    found = page.split('id="figures">')[1].split("</script>")[0]
    return cast(dict[str, Any], json.loads(found))


def part(page: str, section: str) -> str:
    return page.split(f'<section id="{section}"')[1].split("</section>")[0]


def cells(page: str, section: str) -> dict[str, list[str]]:
    """Return the cells of a section's tables by the first of their row."""
    trs = part(page, section).split("<tr")
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in trs]
    return {row[0]: row[1:] for row in rows if row}


def of_few_users(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("user_id").is_in(["u00000", "u00001", "u00002"]))


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_counts_of_few_users_are_hidden_everywhere(lang):
    few, words = of_few_users(population().conversations), Translator(lang)
    truth = population().gold_conversations.join(few.select("record"), on="record")
    page = report(few, messages=of_few_users(population().messages), gold=truth, lang=lang).html()
    data = cells(page, "data")
    names = ("labelled", "emotional", "users", "unread", "strangers", "undated", "cut", "gold")
    for name in names:
        assert data[words(f"data.{name}", units=words("units.conversation"))] == [words("hidden")]
    assert data[words("data.failed")] == ["0"]
    for bars in cells(page, "quality").values():
        assert bars[-1] in ("–", words("head.hand"))
    shown = cells(page, "cues")
    assert shown[words.maybe("cue.in_crisis", "In crisis")][0] == words("fewer", users=10)
    assert "trends" not in sections(page)
    page = report(few, lang=lang, min_users=0).html()
    assert cells(page, "data")[words("data.users")] == ["3"]


def test_few_users_among_rows_without_ids_are_hidden():
    labels = population().conversations
    known = pl.col("user_id").is_in(["u00000", "u00001"])
    page = report(labels.with_columns(user_id=pl.when(known).then("user_id"))).html()
    data, words = cells(page, "data"), Translator("en")
    units = words("units.conversation")
    assert data["users"] == data[words("data.strangers", units=units)] == ["not shown"]
    assert data[words("data.labelled", units=units)] == [words.number(len(labels))]


def test_hand_labels_of_one_user_are_hidden():
    labels = population().conversations
    one = labels.group_by("user_id").len().sort("len", "user_id")["user_id"][-1]
    mine = labels.filter(user_id=one).select("record")
    page = report(labels, gold=population().gold_conversations.join(mine, on="record")).html()
    assert cells(page, "overall")["Hand labels only"] == ["not shown", "–", "–"]
    assert cells(page, "quality")["0% to 10%"] == ["not shown", "–", "–"]
    assert cells(page, "data")[Translator("en")("data.gold")] == ["not shown"]


def test_each_cue_counts_from_its_threshold():
    labels = population().conversations.with_columns(in_crisis=0.1, seeks_support=0.1)
    found = cells(report(labels, cue_threshold={"in_crisis": 0.06}).html(), "cues")
    assert found["In crisis"] == ["100.0%", "user", "0.06"]
    assert found["Seeks support"] == ["0.0%", "user", "0.50"]
    with pytest.raises(OptionError, match="cue_threshold: no cue 'sadness'"):
        report(labels, cue_threshold={"sadness": 0.06}).html()


def test_themes_are_those_of_the_analysis():
    words, page = Translator("en"), full()
    found = themes(population().conversations, gold()).to_dicts()
    shown = cells(page, "themes")
    for row in found:
        if row["method"] == "ppi" and not row["suppressed"]:
            title = THEMES[row["theme"]].title
            assert shown[title][:2] == [words.share(row), words.interval(row)]
    assert {"text", "voice"} <= {*shown}


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_labels_without_themes_make_no_section_of_them(lang):
    unknown = population().conversations.with_columns(
        pl.lit(None, pl.Float64).alias(column) for column in THEME_COLUMNS.values()
    )
    for labels in (unknown, unknown.drop(*THEME_COLUMNS.values())):
        page = report(labels, gold=gold(), lang=lang).html()
        assert "themes" not in sections(page)
        assert Translator(lang)("missing.themes").split(":")[0].strip() in text_of(page)
    assert Translator(lang)("missing.themes")[:30] not in text_of(full(lang))


@pytest.mark.parametrize("named", ["nowhere", "in other rows"])
def test_themes_that_nothing_corrects_are_called_labelled(named):
    sheet = gold().drop("themes")
    if named == "in other rows":
        labels = population().conversations.select("record", "label")
        task = pl.col("label") == "task"
        sheet = sheet.join(labels, on="record", maintain_order="left")
        sheet = sheet.with_columns(themes=pl.when(task).then(pl.lit("grief"))).drop("label")
    page = report(population().conversations, gold=sheet).html()
    assert "labelled with each theme, the program’s errors included" in text_of(page)
    figures = block(page)
    of_themes = [row for row in figures["figures"] if row["section"] == "themes"]
    assert {row["method"] for row in of_themes} == {"labelled"}
    assert "themes" not in {row["section"] for row in figures["summary"]}
    measures = {row["measure"] for row in of_themes}
    assert {f"share about {name}" for name in THEMES} <= measures


def test_what_rests_on_no_column_of_participants_is_of_all_users():
    people, words = population(), Translator("en")
    some = people.participants.drop("growing").head(60)
    options = {"messages": people.messages, "gold": gold(), "made_on": date(2025, 6, 1)}
    alone = report(people.conversations, **options).html()
    joined = report(
        people.conversations,
        participants=some,
        by="modality",
        outcomes=["loneliness_end"],
        **options,
    ).html()
    for section in ("users", "deciles", "trends", "data"):
        assert cells(joined, section) == cells(alone, section), section
    page = text_of(joined)
    assert "150 users who had them" in page
    assert "for 60 users" in page
    assert words("unknown") in cells(joined, "group-0")
    with pytest.warns(AnalysisWarning, match="participants: 90 of 150 users are not in it"):
        report(people.conversations, participants=some).html()


def test_a_group_that_labels_and_participants_both_have_is_refused():
    people = population()
    both = people.conversations.with_columns(modality=pl.lit("text"))
    with pytest.raises(OptionError, match="labels and participants both have a column 'modality'"):
        report(both, participants=people.participants, by="modality").html()
    assert "By “modality”" in text_of(report(both, by="modality").html())


def test_rows_without_users_beside_participants_and_gold():
    people = population()
    some = people.conversations.with_columns(
        user_id=pl.when(pl.col("record") % 9 > 0).then("user_id")
    )
    shuffled = some.lazy().map_batches(lambda rows: rows.sample(fraction=1, shuffle=True))
    options = {"participants": people.participants, "gold": gold(), "made_on": date(2025, 6, 1)}
    assert text_of(report(shuffled, **options).html()) == text_of(report(some, **options).html())


def test_names_of_groups_are_no_formulas():
    plan = pl.when(pl.col("record") % 2 == 0).then(pl.lit("a_$x^$")).otherwise(pl.lit("b"))
    page = report(population().conversations.with_columns(plan=plan), by="plan").html()
    assert ">a_$x^$</text>" in page


def test_what_cannot_be_said_is_said():
    page = text_of(bare())
    for name in ("time", "within", "quality", "people"):
        assert Translator("en")(f"missing.{name}") in page
    assert Translator("en")("overall.naive_only") in page
    assert Translator("en")("short.none") in page
    assert "if a user has several, the intervals are too narrow" in page
    assert not {"time", "users", "deciles", "trends"} & {*sections(bare())}


def test_columns_that_are_called_like_periods_are_none_of_time():
    people = population()
    plain = report(people.conversations, gold=gold()).html()
    own = people.conversations.with_columns(
        day=pl.lit("first"), week=pl.col("record") % 4 + 1, month=pl.lit(None, pl.String)
    )
    assert cells(report(own, gold=gold()).html(), "time") == cells(plain, "time")
    page = report(own, gold=gold(), by=["week"]).html()
    assert cells(page, "time") == cells(plain, "time")
    assert {*cells(page, "group-0")} >= {"1", "2", "3", "4"}


def test_messages_that_were_not_read_make_no_thirds():
    rows = []
    for user in range(30):
        for message, role in enumerate(("user", "assistant", "user", "user")):
            label = "task" if role == "user" and message != 2 else None
            row = {"message": message, "role": role, "label": label, "user_id": f"u{user}"}
            row["provenance"] = None
            rows.append({"conversation_id": f"c{user}", **row, "shows_empathy": None})
    page = report(pl.DataFrame(rows, schema_overrides={"shows_empathy": pl.Float64})).html()
    assert 'id="within"' not in page


def test_hand_labels_of_rows_without_a_probability_are_no_part_of_calibration():
    labels = population().conversations
    first = gold()["record"].head(200).to_list()
    some = labels.with_columns(
        probability=pl.when(~pl.col("record").is_in(first)).then(pl.col("probability"))
    )
    assert "Probabilities against hand labels" in text_of(report(some, gold=gold()).html())
    none = labels.with_columns(probability=pl.lit(None, pl.Float64))
    assert "Probabilities against hand labels" not in text_of(report(none, gold=gold()).html())


def test_all_labels_equal():
    calm = population().conversations.with_columns(
        label=pl.lit("task"), any=pl.lit(False), adjusted=pl.lit(0.0), rate=pl.lit(0.0)
    )
    page = report(calm).html()
    assert "users" not in sections(page)
    assert "0.0%" in text_of(page)


def test_one_user_only():
    one = population().conversations.with_columns(user_id=pl.lit("me"))
    page = text_of(report(one).html())
    assert "Labels counted not shown –" in page
    assert str(len(one)) not in page.split("The data")[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lang": "de"}, OptionError, "unknown language 'de'"),
        ({"by": "country"}, OptionError, "by: no column 'country'"),
        ({"by": "month"}, OptionError, "participants; change over time is shown as it is"),
        ({"outcomes": ["wealth"]}, OptionError, "outcomes: no column 'wealth'"),
        ({"controls": ["wealth"]}, OptionError, "controls: no column 'wealth'"),
        ({"participants": pl.DataFrame({"age": [1]})}, TableError, "no column 'user_id'"),
    ],
)
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        report(population().conversations, **options).html()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Labels of forty conversations, and the transcripts that they are of."""
    chats = [
        {
            "id": f"c{n}",
            "messages": [{"role": "user", "content": HOSTILE if n == 7 else f"say {n}"}],
        }
        for n in range(40)
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    pl.DataFrame(
        {
            "conversation_id": [chat["id"] for chat in chats],
            "record": range(40),
            "status": "ok",
            "label": ["emotional" if n % 7 == 0 else "task" for n in range(40)],
            "probability": [0.9 - n / 100 if n % 7 == 0 else 0.1 for n in range(40)],
        }
    ).write_parquet(tmp_path / "labels.parquet")
    return tmp_path


def run(folder: Path, *options: str) -> int:
    output = str(folder / "report.html")
    return cli.main(["report", str(folder / "labels.parquet"), "-o", output, *options])


def test_text_only_if_asked_for_and_escaped(files, capsys):
    assert run(files) == 0
    page = (files / "report.html").read_text(encoding="utf-8")
    assert "say 0" not in page
    assert "document.title" not in page
    assert run(files, "--show-text", str(files / "chats.jsonl"), "--overwrite") == 0
    page = (files / "report.html").read_text(encoding="utf-8")
    assert '<blockquote dir="auto">say 0</blockquote>' in page
    assert "say 1<" not in page  # it is not among the most charged
    assert "&lt;/blockquote&gt;&lt;script&gt;" in page
    assert "<script>" not in page
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "say 0" not in captured.err
    assert f"report -> {files / 'report.html'}" in captured.err


def test_other_transcripts_are_refused(files):
    labels = pl.DataFrame(
        {
            "record": [0] * 3,
            "message": [5, 6, 7],
            "role": "user",
            "label": "emotional",
            "probability": 0.9,
            "provenance": None,
        }
    )
    with pytest.raises(TableError, match=r"conversation 'c0' has no message [567]; give those"):
        report(labels, show_text=read_conversations(files / "chats.jsonl")).html()


@pytest.mark.parametrize("known", [True, False])
def test_the_command_takes_the_thresholds_of_the_model(files, known):
    artifact = load_artifact()
    path = files / "labels.parquet"
    table = pl.read_parquet(path).with_columns(in_crisis=0.1, seeks_support=0.1).to_arrow()
    made_with = {
        "model": artifact.name,
        "model_version": artifact.version,
        "fingerprint": artifact.fingerprint if known else "beef",
        "operating_point": "balanced",
    }
    parquet.write_table(table.replace_schema_metadata({"affectlib": json.dumps(made_with)}), path)
    assert run(files) == 0
    found = cells((files / "report.html").read_text(encoding="utf-8"), "cues")
    thresholds = artifact.cue_thresholds if known else {"in_crisis": 0.5, "seeks_support": 0.5}
    for name, title in (("in_crisis", "In crisis"), ("seeks_support", "Seeks support")):
        share = "100.0%" if thresholds[name] <= 0.1 else "0.0%"
        assert found[title] == [share, "user", f"{thresholds[name]:.2f}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "report.pdf"], "unknown suffix '.pdf' of the output; use .html"),
        (["--by", "country"], "by: no column 'country'"),
        (["--gold", "none.csv"], "no such file"),
        (["--lang", "de"], "unknown language"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(files, capsys, options, message):
    before = sorted(files.iterdir())
    assert run(files, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("affectlib: ")
    assert message in line
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize("option", ["--gold", "--participants", "--messages"])
def test_no_input_is_overwritten_by_figures(files, capsys, option):
    sheet = files / "report.csv"
    sheet.write_text("record,gold\n0,task\n", encoding="utf-8")
    assert run(files, "--to", "html,csv", "--overwrite", option, str(sheet)) == 2
    assert "report.csv" in capsys.readouterr().err
    assert sheet.read_text(encoding="utf-8") == "record,gold\n0,task\n"
    assert not (files / "report.html").exists()


def test_it_is_not_overwritten_unless_asked_for(files, capsys):
    (files / "report.html").write_text("mine", encoding="utf-8")
    assert run(files) == 2
    assert "it exists" in capsys.readouterr().err
    assert (files / "report.html").read_text(encoding="utf-8") == "mine"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@needs_chromium
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_in_a_browser(browser, tmp_path, lang):
    path = tmp_path / "report.html"
    write_page(path, full(lang))
    for width in (360, 1280):
        browser.open(path, width=width)
        assert browser.value("document.documentElement.scrollWidth") <= width
        plots = "[...document.querySelectorAll('.plot svg')]"
        assert browser.value(f"{plots}.length") == full(lang).count("<svg")
        sizes = browser.value(f"{plots}.map((svg) => svg.getBoundingClientRect().height)")
        assert min(sizes) > 60
        assert browser.value(f"{plots}.every((svg) => svg.clientWidth <= {width})")
    # On paper, nothing is cut off at the margin, and what is folded is open.
    browser.send("Emulation.setEmulatedMedia", media="print")
    browser.open(path, width=660)
    tables = "[...document.querySelectorAll('table')]"
    assert browser.value(f"{tables}.every((table) => table.getBoundingClientRect().right <= 660)")
    folded = "[...document.querySelectorAll('details table')]"
    assert browser.value(f"{folded}.every((table) => table.checkVisibility())")
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert browser.requests == []
    assert browser.complaints == []


@needs_chromium
def test_text_in_a_browser_does_not_run(browser, files):
    run(files, "--show-text", str(files / "chats.jsonl"))
    browser.open(files / "report.html")
    assert browser.value("document.title") == Translator("en")("title")
    assert browser.value("document.querySelectorAll('blockquote img').length") == 0
    assert browser.requests == []
    assert browser.complaints == []


def test_labels_of_messages_of_short_chats_alone() -> None:
    first = population().messages.filter(pl.col("message") < 2)
    page = report(first, messages=first).html()
    assert 'id="overall"' in page
    assert 'id="within"' not in page


def test_labels_of_conversations_are_refused_as_those_of_messages() -> None:
    people = population()
    with pytest.raises(TableError, match="messages: these are labels of conversations"):
        report(people.conversations, messages=people.conversations).html()


def test_messages_of_other_conversations_are_left_out() -> None:
    people = population()
    half = people.conversations.head(len(people.conversations) // 2)
    own = people.messages.join(half, on=["conversation_id", "record", "user_id"], how="semi")
    whole = report(half, messages=people.messages, made_on=date(2026, 1, 1)).html()
    assert whole == report(half, messages=own, made_on=date(2026, 1, 1)).html()
    other = people.messages.with_columns(conversation_id="x" + pl.col("conversation_id"))
    with pytest.raises(TableError, match="messages: none is from a conversation in labels"):
        report(half, messages=other).html()
