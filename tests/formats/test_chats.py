"""Chats among people and support desks: what the fixtures do not show."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib._values.dates import find_date_line
from affectlib.cli import main
from affectlib.errors import MissingExtraError, OptionError
from affectlib.formats import Limits, ReadReport
from affectlib.formats._html import html_to_text
from tests.transcript_files import SECRET, error_of, read, texts, write

FIXTURES = Path(__file__).parents[1] / "data" / "formats"

# --- html -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a\nb", "a\nb"),
        ("I <3 you & me", "I <3 you & me"),
        ("a<br><br>b", "a\n\nb"),
        ("<p>a</p>\n\n<p>b</p>", "a\n\nb"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<script>x</script><style>y</style><title>z</title>a<!-- b -->", "a"),
        ("<p>a &lt;b&gt; &nbsp;c&#x1F600;</p>", "a <b>  c\U0001f600"),
        ("<b>un<i>closed", "unclosed"),
        ("</p></div>a", "a"),
        ("", ""),
    ],
)
def test_html_to_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


@given(st.text(max_size=80))
def test_any_text_survives_html(text: str) -> None:
    plain = " ".join(text.replace("\x00", "").split())
    plain = "".join(c for c in plain if c.isprintable())
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert html_to_text(f"<p>{escaped}</p>").split() == plain.split()


@pytest.mark.parametrize(
    "html",
    ["<div>" * 50_000, "<a " * 100_000, "&amp" * 50_000, "</p>" * 50_000, "<pre>" + " " * 500_000],
)
def test_hostile_html_takes_little_time(html: str) -> None:
    begun = time.perf_counter()
    html_to_text(html + SECRET)
    assert time.perf_counter() - begun < 10


def test_html_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(MissingExtraError, match=r"affectlib\[formats\]"):
        html_to_text("<p>a</p>")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Apr 12, 2026, 3:34:31 PM EDT", "2026-04-12T19:34:31+00:00"),
        ("Apr 12, 2026, 12:34:31 AM UTC", "2026-04-12T00:34:31+00:00"),
        ("12 avr. 2026, 15:34:31 CEST", "2026-04-12T13:34:31+00:00"),
        ("10 de mai. de 2026, 03:46:09 BRT", "2026-05-10T06:46:09+00:00"),
        ("12/04/2026, 15:34:31 GMT-03:30", "2026-04-12T19:04:31+00:00"),
        ("2026年6月20日 00:28:51 CST", "2026-06-19T16:28:51+00:00"),
        ("Apr 12, 2026, 15:34 XYZ", "2026-04-12T15:34:00+00:00"),
    ],
)
def test_dates_of_activities(line: str, expected: str) -> None:
    found = find_date_line(f"before\n{line}\nafter")
    assert found is not None
    assert (found[0], found[1].isoformat(), found[2]) == ("before", expected, "after")


@pytest.mark.parametrize(
    "line", ["Apr 31, 2026, 3:34:31 PM", "Foo 1, 2026, 3:34:31 PM", "at 3:34", "99999-01-01T00:00Z"]
)
def test_lines_that_are_no_dates(line: str) -> None:
    assert find_date_line(line) is None


# --- roles and gaps -------------------------------------------------------------------------------


def test_roles_and_gaps_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FIXTURES / "whatsapp" / "gaps.txt")
    assert main(["info", path, "--user", "Ana", "--gap", "60", "-o", "-", "--quiet"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[m["role"] for m in record["messages"]] for record in records] == [
        ["user"],
        ["assistant"],
    ]
    assert main(["info", path, "-o", "-", "--quiet"]) == 1


@pytest.mark.parametrize("gap", [0, -1, float("nan")])
def test_gaps_that_are_none(gap: float) -> None:
    with pytest.raises(OptionError, match="gap must be a positive number"):
        read(FIXTURES / "whatsapp" / "gaps.txt", gap=gap)


def test_errors_name_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, f"13/03/2024, 14:08 - {SECRET}: {SECRET}\n")
    for users in ([], ["Zoe"]):
        (bad,) = read(path, users=users)
        assert "1 person who wrote (1 messages)" in error_of(bad)


# --- archives and hostile files -------------------------------------------------------------------


def test_fields_of_a_telegram_chat_are_kept_in_each_of_its_conversations(tmp_path: Path) -> None:
    said = [
        {"type": "message", "from_id": who, "text": "hi", "date_unixtime": time}
        for who, time in (("user1", "1714564800"), ("user2", "1714564860"), ("user1", "1714664800"))
    ]
    bot = {"type": "bot_chat", "id": 2, "name": "Helper", "messages": said}
    group = {"type": "private_group", "id": 3, "name": SECRET, "messages": said[:2]}
    options: dict[str, Any] = {"keep": ["type"], "users": ["user1"], "gap": 60}
    found = read(write(tmp_path, json.dumps(bot)), **options)
    assert [item.metadata["type"] for item in found] == ["bot_chat", "bot_chat"]
    account = {"about": "…", "chats": {"list": [bot, group]}}
    found = read(write(tmp_path, json.dumps(account)), **options)
    assert [item.metadata["type"] for item in found] == ["bot_chat", "bot_chat", "private_group"]


def test_fields_of_geminis_activities_are_kept(tmp_path: Path) -> None:
    def activity(title: str, time: str, **fields: Any) -> dict[str, Any]:
        answer = [{"html": "<p>Hello!</p>"}]
        about = {"header": "Gemini Apps", "title": f"Prompted {title}", "time": time}
        return {**about, "safeHtmlItem": answer, **fields}

    activities = [
        activity("three", "2025-01-02T10:00:00Z"),
        activity("two", "2025-01-01T10:05:00Z", account="b", region="x"),
        activity("one", "2025-01-01T10:00:00Z", account="a"),
    ]
    path = write(tmp_path, json.dumps(activities))
    later, first = read(path, keep=["account", "region"])
    assert texts(first)[::2] == ["one", "two"]
    assert (first.metadata["account"], first.metadata["region"]) == ("a", "x")
    assert not {"account", "region"} & later.metadata.keys()


def test_chats_that_are_newest_first_keep_the_question_before_the_answer(tmp_path: Path) -> None:
    def said(name: str, text: str, minute: int) -> dict[str, Any]:
        author = {"id": name, "name": name, "isBot": name == "Helper"}
        return {"content": text, "author": author, "timestamp": f"2024-05-01T12:{minute:02}:00Z"}

    messages = [("Ana", "q1", 3), ("Helper", "a1", 3), ("Ana", "q2", 5), ("Helper", "a2", 5)]
    for order in (1, -1):
        channel = {"guild": {}, "channel": {"id": "1"}, "messages": []}
        channel["messages"] = [said(*message) for message in messages[::order]]
        (found,) = read(write(tmp_path, json.dumps(channel)))
        assert texts(found) == ["q1", "a1", "q2", "a2"]


def cell(prompt: str) -> str:
    return (
        '<div class="outer-cell"><div class="content-cell mdl-typography--body-1">'
        f"Prompted {prompt}<br>Jan 1, 2025, 10:00:00 AM UTC</div></div>"
    )


def test_a_folder_of_typed_transcripts(tmp_path: Path) -> None:
    for name in ("p1.txt", "p2.txt"):
        write(tmp_path, "notes\nUser: hi\nAI: Hello!\n", name)
    report = ReadReport()
    found = read(tmp_path, format="plain", report=report)
    assert [item.id for item in found] == ["p1.txt", "p2.txt"]
    assert report.dropped["event"].count == 2
    write(tmp_path, "Ana: hi\nEve: hello\n", "p3.txt")
    (bad,) = read(tmp_path / "p3.txt", format="plain")
    assert "no line begins with a speaker" in error_of(bad)


LONG = {
    "whatsapp": lambda text: f"13/03/2024, 14:08 - assistant: {text}",
    "gemini": lambda text: f"<html>{cell('hi')}{cell(text)}{cell('bye')}",
    "plain": lambda text: f"User: {text}",
    "telegram": lambda text: json.dumps({"name": text, "type": "bot_chat", "messages": []}),
}


@pytest.mark.parametrize("format", LONG)
def test_huge_fields_are_a_failure(tmp_path: Path, format: str) -> None:
    path = write(tmp_path, LONG[format](SECRET * 10_000))
    found = read(path, format=format, limits=Limits(record_characters=10_000))
    (bad,) = (item for item in found if hasattr(item, "error"))
    assert "longer than the limit (record_characters)" in error_of(bad)
    assert [texts(item) for item in found if item is not bad] == (
        [["hi", "bye"]] if format == "gemini" else []
    )


@pytest.mark.parametrize(
    "text",
    [" " * 300_000, "<" * 300_000, "a b." * 100_000, "\u200e" * 300_000, "1 generated " * 50_000],
)
def test_hostile_texts_take_little_time(tmp_path: Path, text: str) -> None:
    begun = time.perf_counter()
    for content in (
        f"13/03/2024, 14:08 - assistant: x{text}y",
        f"<html>{cell(f'x{text}y')}",
        json.dumps({"header": "Gemini", "title": f"Prompted x{text}y", "time": "2025-01-01"}),
        json.dumps(
            [{"type": "message", "bot_id": "B", "text": f"x{text}y", "ts": "1714564800.000100"}]
        ),
    ):
        read(write(tmp_path, content))
    assert time.perf_counter() - begun < 10


def test_a_conversation_of_activities_can_be_too_long(tmp_path: Path) -> None:
    times = [f"2025-01-01T{hour}:00Z" for hour in ("12:00", "10:02", "10:01", "10:00", "08:00")]
    records = [{"header": "Bard", "title": f"Said {'word ' * 10}", "time": time} for time in times]
    found = read(write(tmp_path, json.dumps(records)), limits=Limits(record_characters=120))
    assert [hasattr(item, "error") for item in found] == [False, True, False]
    assert "longer than the limit (record_characters)" in error_of(found[1])


def test_an_endless_gap_splits_nothing() -> None:
    (found,) = read(FIXTURES / "whatsapp" / "gaps.txt", gap=float("inf"), users=["Ana"])
    assert texts(found) == ["hi", "hello"]
