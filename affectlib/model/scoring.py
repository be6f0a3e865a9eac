"""From conversations to the logits of their messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.model.aggregation import merge_windows
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine
from affectlib.model.engines.forks import renew_in_children
from affectlib.model.screen import Screen

__all__ = [
    "CPU_BATCH_TOKENS",
    "MessageScore",
    "WindowCache",
    "encode_windows",
    "score_messages",
    "score_windows",
]

CPU_BATCH_TOKENS = 1024
"""Larger batches hold more padding, and no longer fit the processor's caches."""
_GPU_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class MessageScore:
    """What the model says about one message.

    Attributes:
        logits: Its logits, shape ``[outputs]``.
        truncated_tokens: Tokens of it that were not read.
        screened: Whether its logits are the screen's.
    """

    logits: NDArray[Any]
    truncated_tokens: int
    screened: bool = False


class WindowCache:
    """The logits of windows that were run, the latest used of them; threads may share it.

    Windows are known by a hash of their tokens, so that no text is kept.

    Args:
        size: How many are kept; a few hundred bytes each.

    Attributes:
        run: Windows that were run and put here, all in all.
    """

    def __init__(self, size: int = 50_000) -> None:
        """Begin with none."""
        self._size = size
        self.run = 0
        self._logits: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a lock that no thread of a parent process holds."""
        self._lock = Lock()

    def take(self, keys: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the logits of those windows that are known."""
        found = {}
        with self._lock:
            for key in keys:
                if (logits := self._logits.get(key)) is not None:
                    self._logits.move_to_end(key)
                    found[key] = logits
        return found

    def put(self, logits: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep logits, and drop those that were not used for longest."""
        with self._lock:
            self.run += len(logits)
            self._logits.update(logits)
            while len(self._logits) > self._size:
                self._logits.popitem(last=False)


def score_messages(
    conversations: Sequence[Conversation],
    encoder: WindowEncoder,
    engine: Engine,
    *,
    assistant_targets: bool = True,
) -> list[dict[int, MessageScore]]:
    """Score the messages of several conversations.

    Args:
        conversations: The conversations.
        encoder: Lays out and tokenizes them.
        engine: Runs the windows.
        assistant_targets: Whether the assistant's messages are scored too.

    Returns:
        For each conversation the scores of the messages that were read, by their position.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> from affectlib.conversation import Message
        >>> from affectlib.model.encoding import WindowEncoder
        >>> from affectlib.model.engines import load_engine
        >>> artifact = load_artifact("affect-small")
        >>> encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
        >>> engine = load_engine(artifact, device="cpu")
        >>> chat = Conversation((Message("user", "hi"), Message("system", "Be brief.")))
        >>> [[*scores] for scores in score_messages([chat], encoder, engine)]
        [[0]]
    """
    windows = encode_windows(conversations, encoder, assistant_targets=assistant_targets)
    return score_windows(windows, engine, encoder.pad_id, WindowCache())


def encode_windows(
    conversations: Sequence[Conversation],
    encoder: WindowEncoder,
    *,
    assistant_targets: bool = True,
    screen: Screen | None = None,
) -> list[list[EncodedWindow]]:
    """Encode the windows of each conversation.

    Args:
        conversations: The conversations.
        encoder: Lays out and tokenizes them.
        assistant_targets: Whether the assistant's messages are scored too.
        screen: What settles the windows that need no encoder, if anything does.
    """
    encoded = encoder.encode(conversations, assistant_targets=assistant_targets)
    if screen is not None:
        encoded = screen.prefilter(encoded)
    windows: list[list[EncodedWindow]] = [[] for _ in conversations]
    for window in encoded:
        windows[window.conversation].append(window)
    return windows


def score_windows(
    windows: Sequence[Sequence[EncodedWindow]], engine: Engine, pad_id: int, known: WindowCache
) -> list[dict[int, MessageScore]]:
    """Score the messages that windows cover; windows that are the same are run once.

    Windows that the screen settled keep its logits. Of a message that it settled in part, both
    count, as each output's highest logit does.

    Args:
        windows: The windows of each conversation.
        engine: Runs those that are new.
        pad_id: The padding token.
        known: Logits of windows that were run before; the new ones are added.

    Returns:
        For each conversation the scores of its messages, by their position.
    """
    asked = [window for group in windows for window in group if window.logits is None]
    keys = [*map(_key, asked)]
    distinct = dict(zip(keys, asked, strict=True))
    logits = known.take(distinct)
    fresh = {key: window for key, window in distinct.items() if key not in logits}
    names = [*fresh]
    most = CPU_BATCH_TOKENS if engine.device == "cpu" else _GPU_BATCH_TOKENS
    for rows, ids, mask in token_batches([*fresh.values()], max_tokens=most, pad_id=pad_id):
        batch = zip(rows, engine.logits(ids, mask), strict=True)
        new = {names[row]: found.copy() for row, found in batch}
        logits |= new
        known.put(new)
    scores = []
    position = iter(keys)
    for group in windows:
        unread = {window.message: window.truncated_tokens for window in group}
        open_ones = {window.message for window in group if window.logits is None}
        found = [w.logits if w.logits is not None else logits[next(position)] for w in group]
        merged = merge_windows([window.message for window in group], np.array(found))
        scores.append(
            {
                index: MessageScore(row, unread[index], index not in open_ones)
                for index, row in merged.items()
            }
        )
    return scores


def _key(window: EncodedWindow) -> bytes:
    return blake2b(window.ids.tobytes(), digest_size=16).digest()
