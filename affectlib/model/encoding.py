"""From conversations to batches of token ids, with only the Rust tokenizers and numpy.

Every message is tokenized once, however many windows it appears in, and always as plain text: a
user who types ``<|user|>`` or ``</s>`` gets ordinary pieces, not control tokens. It is read as
it looks (`affectlib.model.text.unicode`), in the words that are meant
(`affectlib.model.text.spelling`). Batches are cut by a budget of tokens from windows sorted by
length, so that little is padding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from affectlib.conversation import Conversation, Message, Role
from affectlib.model.text.spelling import collapse_repeats
from affectlib.model.text.tokens import TokenReader
from affectlib.model.text.unicode import normalize_unicode
from affectlib.model.windows import Window, WindowSettings, plan_windows

__all__ = [
    "NO_TURN",
    "ROLE_TOKENS",
    "Batch",
    "EncodedWindow",
    "WindowEncoder",
    "pad",
    "token_batches",
]

ROLE_TOKENS = {"user": "<|user|>", "assistant": "<|assistant|>"}
MAX_CHARACTERS = 20_000
"""Characters of one message that are tokenized: its beginning and end if it is longer, white space
that does not matter left out."""
_LANES = 4
"""Batches are padded to a multiple of this: processors add up four values at a time, and a rest in
another order, so that a window's last digits would depend on what shares its batch."""
NO_TURN = -1
"""The turn of tokens that belong to no message: those at the ends, and padding."""
_WHITE_SPACE = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedWindow:
    """A window as token ids.

    Attributes:
        ids: Its token ids, shape ``[length]``.
        turns: Which of its messages each token is of, or `NO_TURN`, shape ``[length]``.
        messages: Position in the conversation of each message.
        truncated: Tokens of each message that are not read.
        of_user: Whether each token is of a message of the user, shape ``[length]``.
    """

    ids: NDArray[np.int32]
    turns: NDArray[np.int32]
    messages: tuple[int, ...]
    truncated: tuple[int, ...]
    of_user: NDArray[np.bool_]

    def without(self, message: int) -> EncodedWindow:
        """Return the window without one of its messages, given by its position."""
        place = self.messages.index(message)
        kept = self.turns != place
        turns = self.turns[kept]
        return EncodedWindow(
            self.ids[kept],
            turns - (turns > place),
            self.messages[:place] + self.messages[place + 1 :],
            self.truncated[:place] + self.truncated[place + 1 :],
            self.of_user[kept],
        )


class _Message(NamedTuple):
    """A message that was read: its token ids, and about how many there are beyond these."""

    role: Role
    ids: NDArray[np.int32]
    unread: int


class WindowEncoder:
    """Turns conversations into windows of token ids.

    Its tokenizer, a ``tokenizer.json``, carries the role tokens.
    """

    def __init__(self, tokenizer_file: str | Path, settings: WindowSettings) -> None:
        """Load the tokenizer."""
        self.settings = settings
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._roles = {role: self._special(token) for role, token in ROLE_TOKENS.items()}
        self._start, self._end = self._ends()
        self._reader = TokenReader(self._tokenizer)
        self.pad_id = self._pad()

    def encode(self, conversations: Sequence[Conversation]) -> list[list[EncodedWindow]]:
        """Return the windows of each of several conversations, in reading order."""
        read = self._read([m for conversation in conversations for m in conversation.messages])
        windows = []
        offset = 0
        for conversation in conversations:
            end = offset + len(conversation.messages)
            messages = read[offset:end]
            roles, lengths = [m.role for m in messages], [len(m.ids) for m in messages]
            plan = plan_windows(roles, lengths, self.settings)
            windows.append([self._assemble(messages, window) for window in plan])
            offset = end
        return windows

    def _read(self, messages: Sequence[Message]) -> list[_Message]:
        """Tokenize messages, each once."""
        shortened = [
            self._readable(message.content) if message.role in ROLE_TOKENS else ("", 0)
            for message in messages
        ]
        tokens = self._reader.read([text for text, _ in shortened])
        return [
            _Message(message.role, ids, _estimate_tokens(left_out, len(ids)))
            for message, ids, (_, left_out) in zip(messages, tokens, shortened, strict=True)
        ]

    def _readable(self, content: str) -> tuple[str, int]:
        """Return a message as it looks, and how many characters of it are left out."""
        text = collapse_repeats(normalize_unicode(content), self._reader.places.get)
        if len(text) > MAX_CHARACTERS:
            text = _WHITE_SPACE.sub(" ", text.strip())
        left_out = len(text) - MAX_CHARACTERS
        if left_out > 0:
            half = MAX_CHARACTERS // 2
            return f"{text[:half]} {text[-half:]}", left_out
        return text if text.strip() else "", 0

    def _assemble(self, messages: Sequence[_Message], window: Window) -> EncodedWindow:
        parts = [self._start]
        for turn in window:
            message = messages[turn.message]
            parts.append(self._roles[message.role])
            parts += [message.ids[segment.start : segment.stop] for segment in turn.segments]
        places = np.repeat(np.arange(len(window), dtype=np.int32), [len(turn) for turn in window])
        turns = np.concatenate([[NO_TURN], places, [NO_TURN]]).astype(np.int32)
        users = np.array([messages[turn.message].role == "user" for turn in window])
        return EncodedWindow(
            np.concatenate([*parts, self._end]),
            turns,
            tuple(turn.message for turn in window),
            tuple(t.truncated_tokens + messages[t.message].unread for t in window),
            users[turns] & (turns != NO_TURN),
        )

    def _special(self, token: str) -> NDArray[np.int32]:
        identifier = self._tokenizer.token_to_id(token)
        if identifier is None:
            raise ValueError(f"the tokenizer has no token {token!r}")
        return np.array([identifier], dtype=np.int32)

    def _ends(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        ids = np.array(self._tokenizer.encode("").ids, dtype=np.int32)
        if len(ids) != 2:
            raise ValueError("the tokenizer must put one token before and one after a text")
        return ids[:1], ids[1:]

    def _pad(self) -> int:
        for token in ("<pad>", "[PAD]"):
            identifier = self._tokenizer.token_to_id(token)
            if identifier is not None:
                return int(identifier)
        raise ValueError("the tokenizer has no padding token")


class Batch(NamedTuple):
    """Windows of similar length, padded.

    Attributes:
        places: Their positions in what was cut into batches, shape ``[batch]``.
        ids: Token ids, shape ``[batch, length]``.
        mask: 1 for a token, 0 for padding, same shape.
        turns: By which share each token counts in the mean of each message, shape
            ``[batch, messages, length]``.
    """

    places: NDArray[np.intp]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    turns: NDArray[np.float32]


def token_batches(
    windows: Sequence[EncodedWindow], *, max_tokens: int, pad_id: int
) -> Iterator[Batch]:
    """Cut windows into batches of similar length, each padded to a multiple of 4.

    Args:
        windows: The windows, in any order.
        max_tokens: Tokens of a batch at most, padding included; a longer window makes a batch
            of its own.
        pad_id: The padding token.

    Example:
        >>> rows = np.array([0, 5, 2]), np.array([0, 2])
        >>> windows = [EncodedWindow(ids, ids * 0 - 1, (), (), ids < 0) for ids in rows]
        >>> batch = next(token_batches(windows, max_tokens=8, pad_id=1))
        >>> batch.places.tolist(), batch.ids.tolist()
        ([1, 0], [[0, 2, 1, 1], [0, 5, 2, 1]])
    """
    order = sorted(range(len(windows)), key=lambda index: len(windows[index].ids))
    places: list[int] = []
    for index in order:
        length = -(-len(windows[index].ids) // _LANES) * _LANES
        if places and (len(places) + 1) * length > max_tokens:
            yield pad(windows, places, pad_id)
            places = []
        places.append(index)
    if places:
        yield pad(windows, places, pad_id)


def pad(
    windows: Sequence[EncodedWindow], places: Sequence[int], pad_id: int, multiple: int = _LANES
) -> Batch:
    """Pad some windows to the length of the longest, up to the next multiple of a number."""
    chosen = [windows[place] for place in places]
    length = -(-max(len(window.ids) for window in chosen) // multiple) * multiple
    ids = np.full((len(chosen), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(chosen), length), dtype=np.int64)
    turns = np.full((len(chosen), length), NO_TURN, dtype=np.int32)
    for row, window in enumerate(chosen):
        end = len(window.ids)
        ids[row, :end], mask[row, :end], turns[row, :end] = window.ids, 1, window.turns
    most = max(len(window.messages) for window in chosen)
    shares = (turns[:, None] == np.arange(most)[:, None]).astype(np.float32)
    shares /= np.maximum(shares.sum(axis=2, keepdims=True), 1)
    return Batch(np.asarray(places, dtype=np.intp), ids, mask, shares)


def _estimate_tokens(left_out: int, tokens: int) -> int:
    """Estimate how many tokens the characters left out would have been."""
    return max(1, round(left_out * tokens / MAX_CHARACTERS)) if left_out else 0
