"""``affectlib calibrate``: fit a model to labels given by people, without training."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

from affectlib.cli._labels import (
    artifact_of_labels,
    change,
    gold_option,
    labels_argument,
    naming,
    notes_of,
)
from affectlib.cli._options import Commands
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    calibrate = commands.add_parser(
        "calibrate",
        help="fit a model's probabilities and thresholds to labels given by people",
        description="Fit the calibration and operating points of the model that made LABELS to a "
        "filled-in sheet, without training. FOLDER is the new model: name it with --model to "
        "label with it.",
    )
    labels_argument(calibrate)
    gold_option(calibrate)
    calibrate.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="a new folder for the new model"
    )
    calibrate.add_argument(
        "--model", help="the folder of the model that made LABELS, if it is not a bundled one"
    )
    calibrate.add_argument("--name", help="the new model's name; by default, FOLDER's")
    calibrate.add_argument(
        "--specificity",
        type=_shares,
        metavar="NAME=SHARE,…",
        help="share of task rows that an operating point must leave unflagged, such as "
        "balanced=0.95; by default, the same as in the old model",
    )
    calibrate.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals; default 0.95"
    )
    calibrate.add_argument(
        "--force",
        action="store_true",
        help="accept that recall or specificity falls by more than 0.1",
    )
    calibrate.add_argument("--json", action="store_true", help="print JSON, a line per figure")
    calibrate.set_defaults(command=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, calibrate, read_labels
    from affectlib.model.artifacts import load_artifact

    labels, gold = read_labels(arguments.labels), read_labels(arguments.gold)
    base = artifact_of_labels(arguments.labels, arguments.model)
    with (
        naming({"labels": arguments.labels, "gold": arguments.gold}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        rows = calibrate(
            labels,
            gold,
            base,
            arguments.output,
            specificity=arguments.specificity,
            name=arguments.name,
            confidence=arguments.confidence,
            force=arguments.force,
        ).to_dicts()
    new = load_artifact(arguments.output)
    stream = sys.stderr if arguments.json else sys.stdout
    if arguments.json:
        for row in rows:
            say(json.dumps(row))
    else:
        made = new.description["calibrated"]
        say(
            f"{made['rows']:,} gold labels ({made['emotional']:,} emotional); the new figures are "
            "cross-fitted"
        )
        shown = None
        for row in rows:
            if row["operating_point"] != shown:
                shown = row["operating_point"]
                say(_heading(shown, base, new, made["level"]))
            say(f"  {row['measure']:<18} {change(row, arguments.confidence)}")
    for note in notes_of(caught, arguments):
        say(f"note: {note}", stream)
    say(
        f"{new.name}, based on {base.name} {base.version} -> {arguments.output}; to label with "
        f"it, give --model {arguments.output}",
        sys.stderr,
    )
    return DONE


def _heading(name: str | None, base: Any, new: Any, level: str) -> str:
    if name is None:
        return "probabilities"
    old, now = (getattr(each.operating_points[name], level) for each in (base, new))
    return f"{name}: threshold {old:.3f}, now {now:.3f}"


def _shares(text: str) -> dict[str, float]:
    try:
        pairs = [pair.split("=") for pair in text.split(",")]
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError("expected NAME=SHARE, such as balanced=0.95") from None
