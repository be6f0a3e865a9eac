r"""Text as it looks: what a reader does not see, or sees as an ordinary letter, is made so.

Text is taken from web pages, chats and word processors, and some of it is written to get past
filters. To a reader ``s\u200bad`` and ``s\u0430d`` are both "sad"; to a tokenizer they are not.
Before text is tokenized, in training and in prediction alike,

- characters that show nothing go: zero-width ones, direction marks, soft hyphens, tags, control
  characters; joiners and variation selectors too unless they belong to an emoji or to a script
  that needs them;
- stacks of three and more combining marks go, and one or two become part of the letter they stand
  on; on a Latin letter those that cannot (a stroke through it) go;
- styled letters (fullwidth, mathematical, circled) become the plain ones;
- letters of other scripts that look like Latin ones become these in words of three and more
  letters that have both; other words stay (``ν``, ``αx``), unless the text has such a word and
  none that is certainly of another script.

Letters that are spaced out (``s a d``) stay: ``a b c`` and the French ``y a à`` are, too.
Everything is linear in the length of the text, and other text is returned as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

__all__ = ["normalize_unicode"]

_CONTROLS = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_BLANKS = r"\x1c-\x1f\x85\u115f\u1160\u2800\u3164\uffa0"
_HIDDEN = (
    r"\xad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SELECTORS = r"\ufe00-\ufe0f"
_JOINERS = r"\u200c\u200d"
_SYMBOLS = r"#*0-9\xa9\xae\u203c-\u3299\U0001f000-\U0001faff"
_JOINED = r"\u0590-\u1cff\u2190-\u33ff\U0001f000-\U0001faff"
_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20f0\ufe20-\ufe2f"
)

_SUSPICIOUS = re.compile(
    rf"[{_CONTROLS}{_BLANKS}{_HIDDEN}{_SELECTORS}{_JOINERS}{_MARKS}"
    r"\u0250-\u02af\u0370-\u058f\u1d00-\u1d7f\u2100-\u214f\u249c-\u24e9\ua730-\ua7ff"
    r"\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff\U0001f130-\U0001f189]"
)
_UNSEEN = re.compile(f"[{_CONTROLS}{_HIDDEN}]+")
_BLANK = re.compile(f"[{_BLANKS}]")
_STRAY_SELECTOR = re.compile(f"(?<![{_SYMBOLS}])[{_SELECTORS}]")
_STRAY_JOINER = re.compile(rf"(?<![{_JOINED}{_SELECTORS}])[{_JOINERS}]|[{_JOINERS}](?![{_JOINED}])")
_STACK = re.compile(f"[{_MARKS}]{{3,}}")
_MARKED = re.compile(f"(.?)([{_MARKS}]{{1,2}})", re.DOTALL)
_MARK = re.compile(f"[{_MARKS}]")
_LAST_LATIN = "\u024f"
_TRICKED = 3

_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ]")
_NOT_LATIN = re.compile("[^\x00-\u024fḀ-ỿ]")

_EMOJI = "\U0001f170\U0001f171\U0001f17e\U0001f17f"  # blood types and the parking sign

_LOOKALIKES = str.maketrans(
    # Cyrillic, Greek, Armenian
    "АВЕЅІЈКМНОРСТУХԀԚԜѴаеѕіјкморстухԁԛԝһӏѵг"
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχγ"
    "օոսհց"
    # small capitals, script g
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɡɑ"
    # letters that are missing among the mathematical ones
    "ℂℊℋℌℍℎℐℑℒℓℕℙℚℛℜℝℤℨℬℭℯℰℱℳℴ",
    "ABESIJKMHOPCTYXDQWVaesijkmopctyxdqwhlvr"
    "ABEZHIKMNOPTYXaeikvoptuxy"
    "onuhg"
    "abcdefghijklmnoprstuvwyzga"
    "CgHHHhIILlNPQRRRZZBCeEFMo",
)


def _styled() -> Mapping[int, str]:
    """Return the plain letter or digit for each one that differs only in style."""
    ranges = ((0x24B6, 0x24EA), (0xFF10, 0xFF5B), (0x1D400, 0x1D800), (0x1F130, 0x1F14A))
    plain = {
        code: normalized
        for start, stop in ranges
        for code in range(start, stop)
        if (normalized := unicodedata.normalize("NFKC", chr(code))).isalnum()
    }
    for start in (0x1F150, 0x1F170):  # white on black, circled and squared
        plain |= {start + place: chr(ord("A") + place) for place in range(26)}
    return {code: letter for code, letter in plain.items() if chr(code) not in _EMOJI}


_STYLED = _styled()


def normalize_unicode(text: str) -> str:
    r"""Return text as a reader sees it; see the module for what that changes.

    Example:
        >>> normalize_unicode("s\u200ba\u00add, s\u0430d, \uff53\uff41\uff44, s\u0336ad")
        'sad, sad, sad, sad'
        >>> normalize_unicode("мир, déjà vu 🙂")
        'мир, déjà vu 🙂'
    """
    if _SUSPICIOUS.search(text) is None:
        return text
    text = _BLANK.sub(" ", _UNSEEN.sub("", text)).translate(_STYLED)
    text = _STRAY_JOINER.sub("", _STRAY_SELECTOR.sub("", text))
    text = _MARKED.sub(_compose, _STACK.sub("", text))
    return _in_one_script(text)


def _compose(found: re.Match[str]) -> str:
    """Return a character with its combining marks as one, if there is such a one."""
    composed = unicodedata.normalize("NFC", found[0])
    return _MARK.sub("", composed) if found[1] <= _LAST_LATIN else composed


def _in_one_script(text: str) -> str:
    """Write words that mix scripts in Latin letters, where these look the same."""
    plain: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    foreign = False
    for word in {*_WORD.findall(text)}:
        if _NOT_LATIN.search(word) is None:
            continue
        letters = word.translate(_LOOKALIKES)
        if _NOT_LATIN.search(letters) is not None:
            foreign = True
        elif len(word) >= _TRICKED and _LATIN.search(word) is not None:
            plain[word] = letters
        else:
            doubtful[word] = letters
    if not plain:
        return text
    if not foreign:
        plain |= doubtful
    return _WORD.sub(lambda found: plain.get(found[0], found[0]), text)
