"""``affectlib agreement``: compare the answers of people who labelled the same rows."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

from affectlib.cli._labels import figure, naming, notes_of
from affectlib.cli._options import Commands
from affectlib.cli._reading import refuse_inputs
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    agreement = commands.add_parser(
        "agreement", help="compare the answers of people who labelled the same rows"
    )
    agreement.add_argument("first", metavar="A", help="a filled-in sheet: .csv, .jsonl or .parquet")
    agreement.add_argument("others", metavar="B", nargs="+", help="one or more other sheets")
    agreement.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="also write a sheet (.csv) of the majority answers, and how many gave each",
    )
    agreement.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    agreement.add_argument("--column", default="gold", help="the column with the answers")
    agreement.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals; default 0.95"
    )
    agreement.add_argument("--json", action="store_true", help="print JSON, a line per measure")
    agreement.set_defaults(command=_agreement)


def _agreement(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, agreement, majority, read_labels
    from affectlib.analysis._pages import check_output
    from affectlib.corpus.output import write_rows

    paths = [arguments.first, *arguments.others]
    target = None if arguments.output is None else Path(arguments.output)
    if target is not None:
        check_output(target, ".csv", arguments.overwrite)
        refuse_inputs([target], *paths)
    names = ["first sheet", "second sheet", *(f"sheet {n + 1}" for n in range(2, len(paths)))]
    with (
        naming(dict(zip(names, paths, strict=True))),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        sheets = [read_labels(path) for path in paths]
        found = agreement(*sheets, column=arguments.column, confidence=arguments.confidence)
        rows = found.to_dicts()
        if target is not None:
            merged = majority(*sheets, column=arguments.column)
            write_rows(target, merged.to_dicts(), merged.to_arrow().schema)
    if arguments.json:
        for row in rows:
            say(json.dumps(row))
        for note in notes_of(caught, arguments):
            say(f"note: {note}", sys.stderr)
        return DONE
    who = "both" if len(paths) == 2 else "two or more"
    say(f"{rows[0]['units']:,} rows answered by {who}")
    for row in rows:
        say(f"  {row['measure']:<24} {figure(row, arguments.confidence)}")
    for note in notes_of(caught, arguments):
        say(f"note: {note}")
    return DONE
