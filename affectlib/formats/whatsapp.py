r"""WhatsApp chats exported as text, from Android and iPhones; ``_chat.txt`` or in the ZIP archive.

A line that begins with a date and time begins a message, in Android's form ``12/03/2024, 14:08 -
Ana: hi`` or the iPhone's ``[12/03/2024, 14:08:18] Ana: hi``, in the order and with the words of the
device's language, 12 or 24 hours, and with invisible marks; other lines continue the message
before. The file is one conversation; ``gap`` splits it. There are no roles: the caller names the
users or the assistants, but people called "ChatGPT", "assistant" or the like are the assistant. Nor
are there other fields that could be kept.

Whether the day or the month comes first is told from all dates of the file: by numbers above 12,
else by which order lets time run forward, else it is the day, or with slashes and AM and PM the
month. There is no zone; times are taken as UTC. System lines (without a sender, or on iPhones with
a mark before the text) are events and left out, as are media, in English and some other languages,
and deleted messages. A system line of Android with a colon cannot be told from a message, unless it
has quotes before it. The reader expects exports as they were from 2018 to 2025.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from affectlib.conversation import Conversation, clean_text
from affectlib.formats._people import People, Sent, chat_conversations
from affectlib.formats.reader import Reading, TextReader, whole

_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_NOT_TYPED = "\u200e"
_LEADING = " \t\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SPACES = str.maketrans({"\u202f": " ", "\xa0": " ", "\u2009": " "})
_HALF = r"[^\W\d]{1,5}\.?(?: ?[^\W\d]{1,3}\.?)?"
_DATE = r"(\d{1,4})(?:[./-] ?)(\d{1,2})(?:[./-] ?)(\d{1,4})\.?(?: г\.)?"
_TIME = rf"(?:({_HALF}) ?)?(\d{{1,2}})[:.](\d{{2}})(?:[:.](\d{{2}}))?(?: ?({_HALF}))?"
_STAMP = rf"{_DATE}[,،]? {_TIME}"
_STAMPS = (re.compile(rf"\[{_STAMP}\] ?"), re.compile(rf"{_STAMP}(?: [-–] |, )"))
"""How messages begin on iPhones and on Android."""
_LONGEST_STAMP = 100
_SENDER = re.compile(r"([^:\n\"“”«»„]{1,100}?) ?: ?(.*)", re.DOTALL)
_KOREAN = ("오전", "오후")
_MORNING = frozenset({"am", "vorm", "오전", "上午", "午前", "ص", "πμ", "de"})
_EVENING = frozenset({"pm", "nachm", "오후", "下午", "午後", "م", "μμ", "du"})
_ATTACHED = re.compile(
    r"<(?:attached|anexo|adjunto|pièce jointe|Anhang|allegato|bijgevoegd|прикреплено)\s?: [^<>\n]+>"
    r"|[^\s/\\]+(?: [^\s/\\]+)*\.\w{2,5} \((?:file attached|archivo adjunto|arquivo anexado"
    r"|Datei angehängt|fichier joint|file allegato|bestand bijgevoegd|файл добавлен)\)"
    r"|<(?:Media omitted|Multimedia omitido|Mídia oculta|Arquivo de mídia oculto"
    r"|Medien ausgeschlossen|Médias omis|Fichier omis|Media omessi|Media weggelaten"
    r"|Без медиафайлов|View once voice message omitted)>"
    r"|(?:image|video|audio|GIF|sticker|document|Contact card|video note) omitted"
    r"|(?:Bild|Video|Audio|GIF|Sticker|Dokument) weggelassen"
    r"|(?:imagen omitida|imagem ocultada|image absente|immagine omessa|afbeelding weggelaten)",
    re.IGNORECASE,
)
_EDITED = re.compile(
    r"<(?:This message was edited|Diese Nachricht wurde bearbeitet"
    r"|Se editó este mensaje\.?|Mensagem editada|Ce message a été modifié)>\s*$"
)
_DELETED = re.compile(
    r"(?:This message was deleted|You deleted this message|Diese Nachricht wurde gelöscht"
    r"|Du hast diese Nachricht gelöscht|Se eliminó este mensaje|Eliminaste este mensaje"
    r"|Mensagem apagada|Você apagou esta mensagem|Ce message a été supprimé"
    r"|Vous avez supprimé ce message|Questo messaggio è stato eliminato)\.?",
    re.IGNORECASE,
)


class _Entry(NamedTuple):
    """A message, or a system line."""

    date: tuple[int, int, int]  # as written: which of them is the day is not known yet
    time: tuple[int, int, int]
    half: str  # the words for AM or PM
    american: bool
    lines: list[str]


def _recognizes(beginning: str, reading: Reading) -> str | None:
    is_message = _entry(beginning.lstrip().partition("\n")[0]) is not None
    return "lines that begin as messages of WhatsApp" if is_message else None


def parse(text: str, reading: Reading) -> Iterator[Conversation]:
    """Turn a chat into a conversation, or into several."""
    entries = _entries(text, reading)
    order = _order(entries)
    people = People()
    found = (_sent(entry, order, people, reading) for entry in entries)
    yield from chat_conversations(found, people, {"source": "whatsapp"}, reading)


READERS = (TextReader("whatsapp", _recognizes, whole(parse)),)


def _entries(text: str, reading: Reading) -> list[_Entry]:
    entries: list[_Entry] = []
    for line in re.split(r"\r\n|\r|\n", text):
        entry = _entry(line)
        if entry is not None:
            entries.append(entry)
        elif entries:
            entries[-1].lines.append(line)
        else:
            reading.drop("event", bool(line.strip()))
    return entries


def _entry(line: str) -> _Entry | None:
    """Return what a line begins, or None if it continues the line before."""
    line = line.lstrip(_LEADING)
    if not line[:1].isdigit() and not line.startswith("["):
        return None
    visible = _MARKS.sub("", line[:_LONGEST_STAMP]).translate(_SPACES)
    match = next(filter(None, (stamp.match(visible) for stamp in _STAMPS)), None)
    if match is None:
        return None
    one, two, three, before, hour, minute, second, after = match.groups()
    if match[0].endswith(", ") and before not in _KOREAN:
        return None
    return _Entry(
        (int(one), int(two), int(three)),
        (int(hour), int(minute), int(second or 0)),
        before or after or "",
        after in ("AM", "PM") and not one.startswith("0") and not two.startswith("0"),
        [line[_position(line, match.end()) :]],
    )


def _position(line: str, count: int) -> int:
    """Return where a line goes on after so many characters that are not invisible marks."""
    for position, character in enumerate(line):
        if count == 0:
            return position
        count -= _MARKS.match(character) is None
    return len(line)


def _sent(entry: _Entry, order: str, people: People, reading: Reading) -> Sent | None:
    first, *others = entry.lines
    match = _SENDER.match(first)
    if match is None:
        reading.drop("event")
        return None
    person = clean_text(_MARKS.sub("", match[1]).translate(_SPACES)).strip()
    text = "\n".join([match[2], *others])
    media, text = _without_media(text)
    reading.drop("not_text", media)
    marked = text.lstrip(" ").startswith(_NOT_TYPED)
    text = _MARKS.sub("", text).strip()
    if _DELETED.fullmatch(text):
        reading.drop("deleted")
        return None
    if not text or marked:
        reading.drop("event" if marked and text else "empty", not media)
        return None
    people.add(person, [person.removeprefix("~").strip()])
    timestamp = _timestamp(entry, order)
    reading.drop("time", timestamp is None)
    return Sent(person, text, timestamp=timestamp)


def _without_media(text: str) -> tuple[int, str]:
    """Return whether a text says that there was media, and what else it says."""
    text = _EDITED.sub("", text)
    first, _, rest = text.partition("\n")
    if _ATTACHED.fullmatch(_MARKS.sub("", first).strip()):
        return 1, rest
    before, mark, last = text.rpartition(_NOT_TYPED)
    if mark and _ATTACHED.fullmatch(_MARKS.sub("", last).strip()):
        return 1, before
    return 0, text


def _order(entries: Sequence[_Entry]) -> str:
    """Find out which of the numbers of the dates are year, month and day."""
    if all(entry.date[0] > 31 for entry in entries):
        return "ymd"
    usual = ("mdy", "dmy") if all(entry.american for entry in entries) else ("dmy", "mdy")
    return min(usual, key=lambda order: _mistakes(order, entries))


def _mistakes(order: str, entries: Sequence[_Entry]) -> tuple[int, int]:
    times = [_timestamp(entry, order) for entry in entries]
    known = [time for time in times if time is not None]
    return len(times) - len(known), sum(later < earlier for earlier, later in pairwise(known))


def _timestamp(entry: _Entry, order: str) -> datetime | None:
    numbers = dict(zip(order, entry.date, strict=True))
    year = numbers["y"]
    year = year + 2000 if year < 100 else year - 543 if year > 2400 else year
    hour, minute, second = entry.time
    half = re.sub(r"[\s.]", "", entry.half).lower()
    if half in _EVENING:
        hour = hour % 12 + 12
    elif half in _MORNING:
        hour %= 12
    try:
        return datetime(year, numbers["m"], numbers["d"], hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
