"""What a screen is taught and judged by: conversations, and what the encoder says of them."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import Artifact
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.model.screen import made_from
from training.config import read_beside
from training.data import sources
from training.data.prepare import evaluation_data, twin_conversations

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
BATCH_TOKENS = 1024
CHUNK = 500
"""Conversations that are scored before what was found is written."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation of a set that a screen is taught or judged by.

    Attributes:
        part: 0 to `CHECK`; conversations of one person, and those that are much alike, share one.
        charged: Whether its annotation says that it is charged; False without one.
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
        use = split or ("train" if source == "twins" else sources.find_source(source).use)
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
    return frozenset(str(row["of"]) for row in sources.read_rows("twins.jsonl"))


def _likeness(labelled: LabelledConversation) -> str:
    """Return what a chat shares with those that are much like it: its pair, or its beginning."""
    if labelled.conversation.id in _originals():
        return str(labelled.conversation.id)
    first = next(iter(labelled.conversation.user_messages)).content
    return str(labelled.row.get("pair") or first[:200])


def read_chats(data: Path | None) -> list[Chat]:
    """Read the sets; what trains is not like evaluation data, nor of its writers."""
    index, writers = evaluation_data(True, data)
    chats = []
    for name, (_, most) in SETS.items():
        found = [*_read(name, data)]
        chats += [
            chat
            for chat in random.Random(0).sample(found, min(len(found), most or len(found)))
            if not (chat.teaches and (chat.writer in writers or index.contains(chat.conversation)))
        ]
    return chats


def _read(name: str, data: Path | None) -> Iterator[Chat]:
    if name == CORPUS:
        for row in sources.read_corpus():
            yield Chat.of(sources.from_gold(row, CORPUS), CORPUS, row["split"])
        return
    for labelled in twin_conversations(data) if name == "twins" else _of_set(name, data):
        if any(message.content.strip() for message in labelled.conversation.user_messages):
            yield Chat.of(labelled, name)


def _of_set(name: str, data: Path | None) -> Iterator[LabelledConversation]:
    if sources.find_source(name).use == "dev":
        labels = sources.read_dev_labels()
    else:
        rows = sources.read_rows("annotations.jsonl")
        labels = {row["id"]: row["labels"] for row in rows if row["source"] == name}
    unseen = {row["id"] for row in sources.read_rows("small_talk_labels.jsonl")}
    for row in sources.read_source(name, data):
        hidden = row["id"] in unseen or sources.is_held_out(name, row["id"])
        if hidden or not sources.in_languages(row):
            continue
        if row["id"] in labels:
            yield sources.from_gold({**row, "labels": labels[row["id"]]}, name)
        else:
            yield sources.from_silver(row, name)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows, those of a conversation one after another, with the positions of their `chats`.

    The encoder's `logits` and the highest of their messages are ``[windows, outputs]``.
    """

    windows: Sequence[EncodedWindow]
    chats: NDArray[np.int64]
    logits: NDArray[np.float32]
    peaks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.windows)

    def where(self, chosen: NDArray[Any]) -> Windows:
        """Return some of them."""
        places = np.arange(len(self))[chosen]
        own = [self.windows[place] for place in places.tolist()]
        return Windows(own, self.chats[places], self.logits[places], self.peaks[places])


def score(chats: Sequence[Chat], artifact: Artifact, folder: Path) -> Windows:
    """Have the encoder that is shipped read conversations, in chunks that are kept in a folder."""
    names = [f"{chat.source} {chat.conversation.id}" for chat in chats]
    facts = json.dumps([made_from(artifact), artifact.windows.to_dict(), names])
    own = folder / hashlib.sha256(facts.encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    parts = []
    for start in range(0, len(chats), CHUNK):
        path = own / f"{start}.npz"
        encoded = encoder.encode([chat.conversation for chat in chats[start : start + CHUNK]])
        windows = [window for group in encoded for window in group]
        places = np.repeat(np.arange(start, start + len(encoded)), [*map(len, encoded)])
        if not path.is_file():
            logits, peaks = _scored(windows, engine, encoder.pad_id, len(artifact.outputs))
            written = path.with_name("new.npz")
            np.savez(written, logits=logits, peaks=peaks)
            os.replace(written, path)
            print(f"{start + len(encoded):,} of {len(chats):,} chats", flush=True)
        with np.load(path) as content:
            parts.append(Windows(windows, places, content["logits"], content["peaks"]))
    columns = ([getattr(p, name) for p in parts] for name in ("chats", "logits", "peaks"))
    read = [window for part in parts for window in part.windows]
    return Windows(read, *map(np.concatenate, columns))


def _scored(
    windows: Sequence[EncodedWindow], engine: Engine, pad_id: int, outputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    logits, peaks = (np.zeros((len(windows), outputs), np.float32) for _ in range(2))
    for batch in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=pad_id):
        found = engine.logits(batch.ids, batch.mask, batch.turns)
        for place, rows in zip(batch.places.tolist(), found, strict=True):
            logits[place] = rows[0]
            peaks[place] = rows[1 : 1 + len(windows[place].messages)].max(axis=0)
    return logits, peaks
