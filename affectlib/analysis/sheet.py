"""A page on which a person labels conversations by the codebook: one file, offline, with keys."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from affectlib.analysis._frames import AnyFrame, table
from affectlib.analysis._pages import in_language, render
from affectlib.analysis._transcripts import Transcripts, conversations_of
from affectlib.analysis.sheet_texts import TEXTS, SheetTexts
from affectlib.conversation import Conversation
from affectlib.taxonomy import EMOTIONAL, TASK

__all__ = ["annotation_page"]

_BEFORE = 6
_ROLES = ("user", "assistant")
_GOLD = (TASK, TASK, EMOTIONAL, EMOTIONAL)
_THEME_KEYS = "abcefghijklmno"
"""Keys of the themes; D and U have another meaning."""
_KEYS = ("record", "conversation_id", "message", "weight", "design", "messages")


def annotation_page(drawn: AnyFrame, transcripts: Transcripts, *, lang: str = "en") -> str:
    """Return the page on which a person labels what was drawn.

    It shows one conversation at a time, or a message with up to 6 messages before it, beside the
    codebook. Keys 0 to 3 give the charge and go on (after 2 and 3, themes come first if `drawn` has
    the column), U is unsure, the arrows go back and forth. Answers are kept in the browser, without
    any text. Its button downloads the rows of `drawn` as CSV with ``gold`` (``emotional`` from
    charge 2, ``task`` below, or ``unsure``), ``charge``, ``annotator`` and perhaps ``themes``, for
    `read_gold`.

    The page holds the text of these transcripts, escaped; only its own script can run in it.

    Args:
        drawn: What `affectlib.analysis.sample` returned.
        transcripts: The conversations that were labelled, from `affectlib.read_conversations`
            with the same options.
        lang: Language of the page, ``en`` or ``fr``.

    Raises:
        OptionError: There are no texts in this language.
        TableError: A row belongs to no conversation or message of the transcripts.
        TranscriptFormatError: They cannot be read.
        MissingExtraError: jinja2 is not installed.

    Example:
        >>> page = annotation_page(drawn, read_conversations("chats.jsonl"))  # doctest: +SKIP
        >>> Path("to_label.html").write_text(page)  # doctest: +SKIP
    """
    texts = in_language(TEXTS, lang)
    sheet = table(drawn, "sample")
    names = [name for name in _KEYS if name in sheet.columns]
    if not {"record", "conversation_id"} & {*names}:
        sheet.require(["conversation_id"])
    rows = sheet.collect(*names)
    chats = conversations_of(rows, transcripts)
    places = rows["message"] if "message" in names else [None] * len(chats)
    asked = ["themes"] if "themes" in sheet.columns else []
    items = [_item(chat, place, texts) for chat, place in zip(chats, places, strict=True)]
    return render(
        "sheet.html",
        lang=lang,
        texts=texts,
        by_message="message" in names,
        themes=[*zip(_THEME_KEYS, texts.themes.items(), strict=True)] if asked else [],
        items=items,
        data={
            "id": _identity(rows, lang),
            "columns": [*names, "gold", "charge", *asked, "annotator"],
            "rows": rows.rows(),
            "gold": _GOLD,
            "words": dict(texts.words),
        },
    )


def _item(chat: Conversation, place: int | None, texts: SheetTexts) -> dict[str, Any]:
    """Choose the messages to show."""
    last = None if place is None else place + 1
    numbered = list(enumerate(chat.messages))[:last]
    readable = [(index, message) for index, message in numbered if message.role in _ROLES]
    earlier = 0 if place is None else max(0, len(readable) - 1 - _BEFORE)
    shown = [
        {
            "role": message.role,
            "name": texts.roles[message.role],
            "text": message.content if message.content.strip() else texts.words["empty"],
            "judged": index == place,
        }
        for index, message in readable[earlier:]
    ]
    return {"messages": shown, "earlier": earlier, "hidden": len(numbered) - len(readable)}


def _identity(rows: pl.DataFrame, lang: str) -> str:
    """Return a digest by which the browser keeps the answers of sheets apart."""
    return hashlib.sha256(f"{lang}\n{rows.write_csv()}".encode()).hexdigest()[:16]
