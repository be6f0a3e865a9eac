r"""Plain text in which each turn begins on a new line, with the speaker and a colon.

This is how people type transcripts (``User: hi``, ``AI: Hello!``), and how chats look when they are
copied from a page (``You said:``, ``ChatGPT said:``), also in French and in Markdown's bold. Other
lines continue the turn before them; text before the first turn is left out. A file is one
conversation; if there are several files, its name is the id. The format is recognised by turns of
both the user and the assistant, the first of them in the first line or under a heading of a few
lines.

Turns begin with the names that the caller gives, and with the usual words for both sides. The words
that come first count for the whole file, so that a dialogue pasted into a turn stays in it. A name
that was not given may be a speaker, or just text ("Note: …"). Only if every line begins with a name
is this certain: then all the usual words begin turns. If names were given, so do all other names
that occur twice, or once if nobody else is on the other side; they have the other role if one side
was named, and are left out if both were. Otherwise such lines stay in the turn before them. Words
for a role are counted, and so are other names that occur twice, if any names were given. If that
leaves a side without a turn, the file is not read, unless the caller said who that side is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from affectlib.conversation import Conversation, Message, Role, clean_text, is_role
from affectlib.errors import ConversationError
from affectlib.formats.reader import HOW_TO_NAME, MYSELF, Reading, TextReader, whole

_USER = MYSELF | {"you", "vous", "tu"}
"""Who is the user, beside the names of roles that `parse_role` knows."""

_MARK = re.compile(
    r"^[ \t]*\*{0,2}(?P<name>[^\W\d_][^:*\n]{0,39}?)(?P<said> said| a dit| avez dit| as dit)?"
    r"[ \xa0]?(?::\*{0,2}(?!//)|\*{1,2}[ \xa0]?:)[ \t]*",
    re.MULTILINE,
)
_LINE = re.compile(r"^.*\S", re.MULTILINE)
_HEADING = re.compile(r"(?:[^:,;|\t\n]*\n){0,5}")
"""A few lines that are neither turns nor the header of a table."""
_WORDS_OF_A_NAME = 3
_WHOLE = 1 << 14
"""Characters of a beginning that is surely the whole text if it is shorter."""


class _Found(NamedTuple):
    """What begins with names: turns, other lines, and those of the latter that may be turns."""

    turns: list[tuple[Role | None, re.Match[str]]]  # nobody's turns are left out
    others: list[re.Match[str]]
    unsure: list[re.Match[str]]


def _recognizes(beginning: str, reading: Reading) -> str | None:
    text = _lines(beginning).lstrip("\ufeff \t\n")
    if len(text) >= _WHOLE:
        text = text[: text.rfind("\n") + 1] or text
    first = _first(text) if not reading.options.columns else _MARK.match(text)
    turns = _find(text, reading).turns
    if first is None or not turns or turns[0][1].start() != first.start():
        return None
    roles = {role for role, _ in turns}
    return "lines that begin with a speaker" if roles >= {"user", "assistant"} else None


def describe(beginning: str) -> str | None:
    """Say that a text may be a chat with unknown speakers, or return None if it is not one."""
    text = _lines(beginning).lstrip("\ufeff \t\n")
    names = sum(_is_name(mark["name"]) for mark in _MARK.finditer(text))
    first = _first(text)
    if names < 2 or first is None or not _is_name(first["name"]):
        return None
    return (
        f"text in which {names} lines begin with a name and a colon; if those are who speaks, "
        f"name both sides {HOW_TO_NAME}"
    )


def parse(text: str, reading: Reading) -> Iterator[Conversation]:
    """Turn a text into a conversation, unless it is blank."""
    messages = tuple(_messages(clean_text(_lines(text)), reading))
    if messages:
        identifier = clean_text(reading.path(reading.file)) or None
        yield Conversation(messages, id=identifier, source="plain")


READERS = (TextReader("plain", _recognizes, whole(parse)),)


def _lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)


def _first(text: str) -> re.Match[str] | None:
    """Return the first mark if it stands in the first line, or under a heading."""
    heading = _HEADING.match(text)
    return _MARK.match(text, heading.end() if heading is not None else 0)


def _messages(text: str, reading: Reading) -> Iterator[Message]:
    found = _find(text, reading)
    if not found.turns:
        if not text.strip():
            return
        raise ConversationError(
            f"no line begins with a speaker, such as User: or AI:; name the people {HOW_TO_NAME}"
        )
    _require_both(text, found, reading)
    reading.drop("event", bool(text[: found.turns[0][1].start()].strip("\ufeff \n")))
    strangers = []
    empty = []
    ends = [*(mark.start() for _, mark in found.turns[1:]), len(text)]
    for (role, mark), end in zip(found.turns, ends, strict=True):
        words = text[mark.end() : end].strip()
        if role is None:
            strangers.append(mark)
        elif not words:
            empty.append(mark)
        else:
            yield Message(role, words)
    for reason, marks in (("not_a_person", strangers), ("empty", empty), ("speaker", found.unsure)):
        line, begun = 1, 0
        for mark in marks:
            line, begun = line + text.count("\n", begun, mark.start()), mark.start()
            reading.place = f"line {line}"
            reading.drop(reason)
    reading.place = ""


def _require_both(text: str, found: _Found, reading: Reading) -> None:
    """Refuse a text in which one side has no turn, if other lines may begin its turns."""
    sides = {role for role, _ in found.turns}
    for role, named in (("user", reading.options.users), ("assistant", reading.options.assistants)):
        if found.others and role not in sides and not named:
            line = text.count("\n", 0, found.others[0].start()) + 1
            reading.place = f"line {line}"
            raise ConversationError(
                f"no line is known to begin a turn of the {role}, but this one and perhaps others "
                f"begin with another name; name the speakers {HOW_TO_NAME}"
            )


def _find(text: str, reading: Reading) -> _Found:
    marks = [*_MARK.finditer(text)]
    roles = [_role(mark["name"], reading) for mark in marks]
    names = Counter(mark["name"] for mark in marks)
    sides = {None, *roles}
    alike = _all_begin_with_names(text, marks, roles)
    first: dict[Role, re.Match[str]] = {}
    found = _Found([], [], [])
    for mark, role in zip(marks, roles, strict=True):
        name = mark["name"]
        twice = names[name] > 1
        if role is not None:
            named = name in reading.named
            usual = mark if named else first.setdefault(role, mark)
            begins = named or alike or usual["name"].lower() == name.lower()
            unsure = bool(mark["said"] or not usual["said"])
        elif _is_name(name):
            role = reading.role_of(name)
            begins = alike and bool(reading.named) and (twice or role not in sides)
            unsure = sum((bool(reading.named), alike, twice)) > 1
        else:
            continue
        if begins:
            found.turns.append((role, mark))
        else:
            found.others.append(mark)
            found.unsure.extend([mark] * unsure)
    return found


def _all_begin_with_names(
    text: str, marks: Sequence[re.Match[str]], roles: Sequence[Role | None]
) -> bool:
    known = [mark.start() for mark, role in zip(marks, roles, strict=True) if role is not None]
    begun = known and {*known, *(mark.start() for mark in marks if _is_name(mark["name"]))}
    return bool(begun) and all(line.start() in begun for line in _LINE.finditer(text, known[0]))


def _is_name(text: str) -> bool:
    """Whether a text may be a name: one word, or a few of which none begins with a small letter."""
    words = text.split()
    capitalised = not any(word[0].islower() for word in words)
    return len(words) == 1 or (len(words) <= _WORDS_OF_A_NAME and capitalised)


def _role(name: str, reading: Reading) -> Role | None:
    """Return the role that the caller gave to a name, else that of the usual words."""
    if name in reading.named or is_role(name):
        return reading.who(name)
    return "user" if name.lower() in _USER else None
