"""Telegram Desktop's JSON export, ``result.json``: of one chat, or of an account with all chats.

A chat is a conversation; ``gap`` splits it. People are called by their name or id ("user123"). In a
chat with a bot, the bot is the assistant unless the caller gives the roles. Text is joined from its
parts (links, bold words, mentions …). Service messages are events and left out; so are photos,
stickers, files and voice messages, of which the export has no transcription. Edits, reactions and
what a message replies to are not kept; a forwarded message counts as its forwarder's. The
reader expects exports as they are since 2021, with ``from_id`` as "user123"; older ids are read
too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation
from affectlib.errors import ConversationError
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, first_of, require_list, require_object
from affectlib.formats._people import People, Sent, chat_conversations, optional_text
from affectlib.formats.reader import Item, Reading, RecordReader, each

_LISTS = ("chats", "left_chats")
_CHATS = frozenset(
    {
        *("bot_chat", "personal_chat", "private_channel", "private_group", "private_supergroup"),
        *("public_channel", "public_group", "public_supergroup"),
        *("replies", "saved_messages", "verify_codes"),
    }
)
_MEDIA = ("photo", "file", "media_type", "sticker_emoji", "location_information", "poll", "contact")


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    if any(_listed(record, name) is not None for name in _LISTS):
        return 'an object with lists of "chats"'
    kind, messages = record.get("type"), record.get("messages")
    if not isinstance(kind, str) or not isinstance(messages, list):
        return None
    if kind in _CHATS:
        return f"a chat of the type {kind}"
    is_message = any({"type", "date", "text"} <= as_dict(first).keys() for first in messages[:1])
    return 'messages with "type", "date" and "text"' if is_message else None


def read(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Read the chats of an export."""
    return each(parse)((chat for record in records for chat in _chats(record)), reading)


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a chat into a conversation, or into several."""
    people = People()
    messages = require_list(record, "messages")
    chat = to_text(record.get("id"))
    if record.get("type") == "bot_chat" and chat is not None:
        for person in (f"user{chat}", chat):
            people.add(person, bot=True)
    found = (_sent(message, index, people, reading) for index, message in enumerate(messages))
    about = {"id": chat, "title": record.get("name"), "source": "telegram"}
    yield from chat_conversations(found, people, about, reading)


READERS = (RecordReader("telegram", _recognizes, read),)


def _listed(record: Mapping[str, Any], name: str) -> list[Any] | None:
    listed = as_dict(record.get(name)).get("list")
    return listed if isinstance(listed, list) else None


def _chats(record: Record) -> Iterator[Record]:
    found = (_listed(as_dict(record.value), name) for name in _LISTS)
    lists = [listed for listed in found if listed is not None]
    if not lists:
        yield record
    for number, chat in enumerate(chain.from_iterable(lists)):
        yield record._replace(place=f"{record.place}, chat {number}", value=chat)


def _sent(message: Any, index: int, people: People, reading: Reading) -> Sent | None:
    message = require_object(message, index)
    if message.get("type", "message") != "message":
        reading.drop("event")
        return None
    names = [to_text(message.get(field)) for field in ("from_id", "from")]
    person = next(filter(None, names), None)
    if person is None:
        raise ConversationError("the message has no sender", index=index, field="from_id")
    is_media = any(message.get(field) is not None for field in _MEDIA)
    reading.drop("not_text", is_media)
    text = _text(message, index)
    if not text:
        reading.drop("empty", not is_media)
        return None
    people.add(person, names)
    time = reading.time(first_of(message, ("date_unixtime", "date")))
    return Sent(person, text, to_text(message.get("id")), time)


def _text(message: Mapping[str, Any], index: int) -> str:
    text = first_of(message, ("text", "text_entities"))
    if not isinstance(text, list):
        return optional_text(text, index, "text")
    parts = (part.get("text") if isinstance(part, Mapping) else part for part in text)
    return "".join(part for part in parts if isinstance(part, str)).strip()
