"""HTML as the text that a reader sees, with libxml2's forgiving parser."""

from __future__ import annotations

import re
import sys
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


class TextTarget:
    """A target for lxml's parser that gathers text, up to about `limit` characters.

    Paragraphs are a line apart, and rows, items and other blocks have lines of their own.
    """

    def __init__(self, limit: int = sys.maxsize) -> None:
        self._limit = limit
        self._size = 0
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
        if text and self._size <= self._limit:
            self._pieces.append(text)
            self._size += len(text)

    @property
    def is_too_long(self) -> bool:
        return self._size > self._limit

    def take(self) -> str:
        """Return the text, and begin again without."""
        self._size = 0
        text = "".join(self._pieces).replace("\xa0", " ")
        self._pieces.clear()
        lines = "\n".join(line.rstrip() for line in text.split("\n"))
        return clean_text(_GAPS.sub("\n\n", lines)).strip()

    def close(self) -> str:
        return self.take()

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


def html_parser(target: Any) -> Any:
    """Return a parser that calls a target while it is fed, piece by piece, HTML of any size."""
    with requires_extra("formats"):
        from lxml import etree
    return etree.HTMLParser(target=target, huge_tree=True, encoding="utf-8")


def feed(parser: Any, text: str) -> None:
    parser.feed(clean_text(text).encode())


def html_to_text(html: str) -> str:
    r"""Return HTML as the text that a reader sees; text without any mark-up stays as it is.

    Example:
        >>> html_to_text("<p>Hello &amp; <b>good</b>\n morning</p><p>Ana<br>Bo</p>")
        'Hello & good morning\n\nAna\nBo'
    """
    if "<" not in html and "&" not in html:
        return clean_text(html).strip()
    target = TextTarget()
    parser = html_parser(target)
    for start in range(0, len(html), _PIECE):
        feed(parser, html[start : start + _PIECE])
    return str(parser.close())
