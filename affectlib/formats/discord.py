"""Discord channels as DiscordChatExporter writes them in JSON (versions 2.30 to 2.46).

A file is a channel, a direct message or a thread, and one conversation; ``gap`` splits it. People
are called by their id, name or nickname. Bots are the assistant unless the caller gives the roles.
If a bot's message has no text, the text of its embeds is read. Joins, pins, calls and the like are
events and left out; so are attachments and stickers. Edits, reactions, mentions and what a message
replies to are not kept. Discord's own data package has only what its owner wrote, and is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation
from affectlib.errors import ConversationError
from affectlib.formats._objects import as_dict, as_list, require_list, require_object
from affectlib.formats._people import People, Sent, chat_conversations, optional_text
from affectlib.formats.reader import Reading, RecordReader, each

_MESSAGES = frozenset({"default", "reply", "chatinputcommand", "contextmenucommand"})
_NUMBERS = frozenset({"0", "19", "20", "23"})  # of these types, from older exporters


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    objects = all(isinstance(record.get(name), Mapping) for name in ("guild", "channel"))
    is_channel = objects and isinstance(record.get("messages"), list)
    return 'an object with "guild", "channel" and "messages"' if is_channel else None


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a channel into a conversation, or into several."""
    people = People()
    messages = require_list(record, "messages")
    found = (_sent(message, index, people, reading) for index, message in enumerate(messages))
    channel = as_dict(record.get("channel"))
    about = {"id": channel.get("id"), "title": channel.get("name"), "source": "discord"}
    yield from chat_conversations(found, people, about, reading)


READERS = (RecordReader("discord", _recognizes, each(parse)),)


def _sent(message: Any, index: int, people: People, reading: Reading) -> Sent | None:
    message = require_object(message, index)
    kind = (to_text(message.get("type")) or "default").lower()
    if kind not in _MESSAGES | _NUMBERS:
        reading.drop("event")
        return None
    author = as_dict(message.get("author"))
    names = [to_text(author.get(field)) for field in ("id", "name", "nickname")]
    person = next(filter(None, names), None)
    if person is None:
        raise ConversationError("the message has no author", index=index, field="author")
    bot = author.get("isBot") is True
    text = optional_text(message.get("content"), index, "content")
    text = text or (_embedded(message.get("embeds")) if bot else "")
    attached = sum(len(as_list(message.get(field))) for field in ("attachments", "stickers"))
    reading.drop("not_text", attached)
    if not text:
        reading.drop("empty", not attached)
        return None
    people.add(person, names, bot=bot)
    return Sent(person, text, to_text(message.get("id")), reading.time(message.get("timestamp")))


def _embedded(embeds: Any) -> str:
    texts: list[Any] = []
    for embed in map(as_dict, as_list(embeds)):
        texts += [embed.get("title"), embed.get("description")]
        for field in map(as_dict, as_list(embed.get("fields"))):
            texts += [field.get("name"), field.get("value")]
    return "\n".join(text.strip() for text in texts if isinstance(text, str) and text.strip())
