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
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TextIO

from affectlib._values import kind_of, to_time
from affectlib._values.dates import find_date_line
from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError, TranscriptFormatError
from affectlib.formats._html import TextTarget, feed, html_parser, html_to_text
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_list, as_text, require_object
from affectlib.formats._people import is_apart
from affectlib.formats.fields import in_order, to_conversation
from affectlib.formats.grouping import TOO_LONG
from affectlib.formats.reader import Item, Reading, RecordReader, TextReader, valid_records
from affectlib.predictions import ConversationFailure

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

    @property
    def size(self) -> int:
        return len(self.prompt) + len(self.answer)


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
    return _sessions(_json_activities(records, reading), reading)


def read_html(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read conversations from the activities of ``MyActivity.html``."""
    return _sessions(_html_activities(stream, reading), reading)


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
    size = 0
    limit = reading.options.limits.record_characters
    for activity in activities:
        if isinstance(activity, ConversationFailure):
            yield activity
            continue
        if session and _is_another(session[-1], activity, gap):
            yield _finished(session, size, reading)
            session, size = [], 0
        size += activity.size
        if size > limit:
            session.clear()
        session.append(activity)
    if session:
        yield _finished(session, size, reading)


def _finished(session: list[_Activity], size: int, reading: Reading) -> Item:
    """Make a conversation, or a failure if it is so long that only its last activity is there."""
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


def _json_activities(
    records: Iterator[Record], reading: Reading
) -> Iterator[_Activity | ConversationFailure]:
    for record in valid_records(records, reading):
        if isinstance(record, ConversationFailure):
            yield record
        else:
            yield from _attempt(_activity, record.value, reading)


def _attempt(
    read: Callable[[Any, Reading], _Activity | None], source: Any, reading: Reading
) -> Iterator[_Activity | ConversationFailure]:
    try:
        found = read(source, reading)
    except ConversationError as error:
        yield reading.failure(error)
    else:
        yield from [] if found is None else [found]


def _activity(record: Any, reading: Reading) -> _Activity | None:
    record = require_object(record)
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
    found = _prompt(title, answer, time, as_text(record.get("titleUrl")), media, reading)
    kept = {name: record[name] for name in reading.options.keep if name in record}
    return None if found is None else replace(found, kept=kept)


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


class _Cell(NamedTuple):
    header: str
    content: str
    links: str
    is_too_long: bool


class _CellTarget:
    """A target for lxml's parser that gathers the cells of the page."""

    def __init__(self, limit: int) -> None:
        self.cells: list[_Cell] = []
        self._depth = 0
        self._cell = 0
        self._part = ""
        self._part_depth = 0
        self._text = TextTarget(limit)
        self._is_too_long = False
        self._texts = {"header": "", "content": ""}
        self._links: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        classes = (attributes.get("class") or "").split()
        if tag == "div":
            self._depth += 1
            if _CELL in classes:
                self._finish()
                self._cell = self._depth
            part = self._part_of(classes)
            if self._cell and not self._part and part:
                self._part, self._part_depth = part, self._depth
        if self._cell and tag == "a" and len(self._links) < 100:
            self._links.append((attributes.get("href") or "")[:500])
        if self._part:
            self._text.start(tag, attributes)

    def end(self, tag: str) -> None:
        if self._part:
            self._text.end(tag)
        if tag != "div":
            return
        if self._part and self._depth == self._part_depth:
            self._keep()
        if self._cell and self._depth == self._cell:
            self._finish()
        self._depth -= 1

    def data(self, text: str) -> None:
        if self._part:
            self._text.data(text)

    def close(self) -> None:
        self._keep()
        self._finish()

    def _part_of(self, classes: list[str]) -> str:
        if "header-cell" in classes:
            return "header"
        right = "mdl-typography--text-right" in classes
        is_content = "content-cell" in classes and "mdl-typography--body-1" in classes
        return "content" if is_content and not right else ""

    def _keep(self) -> None:
        self._is_too_long |= self._text.is_too_long
        text = self._text.take()
        if self._part:
            self._texts[self._part] = self._texts[self._part] or text
        self._part = ""

    def _finish(self) -> None:
        if self._cell:
            links = " ".join(self._links)
            self.cells.append(_Cell(**self._texts, links=links, is_too_long=self._is_too_long))
        self._texts = {"header": "", "content": ""}
        self._cell, self._links, self._is_too_long = 0, [], False


def _html_activities(stream: TextIO, reading: Reading) -> Iterator[_Activity | ConversationFailure]:
    target = _CellTarget(reading.options.limits.record_characters)
    parser = html_parser(target)
    number = 0
    for piece in chain(iter(partial(stream.read, _PIECE), ""), [""]):
        feed(parser, piece)
        if not piece:
            parser.close()
        for cell in target.cells:
            reading.place = f"activity {number}"
            number += 1
            yield from _attempt(_from_cell, cell, reading)
        target.cells.clear()
    if not number:
        raise TranscriptFormatError("the page has no activities")


def _from_cell(cell: _Cell, reading: Reading) -> _Activity | None:
    if cell.is_too_long:
        raise ConversationError(TOO_LONG)
    if cell.header and not _PRODUCT.search(cell.header):
        reading.drop("event")
        return None
    found = find_date_line(cell.content)
    if found is None:
        raise ConversationError("it has no time that can be read", field="time")
    prompt, time, answer = found
    return _prompt(prompt, answer, time, cell.links, 0, reading)
