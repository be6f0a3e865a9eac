"""Find the unlabelled conversations that an artifact takes for emotional, for people to annotate.

    python -m training.data.mine --source sharegpt_unlabelled --data DIR --top 300 -o sheet.jsonl

Among real transcripts charged ones are so rare that what scores highest is mostly hard negatives.
Read by the codebook (`training/data/CODEBOOK.md`) and written to `training/data/annotations.jsonl`,
they become gold in the next training. The sheet holds transcript text; keep it to yourself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from affectlib.classifier import AffectClassifier
from affectlib.model.artifacts import DEFAULT_MODEL
from affectlib.predictions import ConversationFailure
from training.data.labelled import from_silver
from training.data.sources import (
    read_annotations,
    read_small_talk_labels,
    read_source,
    require_use,
)

USER_CHARACTERS = 700
ASSISTANT_CHARACTERS = 120


def mine(
    source: str, data: Path | None, classifier: AffectClassifier, top: int
) -> list[dict[str, Any]]:
    """Return the highest scored conversations that are not annotated yet.

    Args:
        source: Name of a source that may be trained on.
        data: Folder of the public sets.
        classifier: What scores them.
        top: How many.

    Returns:
        For each its id, its probability and its messages, cut short, with the number of each user
        turn and its probability; highest first.
    """
    require_use(source, "train")
    annotated = {row["id"] for row in [*read_annotations(), *read_small_talk_labels()]}
    conversations = [
        from_silver(row, source, emotional=False).conversation
        for row in read_source(source, data)
        if row["id"] not in annotated
    ]
    found = []
    outcomes = classifier.stream(conversations, on_error="record")
    for conversation, outcome in zip(conversations, outcomes, strict=True):
        if not isinstance(outcome, ConversationFailure):
            highest = max(t.probability for t in outcome.messages if t.probability is not None)
            found.append((highest, conversation, outcome))
    found.sort(key=lambda entry: -entry[0])
    return [
        {
            "id": conversation.id,
            "probability": round(outcome.probability, 4),
            "messages": list(_shorten(conversation, {t.index: t for t in outcome.messages})),
        }
        for _, conversation, outcome in found[:top]
    ]


def _shorten(conversation: Any, turns: dict[int, Any]) -> Iterator[dict[str, Any]]:
    number = 0
    for index, message in enumerate(conversation.messages):
        if message.role == "user":
            number += 1
            probability = turns[index].probability if index in turns else None
            yield {
                "turn": number,
                "user": _cut(message.content, USER_CHARACTERS),
                "p": None if probability is None else round(probability, 2),
            }
        elif message.role == "assistant":
            yield {"assistant": _cut(message.content, ASSISTANT_CHARACTERS)}


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[: limit * 2 // 3]} [...] {text[-limit // 3 :]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Mine from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.data.mine")
    parser.add_argument("--source", default="sharegpt_unlabelled")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="artifact: name or folder")
    parser.add_argument("--top", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    classifier = AffectClassifier.from_pretrained(
        options.model, engine="onnx", assistant_cues=False
    )
    rows = mine(options.source, options.data, classifier, options.top)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    options.output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{options.output}: {len(rows)} conversations")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
