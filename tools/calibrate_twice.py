"""How many charged chats the bundled model finds before and after each of two calibrations.

``python -m tools.calibrate_twice`` labels the development part of the project's corpus, draws a
sheet, fills it in by the truth, calibrates, labels with the new model, draws another sheet and
calibrates that model again, with several seeds. Where `calibrate` refuses, it is forced, so that
both can be seen. It exits 1 if a second calibration loses many of the charged chats of the first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from affectlib import AffectClassifier, label_file
from affectlib.analysis import AnalysisWarning, calibrate, read_labels, sample
from affectlib.conversation import Conversation, parse_conversation
from affectlib.errors import OptionError
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.taxonomy import EMOTIONAL, TASK
from training.data.sources import read_corpus

LEAST_CHARGE = 2
MOST_LOST = 0.1
"""Share of the charged chats that a second calibration may lose."""


def labelled(chats: Sequence[Conversation], model: Artifact, file: Path) -> pl.DataFrame:
    """Label the chats with a model."""
    classifier = AffectClassifier.from_pretrained(model.folder, device="cpu")
    label_file(chats, file, classifier=classifier)
    return read_labels(file).collect()


def found(labels: pl.DataFrame, truth: pl.DataFrame) -> tuple[int, int]:
    """Return how many charged chats are labelled so, and how many others are."""
    both = labels.join(truth, on="conversation_id").filter(label=EMOTIONAL)
    charged = both.filter(gold=EMOTIONAL).height
    return charged, both.height - charged


def main(argv: list[str] | None = None) -> int:
    """Calibrate twice with each seed, and print what is found."""
    parser = argparse.ArgumentParser("python -m tools.calibrate_twice", description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--sheet", type=int, default=200, help="rows of a sheet")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore", AnalysisWarning)
    rows = read_corpus("dev")
    chats = [parse_conversation(row["messages"], id=row["id"]) for row in rows]
    charged = [row["labels"]["charge"] >= LEAST_CHARGE for row in rows]
    answers = [EMOTIONAL if each else TASK for each in charged]
    truth = pl.DataFrame({"conversation_id": [row["id"] for row in rows], "gold": answers})
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        base = load_artifact()
        first = labelled(chats, base, Path(folder, "base.parquet"))
        start, alarms = found(first, truth)
        print(f"{sum(charged)} of {len(rows)} chats are charged; base: {start} (+{alarms} others)")
        for seed in range(options.seeds):
            model, labels, said, counts = base, first, [], []
            for turn in ("once", "twice"):
                sheet = sample(labels, options.sheet, seed=2 * seed + (turn == "twice"))
                sheet = sheet.drop("gold").join(truth, on="conversation_id")
                new = Path(folder, f"{turn}-{seed}")
                try:
                    calibrate(labels, sheet, model, new)
                except OptionError:
                    turn = f"refused, forced {turn}"
                    calibrate(labels, sheet, model, new, force=True)
                model = load_artifact(new)
                labels = labelled(chats, model, new.with_suffix(".parquet"))
                now, alarms = found(labels, truth)
                counts.append(now)
                said.append(f"{turn} {now} (+{alarms})")
            bad += counts[1] < counts[0] - MOST_LOST * sum(charged)
            print(f"seed {seed}: {', '.join(said)}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
