"""``affectlib report``: put the findings on a page."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from affectlib.cli._labels import cue_thresholds_of, measured_accuracy_of, model_of, naming
from affectlib.cli._options import Commands
from affectlib.cli._reading import reading_options, refuse_inputs, transcripts
from affectlib.cli._terminal import DONE, say
from affectlib.taxonomy import CUES


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    report = commands.add_parser(
        "report",
        parents=[reading_options()],
        help="put the findings on a page",
        description="Write one HTML page, for people who did not run this: how common charged use "
        "is, whose it is, whether it grows and what goes with it, with intervals, methods and "
        "limits. It needs no network and holds no transcript text unless --show-text asks for it.",
    )
    report.add_argument(
        "labels", metavar="LABELS", help="what affectlib label wrote: .parquet, .jsonl or .csv"
    )
    report.add_argument("-o", "--output", metavar="OUT", required=True, help="an .html file")
    report.add_argument(
        "--messages", metavar="FILE", help="labels of the same transcripts by --level message"
    )
    report.add_argument(
        "--users", metavar="FILE", help="what is known of the users: user_id and other columns"
    )
    report.add_argument("--gold", metavar="SHEET", help="a sample labelled by hand")
    for name, about in (
        ("by", "columns to compare groups by"),
        ("outcome", "columns of the users, such as survey scores, to set against usage"),
        ("control", "columns of the users to hold constant in that"),
    ):
        report.add_argument(
            f"--{name}",
            type=lambda text: text.split(","),
            default=[],
            metavar="COLUMN,…",
            help=about,
        )
    report.add_argument("--title", help="title of the page")
    report.add_argument("--lang", default="en", help="language of the page, en or fr")
    report.add_argument(
        "--show-text",
        metavar="IN",
        help="the transcripts that were labelled: show the messages with the highest probabilities",
    )
    report.add_argument(
        "--min-users", type=int, default=10, help="figures of fewer users are not shown"
    )
    report.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    report.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, read_labels
    from affectlib.analysis._pages import check_output, write_page
    from affectlib.analysis.report import report_page

    target = Path(arguments.output)
    check_output(target, ".html", arguments.overwrite)
    refuse_inputs([target], arguments.show_text)
    labels = read_labels(arguments.labels)
    messages, participants, gold = (
        None if path is None else read_labels(path)
        for path in (arguments.messages, arguments.users, arguments.gold)
    )
    columns = labels.collect_schema().names()
    measured = measured_accuracy_of(arguments.labels, columns) if gold is None else None
    thresholds = cue_thresholds_of(arguments.labels)
    with (
        naming(
            {
                "labels": arguments.labels,
                "messages": arguments.messages,
                "participants": arguments.users,
                "gold": arguments.gold,
            }
        ),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        page = report_page(
            labels,
            messages=messages,
            participants=participants,
            gold=gold,
            measured=measured,
            by=arguments.by,
            outcomes=arguments.outcome,
            controls=arguments.control,
            title=arguments.title,
            made_with=model_of(arguments.labels),
            show_text=(
                None if arguments.show_text is None else transcripts(arguments.show_text, arguments)
            ),
            lang=arguments.lang,
            min_users=arguments.min_users,
            cue_threshold=thresholds,
        )
    write_page(target, page, overwrite=arguments.overwrite)
    for note in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"note: {note}", sys.stderr)
    if not thresholds and {*CUES} & {*columns}:
        say(
            f"note: {arguments.labels}: it names no bundled model that made the labels, so every "
            "cue counts as shown from 0.5; Parquet as affectlib label wrote it does",
            sys.stderr,
        )
    say(f"report -> {target}", sys.stderr)
    return DONE
