"""How far other transcripts are from those that choose thresholds, and whether an alarm is raised.

    python -m training.evaluation.likeness --data DIR

The reference is made of every second dev conversation of real people, with the studies and without.
The other halves, and 300 conversations of each public set that lies in DIR, are compared with it
(see `affectlib.model.reference`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from affectlib.conversation import Conversation, parse_conversation
from affectlib.errors import ConversationError
from affectlib.model.reference import Likeness, Reference, reference_of
from training.data.sources import load_manifest, read_source
from training.evaluation.judged import LOGS, STUDIES
from training.model.calibrate import Calibration, ScoredConversation

_DRAWN = 300


def reference_for(
    scored: Sequence[ScoredConversation], calibration: Calibration, languages: Sequence[str]
) -> Reference:
    """Return what the transcripts look like that a model is measured on: those of real people.

    Args:
        scored: The dev conversations.
        calibration: What was fitted on them.
        languages: The languages that the model says it knows; others are left out.
    """
    real = [s for s in scored if s.labelled.source in (*LOGS, STUDIES)] or scored
    known = [s for s in real if s.labelled.row.get("lang", languages[0]) in languages]
    return reference_of(
        (
            str(s.labelled.row.get("source", s.labelled.source)),
            s.labelled.conversation,
            calibration.conversation_probability(s),
        )
        for s in known or real
    )


def conversations(name: str, data: Path) -> Iterator[Conversation]:
    """Yield the conversations of a source, in random order, without those that are malformed."""
    rows: list[dict[str, Any]] = list(read_source(name, data))
    random.Random(0).shuffle(rows)
    for row in rows:
        try:
            messages = [
                {"role": message["role"], "content": message["content"]}
                for message in row["messages"]
            ]
            yield parse_conversation(messages, id=str(row["id"]))
        except (ConversationError, KeyError):
            continue


def line(name: str, chats: Sequence[Conversation], reference: Reference) -> str:
    """Say how far a set is: whether an alarm is raised, and in what."""
    likeness = Likeness(reference.words)
    for chat in chats:
        likeness.add(chat)
    found = likeness.differences(reference)
    named = ", ".join(f"{each.feature} {each.distance:.2f}" for each in found)
    return f"{name:<28} {len(chats):>5}  {'unlike: ' + named if found else 'alike'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each set; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation.likeness")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    data = parser.parse_args(arguments).data
    for measured in (LOGS, (*LOGS, STUDIES)):
        print(f"reference: half of {', '.join(measured)}")
        halves = {name: [*conversations(name, data)] for name in measured}
        reference = reference_of(
            (name, chat, None) for name, chats in halves.items() for chat in chats[::2]
        )
        for name, chats in halves.items():
            print(line(f"{name}, the other half", chats[1::2], reference))
        for name in [name for name in load_manifest() if name not in measured]:
            try:
                chats = [*conversations(name, data)][:_DRAWN]
            except (FileNotFoundError, ValueError):
                continue
            if chats:
                print(line(name, chats, reference))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
