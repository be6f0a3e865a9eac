"""Intercom conversations, as its interface (versions 1.x to 2.15) and exports by it give them.

The first message is in ``source``, the others in ``conversation_parts``. Contacts (users, leads)
are the user; teammates, bots and Fin are the assistant. Bodies are HTML or text, and become text.
Notes are internal and left out; so are redacted parts, attachments, and parts that are not messages
(assignments, closings … without a body; summaries for the team). Ratings, tags, custom attributes
and whether Fin or a person answered are not kept. Lists of conversations have no parts: only the
first messages are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation, Message, Role
from affectlib.errors import ConversationError
from affectlib.formats._html import html_to_text
from affectlib.formats._objects import (
    as_dict,
    as_list,
    as_text,
    require_array,
    require_list,
    require_object,
)
from affectlib.formats._people import optional_text
from affectlib.formats.fields import to_conversation
from affectlib.formats.reader import Reading, RecordReader, each

_LIST = "conversation.list"
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "lead", "contact", "visitor"), "user"),
    **dict.fromkeys(("admin", "bot", "team", "operator"), "assistant"),
}
_WITH_BODY = frozenset(
    {"comment", "quick_reply", "open", "close", "assignment", "assign_and_reopen", "snoozed"}
)
"""Types of parts of which the body, if there is one, is shown to the user."""


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    if "conversation_parts" in record:
        return 'records with "conversation_parts"'
    if record.get("type") == _LIST:
        return f"a {_LIST}"
    is_conversation = record.get("type") == "conversation"
    return 'records with "source"' if is_conversation and "source" in record else None


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a conversation of Intercom's, or a list of them, into conversations."""
    record = require_object(record)
    if record.get("type") == _LIST:
        for index, one in enumerate(require_list(record, "conversations")):
            yield from parse(require_object(one, index), reading)
        return
    source = record.get("source")
    parts: list[Any] = []
    if source is not None:
        parts.append({**require_object(source, field="source"), "part_type": "comment"})
    parts += _parts(record)
    found = (_message(part, index, record, reading) for index, part in enumerate(parts))
    about = {
        "id": record.get("id"),
        "title": record.get("title") or html_to_text(as_text(as_dict(source).get("subject"))),
        "user_id": _user(record, parts),
        "created_at": record.get("created_at"),
        "source": "intercom",
    }
    yield to_conversation(about, [*filter(None, found)], reading.time)


READERS = (RecordReader("intercom", _recognizes, each(parse)),)


def _parts(record: Mapping[str, Any]) -> list[Any]:
    parts = record.get("conversation_parts")
    if isinstance(parts, Mapping):
        parts = parts.get("conversation_parts")
    return [] if parts is None else require_array(parts, "conversation_parts")


def _message(part: Any, index: int, record: Mapping[str, Any], reading: Reading) -> Message | None:
    part = require_object(part, index)
    kind = part.get("part_type")
    body = optional_text(part.get("body"), index, "body")
    attached = len(as_list(part.get("attachments")))
    reason = _reason(part, kind, body, attached)
    if reason is not None:
        reading.drop(reason)
        return None
    reading.drop("not_text", attached)
    text = html_to_text(body)
    if not text:
        reading.drop("not_text")
        return None
    role = _role(part.get("author"))
    if role is None:
        problem = "the author is neither a contact, a teammate nor a bot"
        raise ConversationError(problem, index=index, field="author.type")
    created = part.get("created_at", record.get("created_at") if index == 0 else None)
    return Message(role, text, to_text(part.get("id")), reading.time(created))


def _reason(part: Mapping[str, Any], kind: Any, body: str, attached: int) -> str | None:
    """Return why a part is left out, or None if it is a message."""
    if isinstance(kind, str) and kind.startswith("note"):
        return "internal"
    if part.get("redacted") is True:
        return "deleted"
    if not isinstance(kind, str) or kind not in _WITH_BODY:
        return "event"
    if body:
        return None
    if attached:
        return "not_text"
    return "empty" if kind == "comment" else "event"


def _role(author: Any) -> Role | None:
    return _ROLES.get(as_text(as_dict(author).get("type")))


def _user(record: Mapping[str, Any], parts: list[Any]) -> Any:
    """Return the id of the contact: of those named, or who wrote first."""
    contacts = record.get("contacts")
    if isinstance(contacts, Mapping):
        contacts = contacts.get("contacts")
    authors = (as_dict(part).get("author") for part in parts)
    people = [*as_list(contacts), *(each for each in authors if _role(each) == "user")]
    return next((person.get("id") for person in people if isinstance(person, Mapping)), None)
