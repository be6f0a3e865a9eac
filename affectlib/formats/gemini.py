"""Gemini (once Bard) from Google Takeout: ``MyActivity.json`` or ``MyActivity.html``.

Takeout lists activities, each a prompt and its answer, newest first, and mostly no conversations.
Activities are joined into conversations here. A conversation ends after 30 minutes without activity
(``gap`` changes that), unless activities link to the same chat (``gemini.google.com/app/…``); it
also ends where they link to another chat. The id of a linked chat is the id of the conversation; a
chat that was continued after another one appears twice, with the same id. Messages are in the order
of their times; the prompt and the answer of an activity have the same time.

The verb before a prompt ("Prompted", "Asked", …) is cut off, as is "Attached 1 file". Other
activities (canvases, feedback, settings), recognised by their English verbs, or in other languages
by having no answer, are events and left out, as are activities of other products. HTML becomes
text; images and files are left out. Drafts that were not chosen are not in the export. The reader
expects exports as they were from 2024 to 2026. In HTML, times have an English or numeric date. Only
the usual abbreviations of time zones are known; times in other zones are taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any, TextIO

from affectlib._values import kind_of, to_time
from affectlib._values.dates import find_date_line
from affectlib.conversation import Conversation, Message, clean_text
from affectlib.errors import ConversationError, ConversationFailure, TranscriptFormatError
from affectlib.formats._html import etree, html_to_text
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_list, as_text, require_object
from affectlib.formats._people import is_apart
from affectlib.formats.fields import in_order, to_conversation
from affectlib.formats.grouping import TOO_LONG
from affectlib.formats.reader import Item, Reading, RecordReader, TextReader, valid_records

_GAP = 30.0
_CHAT = re.compile(r"gemini\.google\.com/(?:u/\d+/)?(?:app|gem/[\w-]+)/([\w-]{6,64})", re.ASCII)
_PRODUCT = re.compile("gemini|bard", re.IGNORECASE)
_PROMPT = re.compile(
    r"\s*(?:Prompted with:|Asked (?:Gemini|Bard):|Prompted|Asked|Said|Branched|Answered)\s+"
)
_EVENT = re.compile(
    r"\s*(?:Created|Used|Added|Gave|Selected|Shared|Deleted|Viewed|Visited|Searched|Edited|Pinned|"
    r"Renamed|Exported|Updated|Listened|Turned)\s"
)
_ATTACHED = re.compile(r"\bAttached \d{1,9} files?\.?(?:\n *-[^\n]*)*\s*$")
_GENERATED = re.compile(r"\b\d{1,9} generated images?\.?\s*$")
_CELL = "outer-cell"
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class _Activity:
    """A prompt and its answer."""

    prompt: str
    answer: str
    time: datetime
    chat: str | None
    """The id of the chat that it links to."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """The fields that the caller asked to keep."""


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    is_activity = {"title", "time"} <= record.keys() and _is_gemini(record)
    return "activities of Gemini" if is_activity else None


def _recognizes_html(beginning: str, reading: Reading) -> str | None:
    start = beginning[:200].lower()
    is_html = start.startswith(("<html", "<!doctype html", '<div class="outer-cell'))
    is_activity = _CELL in beginning or ".mdl-" in beginning
    return "HTML of My Activity" if is_html and is_activity else None


def read_json(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read conversations from the activities of ``MyActivity.json``."""
    found = valid_records(records, reading)
    return _sessions(_activities(found, _from_record, reading), reading)


def read_html(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read conversations from the activities of ``MyActivity.html``."""
    return _sessions(_activities(_cells(stream, reading), _from_cell, reading), reading)


READERS = (
    RecordReader("gemini", _recognizes, read_json),
    TextReader("gemini", _recognizes_html, read_html),
)


def _is_gemini(record: Mapping[str, Any]) -> bool:
    names = [record.get("header"), *as_list(record.get("products"))]
    return any(_PRODUCT.search(as_text(name)) for name in names)


def _sessions(
    activities: Iterable[_Activity | ConversationFailure], reading: Reading
) -> Iterator[Item]:
    """Put activities that are near each other into conversations."""
    gap = _GAP if reading.options.gap is None else reading.options.gap
    session: list[_Activity] = []
    for activity in activities:
        if isinstance(activity, ConversationFailure):
            yield activity
            continue
        if session and _is_another(session[-1], activity, gap):
            yield _finished(session, reading)
            session = []
        session.append(activity)
    if session:
        yield _finished(session, reading)


def _finished(session: list[_Activity], reading: Reading) -> Item:
    size = sum(len(activity.prompt) + len(activity.answer) for activity in session)
    if size > reading.options.limits.record_characters:
        return reading.failure(ConversationError(TOO_LONG), session[-1].chat)
    session = in_order(session, [activity.time for activity in session])
    return reading.kept(_conversation(session), [activity.kept for activity in session])


def _is_another(one: _Activity, other: _Activity, gap: float) -> bool:
    if one.chat is not None and other.chat is not None:
        return one.chat != other.chat
    return is_apart(one.time, other.time, gap)


def _conversation(session: list[_Activity]) -> Conversation:
    messages = []
    for activity in session:
        messages.append(Message("user", activity.prompt, timestamp=activity.time))
        if activity.answer:
            messages.append(Message("assistant", activity.answer, timestamp=activity.time))
    about = {
        "id": next((activity.chat for activity in session if activity.chat), None),
        "timestamp": session[0].time,
        "source": "gemini",
    }
    return to_conversation(about, messages)


def _activities(
    found: Iterable[Any], parse: Callable[[Any, Reading], _Activity | None], reading: Reading
) -> Iterator[_Activity | ConversationFailure]:
    for item in found:
        if isinstance(item, ConversationFailure):
            yield item
            continue
        try:
            activity = parse(item, reading)
        except ConversationError as error:
            yield reading.failure(error)
        else:
            yield from [] if activity is None else [activity]


def _from_record(found: Record, reading: Reading) -> _Activity | None:
    record = require_object(found.value)
    if not _is_gemini(record):
        reading.drop("event")
        return None
    title = record.get("title")
    if not isinstance(title, str):
        raise ConversationError(f"expected text, got {kind_of(title)}", field="title")
    time = to_time(record.get("time"))
    if time is None:
        raise ConversationError("it cannot be read as a time", field="time")
    files = (as_list(record.get(name)) for name in ("attachedFiles", "audioFiles", "imageFile"))
    media = sum(map(len, files))
    answer = _joined(record.get("safeHtmlItem"), "html") or _joined(record.get("subtitles"), "name")
    activity = _prompt(title, answer, time, as_text(record.get("titleUrl")), media, reading)
    kept = {name: record[name] for name in reading.options.keep if name in record}
    return None if activity is None else replace(activity, kept=kept)


def _joined(items: Any, field: str) -> str:
    texts = (html_to_text(as_text(as_dict(item).get(field))) for item in as_list(items))
    return "\n\n".join(filter(None, texts))


def _prompt(
    title: str, answer: str, time: datetime, links: str, media: int, reading: Reading
) -> _Activity | None:
    verb = _PROMPT.match(title)
    if _EVENT.match(title) or (verb is None and not answer):
        reading.drop("event")
        return None
    prompt = title[verb.end() :] if verb is not None else title
    bare = _ATTACHED.sub("", _GENERATED.sub("", prompt))
    reading.drop("not_text", media or int(bare != prompt))
    chat = _CHAT.search(links)
    prompt = bare.strip()
    return _Activity(prompt, answer, time, chat[1] if chat else None)


def _cells(stream: TextIO, reading: Reading) -> Iterator[Any]:
    """Yield the elements of the activities, each while the page is being read."""
    number = 0
    parser = etree().HTMLPullParser(events=["end"], tag="div", huge_tree=True, encoding="utf-8")
    for piece in chain(iter(partial(stream.read, _PIECE), ""), [""]):
        if piece:
            parser.feed(clean_text(piece).encode())
        else:
            with suppress(etree().XMLSyntaxError):  # of a page without any element
                parser.close()
        for _, element in parser.read_events():
            if _CELL in _classes(element):
                reading.place = f"activity {number}"
                number += 1
                yield element
                element.clear()
    if not number:
        raise TranscriptFormatError("the page has no activities")


def _classes(element: Any) -> list[str]:
    return str(element.get("class", "")).split()


def _from_cell(cell: Any, reading: Reading) -> _Activity | None:
    if sum(map(len, cell.itertext())) > reading.options.limits.record_characters:
        raise ConversationError(TOO_LONG)
    header = _part(cell, "header-cell")
    if header and not _PRODUCT.search(header):
        reading.drop("event")
        return None
    found = find_date_line(_part(cell, "mdl-typography--body-1"))
    if found is None:
        raise ConversationError("it has no time that can be read", field="time")
    prompt, time, answer = found
    links = " ".join(link.get("href", "")[:500] for link in islice(cell.iter("a"), 100))
    return _prompt(prompt, answer, time, links, 0, reading)


def _part(cell: Any, kind: str) -> str:
    """Return the text of the first element of a class that is not set at the right."""
    for element in cell.iter("div"):
        classes = _classes(element)
        if kind in classes and "mdl-typography--text-right" not in classes:
            html = etree().tostring(element, encoding="unicode", method="html", with_tail=False)
            return html_to_text(html)
    return ""
