"""The annotation page, in a browser where there is one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from affectlib.analysis import TableError, read_labels
from affectlib.analysis._pages import write_page
from affectlib.analysis.sheet import annotation_page
from affectlib.analysis.sheet_texts import TEXTS
from affectlib.errors import OptionError
from affectlib.formats import read_conversations
from affectlib.taxonomy import THEMES
from tests.chromium import Page, chromium, needs_chromium

CODEBOOK = Path(__file__).parents[2] / "training" / "data" / "CODEBOOK.md"
HOSTILE = "</script><script>document.title = 'broken'</script><img src=https://example.com/x.png>"
DRAWN = pl.DataFrame(
    {
        "record": [2, 0, 1],
        "conversation_id": ["c2", "=c0", "c1"],
        "weight": [1.5, 20.0, 7.25],
        "gold": pl.Series([None, None, None], dtype=pl.String),
    }
)


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transcripts") / "chats.jsonl"
    messages = [{"role": "user", "content": HOSTILE}, {"role": "tool", "content": "{}"}]
    for turn in range(10):
        messages += [
            {"role": "assistant", "content": f"answer {turn}"},
            {"role": "user", "content": f"turn {turn}"},
        ]
    lines = [json.dumps({"id": name, "messages": messages}) for name in ("=c0", "c1", "c2")]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_codebook_in_english_is_the_project_s_own():
    codebook = plain(CODEBOOK.read_text(encoding="utf-8"))
    english = TEXTS["en"]
    definitions = [definition for _, definition in english.levels]
    for text in (*definitions, english.rule, english.unit, english.decoys, english.advice):
        assert plain(text) in codebook


def test_every_language_says_everything():
    english = TEXTS["en"]
    for texts in TEXTS.values():
        assert texts.words.keys() == english.words.keys()
        assert texts.roles.keys() == english.roles.keys()
        assert texts.themes.keys() == texts.theme_definitions.keys() == THEMES.keys()
        assert len(texts.levels) == 4
    assert not {*TEXTS["fr"].words.values()} & {*english.words.values()}


def test_french_signs_stay_on_the_line_of_their_word():
    french = TEXTS["fr"]
    said = [french.title, french.question, french.rule, french.unit, french.decoys, french.advice]
    said += [text for level in french.levels for text in level] + [*french.words.values()]
    said += french.theme_definitions.values()
    assert any("\u00a0:" in text for text in said)
    assert [text for text in said if re.search(r" [:;?!»]|« ", text)] == []


@pytest.mark.parametrize("lang", TEXTS)
def test_themes_are_defined_where_they_are_asked(transcripts, lang):
    grief = TEXTS[lang].theme_definitions["grief"]
    assert grief not in annotation_page(DRAWN, read_conversations(transcripts), lang=lang)
    asked = DRAWN.with_columns(themes=pl.lit(None, pl.String))
    assert grief in annotation_page(asked, read_conversations(transcripts), lang=lang)


def test_a_message_is_shown_with_those_before_it(transcripts):
    drawn = DRAWN.with_columns(message=pl.Series([19, 0, 3]))
    page = annotation_page(drawn, read_conversations(transcripts))
    item = page.split('<article class="item"')[1].split("</article>")[0]
    assert re.findall(r"(?:turn|answer) \d", item) == [
        "turn 5", "answer 6", "turn 6", "answer 7", "turn 7", "answer 8", "turn 8"
    ]  # fmt: skip
    assert "earlier messages not shown: 12" in item
    assert "system and tool messages not shown: 1" in item
    assert item.count("Judge this message") == 1
    assert page.count(TEXTS["en"].question_of_message) == 1


@pytest.mark.parametrize("place", [1, 22, -1])
def test_a_message_that_is_not_there(transcripts, place):
    with pytest.raises(TableError, match=f"conversation 'c2' has no message {place}"):
        annotation_page(
            DRAWN.with_columns(message=pl.Series([place, 0, 0])), read_conversations(transcripts)
        )


def test_other_transcripts_are_refused(transcripts):
    drawn = DRAWN.with_columns(conversation_id=pl.Series(["c2", "=c0", "other"]))
    with pytest.raises(TableError, match="no conversation for record 1, or one with another id"):
        annotation_page(drawn, read_conversations(transcripts))
    with pytest.raises(TableError, match="no column 'conversation_id'"):
        annotation_page(DRAWN.select("weight"), read_conversations(transcripts))
    with pytest.raises(OptionError, match="unknown language 'xx'"):
        annotation_page(DRAWN, read_conversations(transcripts), lang="xx")


@needs_chromium
def test_it_is_filled_in_by_keys(transcripts, browser, tmp_path):
    path = tmp_path / "sheet.html"
    write_page(path, annotation_page(DRAWN, read_conversations(transcripts)))
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.open(path)
    shown = "[...document.querySelectorAll('.item')].findIndex((item) => !item.hidden)"
    assert browser.value("document.title") == "Label by hand"  # what a message says did not run
    assert browser.value(shown) == 0
    browser.press("3", "Digit3")
    assert browser.value(shown) == 1
    browser.press("u", "KeyU")
    assert browser.value(shown) == 2
    browser.press("ArrowLeft")
    pressed = "document.querySelector('[aria-pressed=true]').dataset.charge"
    assert browser.value(pressed) == "unsure"
    browser.press("&", "Digit1")  # the key of 1 on a French keyboard
    assert browser.value(shown) == 2
    browser.reload()  # answers outlive the page
    assert browser.value(shown) == 2
    assert browser.value("document.getElementById('answered').textContent") == "2"
    browser.value("document.getElementById('initials').focus()")
    browser.send("Input.insertText", text="=AB")
    browser.press("0", "Digit0")  # typed into the field, no answer
    assert browser.value("document.getElementById('answered').textContent") == "2"
    browser.value("document.activeElement.blur()")
    browser.press("0", "Digit0")
    assert browser.value("document.getElementById('notice').textContent").startswith("Everything")
    browser.press("d", "KeyD")
    filled = tmp_path / "filled-AB.csv"
    end = time.monotonic() + 20
    # The browser puts an empty file there first.
    while not (filled.exists() and filled.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    rows = read_labels(filled).collect()
    assert rows.drop("annotator").rows() == [
        (2, "c2", 1.5, "emotional", 3),
        (0, "=c0", 20.0, "task", 1),
        (1, "c1", 7.25, "task", 0),
    ]
    assert rows["annotator"].unique().to_list() == ["'=AB"]
    assert browser.requests == []
    assert browser.complaints == []


@needs_chromium
def test_themes_are_asked_of_what_is_charged(transcripts, browser, tmp_path):
    path = tmp_path / "sheet.html"
    drawn = DRAWN.with_columns(themes=pl.lit(None, pl.String), weight=pl.lit(2.0))
    write_page(path, annotation_page(drawn, read_conversations(transcripts)))
    browser.open(path)
    browser.value("localStorage.clear()")
    browser.open(path)
    hidden = "document.getElementById('themes').hidden"
    shown = "[...document.querySelectorAll('.item')].findIndex((item) => !item.hidden)"
    assert browser.value(hidden) is True
    browser.press("b", "KeyB")  # nothing is charged yet
    browser.press("2", "Digit2")
    assert (browser.value(shown), browser.value(hidden)) == (0, False)
    for key in "kap":
        browser.press(key, f"Key{key.upper()}")
    browser.press("k", "KeyK")
    browser.press("p", "KeyP")
    for key in "kab":
        browser.press(key, f"Key{key.upper()}")
    browser.press("a", "KeyA")
    browser.press("ArrowRight")
    assert (browser.value(shown), browser.value(hidden)) == (1, True)
    browser.press("1", "Digit1")
    browser.press("3", "Digit3")
    browser.press("p", "KeyP")
    header, *rows = browser.value("csv()").split("\r\n")[:-1]
    assert header == "record,conversation_id,weight,gold,charge,themes,annotator"
    assert [row.split(",", 3)[3] for row in rows] == [
        'emotional,2,"mind_and_crisis,family",',
        "task,1,,",
        "emotional,3,none,",
    ]
    assert browser.complaints == []


@needs_chromium
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_it_fits_a_phone(transcripts, browser, tmp_path, lang):
    path = tmp_path / "sheet.html"
    write_page(path, annotation_page(DRAWN, read_conversations(transcripts), lang=lang))
    browser.open(path, width=360, height=740)
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.value("document.documentElement.lang") == lang
    small = "[...document.querySelectorAll('footer button')].filter((b) => b.clientHeight < 40)"
    assert browser.value(f"{small}.length") == 0
    assert browser.complaints == []
