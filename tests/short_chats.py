"""How chats of one very short message are read.

python -m tests.short_chats              the bundled model; --model NAME for another, --json

`data/short_chats.jsonl` holds 304 messages of one to seven words, half of them English and half
French, half of them charged. Each is read as a whole chat and as a message by itself. They were
written for measuring alone and annotated a second time, blind, with the same labels; none of them
is in the corpus. How much the last part of training counts was chosen with a look at this table.
Intervals are 95 % percentile bootstraps over messages.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from affectlib.classifier import AffectClassifier
from tests.robustness import Figure, figure, read_rows

ROWS = Path(__file__).parent / "data" / "short_chats.jsonl"
LANGUAGES = {"en": "English", "fr": "French"}


def measure(classifier: AffectClassifier, rows: list[dict[str, str]]) -> Iterator[Figure]:
    """Yield accuracy, recall and specificity, as chats and as messages, of each language."""
    texts = [row["text"] for row in rows]
    read = {
        "chats": classifier.predict([[{"role": "user", "content": text}] for text in texts]),
        "messages": classifier.predict(texts),
    }
    charged = np.array([row["label"] == "emotional" for row in rows])
    languages = np.array([row["language"] for row in rows])
    for unit, predictions in read.items():
        flagged = np.array([found.label == "emotional" for found in predictions])
        for code, language in LANGUAGES.items():
            own = languages == code
            name = f"{language} {unit}"
            yield figure(f"{name}: accuracy", (flagged == charged)[own])
            yield figure(f"{name}: recall", flagged[own & charged])
            yield figure(f"{name}: specificity", ~flagged[own & ~charged])


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.short_chats", description=__doc__)
    parser.add_argument("--model", default="affect-small", help="a bundled model or a folder")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")
    options = parser.parse_args(arguments)
    classifier = AffectClassifier.from_pretrained(options.model, device="cpu", engine="onnx")
    for found in measure(classifier, read_rows(ROWS)):
        print(json.dumps(asdict(found)) if options.json else found)


if __name__ == "__main__":
    main()
