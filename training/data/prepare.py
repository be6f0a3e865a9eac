"""First step: sources -> labelled windows, without near-duplicates or people of evaluation data."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from datasets import Dataset

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.model.encoding import WindowEncoder
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.config import Recipe, SourceSettings
from training.data.augment import Augmenter, wrap_in_task
from training.data.sources import (
    corpus_part,
    from_gold,
    from_silver,
    from_twin,
    in_languages,
    is_held_out,
    load_manifest,
    read_corpus,
    read_rows,
    read_small_talk,
    read_source,
    require_use,
)
from training.model.encoder import build_encoder

VOCABULARY_CHARACTERS = 2000
OTHER_CHARACTERS = 400
LONG_MESSAGE_WINDOWS = 2
SHINGLE_WORDS = 8
MOST_SHARED = 0.3

_WORDS = re.compile(r"\w+")
Taken: TypeAlias = list[tuple[SourceSettings, list[LabelledConversation]]]
"""The conversations of each source of a recipe."""


def prepare(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    """Write the training and dev windows, the encoder to start from, and the mixture report.

    Returns:
        The report: for each source its conversations, windows, emotional windows, total weight,
        and what was left out: near-duplicates of evaluation data, and chats of people in it.
    """
    folder = recipe.folder / "prepare"
    rng = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)  # what the encoder gets anew, such as its head, is random
    report: dict[str, Counter[str]] = defaultdict(Counter)
    taken = _take(recipe, data, rng, report)
    english, foreign = ([*_texts(taken, foreign=which)] for which in (False, True))
    build_encoder(recipe.encoder, english, foreign, data, folder / "encoder")
    encoder = WindowEncoder(folder / "encoder" / "tokenizer.json", recipe.windows)
    others = [
        message.content[:OTHER_CHARACTERS]
        for _, conversations in taken
        for labelled in conversations
        for message in labelled.conversation.user_messages
        if message.content.strip()
    ]
    augmenter = Augmenter(recipe.augment, others, rng)
    rows: list[dict[str, Any]] = []
    for source, conversations in taken:
        for labelled in conversations:
            rows += _windows(labelled, source, encoder, augmenter, rng)
    for row in rows:
        report[row["source"]]["windows"] += 1
        report[row["source"]]["emotional"] += row["targets"][OUTPUTS.index(EMOTIONAL)] >= 0.5
        report[row["source"]]["weight"] += row["weight"]
    rng.shuffle(rows)
    Dataset.from_list(rows).save_to_disk(str(folder / "train"))
    Dataset.from_list(list(_dev_rows(encoder))).save_to_disk(str(folder / "dev"))
    result = {name: dict(counts) for name, counts in sorted(report.items())}
    (folder / "report.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def training_conversations(recipe: Recipe, data: Path | None) -> list[LabelledConversation]:
    """Return the conversations that the recipe trains on and has labels of."""
    taken = _take(recipe, data, random.Random(recipe.seed), defaultdict(Counter))
    return [
        labelled
        for source, conversations in taken
        if source.kind != "unlabelled"
        for labelled in conversations
    ]


def evaluation_conversations(real_dev: bool, data: Path | None) -> Iterator[Conversation]:
    """Yield every conversation that may not be trained on.

    The corpus's dev and test splits always; the real dev transcripts, the small talk and the
    public evaluation sets, which must be there then, if the recipe is calibrated on real
    transcripts (`real_dev`).
    """
    for row in read_corpus():
        if row["split"] != "train":
            yield from_gold(row, "corpus").conversation
    if not real_dev:
        return
    for row in read_small_talk(data):
        yield from_gold(row, "small talk").conversation
    for source in load_manifest().values():
        if source.use != "train":
            for row in read_source(source.name, data):
                yield from_silver(row, source.name).conversation


def evaluation_writers(real_dev: bool, data: Path | None) -> set[str]:
    """Return the known writers of conversations that may not be trained on."""
    if not real_dev:
        return set()
    names = [source.name for source in load_manifest().values() if source.use != "train"]
    rows = (row for name in names for row in read_source(name, data))
    return {str(row["writer"]) for row in rows if row.get("writer")}


def _take(
    recipe: Recipe, data: Path | None, rng: random.Random, report: dict[str, Counter[str]]
) -> Taken:
    """Read each source, less what evaluation data hold too; the report counts what is left out."""
    index = EvaluationIndex(evaluation_conversations(recipe.real_dev, data))
    writers = evaluation_writers(recipe.real_dev, data)
    taken = []
    seen: set[tuple[str, str]] = set()
    for source in recipe.sources:
        kept = []
        for place, labelled in enumerate(_read(source, data, rng)):
            counted = "conversations"
            if str(labelled.row.get("writer")) in writers:
                counted = "same_writers"
            elif index.contains(labelled.conversation):
                counted = "near_duplicates"
            else:
                kept.append(labelled)
            # Two entries of the recipe can take the same conversation.
            name = labelled.source, labelled.conversation.id or f"{source.path}:{place}"
            report[labelled.source][counted] += name not in seen
            seen.add(name)
        taken.append((source, kept))
    return taken


def _read(
    source: SourceSettings, data: Path | None, rng: random.Random
) -> Iterator[LabelledConversation]:
    if source.name == "corpus":
        conversations = list(_read_parts(source.parts))
    elif source.name == "annotations":
        conversations = list(_read_annotated(source.parts, data))
    elif source.name == "twins":
        conversations = list(twin_conversations(data))
    elif source.name == "file":
        if source.path is None:
            raise ValueError('source "file" needs a path: set sources.N.path=FILE')
        conversations = [_longest_charged(each) for each in read_labelled_file(source.path)]
    else:
        require_use(source.name, "train")
        rows = (*read_rows("annotations.jsonl"), *read_rows("small_talk_labels.jsonl"))
        annotated = {row["id"] for row in rows if row["source"] == source.name}
        conversations = [
            from_silver(row, source.name)
            for row in read_source(source.name, data)
            if in_languages(row)
            and row["id"] not in annotated
            and not is_held_out(source.name, row["id"])
        ]
    if source.conversations is not None and len(conversations) > source.conversations:
        conversations = rng.sample(conversations, source.conversations)
    for labelled in conversations:
        if not any(message.content.strip() for message in labelled.conversation.user_messages):
            continue
        wrap = labelled.emotional and rng.random() < source.wrapped
        yield wrap_in_task(labelled, rng) if wrap else labelled


def _longest_charged(labelled: LabelledConversation) -> LabelledConversation:
    """Take the user's longest message for the charged one, where turns are not labelled."""
    if labelled.turns_known:
        return labelled
    messages = labelled.conversation.messages
    return labelled.with_charged({max(labelled.charges, key=lambda i: len(messages[i].content))})


def _read_parts(parts: Sequence[str] | None) -> Iterator[LabelledConversation]:
    """Yield the training conversations of some parts of the corpus, or of all."""
    rows = read_corpus("train")
    if unknown := {*(parts or ())} - {corpus_part(row["id"]) for row in rows}:
        raise ValueError(f"the corpus has no training part {', '.join(sorted(unknown))}")
    for row in rows:
        if parts is None or corpus_part(row["id"]) in parts:
            yield from_gold(row, "corpus")


def _read_annotated(
    parts: Sequence[str] | None, data: Path | None
) -> Iterator[LabelledConversation]:
    """Yield the rows of public sets that we annotated, with their labels; of some parts or all."""
    labels: dict[str, dict[str, Any]] = defaultdict(dict)
    known = set()
    for row in read_rows("annotations.jsonl"):
        part = row.get("part", row["source"])
        known.add(part)
        if parts is None or part in parts:
            labels[row["source"]][row["id"]] = row["labels"]
    if unknown := {*(parts or ())} - known:
        raise ValueError(f"no row of {', '.join(sorted(unknown))} is annotated")
    for name, row in _rows_of(labels, data):
        yield from_gold({**row, "labels": labels[name][row["id"]]}, f"{name}_annotated")


def twin_conversations(data: Path | None) -> Iterator[LabelledConversation]:
    """Yield real chats with turns that were written anew."""
    twins: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for twin in read_rows("twins.jsonl"):
        twins[twin["source"]][twin["of"]].append(twin)
    for name, row in _rows_of(twins, data):
        for twin in twins[name][row["id"]]:
            yield from_twin(row, twin)


def _rows_of(
    wanted: Mapping[str, Container[str]], data: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the wanted rows of public sets, but those that are kept for measuring."""
    for name, ids in wanted.items():
        require_use(name, "train")
        for row in read_source(name, data):
            if row["id"] in ids and not is_held_out(name, row["id"]):
                yield name, row


def _texts(taken: Taken, *, foreign: bool) -> Iterator[str]:
    """Yield the messages that are in English, or those that are in another language."""
    for _, conversations in taken:
        for labelled in conversations:
            if (labelled.row.get("lang", "en") != "en") != foreign:
                continue
            for message in labelled.conversation.messages:
                yield message.content[:VOCABULARY_CHARACTERS]


def _windows(
    labelled: LabelledConversation,
    source: SourceSettings,
    encoder: WindowEncoder,
    augmenter: Augmenter,
    rng: random.Random,
) -> Iterator[dict[str, Any]]:
    conversation = labelled.conversation
    targets = labelled.targets()
    wanted = {
        *_choose(labelled, "user", source.windows, rng),
        *_choose(labelled, "assistant", source.assistant_windows, rng),
    }
    for index in sorted(wanted):
        if source.kind == "unlabelled":
            targets[index] = [math.nan] * len(OUTPUTS)
        elif all(math.isnan(value) for value in targets[index]):
            continue
        target = conversation.messages[index]
        user = target.role == "user"
        for copy in range(source.copies if user else 1):
            altered, place = conversation, index
            if user and (copy or source.kind != "gold"):
                altered = Conversation(conversation.messages[: index + 1], id=conversation.id)
                altered, place = augmenter.alter(altered, index)
            rewritten = altered
            if user:
                rewritten = augmenter.rewrite(altered, labelled.row.get("lang", "en"))
            # Typing errors can make a window more or less of a long message.
            plain = read = _windows_of(place, altered, encoder, user=user)
            if rewritten != altered:
                read = _windows_of(place, rewritten, encoder, user=user)
            windows = [*zip(read, plain, strict=False)]
            if len(windows) > LONG_MESSAGE_WINDOWS and not labelled.emotional:
                windows = rng.sample(windows, LONG_MESSAGE_WINDOWS)
            for ids, plain_ids in windows:
                yield _row(ids, plain_ids, targets[index], source, labelled, user=user)


def _windows_of(
    place: int, conversation: Conversation, encoder: WindowEncoder, *, user: bool
) -> list[Sequence[int]]:
    windows = encoder.encode([conversation], assistant_targets=not user)
    return [window.ids.tolist() for window in windows if window.message == place]


def _choose(
    labelled: LabelledConversation, role: str, most: int | None, rng: random.Random
) -> list[int]:
    """Draw messages; charged ones, which are rare among real ones, come first."""
    messages = labelled.conversation.messages
    places = [i for i, m in enumerate(messages) if m.role == role and m.content.strip()]
    places = [i for i in places if role != "user" or i in labelled.charges]
    if most is None or len(places) <= most:
        return places
    charged = [i for i in places if i in labelled.charged]
    if len(charged) >= most:
        return rng.sample(charged, most)
    rest = [i for i in places if i not in charged]
    return charged + rng.sample(rest, most - len(charged))


def _dev_rows(encoder: WindowEncoder) -> Iterator[dict[str, Any]]:
    gold = SourceSettings(name="corpus")
    for row in read_corpus("dev"):
        labelled = from_gold(row, "corpus")
        targets = labelled.targets()
        for window in encoder.encode([labelled.conversation]):
            user = labelled.conversation.messages[window.message].role == "user"
            ids = window.ids.tolist()
            yield _row(ids, ids, targets[window.message], gold, labelled, user=user)


def _row(
    ids: Sequence[int],
    plain_ids: Sequence[int],
    targets: list[float],
    settings: SourceSettings,
    labelled: LabelledConversation,
    *,
    user: bool,
) -> dict[str, Any]:
    return {
        "input_ids": ids,
        "plain_ids": plain_ids,  # of the text before it was rewritten: what teachers judge
        "targets": targets,
        "weight": settings.weight,
        "source": labelled.source,
        "silver": settings.kind != "gold",
        "language": labelled.row.get("lang", "en"),
        "user": user,
        "length": len(ids),
    }


class EvaluationIndex:
    """Recognises conversations whose user's words occur in others, such as evaluation data.

    A conversation is a near-duplicate if a message of its user of at least `SHINGLE_WORDS` words
    is also one of theirs (letter case and punctuation aside), or if more than `MOST_SHARED` of the
    user's runs of `SHINGLE_WORDS` words are.
    """

    def __init__(self, conversations: Iterable[Conversation]) -> None:
        """Index the words of the users."""
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
