"""The golden file: what the bundled model makes of the example transcripts.

python -m tests.golden      writes it anew, after the model was changed on purpose
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from affectlib.classifier import AffectClassifier
from affectlib.formats import read_conversations

EXAMPLES = Path(__file__).parent.parent / "examples" / "transcripts.jsonl"
GOLDEN = Path(__file__).parent / "data" / "golden.json"


def summarize(predictions: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Return what is compared of each conversation, by its id."""
    return {
        prediction.id: {
            "label": prediction.label,
            "probability": round(prediction.probability, 4),
            "turns": [
                None if turn.probability is None else round(turn.probability, 4)
                for turn in prediction.messages
            ],
            "cues": {name: round(value, 4) for name, value in prediction.cues.items()},
        }
        for prediction in predictions
    }


def main() -> None:
    """Write the golden file."""
    classifier = AffectClassifier.from_pretrained(device="cpu", engine="onnx")
    golden = {
        "fingerprint": classifier.artifact.fingerprint,
        "conversations": summarize(classifier.stream(read_conversations(EXAMPLES))),
    }
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
