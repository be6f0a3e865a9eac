"""Reading damaged exports, and what must hold whatever the damage."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Role, clean_text
from affectlib.errors import AffectlibError, ConversationError
from affectlib.formats import Branches, Limits, ReadOptions, ReadReport, read_conversations
from affectlib.formats.canonical import parse, to_record
from affectlib.formats.reader import Reading
from affectlib.predictions import ConversationFailure
from tools.fuzz.chat_exports import ALL_EXPORTS as EXPORTS
from tools.fuzz.exports import SECRET, Export
from tools.fuzz.mutations import mutate

MUTATIONS = 50
"""Damaged inputs made of one export."""

SECONDS = 5.0
"""How long the reading of one may take, of the processor."""

_LIMITS = Limits(record_characters=200_000, files=100, branches=20)


@dataclass
class Outcome:
    inputs: int = 0
    conversations: int = 0
    failures: int = 0
    refused: int = 0
    slowest: float = 0.0


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write files, and return the file, or their folder if they are several."""
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files)) if len(files) == 1 else folder


def options_of(format: str, rng: random.Random) -> ReadOptions:
    """Draw options for an input of a format: mostly those that it needs, sometimes any other."""
    values: dict[str, Any] = {
        "format": rng.choice(("auto", "auto", format)),
        "branches": rng.choice(get_args(Branches)),
        "limits": _LIMITS,
    }
    others: dict[str, tuple[Any, ...]] = {
        "format": tuple(EXPORTS),
        "users": (["user"], ["Bot"], ["Me", "x"], [""]),
        "assistants": (["assistant"], ["Bot"]),
        "gap": (0.001, 30, 1e9),
        "keep": (["id"], ["title", "nothing"], ["messages", "content"]),
        "columns": ({"content": "content"}, {"role": "from", "content": "value"}, {"x": "y"}),
        "limits": tuple(
            Limits(record_characters=size, files=5, branches=1) for size in (1, 50, 1000)
        ),
    }
    for name in others:
        if rng.random() < 0.05:
            values[name] = rng.choice(others[name])
    return ReadOptions(**values)


def check(path: Path, options: ReadOptions, outcome: Outcome) -> None:
    """Read an input, and require what must hold whatever it is."""
    report = ReadReport()
    read: list[Conversation | ConversationFailure] = []
    begun = time.process_time()
    told: list[str] = []
    try:
        read.extend(read_conversations(path, options, report=report))
    except AffectlibError as error:
        outcome.refused += 1
        told.append(str(error))
    outcome.slowest = max(outcome.slowest, time.process_time() - begun)
    outcome.inputs += 1
    for item in read:
        if isinstance(item, Conversation):
            outcome.conversations += 1
            _check_conversation(item)
        else:
            outcome.failures += 1
            told.append(item.error)
    told.append(json.dumps(report.to_dict()))
    assert SECRET not in " ".join(told), f"text in {told}"
    assert report.conversations + report.failures >= len(read)
    assert outcome.slowest < SECONDS, f"{outcome.slowest:.1f} s"


def _check_conversation(conversation: Conversation) -> None:
    for message in conversation.messages:
        assert message.role in get_args(Role)
        assert message.content == clean_text(message.content)
        assert message.timestamp is None or message.timestamp.tzinfo is not None
    try:
        written = to_record(conversation)
    except ConversationError:  # what was kept of a record may be what JSON cannot hold
        assert conversation.metadata
        return
    record = json.loads(json.dumps(written, allow_nan=False))
    assert [*parse(record, Reading())] == [conversation]


def fuzz(
    format: str,
    examples: int,
    folder: Path,
    number: int = 0,
    *,
    each: Callable[[], None] = lambda: None,
) -> Outcome:
    """Read damaged exports of a format, written to a folder one after the other.

    Args:
        format: The format.
        examples: Valid exports to build; each is damaged in `MUTATIONS` ways.
        folder: The folder.
        number: Seed of the random generator.
        each: Called before each input is read.
    """
    outcome = Outcome()

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(EXPORTS[format], st.integers(0, 2**32))
    def run(export: Export, rng_seed: int) -> None:
        rng = random.Random(rng_seed)
        for _ in range(MUTATIONS):
            files = mutate(export, rng)
            path = write(files, folder)
            options = options_of(format, rng)
            each()
            try:
                check(path, options, outcome)
            except BaseException as error:
                kept = write(files, _fresh(folder.parent / f"{format}-{number}"))
                error.add_note(f"read with {options}; the input is kept in {kept}")
                raise
            for name in files:
                with suppress(FileNotFoundError):
                    (folder / name).unlink()

    run()
    return outcome


def _fresh(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def fuzz_all(inputs: int, folder: Path, number: int = 0) -> Iterator[tuple[str, Outcome]]:
    examples = -(-inputs // (MUTATIONS * len(EXPORTS)))
    for format in EXPORTS:
        yield format, fuzz(format, examples, folder, number)
