r"""Plain text in which each turn begins, on a line of its own, with who says it and a colon.

So transcripts are typed (``User: hi``, ``AI: Hello!``) and chats look when they are copied from a
page (``You said:``, ``ChatGPT said:``), also in French and in Markdown's bold. A line that begins
otherwise goes on with the turn before; what stands before the first turn is left out. A file is one
conversation, with the file's name for an id if there are several. It is told by its first turn and
by turns of both the user and the assistant. Of the usual words for both, those that come first hold
for the whole file, beside the names that the caller gives: a line of anybody else goes on with the
turn before, as lines of a pasted dialogue do, unless they name the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TextIO

from affectlib.conversation import Conversation, Message, Role, clean_text, is_role, parse_role
from affectlib.errors import ConversationError
from affectlib.formats._reader import Item, Reading, TextReader

__all__ = ["READERS", "read", "recognizes"]

_SPEAKERS: Mapping[str, Role] = MappingProxyType(
    {
        **dict.fromkeys(("you", "me", "vous", "moi", "tu", "utilisateur", "utilisatrice"), "user"),
        **dict.fromkeys(("chatbot", "assistante", "ia", "gemini", "copilot"), "assistant"),
        **dict.fromkeys(("le chat", "grok", "deepseek", "meta ai"), "assistant"),
    }
)
"""Who speaks, beside the names of roles that `affectlib.parse_conversation` knows."""

_MARK = re.compile(
    r"^[ \t]*\*{0,2}(?P<name>[^\W\d_][^:*\n]{0,39}?)(?: said| a dit| avez dit| as dit)?[ \xa0]?"
    r"(?::\*{0,2}|\*{1,2}[ \xa0]?:)[ \t]*",
    re.MULTILINE,
)


def recognizes(beginning: str, reading: Reading) -> str | None:
    r"""Return what in a text tells the format, None if it has another.

    Example:
        >>> recognizes("You said:\nhi\nChatGPT said:\nHello!", Reading())
        'lines that begin with who speaks'
    """
    first = _MARK.match(beginning.lstrip("\ufeff \t\r\n"))
    if first is None or _role(first["name"], reading) is None:
        return None
    roles = {_role(mark["name"], reading) for mark in _MARK.finditer(beginning)}
    return "lines that begin with who speaks" if roles >= {"user", "assistant"} else None


def read(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read a text that is one conversation."""
    limit = reading.limits.record_characters
    text = stream.read(limit + 1)
    identifier = reading.file or None
    if len(text) > limit:
        error = ConversationError("it is longer than the limit (record_characters)")
        yield reading.failure(error, identifier)
        return
    text = clean_text(re.sub(r"\r\n?", "\n", text))
    messages = tuple(_messages(text, reading))
    if messages:
        yield Conversation(messages, id=identifier, source="plain")
    elif text.strip():
        error = ConversationError(
            "no line begins with who speaks, such as User: or AI:; name the people "
            "(users=, assistants=; --user NAME, --assistant NAME)"
        )
        yield reading.failure(error, identifier)


READERS = (TextReader("plain", recognizes, read),)


def _messages(text: str, reading: Reading) -> Iterator[Message]:
    marks = _marks(text, reading)
    if marks and text[: marks[0][1].start()].strip("\ufeff \n"):
        reading.drop("event")
    ends = [*(mark.start() for _, mark in marks[1:]), len(text)]
    for (role, mark), end in zip(marks, ends, strict=False):
        words = text[mark.end() : end].strip()
        if words:
            yield Message(role, words)
        else:
            reading.drop("empty")


def _marks(text: str, reading: Reading) -> list[tuple[Role, re.Match[str]]]:
    """Return where turns begin: at the first name of each role, and at those that were given."""
    marks = []
    names: dict[Role, str] = {}
    for mark in _MARK.finditer(text):
        name = mark["name"]
        role = _role(name, reading)
        given = name in reading.named
        if role is not None and (given or names.setdefault(role, name.lower()) == name.lower()):
            marks.append((role, mark))
    return marks


def _role(name: str, reading: Reading) -> Role | None:
    """Return who somebody is: as the caller says, else by the usual words; None for strangers."""
    if name in reading.named:
        return reading.role_of(name)
    return parse_role(name) if is_role(name) else _SPEAKERS.get(name.lower())
