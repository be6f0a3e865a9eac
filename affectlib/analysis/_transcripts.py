"""Text of the conversations that a page shows, from the file that was labelled."""

from __future__ import annotations

import os
from collections.abc import Mapping

import polars as pl

from affectlib.analysis._frames import TableError
from affectlib.conversation import Conversation
from affectlib.formats import read_conversations


def conversations_of(
    rows: pl.DataFrame,
    transcripts: str | os.PathLike[str],
    *,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
) -> list[Conversation]:
    """Read the conversations that rows of labels belong to, in the order of the rows.

    Args:
        rows: Rows with ``record``, the position in the file, or else ``conversation_id``.
        transcripts: The file that was labelled.
        format: Its format, see `affectlib.read_conversations`.
        columns: Its columns, if they have unusual names.

    Raises:
        TableError: A row belongs to no conversation of the file, or to one with another id.
        TranscriptFormatError: The file cannot be read.
    """
    key = "record" if "record" in rows.columns else "conversation_id"
    wanted = {*rows[key]}
    found: dict[int | str, Conversation] = {}
    for record, item in enumerate(read_conversations(transcripts, format=format, columns=columns)):
        place = record if key == "record" else item.id
        if isinstance(item, Conversation) and place is not None and place in wanted:
            found[place] = item
            if len(found) == len(wanted):
                break
    for row in rows.iter_rows(named=True):
        chat = found.get(row[key])
        known = row.get("conversation_id")
        if chat is None or (known is not None and chat.id is not None and chat.id != known):
            raise TableError(
                f"{os.fspath(transcripts)}: no conversation for {key} {row[key]!r}, or one with "
                "another id; give the file that was labelled, unchanged"
            )
    return [found[value] for value in rows[key]]
