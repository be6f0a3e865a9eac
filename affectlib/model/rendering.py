"""Windows as text: what other libraries must tokenize to read what our encoder reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders

from affectlib.model.encoding import ROLE_TOKENS, EncodedWindow

__all__ = ["WindowRenderer", "WindowText"]

_FULL_WIDTH = 0xFEE0
"""From an ASCII character to the full-width one that normal form KC makes the same of."""


@dataclass(frozen=True, slots=True)
class WindowText:
    """A window as text, with the tokens that mark roles and without those at the ends.

    It is the text as the encoder reads it: normalized, and cut where the window is. A tokenizer
    of transformers that was loaded from the artifact adds the tokens at the ends itself.

    Attributes:
        messages: Positions in the conversation of the messages that it holds.
        text: The text.
        exact: Whether the artifact's tokenizer turns the text into exactly the window's tokens. It
            does not if a long message was cut inside a word.
        truncated_tokens: Tokens of these messages that are not read.
    """

    messages: tuple[int, ...]
    text: str
    exact: bool
    truncated_tokens: int


class WindowRenderer:
    """Turns windows of token ids into text; safe to share between threads.

    Args:
        tokenizer_file: The ``tokenizer.json`` that the windows were encoded with.
    """

    def __init__(self, tokenizer_file: str | Path) -> None:
        """Load the tokenizer, which here takes special tokens in a text for what they are."""
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if isinstance(self._tokenizer.decoder, decoders.WordPiece):
            # By default it contracts words, such as "do not", of which other tokens are made.
            self._tokenizer.decoder = decoders.WordPiece(cleanup=False)
        special = self._tokenizer.get_added_tokens_decoder()
        marks = {*ROLE_TOKENS.values()}
        self._marks = {i: token.content for i, token in special.items() if token.content in marks}
        self._spelled = {
            identifier: (token.content, self._spell(token))
            for identifier, token in special.items()
            if token.special
        }

    def render(self, window: EncodedWindow) -> WindowText:
        """Return a window as text.

        Example:
            >>> from affectlib import Conversation, Message
            >>> from affectlib.model.artifacts import load_artifact
            >>> from affectlib.model.encoding import WindowEncoder
            >>> from affectlib.model.windows import WindowSettings
            >>> tokenizer = load_artifact("affect-small").file("tokenizer.json")
            >>> chat = Conversation((Message("user", "hello there"), Message("user", "thanks")))
            >>> (window,) = WindowEncoder(tokenizer, WindowSettings()).encode([chat])[0]
            >>> WindowRenderer(tokenizer).render(window).text
            '<|user|> hello there<|user|> thanks'
        """
        read_ids = window.ids.tolist()
        pieces = [
            (marks, [*ids]) for marks, ids in groupby(read_ids[1:-1], self._marks.__contains__)
        ]
        plain, spelled = (
            "".join(
                "".join(map(self._marks.__getitem__, ids)) if marks else read(ids)
                for marks, ids in pieces
            )
            for read in (self._decode, self._decode_spelled)
        )
        text = plain if self._encode(plain) == read_ids else spelled
        exact = self._encode(text) == read_ids
        return WindowText(window.messages, text, exact, sum(window.truncated))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text if text[:1].isspace() else f" {text}"

    def _decode_spelled(self, ids: list[int]) -> str:
        """Decode what a user may have written: special tokens in it are none."""
        text = self._decode(ids)
        for identifier, (content, spelled) in self._spelled.items():
            # The unknown token stands for characters that the tokenizer does not know.
            if identifier not in ids:
                text = text.replace(content, spelled)
        return text

    def _spell(self, token: AddedToken) -> str:
        """Spell a special token so that it is read as the text that a user typed."""
        content = token.content
        first, rest = content[0], content[1:]
        spellings = [f"{chr(ord(first) + _FULL_WIDTH)}{rest}", f"{first} {rest}"]
        self._tokenizer.encode_special_tokens = True
        wanted = self._encode(content)
        self._tokenizer.encode_special_tokens = False
        same = (s for s in spellings if self._encode(s) == wanted)
        return next(same, spellings[-1])
