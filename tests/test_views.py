"""How predictions and explanations look in a notebook, and that hostile text stays text."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.explanations import WordExplanation, WordShare
from affectlib.predictions import ConversationPrediction, MessagePrediction
from tests.chromium import chromium, needs_chromium
from tests.conftest import CHAT, SINGLE_MESSAGE, TASK, assistant, user

HOSTILE = [
    "<script>document.title='broken'</script> alone",
    "</span></bdi></div></td></table><img src=x onerror=document.title='broken'> alone",
    '" onmouseover="document.title=\'broken\'" style="position:fixed" alone',
    "' onfocus='document.title=1' autofocus alone",
    "<style>*{display:none}</style> alone",
    "<!-- alone --><svg/onload=document.title='broken'>",
    "&lt;b&gt; &amp; alone \u202e txet \u2066",
    "javascript:document.title='broken' <a href=javascript:1>alone</a>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'> alone",
]
TAGS = {"div", "table", "thead", "tbody", "tr", "th", "td", "span", "bdi", "b"}
STYLE = re.compile(r"(?:[a-z-]+:[\w.,()% -]+;?)*")


class Reader(HTMLParser):
    """Reads HTML into its text, and keeps what is in it besides."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.tinted: list[bool] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= {"style", "title", "class"}
        values = dict(attrs)
        assert STYLE.fullmatch(values.get("style") or ""), values
        assert re.fullmatch(r"|[+-]\d+\.\d\d", values.get("title") or ""), values
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.tinted.append("style" in values)
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & {*self.open}:
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")


def read(html: str) -> Reader:
    reader = Reader(html)
    assert {*reader.tags} <= TAGS
    assert not reader.open
    return reader


def test_a_prediction_shows_its_turns(tiny_classifier: AffectClassifier) -> None:
    chat = Conversation(tuple(Message(**message) for message in CHAT), id="a1")
    prediction = tiny_classifier.predict(chat)
    found = read(prediction._repr_html_())
    assert f"a1: emotional, P(emotional) {prediction.probability:.3f}" in found.text
    header, *rows = found.rows
    assert header[:5] == ["message", "role", "label", "probability", "intensity"]
    assert [row[:3] for row in rows] == [
        ["1", "user", "task"],
        ["2", "assistant", ""],
        ["3", "user", "emotional"],
        ["4", "assistant", ""],
    ]
    assert [row[3] for row in rows] == ["0.00", "", "0.95", ""]
    assert [row[4] for row in rows] == ["0.00", "", f"{prediction.messages[2].intensity:.2f}", ""]
    assert "Shares feelings 0.88" in rows[2][5]
    assert rows[1][5] == "Shows empathy 0.95"
    assert found.tinted == [False, False, False, True, False]


def test_a_prediction_needs_no_text(tiny_classifier: AffectClassifier) -> None:
    prediction = tiny_classifier.predict([user("alone 12345 zebra")])
    assert "zebra" not in prediction._repr_html_()


def test_an_id_is_escaped() -> None:
    turn = MessagePrediction(0, "user", "task", 0.25, {"<b>": 0.9}, shown_cues=("<b>",))
    prediction = ConversationPrediction(HOSTILE[0], "task", 0.25, (turn,), {}, False, 0.0, 0.0)
    found = read(prediction._repr_html_())
    assert HOSTILE[0] in found.text
    assert found.rows[1][4:] == ["<b> 0.90", ""]


def test_cues_are_shown_from_the_thresholds_of_the_model(
    tiny_classifier: AffectClassifier,
) -> None:
    artifact = tiny_classifier.artifact
    for threshold, shown in ((0.05, True), (0.99, False)):
        other = replace(artifact, cue_thresholds=dict.fromkeys(artifact.cue_thresholds, threshold))
        prediction = AffectClassifier(other, tiny_classifier._engine).predict([user("alone")])
        assert ("seeks_company" in prediction.shown_cues) == shown
        assert prediction.messages[0].shown_cues == prediction.shown_cues
        assert ("Seeks company" in read(prediction._repr_html_()).text) == shown
    likeliest_first = sorted(prediction.cues.values(), reverse=True)
    prediction = tiny_classifier.predict([user("alone")])
    assert [prediction.cues[name] for name in prediction.shown_cues] == likeliest_first[:2]


def test_a_message_and_a_list_show_themselves(tiny_classifier: AffectClassifier) -> None:
    message = tiny_classifier.predict(SINGLE_MESSAGE)
    found = read(message._repr_html_())
    assert f"emotional, P(emotional) {message.probability:.3f}" in found.text
    assert found.rows[1][:3] == ["0", "user", "emotional"]
    chats = [{"id": HOSTILE[0], "messages": [user(TASK)]}, [], [user(SINGLE_MESSAGE)]]
    several = tiny_classifier.predict(chats, on_error="record")
    found = read(several._repr_html_())
    assert "3 predictions, 1 of them emotional" in found.text
    assert [row[:3] for row in found.rows[1:]] == [
        ["0", HOSTILE[0], "task"],
        ["1", "", "empty"],
        ["2", "", "emotional"],
    ]
    assert found.tinted == [False, False, False, True]
    many = read(tiny_classifier.predict([TASK] * 60 + [SINGLE_MESSAGE] * 60)._repr_html_())
    assert [int(row[0]) for row in many.rows[1:]] == [*range(60, 110)]
    assert "70 others are not shown" in many.text


def test_long_conversations_show_the_foremost_turns(tiny_classifier: AffectClassifier) -> None:
    chat = [user(TASK), assistant("hello")] * 500 + [user(SINGLE_MESSAGE), user(TASK)] * 10
    found = read(tiny_classifier.predict(chat)._repr_html_())
    shown = [int(row[0]) for row in found.rows[1:]]
    assert len(shown) == 50
    assert shown == sorted(shown)
    assert {*range(1000, 1020, 2)} <= {*shown}
    assert "970 others are not shown" in found.text


def test_an_explanation_shows_shares_and_text(tiny_classifier: AffectClassifier) -> None:
    long = "alone " + "word " * 300
    explanation = tiny_classifier.explain([user(TASK), user(long)])
    _, task, alone = read(explanation._repr_html_()).rows
    assert [task[0], alone[0]] == ["0", "1"]
    assert [float(row[2]) for row in (task, alone)] == [
        pytest.approx(turn.share, abs=0.005) for turn in explanation.turns
    ]
    assert task[3] == TASK
    assert alone[3].startswith("alone word")
    assert alone[3].endswith("…")
    assert len(alone[3]) < 110


def test_words_are_tinted_by_their_shares(tiny_classifier: AffectClassifier) -> None:
    explanation = tiny_classifier.explain_words("the csv\n  so alone")
    html = explanation._repr_html_()
    assert read(html).text.endswith("the csv\n  so alone")
    tints = {word: tint for tint, word in re.findall(r"rgba\(([\d,.]+)\)[^>]*>([\w ]+)<", html)}
    assert tints == {"the csv": "48,128,224,0.40", "so alone": "224,112,32,0.60"}


def test_words_that_hardly_matter_do_not_look_as_if_they_did() -> None:
    words = (WordShare(0, 2, 0.01), WordShare(3, 5, -0.05))
    html = WordExplanation(0, "emotional", 0.5, words, "so it").to_html()
    assert "rgba(224,112,32,0.01)" in html
    assert "rgba(48,128,224,0.03)" in html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tiny_classifier: AffectClassifier, text: str) -> None:
    words = read(tiny_classifier.explain_words(text).to_html())
    assert words.text.endswith(text)
    turns = read(tiny_classifier.explain([user(text), user(TASK)]).to_html())
    assert turns.rows[1][3] == " ".join(text.split())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from("<>&\"'`=/ \n\ta;:!-x\u202e\u0301"), max_size=60))
def test_any_text_stays_text(tiny_classifier: AffectClassifier, text: str) -> None:
    text = f"a{text}"
    found = read(tiny_classifier.explain_words(text).to_html())
    assert found.text.endswith(text)
    read(tiny_classifier.explain(text).to_html())


@needs_chromium
def test_a_browser_runs_and_fetches_nothing(
    tiny_classifier: AffectClassifier, tmp_path: Path
) -> None:
    chat = [user(text) for text in HOSTILE]
    parts = [tiny_classifier.explain(chat).to_html(), tiny_classifier.predict(chat)._repr_html_()]
    parts += [tiny_classifier.explain_words(text).to_html() for text in HOSTILE]
    page = tmp_path / "page.html"
    head = '<!doctype html><meta charset="utf-8"><title>whole</title>'
    page.write_text(head + "".join(parts), encoding="utf-8")
    with chromium(tmp_path) as tab:
        tab.open(page)
        assert tab.value("document.title") == "whole"
        assert tab.value("document.querySelectorAll('script,img,svg,iframe,a,style').length") == 0
        assert tab.value("document.querySelectorAll('.affectlib').length") == len(parts)
        shown = tab.value("document.body.innerText")
        assert all(text.split()[0] in shown for text in HOSTILE)
        assert tab.requests == []
        assert tab.complaints == []


# Plots.


def test_plot(tiny_classifier: AffectClassifier) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs affectlib[analysis]")
    prediction = tiny_classifier.predict(CHAT)
    axes = prediction.plot(threshold=0.5)
    try:
        line, threshold = axes.get_lines()
        assert line.get_xdata().tolist() == [1, 3]
        expected = [turn.probability for turn in prediction.messages if turn.role == "user"]
        assert line.get_ydata().tolist() == expected
        assert [*threshold.get_ydata()] == [0.5, 0.5]
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names == ["emotional", "task", "threshold"]
        axes.figure.canvas.draw()
    finally:
        pyplot.close(axes.figure)


def test_plot_on_axes_that_are_there(tiny_classifier: AffectClassifier) -> None:
    figures = pytest.importorskip("matplotlib.figure", reason="needs affectlib[analysis]")
    axes: Any = figures.Figure().add_subplot()
    assert tiny_classifier.predict([user(TASK)]).plot(ax=axes) is axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["task", "threshold"]


def test_without_matplotlib_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["matplotlib"] = None
from affectlib.explanations import WordExplanation, WordShare
from affectlib.predictions import ConversationPrediction
ConversationPrediction(None, "task", 0.1, (), {}, False, 0.0, 0.0).plot()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert "affectlib[analysis]" in done.stderr
