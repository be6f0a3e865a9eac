"""Slack workspace exports: the ZIP archive as downloaded, its folder, or files of single days.

Each channel, group or direct message has a folder with a file for each day, beside ``users.json``
(``org_users.json`` on Enterprise Grid) and ``channels.json``, ``groups.json``, ``dms.json``,
``mpims.json``. A thread is a conversation, and so is what a channel has outside of threads; ``gap``
splits them. People are called by their id, name, real name or display name. Apps and bots are the
assistant unless the caller gives the roles. Mentions, links and entities in the text become plain
words. If an app's message has no text, the text of its attachments is read. Joins, topics,
reminders and the like are events and left out, as are files, and messages that were deleted. Edits,
reactions and blocks are not kept. The reader expects exports as they were in 2024.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation
from affectlib.errors import ConversationError
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_list, as_text, first_of, first_text
from affectlib.formats._people import People, Sent, chat_conversations, optional_text
from affectlib.formats.grouping import Group
from affectlib.formats.reader import Files, FolderReader, Item, Reading, RecordReader, read_groups
from affectlib.formats.sources import file_records

_USERS = ("users.json", "org_users.json")
_CHANNELS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_LOGS = "integration_logs.json"
_DAY = re.compile(r"(?:(.*)/)?\d{4}-\d{2}-\d{2}\.json")
_TIMESTAMP = re.compile(r"\d{9,11}\.\d{1,7}")
_MESSAGES = frozenset(
    {"", "bot_message", "me_message", "file_share", "thread_broadcast", "reply_broadcast"}
)
_DELETED = frozenset({"tombstone", "message_deleted"})
_MARK_UP = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_CHANNEL = "\x00channel"


@dataclass(slots=True)
class _Workspace:
    """What an export says about its people and channels."""

    people: People = field(default_factory=People)
    shown: dict[str, str] = field(default_factory=dict)  # names in mentions, by id
    channels: dict[str, str] = field(default_factory=dict)  # ids, by folder


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    has_time = _TIMESTAMP.fullmatch(as_text(record.get("ts")))
    return 'messages with "ts"' if record.get("type") == "message" and has_time else None


def _recognizes_folder(files: Files, reading: Reading) -> str | None:
    # Other exports have a users.json and files of days too, but no channels with folders of them.
    named = [name for name in _CHANNELS if name in files.names]
    days = any(day[1] for name in files.names if (day := _DAY.fullmatch(name)))
    return f"{named[0]} and files of days" if named and days else None


def read(
    records: Iterator[Record], reading: Reading, workspace: _Workspace | None = None
) -> Iterator[Item]:
    """Read conversations from messages, perhaps with what the export says about the workspace."""
    workspace = workspace or _Workspace()
    key = partial(_conversation_id, workspace)
    return read_groups(records, reading, key, partial(_conversations, workspace))


def read_folder(files: Files, reading: Reading) -> Iterator[Item]:
    """Read conversations from an export's folder or archive."""
    workspace = _Workspace()
    for name in _USERS:
        for user in _rows(files, name, reading):
            _add_user(user, workspace)
    for name in _CHANNELS:
        for channel in _rows(files, name, reading):
            identifier = to_text(channel.get("id"))
            folder = to_text(channel.get("name")) or identifier
            if identifier is not None and folder is not None:
                workspace.channels[folder] = identifier
    yield from read(_messages(files, reading), reading, workspace)


def _owns(name: str) -> bool:
    return name in (*_USERS, *_CHANNELS, _LOGS) or _DAY.fullmatch(name) is not None


READERS = (
    FolderReader("slack", _recognizes_folder, read_folder, _owns),
    RecordReader("slack", _recognizes, read),
)


def _rows(files: Files, name: str, reading: Reading) -> Iterator[Mapping[str, Any]]:
    if name in files.names:
        for record in file_records(files, name, reading):
            if isinstance(record.value, Mapping):
                yield record.value


def _names(*objects: Mapping[str, Any]) -> list[str | None]:
    keys = ("display_name", "real_name", "name", "username")
    return [to_text(found.get(key)) for found in objects for key in keys]


def _add_user(user: Mapping[str, Any], workspace: _Workspace) -> None:
    identifier = to_text(user.get("id"))
    if identifier is None:
        return
    profile = as_dict(user.get("profile"))
    names = _names(profile, user)
    workspace.people.add(identifier, names, bot=user.get("is_bot") is True)
    workspace.shown[identifier] = next(filter(None, names), identifier)
    if (bot := to_text(profile.get("bot_id"))) is not None:
        workspace.people.add(bot, names, bot=True)


def _messages(files: Files, reading: Reading) -> Iterator[Record]:
    for name in files.names:
        day = _DAY.fullmatch(name)
        if day is None:
            continue
        for record in file_records(files, name, reading):
            value = record.value
            if isinstance(value, Mapping):
                value = {**value, _CHANNEL: day[1]}
            yield record._replace(place=f"{name}: {record.place}", value=value)


def _conversation_id(workspace: _Workspace, message: Mapping[str, Any]) -> str | None:
    folder = to_text(message.get(_CHANNEL))
    channel = workspace.channels.get(folder, folder) if folder is not None else None
    parts = (channel, to_text(message.get("thread_ts")))
    return ":".join(filter(None, parts)) or None


def _conversations(workspace: _Workspace, group: Group, reading: Reading) -> Iterator[Conversation]:
    rows = enumerate(reading.rows(group))
    sent = [_sent(message, index, workspace, reading) for index, message in rows]
    title = to_text(group.rows[0].fields.get(_CHANNEL))
    if any(sent):
        about = {"id": group.key, "title": title, "source": "slack"}
        yield from chat_conversations(sent, workspace.people, about, reading)


def _sent(
    message: Mapping[str, Any], index: int, workspace: _Workspace, reading: Reading
) -> Sent | None:
    subtype = first_of(message, ("subtype",)) or ""
    if message.get("type", "message") != "message" or not isinstance(subtype, str):
        reading.drop("event")
        return None
    if subtype not in _MESSAGES:
        reading.drop("deleted" if subtype in _DELETED else "event")
        return None
    text = _plain(optional_text(message.get("text"), index, "text"), workspace)
    is_bot = subtype == "bot_message" or to_text(message.get("bot_id")) is not None
    text = text or (_attached(message.get("attachments"), workspace) if is_bot else "")
    files = len(as_list(message.get("files"))) or isinstance(message.get("file"), Mapping)
    reading.drop("not_text", files)
    if not text:
        reading.drop("empty", not files)
        return None
    person = _person(message, is_bot, index, workspace)
    time = to_text(message.get("ts"))
    return Sent(person, text, time, reading.time(message.get("ts")))


def _person(message: Mapping[str, Any], is_bot: bool, index: int, workspace: _Workspace) -> str:
    profile = as_dict(first_of(message, ("user_profile", "bot_profile")))
    names = _names(message, profile)
    person = first_text(map(message.get, ("user", "bot_id", "username")))
    if person is None:
        raise ConversationError("the message has no sender", index=index, field="user")
    workspace.people.add(person, names, bot=is_bot)
    return person


def _attached(attachments: Any, workspace: _Workspace) -> str:
    texts = [first_of(as_dict(each), ("text", "fallback")) for each in as_list(attachments)]
    found = [_plain(text, workspace) for text in texts if isinstance(text, str)]
    return "\n".join(filter(None, found))


def _plain(text: str, workspace: _Workspace) -> str:
    """Replace Slack's mark-up of mentions and links, and entities, with what a reader sees."""

    def seen(match: re.Match[str]) -> str:
        kind, target, label = match[1], match[2], match[3]
        if kind == "@":
            return "@" + (workspace.shown.get(target) or label or target)
        if kind == "!":
            return label or "@" + target.partition("^")[0]
        return kind + (label or target)

    return html.unescape(_MARK_UP.sub(seen, text)).strip()
