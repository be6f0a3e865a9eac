"""``affectlib prevalence``: estimate how common emotional conversations or messages are."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

from affectlib.cli._labels import TOO_FEW, labels_argument, measured_on_option, naming, notes_of
from affectlib.cli._options import Commands
from affectlib.cli._terminal import DONE, say

if TYPE_CHECKING:
    from affectlib.analysis import Accuracy

_METHODS = {
    "naive": "labelled emotional, uncorrected",
    "rogan_gladen": "corrected by sensitivity and specificity",
    "gold": "gold sample only",
    "ppi": "labels, gold sample, known errors (best)",
}


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    prevalence = commands.add_parser(
        "prevalence", help="estimate how common emotional conversations or messages are"
    )
    labels_argument(prevalence)
    prevalence.add_argument(
        "--gold",
        metavar="SHEET",
        help="a sheet of labels given by people, with the columns record or conversation_id, gold "
        "and, if the draw was weighted, weight",
    )
    accuracy = prevalence.add_mutually_exclusive_group()
    accuracy.add_argument(
        "--measured",
        type=_counts,
        metavar="TP,FN,TN,FP",
        help="counts measured elsewhere, instead of the model's own: true positives, false "
        "negatives, true negatives, false positives",
    )
    measured_on_option(accuracy)
    prevalence.add_argument(
        "--by", type=lambda text: text.split(","), metavar="COLUMN,…", help="columns to group by"
    )
    prevalence.add_argument(
        "--target",
        default="population",
        choices=["population", "corpus"],
        help="the share in all that users like these write (default), or only in these transcripts",
    )
    prevalence.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals; default 0.95"
    )
    prevalence.add_argument(
        "--min-users", type=int, default=10, help="hide groups of fewer users; default 10"
    )
    prevalence.add_argument("--json", action="store_true", help="print JSON, a line per figure")
    prevalence.set_defaults(command=_prevalence)


def _prevalence(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import NOT_A_CAUSE, AnalysisWarning

    with (
        naming({"labels": arguments.labels, "gold": arguments.gold}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        rows = _found(arguments)
    notes = notes_of(caught, arguments)
    if arguments.json:
        for row in rows:
            say(json.dumps(row, default=str))
        for note in notes:
            say(f"note: {note}", sys.stderr)
        return DONE
    groups = arguments.by or []
    shown = None
    for row in rows:
        group = ", ".join(f"{name} {_plain(row[name])}" for name in groups if name in row) or "all"
        if group != shown:
            shown = group
            size = (
                "" if row["suppressed"] else f": {row['units']:,} labelled, {row['users']:,} users"
            )
            say(f"{group}{size}")
        say(f"  {_METHODS[row['method']]:<48} {_figure(row, arguments.confidence)}")
    for note in notes:
        say(f"note: {note}")
    if {row["method"] for row in rows} == {"naive"}:
        say(
            "note: counting labels is biased where emotional ones are rare; give --gold, a sample "
            "labelled by hand, or --measured"
        )
    if groups:
        say(f"note: {NOT_A_CAUSE}")
    return DONE


def _found(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the figures of all rows, then those of each group."""
    from affectlib.analysis import prevalence, read_labels

    labels = read_labels(arguments.labels)
    gold = None if arguments.gold is None else read_labels(arguments.gold)
    return [
        row
        for by in ([None, arguments.by] if arguments.by else [None])
        for row in prevalence(
            labels,
            gold,
            measured=arguments.measured,
            kind=arguments.measured_on,
            by=by,
            target=arguments.target,
            confidence=arguments.confidence,
            min_users=arguments.min_users,
        ).to_dicts()
    ]


def _counts(text: str) -> Accuracy:
    from affectlib.analysis import Accuracy

    try:
        return Accuracy(*(float(count) for count in text.split(",")))
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(
            "expected four counts TP,FN,TN,FP, of both emotional and other conversations"
        ) from None


def _figure(row: dict[str, Any], confidence: float) -> str:
    if row["suppressed"]:
        return TOO_FEW
    if row["estimate"] is None:
        return "cannot be estimated"
    return (
        f"{row['estimate']:.2%}  ({confidence * 100:g} % interval {row['low']:.2%} to "
        f"{row['high']:.2%})"
    )


def _plain(value: Any) -> str:
    return value.date().isoformat() if hasattr(value, "date") else str(value)
