"""First step: sources -> labelled windows, without near-duplicates or people of evaluation data."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets import Dataset

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import UNKNOWN, LabelledConversation
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.taxonomy import ASSISTANT_CUES, EMOTIONAL, OUTPUTS
from training.config import Recipe, SourceSettings
from training.data import sources
from training.data.augment import Augmenter, wrap_in_task
from training.model.encoder import build_encoder

VOCABULARY_CHARACTERS = 2000
SHINGLE_WORDS = 8
MOST_SHARED = 0.3

_WORDS = re.compile(r"\w+")
Taken: TypeAlias = list[tuple[SourceSettings, LabelledConversation]]
"""The conversations of a recipe, each with the source that it was taken for."""


def prepare(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    """Write training windows, the encoder to start from, and counts of what each source gave."""
    folder = recipe.folder / "prepare"
    torch.manual_seed(recipe.seed)  # what the encoder gets anew, such as its head, is random
    taken, report = take(recipe, data)
    texts: dict[bool, list[str]] = {True: [], False: []}
    for _, labelled in taken:
        said = (message.content for message in labelled.conversation.messages)
        english = labelled.row.get("lang", "en") == "en"
        texts[english] += [text[:VOCABULARY_CHARACTERS] for text in said]
    build_encoder(recipe.encoder, texts[True], texts[False], data, folder / "encoder")
    encoder = WindowEncoder(folder / "encoder" / "tokenizer.json", recipe.windows)
    rows = [*window_rows(recipe, taken, encoder)]
    for row in rows:
        counts = report[row["source"]]
        counts["windows"] += 1
        counts["tokens"] += row["length"]
        counts["emotional"] += row["targets"][0][OUTPUTS.index(EMOTIONAL)] >= 0.5
        counts["weight"] += row["weight"]
    Dataset.from_list(rows).save_to_disk(str(folder / "train"))
    result = {name: dict(counts) for name, counts in sorted(report.items())}
    (folder / "report.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def training_conversations(recipe: Recipe, data: Path | None) -> list[LabelledConversation]:
    """Return the conversations that the recipe trains on and has labels of."""
    taken, _ = take(recipe, data)
    return [labelled for source, labelled in taken if source.kind != "unlabelled"]


class EvaluationIndex:
    """Recognises conversations whose user's words occur in others, such as evaluation data.

    They are if a message of at least `SHINGLE_WORDS` words is also one of theirs (letter case and
    punctuation aside), or if more than `MOST_SHARED` of the runs of so many words are.
    """

    def __init__(self, conversations: Iterable[Conversation]) -> None:
        self._messages: set[int] = set()
        self._shingles: set[int] = set()
        for conversation in conversations:
            for words in _long_messages(conversation):
                self._messages.add(hash(words))
                self._shingles.update(_shingles(words))

    def contains(self, conversation: Conversation) -> bool:
        """Tell whether the conversation is a near-duplicate of an evaluation conversation."""
        shared = total = 0
        for words in _long_messages(conversation):
            if hash(words) in self._messages:
                return True
            shingles = _shingles(words)
            total += len(shingles)
            shared += len(shingles & self._shingles)
        return total > 0 and shared / total > MOST_SHARED


def _long_messages(conversation: Conversation) -> Iterator[tuple[str, ...]]:
    """Yield the words of the user's messages that have enough of them."""
    for message in conversation.user_messages:
        words = tuple(_WORDS.findall(message.content.lower()))
        if len(words) >= SHINGLE_WORDS:
            yield words


def _shingles(words: tuple[str, ...]) -> set[int]:
    last = len(words) - SHINGLE_WORDS
    return {hash(words[start : start + SHINGLE_WORDS]) for start in range(last + 1)}


def evaluation_rows(real_dev: bool, data: Path | None) -> Iterator[dict[str, Any]]:
    """Yield every conversation that may not be trained on.

    The corpus's dev and test splits always; the small talk and the public dev and evaluation sets
    if the recipe is calibrated on real transcripts (`real_dev`).
    """
    yield from (row for row in sources.read_corpus() if row["split"] != "train")
    if real_dev:
        yield from sources.read_small_talk(data)
        for source in sources.load_manifest().values():
            if source.use != "train":
                yield from sources.read_source(source.name, data)


def evaluation_data(real_dev: bool, data: Path | None) -> tuple[EvaluationIndex, set[str]]:
    """Return what recognises conversations that may not be trained on, and their known writers."""
    writers: set[str] = set()

    def conversations() -> Iterator[Conversation]:
        for row in evaluation_rows(real_dev, data):
            if row.get("writer"):
                writers.add(str(row["writer"]))
            yield sources.from_silver(row, "evaluation").conversation

    return EvaluationIndex(conversations()), writers


def take(recipe: Recipe, data: Path | None) -> tuple[Taken, dict[str, Counter[str]]]:
    """Read each source, less what evaluation data hold too, and report what is left out.

    A conversation that two entries of the recipe name is taken once, for the first.
    """
    rng = random.Random(recipe.seed)
    report: dict[str, Counter[str]] = defaultdict(Counter)
    index, writers = evaluation_data(recipe.real_dev, data)
    taken: Taken = []
    seen: set[tuple[str, str]] = set()
    for source in recipe.sources:
        for place, labelled in enumerate(_read(source, data, rng)):
            name = labelled.source, labelled.conversation.id or f"{source.path}:{place}"
            if name in seen:
                continue
            seen.add(name)
            if str(labelled.row.get("writer")) in writers:
                report[labelled.source]["same_writers"] += 1
            elif index.contains(labelled.conversation):
                report[labelled.source]["near_duplicates"] += 1
            else:
                report[labelled.source]["conversations"] += 1
                taken.append((source, labelled))
    return taken, report


def _read(
    source: SourceSettings, data: Path | None, rng: random.Random
) -> Iterator[LabelledConversation]:
    conversations = _conversations_of(source, data)
    if source.conversations is not None and len(conversations) > source.conversations:
        conversations = rng.sample(conversations, source.conversations)
    for labelled in conversations:
        if not any(message.content.strip() for message in labelled.conversation.user_messages):
            continue
        if not labelled.emotional and rng.random() >= source.uncharged:
            continue
        wrap = labelled.emotional and rng.random() < source.wrapped
        yield wrap_in_task(labelled, rng) if wrap else labelled


def _conversations_of(source: SourceSettings, data: Path | None) -> list[LabelledConversation]:
    if source.name == "corpus":
        return [*_read_parts(source.parts)]
    if source.name == "annotations":
        return [*_read_annotated(source.parts, data)]
    if source.name == "twins":
        return [*twin_conversations(data)]
    if source.name == "file":
        if source.path is None:
            raise ValueError('source "file" needs a path: set sources.N.path=FILE')
        return [*read_labelled_file(source.path)]
    sources.require_training(source.name)
    rows = (*sources.read_rows("annotations.jsonl"), *sources.read_rows("small_talk_labels.jsonl"))
    annotated = {row["id"] for row in rows if row["source"] == source.name}
    return [
        sources.from_silver(row, source.name)
        for row in sources.read_source(source.name, data)
        if sources.in_languages(row)
        and row["id"] not in annotated
        and not sources.is_held_out(source.name, row["id"])
    ]


def _read_parts(parts: Sequence[str] | None) -> Iterator[LabelledConversation]:
    rows = sources.read_corpus("train")
    if unknown := {*(parts or ())} - {sources.corpus_part(row["id"]) for row in rows}:
        raise ValueError(f"the corpus has no training part {', '.join(sorted(unknown))}")
    for row in rows:
        if parts is None or sources.corpus_part(row["id"]) in parts:
            yield sources.from_gold(row, "corpus")


def _read_annotated(
    parts: Sequence[str] | None, data: Path | None
) -> Iterator[LabelledConversation]:
    labels: dict[str, dict[str, Any]] = defaultdict(dict)
    known = set()
    for row in sources.read_rows("annotations.jsonl"):
        part = row.get("part", row["source"])
        known.add(part)
        if parts is None or part in parts:
            labels[row["source"]][row["id"]] = row["labels"]
    if unknown := {*(parts or ())} - known:
        raise ValueError(f"no row of {', '.join(sorted(unknown))} is annotated")
    for name, row in _rows_of(labels, data):
        yield sources.from_gold({**row, "labels": labels[name][row["id"]]}, f"{name}_annotated")


def twin_conversations(data: Path | None) -> Iterator[LabelledConversation]:
    """Yield real chats with turns that were written anew."""
    twins: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for twin in sources.read_rows("twins.jsonl"):
        twins[twin["source"]][twin["of"]].append(twin)
    for name, row in _rows_of(twins, data):
        for twin in twins[name][row["id"]]:
            yield sources.from_twin(row, twin)


def _rows_of(
    wanted: Mapping[str, Container[str]], data: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the wanted rows of public sets, but those that are kept for measuring."""
    for name, ids in wanted.items():
        sources.require_training(name)
        for row in sources.read_source(name, data):
            if row["id"] in ids and not sources.is_held_out(name, row["id"]):
                yield name, row


def window_rows(recipe: Recipe, taken: Taken, encoder: WindowEncoder) -> Iterator[dict[str, Any]]:
    """Yield the windows of conversations, and of copies of them that are written otherwise."""
    others = [labelled for source, labelled in taken if source.kind == "gold"]
    augmenter = Augmenter(recipe.augment, others, random.Random(recipe.seed))
    for source, labelled, copy in ((*x, copy) for x in taken for copy in range(x[0].copies)):
        language = labelled.row.get("lang", "en")
        beside = copy > 0 or (source.kind == "gold" and augmenter.draws_beside())
        chat = augmenter.surround(labelled, language) if beside else labelled
        (windows,) = encoder.encode([augmenter.rewrite(chat.conversation, language)])
        for window in windows:
            yield {
                "input_ids": window.ids,
                "turns": window.turns,
                "targets": _targets(chat, window, source),
                "keys": _keys(chat, window, alone=len(windows) == 1),
                "weight": source.weight,
                "source": labelled.source,
                "silver": source.kind != "gold",
                "language": language,
                "last": source.last,
                "length": len(window.ids),
            }


def _targets(
    labelled: LabelledConversation, window: EncodedWindow, source: SourceSettings
) -> list[list[float]]:
    """Return the targets of a window and of its messages, shape ``[1 + messages, outputs]``."""
    unknown = [UNKNOWN] * len(OUTPUTS)
    if source.kind == "unlabelled":
        return [unknown] * (1 + len(window.messages))
    of_messages = labelled.targets()
    rows = [of_messages.get(place, unknown) for place in window.messages]
    targets = np.array([labelled.whole_targets(window.messages), *rows])
    if not source.assistant_cues:
        targets[:, [OUTPUTS.index(cue) for cue in ASSISTANT_CUES]] = UNKNOWN
    return [[float(value) for value in row] for row in targets]


def _keys(labelled: LabelledConversation, window: EncodedWindow, *, alone: bool) -> list[int]:
    """Return by what a teacher's answers about a window and its messages are found; 0 for none.

    There are none of what the assistant says: the teacher never learnt how charged that is.
    """
    own, messages = answer_keys(labelled.conversation), labelled.conversation.messages
    of_messages = (own[1 + i] if messages[i].role == "user" else 0 for i in window.messages)
    return [own[0] if alone else 0, *of_messages]


def answer_keys(conversation: Conversation) -> list[int]:
    """Return a number for a conversation and for each of its messages, by its text."""
    digest = hashlib.blake2b(digest_size=8)
    for message in conversation.messages:
        digest.update(f"{message.role}\0{message.content}\0".encode())
    first = int.from_bytes(digest.digest()[:7], "big") + 1
    return [first * 512 % 2**62 + place for place in range(1 + len(conversation.messages))]
