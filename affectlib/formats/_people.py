"""Chats among people: who is the user, who the assistant, and where a conversation ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from affectlib.conversation import Conversation, Message, Role, is_role, parse_role
from affectlib.errors import ConversationError
from affectlib.formats._objects import text_or_none
from affectlib.formats.fields import in_order, to_conversation
from affectlib.formats.reader import HOW_TO_NAME, Reading

_LISTED = 5


class Sent(NamedTuple):
    """A message of somebody whose role is not known yet; `person` is a key of `People`."""

    person: str
    text: str
    id: str | None = None
    timestamp: datetime | None = None


@dataclass(slots=True)
class People:
    """The names of those who write in a chat, and which of them the export says are bots."""

    names: dict[str, set[str]] = field(default_factory=dict)
    bots: set[str] = field(default_factory=set)

    def add(self, person: str, names: Iterable[str | None] = (), *, bot: bool = False) -> None:
        """Take a person's names; what is known already stays."""
        self.names.setdefault(person, {person}).update(filter(None, names))
        if bot:
            self.bots.add(person)

    def roles(self, sent: Sequence[Sent], reading: Reading) -> Mapping[str, Role | None]:
        """Return the roles of those who wrote.

        They are those that the caller gave (`Reading.role_of`), by any of a person's names. If
        the caller gave none, bots and people with the name of a role, such as "assistant" or
        "ChatGPT", have that role, and everyone else is the user.
        """
        counts = Counter(message.person for message in sent)
        if not counts:
            return {}
        if reading.named:
            names = {person: self.names.get(person, {person}) for person in counts}
            known = {person: sorted(names[person] & reading.named) for person in counts}
            if not any(known.values()):
                raise ConversationError(
                    f"none of {_describe(counts)} has a name that was given {HOW_TO_NAME}"
                )
            return {person: reading.role_of((*found, person)[0]) for person, found in known.items()}
        roles = {person: self._role(person) for person in counts}
        if "assistant" not in roles.values():
            raise ConversationError(
                f"the roles of {_describe(counts)} are not known; name the users or the "
                f"assistants {HOW_TO_NAME}"
            )
        return {person: role or "user" for person, role in roles.items()}

    def _role(self, person: str) -> Role | None:
        if person in self.bots:
            return "assistant"
        names = sorted(self.names.get(person, {person}))
        return next((parse_role(name) for name in names if is_role(name)), None)


def chat_conversations(
    found: Iterable[Sent | None], people: People, about: Mapping[str, Any], reading: Reading
) -> Iterator[Conversation]:
    """Make a conversation of a chat, or several if the caller said how long a silence ends one.

    Messages are put in the order of their times, if each has one. Those of people without a role
    are left out and counted. `people` may be filled while `found` is read.
    """
    everything = [message for message in found if message is not None]
    sent = [*{message.id or index: message for index, message in enumerate(everything)}.values()]
    reading.drop("duplicate", len(everything) - len(sent))
    roles = people.roles(sent, reading)
    times = [message.timestamp for message in sent]
    kept: list[tuple[Sent, Role]] = []
    for message in sent if None in times else in_order(sent, times):
        role = roles[message.person]
        if role is None:
            reading.drop("not_a_person")
        else:
            kept.append((message, role))
    pieces = _pieces(kept, reading.options.gap)
    for number, piece in enumerate(pieces):
        users = [message.person for message, role in piece if role == "user"]
        facts = {
            **about,
            "user_id": users[0] if users else None,
            "timestamp": piece[0][0].timestamp if piece else None,
        }
        messages = [Message(role, text, id, time) for (_, text, id, time), role in piece]
        yield to_conversation(facts, messages, branch=f"#{number}" if number else "")


def optional_text(value: Any, index: int, field: str) -> str:
    """Return a message's text without white space around it, the empty string for null."""
    return (text_or_none(value, field, index) or "").strip()


def _pieces(
    messages: Sequence[tuple[Sent, Role]], gap: float | None
) -> Iterator[Sequence[tuple[Sent, Role]]]:
    """Split messages where a silence ends a conversation; one empty piece if there are none."""
    begin = 0
    for index, (one, other) in enumerate(pairwise(messages), 1):
        if is_apart(one[0].timestamp, other[0].timestamp, gap):
            yield messages[begin:index]
            begin = index
    yield messages[begin:]


def is_apart(one: datetime | None, other: datetime | None, gap: float | None) -> bool:
    """Whether more than `gap` minutes lie between two times that are known."""
    if one is None or other is None or gap is None:
        return False
    return abs(other - one) > timedelta(minutes=min(gap, 1e9))


def _describe(counts: Counter[str]) -> str:
    """Count those who wrote, and their messages, without their names."""
    listed = [f"{count:,}" for _, count in counts.most_common(_LISTED)]
    more = " …" if len(counts) > _LISTED else ""
    people = f"{len(counts):,} {'person' if len(counts) == 1 else 'people'}"
    return f"{people} who wrote ({', '.join(listed)}{more} messages)"
