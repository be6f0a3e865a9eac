"""From conversations to batches of token ids, with only the Rust tokenizers and numpy.

Every message is tokenized once, however many windows it appears in, and always as plain text: a
user who types ``<|target|>`` or ``</s>`` gets ordinary pieces, not control tokens. It is read as
it looks (`affectlib.model.text.unicode`), in the words that are meant
(`affectlib.model.text.spelling`). Batches are cut by a budget of tokens from windows sorted by
length, so that little is padding.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from affectlib.conversation import Conversation, Message, Role
from affectlib.model.text.spelling import collapse_repeats
from affectlib.model.text.tokens import TokenReader
from affectlib.model.text.unicode import normalize_unicode
from affectlib.model.windows import Segment, WindowSettings, plan_windows

__all__ = ["ROLE_TOKENS", "TARGET_TOKEN", "EncodedWindow", "WindowEncoder", "token_batches"]

ROLE_TOKENS = {"user": "<|user|>", "assistant": "<|assistant|>"}
TARGET_TOKEN = "<|target|>"
MAX_CHARACTERS = 20_000
"""Characters of one message that are tokenized: its beginning and end if it is longer, white space
that does not matter left out."""
_LANES = 4
"""Batches are padded to a multiple of this: processors add up four values at a time, and a rest in
another order, so that a window's last digits would depend on what shares its batch."""
_WHITE_SPACE = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedWindow:
    """A window as token ids.

    Attributes:
        conversation: Position of its conversation in the input.
        message: Position of its target message in the conversation.
        ids: Its token ids, shape ``[length]``.
        truncated_tokens: Tokens of the target that no window of it reads.
        target: Where in `ids` the target begins, with the token that marks it.
        user: Whether the target is a user's message.
        logits: The logits that stand without the encoder, or None if it has to be asked.
    """

    conversation: int
    message: int
    ids: NDArray[np.int32]
    truncated_tokens: int
    target: int = 0
    user: bool = True
    logits: NDArray[np.float32] | None = None


class _Message(NamedTuple):
    """A message that was read: its token ids, and about how many there are beyond these."""

    role: Role
    ids: NDArray[np.int32]
    unread: int


class WindowEncoder:
    """Turns conversations into windows of token ids.

    Args:
        tokenizer_file: A ``tokenizer.json`` that carries the role tokens.
        settings: How windows are laid out.
    """

    def __init__(self, tokenizer_file: str | Path, settings: WindowSettings) -> None:
        """Load the tokenizer."""
        self.settings = settings
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._roles = {role: self._special(token) for role, token in ROLE_TOKENS.items()}
        self._target = self._special(TARGET_TOKEN)
        self._start, self._end = self._ends()
        self._reader = TokenReader(self._tokenizer)
        self.pad_id = self._pad()

    def encode(
        self, conversations: Sequence[Conversation], *, assistant_targets: bool = True
    ) -> list[EncodedWindow]:
        """Encode the windows of several conversations.

        Args:
            conversations: The conversations.
            assistant_targets: Whether the assistant's messages are targets too.

        Returns:
            The windows, conversation by conversation, target by target.
        """
        read = self._read([m for conversation in conversations for m in conversation.messages])
        windows = []
        offset = 0
        for position, conversation in enumerate(conversations):
            end = offset + len(conversation.messages)
            windows += self._lay_out(position, read[offset:end], assistant_targets)
            offset = end
        return windows

    def encode_stretches(
        self, conversation: Conversation, starts: Sequence[int], *, assistant_targets: bool = True
    ) -> Iterator[list[EncodedWindow]]:
        """Encode the windows of one long conversation piece by piece, so that few are held at once.

        Args:
            conversation: The conversation.
            starts: The first message of each stretch, from 0 on.
            assistant_targets: Whether the assistant's messages are targets too.

        Yields:
            The windows whose targets lie in the stretch; all together, those of `encode`.
        """
        limits = self.settings.context_tokens
        earlier: list[_Message] = []
        for start, end in pairwise([*starts, len(conversation.messages)]):
            read = [*earlier, *self._read(conversation.messages[start:end])]
            yield self._lay_out(0, read, assistant_targets, start, len(earlier))
            context = (message for message in read if len(message.ids) and limits.get(message.role))
            earlier = [*deque(context, self.settings.context_messages)]

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

    def _lay_out(
        self,
        position: int,
        messages: Sequence[_Message],
        assistant_targets: bool,
        first: int = 0,
        earlier: int = 0,
    ) -> list[EncodedWindow]:
        """Return the windows of messages.

        Args:
            position: Position of their conversation in the input.
            messages: The messages.
            assistant_targets: Whether the assistant's are targets too.
            first: Position in the conversation of the first one that is a target.
            earlier: How many before it are context only.
        """
        roles = [message.role for message in messages]
        lengths = [len(message.ids) for message in messages]
        plan = plan_windows(roles, lengths, self.settings, assistant_targets=assistant_targets)
        return [
            EncodedWindow(
                position,
                window.message - earlier + first,
                self._assemble(messages, window.context, window.target),
                window.truncated_tokens + messages[window.message].unread,
                target=window.length - 2 - sum(map(len, window.target)),
                user=roles[window.message] == "user",
            )
            for window in plan
            if window.message >= earlier
        ]

    def _readable(self, content: str) -> tuple[str, int]:
        """Return a message as it looks, and how many characters of it are left out."""
        text = collapse_repeats(normalize_unicode(content), self._reader.places.get)
        if len(text) > MAX_CHARACTERS:
            text = _WHITE_SPACE.sub(" ", text.strip())
        return _shorten_text(text if text.strip() else "")

    def _assemble(
        self,
        messages: Sequence[_Message],
        context: Sequence[Segment],
        target: Sequence[Segment],
    ) -> NDArray[np.int32]:
        parts = [self._start]
        position = -1
        for segment in context:
            if segment.message != position:
                position = segment.message
                parts.append(self._roles[messages[position].role])
            parts.append(messages[position].ids[segment.start : segment.stop])
        message = messages[target[0].message]
        parts.append(self._target if message.role == "user" else self._roles["assistant"])
        parts += [message.ids[segment.start : segment.stop] for segment in target]
        return np.concatenate([*parts, self._end])

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


def token_batches(
    windows: Sequence[EncodedWindow], *, max_tokens: int, pad_id: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]]:
    """Cut windows into batches of similar length.

    Args:
        windows: The windows, in any order.
        max_tokens: Tokens of a batch at most, padding included; a longer window makes a batch
            of its own.
        pad_id: The padding token.

    Yields:
        Positions in `windows` (shape ``[batch]``), token ids and attention mask (both
        ``[batch, length]``). The length is a multiple of 4.

    Example:
        >>> rows = np.array([0, 5, 2]), np.array([0, 2])
        >>> windows = [EncodedWindow(0, index, ids, 0) for index, ids in enumerate(rows)]
        >>> positions, ids, mask = next(token_batches(windows, max_tokens=8, pad_id=1))
        >>> positions.tolist(), ids.tolist()
        ([1, 0], [[0, 2, 1, 1], [0, 5, 2, 1]])
    """
    order = sorted(range(len(windows)), key=lambda index: len(windows[index].ids))
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * _padded(windows[index]) > max_tokens:
            yield _pad_batch(windows, batch, pad_id)
            batch = []
        batch.append(index)
    if batch:
        yield _pad_batch(windows, batch, pad_id)


def _padded(window: EncodedWindow) -> int:
    return -(-len(window.ids) // _LANES) * _LANES


def _pad_batch(
    windows: Sequence[EncodedWindow], batch: Sequence[int], pad_id: int
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    length = max(_padded(windows[index]) for index in batch)
    ids = np.full((len(batch), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(batch), length), dtype=np.int64)
    for row, index in enumerate(batch):
        tokens = windows[index].ids
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return np.asarray(batch, dtype=np.intp), ids, mask


def _shorten_text(text: str) -> tuple[str, int]:
    """Return the text, or its beginning and end, and how many characters were left out."""
    left_out = len(text) - MAX_CHARACTERS
    if left_out <= 0:
        return text, 0
    half = MAX_CHARACTERS // 2
    return f"{text[:half]} {text[-half:]}", left_out


def _estimate_tokens(left_out: int, tokens: int) -> int:
    """Estimate how many tokens the characters left out would have been."""
    return max(1, round(left_out * tokens / MAX_CHARACTERS)) if left_out else 0
