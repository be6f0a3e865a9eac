"""What a screen is taught and judged by: conversations, and what the encoder says of them.

Their windows are scored in chunks, which are kept on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact
from affectlib.model.encoding import WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.model.screen import made_from
from training.config import read_beside
from training.data.prepare import (
    EvaluationIndex,
    evaluation_conversations,
    evaluation_writers,
    twin_conversations,
)
from training.data.sources import (
    LANGUAGES,
    find_source,
    from_gold,
    from_silver,
    is_held_out,
    read_corpus,
    read_dev_labels,
    read_rows,
    read_source,
)

NATURAL = "natural logs"
PERSONAL = "personal chats"
CORPUS = "corpus"
OTHER = "other sets"
KINDS = (NATURAL, PERSONAL, CORPUS, OTHER)
"""Kinds of transcripts, each of which the bounds are kept for."""

PARTS = 5
CHECK = PARTS - 1
"""The part that neither teaches nor has a say in the bounds, and checks them."""

SETS: dict[str, tuple[str, int | None]] = {
    name: (kind, most)
    for kind, sets in read_beside(__file__).items()
    for name, most in sets.items()
}
"""What the conversations of each set are, and how many are taken at most, drawn at random."""
BATCH_TOKENS = 4096
CHUNK = 500
"""Conversations that are scored before what was found is written."""
ASSISTANT_MESSAGES = 3
"""Messages of the assistant that are scored of each conversation, at most."""
ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation that a screen is taught or judged by.

    Attributes:
        conversation: The conversation.
        source: The name of its set.
        kind: What it is, one of `KINDS`.
        part: 0 to `CHECK`; conversations of one person, and those that are much alike, share one.
        teaches: Whether a screen may learn from it.
        charged: Whether its annotation says that it is charged; False without one.
        writer: Who wrote it, None if that is not known.
    """

    conversation: Conversation
    source: str
    kind: str
    part: int
    teaches: bool
    charged: bool = False
    writer: str | None = None

    @classmethod
    def of(cls, labelled: LabelledConversation, source: str, split: str | None = None) -> Chat:
        """Give a conversation its part; those of the corpus's test split check only."""
        writer = labelled.row.get("writer")
        digest = hashlib.sha256(str(writer or _likeness(labelled)).encode()).digest()
        use = split or ("train" if source == "twins" else find_source(source).use)
        return cls(
            labelled.conversation,
            source,
            SETS[source][0],
            part=CHECK if split == "test" else digest[0] % PARTS,
            teaches=use == "train",
            charged=labelled.emotional,
            writer=None if writer is None else str(writer),
        )


@cache
def _originals() -> frozenset[str]:
    """Return the ids of the chats that have twins."""
    return frozenset(str(row["of"]) for row in read_rows("twins.jsonl"))


def _likeness(labelled: LabelledConversation) -> str:
    """Return what a chat shares with those that are much like it: its pair, or its beginning.

    The pair of a twin is the chat that it was made of.
    """
    if labelled.conversation.id in _originals():
        return str(labelled.conversation.id)
    first = next(iter(labelled.conversation.user_messages)).content
    return str(labelled.row.get("pair") or first[:200])


def read_chats(data: Path | None, share: float = 1.0) -> list[Chat]:
    """Read the sets; those that train leave out what is like evaluation data, or of its writers.

    To try things out, only a `share` of each set may be taken.
    """
    index = EvaluationIndex(evaluation_conversations(True, data))
    writers = evaluation_writers(True, data)
    return [
        chat
        for name in SETS
        for chat in _drawn(_read(name, data), SETS[name][1], share)
        if not (chat.teaches and (chat.writer in writers or index.contains(chat.conversation)))
    ]


def _drawn(chats: Iterable[Chat], most: int | None, share: float) -> Sequence[Chat]:
    found = [*chats]
    count = round(share * min(len(found), most or len(found)))
    return random.Random(0).sample(found, count)


def _read(name: str, data: Path | None) -> Iterator[Chat]:
    if name == CORPUS:
        for row in read_corpus():
            yield Chat.of(from_gold(row, CORPUS), CORPUS, row["split"])
        return
    if name == "twins":
        for labelled in twin_conversations(data):
            yield Chat.of(labelled, name)
        return
    if find_source(name).use == "dev":
        labels = read_dev_labels()
    else:
        rows = read_rows("annotations.jsonl")
        labels = {row["id"]: row["labels"] for row in rows if row["source"] == name}
    unseen = {row["id"] for row in read_rows("small_talk_labels.jsonl")}
    for labelled in _of_set(name, data, labels, unseen):
        if any(message.content.strip() for message in labelled.conversation.user_messages):
            yield Chat.of(labelled, name)


def _of_set(
    name: str, data: Path | None, labels: Mapping[str, Any], unseen: Container[str]
) -> Iterator[LabelledConversation]:
    for row in read_source(name, data):
        hidden = row["id"] in unseen or is_held_out(name, row["id"])
        if hidden or row.get("lang", "en") not in LANGUAGES:
            continue
        if row["id"] in labels:
            yield from_gold({**row, "labels": labels[row["id"]]}, name)
        else:
            yield from_silver(row, name)


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
        names = ("targets", "sides", "chats", "messages", "logits")
        columns = {name: getattr(self, name)[places] for name in names}
        return Windows([self.ids[place] for place in places.tolist()], **columns)


def score(chats: Sequence[Chat], artifact: Artifact, folder: Path) -> Windows:
    """Have the encoder that is shipped read conversations; goes on after a call that was stopped.

    All messages of the user are read, and `ASSISTANT_MESSAGES` of the assistant's. Chunks are kept
    in a folder within the one given, named after model and conversations.
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
        "ids": np.concatenate([np.zeros(0, np.int32), *(window.ids for window in windows)]),
        "lengths": np.array([len(window.ids) for window in windows], np.int64),
        "targets": np.array([window.target for window in windows], np.int64),
        "sides": np.array([not window.user for window in windows], np.int64),
        "chats": np.array([offset + window.conversation for window in windows], np.int64),
        "messages": np.array([window.message for window in windows], np.int64),
        "logits": logits,
    }


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
