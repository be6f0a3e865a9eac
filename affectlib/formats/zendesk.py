"""Zendesk tickets with their comments, as JSON exports and the interface (version 2) give them.

A record is a ticket with ``comments``; a ticket under ``ticket`` with ``comments`` (and perhaps
``users``) beside it; or a conversation log, whose authors are user, agent or bot. Comments that are
not public are internal notes and left out. Whoever opened the ticket (``requester_id``) is the
user, as are those whom ``users`` calls end-users; everyone else is the assistant. HTML becomes
text. Voice comments are kept if they have a transcription; attachments are left out. Tags, fields,
ratings and changes of the ticket are not kept.
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
    first_of,
    first_text,
    require_list,
    require_object,
)
from affectlib.formats._people import optional_text
from affectlib.formats.fields import to_conversation
from affectlib.formats.reader import Reading, RecordReader, each

_COMMENT = frozenset({"html_body", "plain_body", "body", "author_id", "public", "author"})
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "end-user"), "user"),
    **dict.fromkeys(("agent", "admin", "bot", "business", "system"), "assistant"),
}

_Roles = Mapping[str | None, Role]


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    comments = record.get("comments")
    if not isinstance(comments, list):
        return None
    is_comment = any(len(_COMMENT & as_dict(first).keys()) > 1 for first in comments[:1])
    is_ticket = {"ticket", "requester_id", "requester"} & record.keys()
    return 'tickets with "comments"' if is_comment or is_ticket else None


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a ticket into a conversation."""
    comments = require_list(record, "comments")
    ticket = record.get("ticket")
    ticket = ticket if isinstance(ticket, Mapping) else record
    nested = as_dict(ticket.get("requester"))
    requester = first_text([ticket.get("requester_id"), nested.get("id")])
    roles = _known_roles(record, requester)
    found = (_message(comment, index, roles, reading) for index, comment in enumerate(comments))
    about = {
        "id": first_of(ticket, ("id", "ticket_id")),
        "title": first_of(ticket, ("subject", "raw_subject")),
        "user_id": requester,
        "created_at": ticket.get("created_at"),
        "source": "zendesk",
    }
    yield to_conversation(about, [*filter(None, found)], reading.time)


READERS = (RecordReader("zendesk", _recognizes, each(parse)),)


def _known_roles(record: Mapping[str, Any], requester: str | None) -> _Roles:
    found: dict[str | None, Role] = {}
    for user in map(as_dict, as_list(record.get("users"))):
        role = _ROLES.get(as_text(user.get("role")))
        if role is not None:
            found[to_text(user.get("id"))] = role
    return found | {requester: "user"} if requester is not None else found


def _message(comment: Any, index: int, roles: _Roles, reading: Reading) -> Message | None:
    comment = require_object(comment, index)
    if comment.get("public", True) is not True:
        reading.drop("internal")
        return None
    voice = comment.get("type") == "VoiceComment"
    spoken = as_text(as_dict(comment.get("data")).get("transcription_text"))
    text = spoken.strip() if voice else _text(comment, index)
    attached = len(as_list(comment.get("attachments")))
    reading.drop("not_text", attached)
    if not text:
        reading.drop("event" if voice else "empty", voice or not attached)
        return None
    return Message(
        _role(comment, index, roles, reading),
        text,
        to_text(comment.get("id")),
        reading.time(comment.get("created_at")),
        "voice" if voice else None,
    )


def _text(comment: Mapping[str, Any], index: int) -> str:
    html = optional_text(comment.get("html_body"), index, "html_body")
    if html:
        return html_to_text(html)
    for field in ("plain_body", "body"):
        text = optional_text(comment.get(field), index, field)
        if text:
            return text.replace("&nbsp;", " ")
    content = comment.get("content")
    content = content.get("text") if isinstance(content, Mapping) else content
    return as_text(content).strip()


def _role(comment: Mapping[str, Any], index: int, roles: _Roles, reading: Reading) -> Role:
    author = as_dict(comment.get("author"))
    person = first_text([comment.get("author_id"), author.get("id")])
    named = reading.role_of(person)
    if named is not None:
        return named
    known = _ROLES.get(as_text(first_of(author, ("type", "role")))) or roles.get(person)
    if known is not None:
        return known
    if person is not None and "user" in roles.values():
        return "assistant"
    raise ConversationError(
        "the author has no role: there is neither a requester_id nor a table of users; name the "
        "ids of the users or of the assistants (`users`, `assistants`)",
        index=index,
        field="author_id",
    )
