"""The golden file: what the bundled model makes of the example transcripts, and of lone texts.

python -m tools.golden      writes it anew, after the model was changed on purpose
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from affectlib.classifier import AffectClassifier
from affectlib.formats import read_conversations

EXAMPLES = Path(__file__).parents[1] / "examples" / "transcripts.jsonl"
GOLDEN = Path(__file__).parents[1] / "tests" / "data" / "golden.json"

TEXTS = (
    "what's the point of living",
    "I miss talking to her",
    "Convert this CSV to JSON in Python",
    "do you ever get lonely?",
    "thank you, you are the best",
    "Nobody at school gets my jokes",
    "je suis un peu stressée, aide-moi à réviser",
    "should I text him back?",
    "are you real?",
    "  I can't sleep again\nand it is three in the morning ",
    '{"role": "user"} is what the log says, is that valid JSON?',
    "tu me manques 😢",
    "how do I sort a list, descending; then print it?",
)
"""Texts of both labels, some near a threshold, and some that a format could trip over."""


def summarize(predictions: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {
        prediction.id: {
            "label": prediction.label,
            "probability": round(prediction.probability, 4),
            "turns": [
                None if turn.probability is None else round(turn.probability, 4)
                for turn in prediction.messages
            ],
            "intensity": None if prediction.intensity is None else round(prediction.intensity, 4),
            "cues": {name: round(value, 4) for name, value in prediction.cues.items()},
            "themes": {name: round(value, 4) for name, value in prediction.themes.items()},
        }
        for prediction in predictions
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.golden", description=__doc__)
    parser.parse_args(arguments)
    classifier = AffectClassifier.from_pretrained(device="cpu", engine="onnx")
    golden = {
        "fingerprint": classifier.artifact.fingerprint,
        "conversations": summarize(classifier.stream(read_conversations(EXAMPLES))),
        "texts": [
            {"label": found.label, "probability": round(found.probability, 4)}
            for found in map(classifier.predict, TEXTS)
        ],
    }
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
