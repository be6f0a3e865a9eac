"""``affectlib agreement``: compare the answers of two people who labelled the same rows."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

from affectlib.cli._labels import naming
from affectlib.cli._options import Commands
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    agreement = commands.add_parser(
        "agreement", help="compare the answers of two people who labelled the same rows"
    )
    agreement.add_argument("first", metavar="A", help="a filled sheet: .csv, .jsonl or .parquet")
    agreement.add_argument("second", metavar="B", help="the other one")
    agreement.add_argument("--column", default="gold", help="the column of answers")
    agreement.add_argument(
        "--confidence", type=float, default=0.95, help="of the intervals; default 0.95"
    )
    agreement.add_argument("--json", action="store_true", help="print JSON, one line a measure")
    agreement.set_defaults(command=_agreement)


def _agreement(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, agreement, read_labels

    with (
        naming({"first sheet": arguments.first, "second sheet": arguments.second}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        rows = agreement(
            read_labels(arguments.first),
            read_labels(arguments.second),
            column=arguments.column,
            confidence=arguments.confidence,
        ).to_dicts()
    if arguments.json:
        for row in rows:
            say(json.dumps(row))
        for warning in caught:
            say(f"note: {warning.message}", sys.stderr)
        return DONE
    say(f"{rows[0]['units']:,} rows answered by both")
    for row in rows:
        say(f"  {row['measure']:<24} {_figure(row, arguments.confidence)}")
    for warning in caught:
        say(f"note: {warning.message}")
    return DONE


def _figure(row: dict[str, Any], confidence: float) -> str:
    if row["estimate"] is None:
        return "not defined"
    if row["low"] is None:
        return f"{row['estimate']:.3f}  (interval cannot be estimated)"
    return (
        f"{row['estimate']:.3f}  ({confidence * 100:g} % interval {row['low']:.3f} to "
        f"{row['high']:.3f})"
    )
