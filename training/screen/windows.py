"""The windows of conversations with what the encoder says of them, scored in chunks on disk."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.model.artifacts import Artifact
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.model.screen import made_from
from training.screen.chats import Chat

BATCH_TOKENS = 4096
CHUNK = 500
"""Conversations that are scored before what was found is written."""
ASSISTANT_MESSAGES = 3
"""Messages of the assistant that are scored of each conversation, at most."""
ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows, those of a message and the messages of a conversation one after another.

    Attributes:
        ids: The token ids of each.
        targets: Where the target begins in each, shape ``[windows]``.
        sides: 0 for those of a user's message, 1 for an assistant's, shape ``[windows]``.
        chats: Position of the conversation of each, shape ``[windows]``.
        messages: Position of the message of each in its conversation, shape ``[windows]``.
        logits: The encoder's logits, shape ``[windows, outputs]``.
    """

    ids: Sequence[NDArray[np.int32]]
    targets: NDArray[np.int64]
    sides: NDArray[np.int64]
    chats: NDArray[np.int64]
    messages: NDArray[np.int64]
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.ids)

    def where(self, chosen: NDArray[Any]) -> Windows:
        """Return some of them."""
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Windows(
            [self.ids[place] for place in places.tolist()],
            self.targets[places],
            self.sides[places],
            self.chats[places],
            self.messages[places],
            self.logits[places],
        )


def score(chats: Sequence[Chat], artifact: Artifact, folder: Path) -> Windows:
    """Have the encoder that is shipped read conversations; goes on after a call that was stopped.

    All messages of the user are read, and `ASSISTANT_MESSAGES` of the assistant's.

    Args:
        chats: The conversations.
        artifact: The model; its engine for CPUs reads.
        folder: Where chunks are kept, in a folder that is named after model and conversations.

    Raises:
        ValueError: There is no window.
    """
    names = [f"{chat.source} {chat.conversation.id}" for chat in chats]
    facts = json.dumps([made_from(artifact), artifact.windows.to_dict(), names])
    own = folder / hashlib.sha256(facts.encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    parts = []
    for start in range(0, len(chats), CHUNK):
        path = own / f"{start}.npz"
        if not path.is_file():
            began = time.monotonic()
            arrays = _scored(chats[start : start + CHUNK], start, encoder, engine)
            written = path.with_name("new.npz")
            np.savez(written, allow_pickle=False, **arrays)
            os.replace(written, path)
            rate = len(arrays["sides"]) / (time.monotonic() - began)
            print(f"{start + CHUNK:,} of {len(chats):,} chats, {rate:.0f} windows/s", flush=True)
        with np.load(path) as content:
            parts.append(dict(content))
    return _joined(parts)


def _scored(
    chats: Sequence[Chat], offset: int, encoder: WindowEncoder, engine: Engine
) -> dict[str, NDArray[Any]]:
    windows = [
        window
        for window in encoder.encode([chat.conversation for chat in chats])
        if window.message in _wanted(chats[window.conversation])
    ]
    logits = np.zeros((len(windows), 0), np.float32)
    for places, ids, mask in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=encoder.pad_id):
        found = engine.logits(ids, mask)
        if not logits.size:
            logits = np.zeros((len(windows), found.shape[1]), np.float32)
        logits[places] = found
    return {
        "ids": _flat(windows),
        "lengths": np.array([len(window.ids) for window in windows], np.int64),
        "targets": np.array([window.target for window in windows], np.int64),
        "sides": np.array([not window.user for window in windows], np.int64),
        "chats": np.array([offset + window.conversation for window in windows], np.int64),
        "messages": np.array([window.message for window in windows], np.int64),
        "logits": logits,
    }


def _flat(windows: Sequence[EncodedWindow]) -> NDArray[np.int32]:
    return np.concatenate([np.zeros(0, np.int32), *(window.ids for window in windows)])


def _wanted(chat: Chat) -> set[int]:
    """Return the positions of the messages that are read; the same whenever it is asked."""
    messages = chat.conversation.messages
    of = {role: [i for i, m in enumerate(messages) if m.role == role] for role in ROLES}
    draw = random.Random(f"{chat.source} {chat.conversation.id}")
    count = min(ASSISTANT_MESSAGES, len(of["assistant"]))
    return {*of["user"], *draw.sample(of["assistant"], count)}


def _joined(parts: Sequence[dict[str, NDArray[Any]]]) -> Windows:
    parts = [part for part in parts if len(part["sides"])]
    if not parts:
        raise ValueError("there is no window to learn from")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ids = np.split(joined.pop("ids"), np.cumsum(joined.pop("lengths"))[:-1])
    return Windows(ids, **joined)
