"""The conversations that rows of labels belong to, from the transcripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import polars as pl

from affectlib.analysis._frames import TableError, labels_table
from affectlib.conversation import Conversation, clean_text
from affectlib.predictions import ConversationFailure

Transcripts: TypeAlias = Iterable[Conversation | ConversationFailure]
"""What `affectlib.read_conversations` gives, with the options of the labelling."""

_REMEDY = "give those that were labelled, unchanged and read with the same options"
_ROLES = ("user", "assistant")


def with_lengths(drawn: pl.DataFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    """Add how many messages each conversation has, as ``messages``, if the labels say.

    By it `conversations_of` notices other transcripts, or other options of reading, without ids.
    """
    source = labels_table(labels)
    counts = {"user_messages", "assistant_messages"}
    if source.level == "message" or not counts <= {*source.columns}:
        return drawn
    keys = [name for name in ("record", "conversation_id") if name in drawn.columns]
    length = pl.col("user_messages") + pl.col("assistant_messages")
    lengths = source.rows.select(*keys, messages=length).collect()
    return drawn.join(lengths, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _id(item: Conversation | ConversationFailure) -> str | None:
    return None if item.id is None else clean_text(item.id)


def conversations_of(rows: pl.DataFrame, transcripts: Transcripts) -> list[Conversation]:
    """Return the conversations that rows of labels belong to, in the order of the rows.

    Args:
        rows: Rows with ``record``, the position in the file, or else ``conversation_id``; perhaps
            with ``message``, and with ``messages``, the number of messages of the conversation.
        transcripts: The transcripts that were labelled, in the same order.

    Raises:
        TableError: A row belongs to no conversation or message of them, or to one with another id
            or another number of messages.
    """
    key = "record" if "record" in rows.columns else "conversation_id"
    wanted = {*rows[key]}
    found: dict[int | str, Conversation] = {}
    for record, item in enumerate(transcripts):
        place = record if key == "record" else _id(item)
        if isinstance(item, Conversation) and place is not None and place in wanted:
            found[place] = item
            if len(found) == len(wanted):
                break
    for row in rows.iter_rows(named=True):
        chat = found.get(row[key])
        known = row.get("conversation_id")
        if chat is None or (None not in (known, chat.id) and _id(chat) != known):
            raise TableError(
                f"the transcripts have no conversation for {key} {row[key]!r}, or one with another "
                f"id; {_REMEDY}"
            )
        readable = [message.role in _ROLES for message in chat.messages]
        length = row.get("messages")
        if isinstance(length, int | float) and length != sum(readable):
            raise TableError(
                f"the transcripts: the conversation for {key} {row[key]!r} has {sum(readable):,} "
                f"messages, and had {length:,} when the sheet was drawn; {_REMEDY}"
            )
        place = row.get("message")
        if place is not None and not (0 <= place < len(readable) and readable[place]):
            name = row[key] if chat.id is None else chat.id
            raise TableError(
                f"the transcripts: conversation {name!r} has no message {place}; {_REMEDY}"
            )
    return [found[value] for value in rows[key]]
