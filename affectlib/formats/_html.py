"""HTML as the text that a reader sees, with libxml2's forgiving parser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from affectlib._extras import requires_extra
from affectlib.conversation import clean_text

_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "table"})
_CELLS = frozenset({"td", "th"})
_LINES = frozenset({"div", "li", "ul", "ol", "tr", "hr", "section", "article", "header"})
_UNSEEN = frozenset({"script", "style", "head", "title", "template"})
_SPACE = re.compile(r"[ \t\r\n\f]{2,}|[\t\r\n\f]")
_GAPS = re.compile(r"\n[ \t\n]*\n")
_PIECE = 1 << 16


class _Text:
    """A target for lxml's parser: a line between paragraphs, other blocks on their own lines."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._unseen = 0
        self._verbatim = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._unseen += tag in _UNSEEN
        self._verbatim += tag == "pre"
        self._break(tag)

    def end(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN
        self._verbatim -= tag == "pre"
        if tag in _CELLS:
            self._pieces.append(" ")
        elif tag != "br":
            self._break(tag)

    def data(self, text: str) -> None:
        if self._unseen > 0:
            return
        if self._verbatim <= 0:
            text = _SPACE.sub(" ", text)
            if not self._pieces or self._pieces[-1].endswith(("\n", " ")):
                text = text.removeprefix(" ")
        if text:
            self._pieces.append(text)

    def close(self) -> str:
        text = "".join(self._pieces).replace("\xa0", " ")
        lines = "\n".join(line.rstrip() for line in text.split("\n"))
        return _GAPS.sub("\n\n", lines).strip()

    def _break(self, tag: str) -> None:
        if not self._pieces:
            return
        if tag in _PARAGRAPHS:
            if self._pieces[-1] != "\n\n":
                self._pieces.append("\n\n")
        elif tag == "br":
            if self._pieces[-2:] != ["\n", "\n"]:
                self._pieces.append("\n")
        elif tag in _LINES and not self._pieces[-1].endswith("\n"):
            self._pieces.append("\n")


def etree() -> Any:
    """Return lxml's module of that name."""
    with requires_extra("formats"):
        from lxml import etree
    return etree


def html_to_text(html: str) -> str:
    r"""Return HTML as the text that a reader sees; text without any mark-up stays as it is.

    Example:
        >>> html_to_text("<p>Hello &amp; <b>good</b>\n morning</p><p>Ana<br>Bo</p>")
        'Hello & good morning\n\nAna\nBo'
    """
    if "<" not in html and "&" not in html:
        return html.strip()
    parser = etree().HTMLParser(target=_Text(), huge_tree=True, encoding="utf-8")
    for start in range(0, len(html), _PIECE):
        parser.feed(clean_text(html[start : start + _PIECE]).encode())
    return str(parser.close())
