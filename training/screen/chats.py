"""The conversations that a screen is taught and judged by, labelled or not."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import LabelledConversation
from training.data.prepare import EvaluationIndex, evaluation_conversations, twin_conversations
from training.data.sources import (
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


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken of a set.

    Attributes:
        name: Its name; "corpus" and "twins" are our own.
        kind: What its conversations are.
        most: Conversations at most, drawn at random; None for all.
    """

    name: str
    kind: str
    most: int | None = None


SETS = (
    Taken("sharegpt_unlabelled", NATURAL),
    Taken("arena_hard", NATURAL),
    Taken("oasst_en100", NATURAL),
    Taken("sharegpt_dev", NATURAL),
    Taken("arena_wildchat_dev", NATURAL),
    Taken("studies_train", PERSONAL),
    Taken("studies_unlabelled", PERSONAL),
    Taken("studies_dev", PERSONAL),
    Taken(CORPUS, CORPUS, 12_000),
    Taken("twins", OTHER),
    Taken("goemotions", OTHER, 10_000),
    Taken("xed", OTHER, 4_000),
    Taken("counselchat", OTHER),
    Taken("empatheticpersonas", OTHER, 1_000),
    Taken("chitchat_byu", OTHER, 600),
    Taken("clinc150", OTHER, 3_000),
    Taken("multidogo", OTHER, 1_000),
    Taken("sgd", OTHER, 400),
    Taken("taskmaster4", OTHER, 400),
    Taken("persuasion", OTHER, 300),
    Taken("mathdial", OTHER, 200),
    Taken("topicalchat", OTHER, 200),
    Taken("synth_personachat", OTHER, 300),
    Taken("mtbench", OTHER),
    Taken("selfinstruct_user", OTHER),
)
LANGUAGES = ("en", "fr")


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation that a screen is taught or judged by.

    Attributes:
        conversation: The conversation.
        source: The name of its set.
        kind: What it is, one of `KINDS`.
        part: 0 to `CHECK`; conversations that are much alike share one.
        teaches: Whether a screen may learn from it.
        charged: Whether its annotation says that it is charged; False without one.
    """

    conversation: Conversation
    source: str
    kind: str
    part: int
    teaches: bool
    charged: bool = False

    @classmethod
    def of(cls, labelled: LabelledConversation, taken: Taken, split: str | None = None) -> Chat:
        """Give a conversation its part; those of the corpus's test split check only."""
        first = next(iter(labelled.conversation.user_messages)).content
        group = str(labelled.row.get("pair") or first[:200])
        digest = hashlib.sha256(f"{taken.name} {group}".encode()).digest()
        use = split or ("train" if taken.name == "twins" else find_source(taken.name).use)
        return cls(
            labelled.conversation,
            taken.name,
            taken.kind,
            part=CHECK if split == "test" else digest[0] % PARTS,
            teaches=use == "train",
            charged=labelled.emotional,
        )


def read_chats(data: Path | None, share: float = 1.0) -> list[Chat]:
    """Read the sets; those that train leave out what is like evaluation data.

    Args:
        data: Folder of the public sets.
        share: How much of each set to take, for trying things out.

    Raises:
        FileNotFoundError: A set is missing.
    """
    index = EvaluationIndex(evaluation_conversations(True, data))
    return [
        chat
        for taken in SETS
        for chat in _drawn(_read(taken, data), taken, share)
        if not (chat.teaches and index.contains(chat.conversation))
    ]


def _drawn(chats: Iterable[Chat], taken: Taken, share: float) -> Sequence[Chat]:
    found = [*chats]
    count = round(share * min(len(found), taken.most or len(found)))
    return random.Random(0).sample(found, count)


def _read(taken: Taken, data: Path | None) -> Iterator[Chat]:
    if taken.name == CORPUS:
        for row in read_corpus():
            yield Chat.of(from_gold(row, CORPUS), taken, row["split"])
        return
    if taken.name == "twins":
        for labelled in twin_conversations(data):
            yield Chat.of(labelled, taken)
        return
    if find_source(taken.name).use == "dev":
        labels = read_dev_labels()
    else:
        rows = read_rows("annotations.jsonl")
        labels = {row["id"]: row["labels"] for row in rows if row["source"] == taken.name}
    unseen = {row["id"] for row in read_rows("small_talk_labels.jsonl")}
    for labelled in _of_set(taken.name, data, labels, unseen):
        if any(message.content.strip() for message in labelled.conversation.user_messages):
            yield Chat.of(labelled, taken)


def _of_set(
    name: str, data: Path | None, labels: Mapping[str, Any], unseen: Container[str]
) -> Iterator[LabelledConversation]:
    for row in read_source(name, data):
        if row["id"] in unseen or is_held_out(name, row["id"]):
            continue
        if row.get("lang", LANGUAGES[0]) not in LANGUAGES:
            continue
        if row["id"] in labels:
            yield from_gold({**row, "labels": labels[row["id"]]}, name)
        else:
            yield from_silver(row, name)
