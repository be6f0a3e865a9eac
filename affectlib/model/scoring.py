"""From the windows of conversations to logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine
from affectlib.model.engines.forks import renew_in_children
from affectlib.model.screen import Screen

__all__ = ["CPU_BATCH_TOKENS", "Scores", "WindowCache", "score", "score_windows"]

CPU_BATCH_TOKENS = 1024
"""Larger batches hold more padding, and no longer fit the processor's caches."""
_GPU_BATCH_TOKENS = 4096

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says about a conversation.

    Attributes:
        windows: Its logits by window, shape ``[windows, outputs]``.
        messages: Logits of each message that was read, by its position, shape ``[outputs]``; the
            highest of each output where two windows hold the message.
        truncated: Tokens of each of them that were not read.
        screened: Whether the logits are the screen's.
    """

    windows: Floats
    messages: Mapping[int, Floats]
    truncated: Mapping[int, int]
    screened: bool = False


class WindowCache:
    """The logits of windows that were run, the latest used of them; threads may share it.

    Windows are known by a hash of their tokens, so that no text is kept; each of their messages
    takes a few hundred bytes.

    Attributes:
        run: Windows that were run and put here, all in all.
    """

    def __init__(self, size: int = 50_000) -> None:
        """Begin with none."""
        self._size = size
        self.run = 0
        self._logits: OrderedDict[bytes, Floats] = OrderedDict()
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a lock that no thread of a parent process holds."""
        self._lock = Lock()

    def take(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the logits of those windows that are known."""
        found = {}
        with self._lock:
            for key in keys:
                if (logits := self._logits.get(key)) is not None:
                    self._logits.move_to_end(key)
                    found[key] = logits
        return found

    def put(self, logits: Mapping[bytes, Floats]) -> None:
        """Keep logits, and drop those that were not used for longest."""
        with self._lock:
            self.run += len(logits)
            self._logits.update(logits)
            while len(self._logits) > self._size:
                self._logits.popitem(last=False)


def score(
    conversations: Sequence[Conversation],
    encoder: WindowEncoder,
    engine: Engine,
    *,
    screen: Screen | None = None,
    known: WindowCache | None = None,
) -> list[Scores]:
    """Score several conversations; see `score_windows`.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> from affectlib.conversation import Message
        >>> from affectlib.model.encoding import WindowEncoder
        >>> from affectlib.model.engines import load_engine
        >>> artifact = load_artifact("affect-small")
        >>> encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
        >>> engine = load_engine(artifact, device="cpu")
        >>> chat = Conversation((Message("user", "hi"), Message("system", "Be brief.")))
        >>> [[*found.messages] for found in score([chat], encoder, engine)]
        [[0]]
    """
    return score_windows(encoder.encode(conversations), engine, encoder.pad_id, screen, known)


def score_windows(
    windows: Sequence[Sequence[EncodedWindow]],
    engine: Engine,
    pad_id: int,
    screen: Screen | None = None,
    known: WindowCache | None = None,
) -> list[Scores]:
    """Score the windows of several conversations; those that are the same are run once.

    Args:
        windows: The windows of each conversation.
        engine: Runs those that are new.
        pad_id: The padding token.
        screen: What settles the conversations that need no encoder, if anything does.
        known: Logits of windows that were run before; the new ones are added.
    """
    settled = {} if screen is None else screen.prefilter(windows)
    asked = [w for place, group in enumerate(windows) if place not in settled for w in group]
    logits = iter(_run(asked, engine, pad_id, WindowCache() if known is None else known))
    return [
        _merge(group, settled.get(place) or [next(logits) for _ in group], place in settled)
        for place, group in enumerate(windows)
    ]


def _run(
    windows: Sequence[EncodedWindow], engine: Engine, pad_id: int, known: WindowCache
) -> Iterator[Floats]:
    """Yield the logits of each window: of the whole, then of each message."""
    keys = [blake2b(window.ids.tobytes(), digest_size=16).digest() for window in windows]
    distinct = dict(zip(keys, windows, strict=True))
    logits = known.take(distinct)
    fresh = {key: window for key, window in distinct.items() if key not in logits}
    names = [*fresh]
    most = CPU_BATCH_TOKENS if engine.device == "cpu" else _GPU_BATCH_TOKENS
    for batch in token_batches([*fresh.values()], max_tokens=most, pad_id=pad_id):
        found = engine.logits(batch.ids, batch.mask, batch.turns)
        new = {
            names[place]: rows[: 1 + len(fresh[names[place]].messages)].copy()
            for place, rows in zip(batch.places, found, strict=True)
        }
        logits |= new
        known.put(new)
    return (logits[key] for key in keys)


def _merge(windows: Sequence[EncodedWindow], logits: Sequence[Floats], screened: bool) -> Scores:
    """Put the windows of a conversation together."""
    messages: dict[int, Any] = {}
    truncated: dict[int, int] = {}
    for window, (_, *rows) in zip(windows, logits, strict=True):
        for message, row, unread in zip(window.messages, rows, window.truncated, strict=True):
            messages[message] = np.maximum(messages[message], row) if message in messages else row
            truncated[message] = unread
    whole = np.array([rows[0] for rows in logits], dtype=np.float32)
    return Scores(whole, messages, truncated, screened)
