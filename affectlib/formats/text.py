"""Text with one user message per line, each a conversation by itself.

It is read only if it is named: any text has lines. Every line counts, even a blank one, so that the
position of a record is that of its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from affectlib.conversation import Conversation, Message
from affectlib.errors import ConversationError
from affectlib.formats.grouping import TOO_LONG
from affectlib.formats.reader import Item, Reading, TextReader


def read(stream: TextIO, reading: Reading) -> Iterator[Item]:
    """Read each line as what a user wrote."""
    limit = reading.options.limits.record_characters
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        reading.place = f"line {number}"
        if len(line) <= limit or line.endswith(("\n", "\r")):
            text = line.lstrip("\ufeff") if number == 1 else line
            yield Conversation((Message("user", text.rstrip("\r\n")),))
            continue
        while line and not line.endswith(("\n", "\r")):
            line = stream.readline(limit + 1)
        yield reading.failure(ConversationError(TOO_LONG))
    reading.place = ""


READERS = (TextReader("text", lambda beginning, reading: None, read, any_text=True),)
