"""``affectlib report``: put the findings on a page."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from affectlib.cli._labels import (
    labelled_transcripts,
    labels_argument,
    measured_on_option,
    naming,
    notes_of,
)
from affectlib.cli._options import Commands
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say
from affectlib.corpus.output import FORMULA
from affectlib.errors import OptionError
from affectlib.taxonomy import CUES

if TYPE_CHECKING:
    from polars import LazyFrame

    from affectlib.analysis import Report


def _csv(report: Report) -> str:
    """Return the figures as CSV in which no spreadsheet takes the name of a group for a formula."""
    import polars as pl

    guarded = pl.col(pl.String).str.replace(f"^({FORMULA.pattern})", "'$1")
    return report.figures().with_columns(guarded).write_csv()


_FORMS: Mapping[str, Callable[[Report], str]] = {
    "html": lambda report: report.html(),
    "md": lambda report: report.markdown(),
    "json": lambda report: report.json() + "\n",
    "csv": _csv,
}
"""How each form of a report is made."""


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    report = commands.add_parser(
        "report",
        parents=[reading_options()],
        conflict_handler="resolve",  # --format is that of the report; the input's is known
        help="put the findings on a page",
        description="Write one HTML page for people who did not run the analysis: how common "
        "charged use is, what it is about, which users it comes from, whether it is growing and "
        "what goes with it, with intervals, methods and limits. It needs no network and holds no "
        "transcript text unless --show-text asks for it. Or write Markdown, JSON, or a CSV table "
        "of all figures for your own plots.",
    )
    labels_argument(report)
    report.add_argument("-o", "--output", metavar="OUT", required=True, help="the file to write")
    report.add_argument(
        "--format",
        dest="forms",
        type=lambda text: text.split(","),
        metavar="FORMAT,…",
        help="html, md, json or csv, or several of these, one file each; by default, the suffix of "
        "OUT decides",
    )
    report.add_argument(
        "--messages",
        metavar="FILE",
        help="labels of the same transcripts from label --level message",
    )
    report.add_argument(
        "--users", metavar="FILE", help="a table of the users: user_id and other columns"
    )
    report.add_argument("--gold", metavar="SHEET", help="a sample labelled by hand")
    for name, about in (
        ("by", "columns to compare groups by"),
        ("outcome", "columns of --users, such as survey scores, to relate to usage"),
        ("control", "columns of --users to hold constant when relating --outcome to usage"),
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
    measured_on_option(report)
    report.add_argument(
        "--min-users", type=int, default=10, help="hide figures of fewer users; default 10"
    )
    report.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    report.set_defaults(command=_report, format="auto")


def _report(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, read_labels
    from affectlib.analysis._frames import labels_table
    from affectlib.analysis._pages import check_output, write_page

    target = Path(arguments.output)
    targets = _targets(target, arguments.forms)
    for form, path in targets.items():
        check_output(path, f".{form}", arguments.overwrite)
    inputs = (arguments.labels, arguments.messages, arguments.users, arguments.gold)
    refuse_inputs([*targets.values()], arguments.show_text, *inputs)
    labels = read_labels(arguments.labels)
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
        found = _found(arguments, labels)
    for form, path in targets.items():
        write_page(path, _FORMS[form](found), overwrite=arguments.overwrite)
    for note in notes_of(caught, arguments):
        say(f"note: {note}", sys.stderr)
    if not labels_table(labels).provenance.cues and {*CUES} & {*labels.collect_schema().names()}:
        say(
            f"note: {arguments.labels}: the file does not hold the thresholds of the model that "
            "made its labels, so every cue and theme counts as shown from 0.5; the Parquet files "
            "of affectlib label hold them",
            sys.stderr,
        )
    for path in targets.values():
        say(f"report -> {path}", sys.stderr)
    return DONE


def _targets(target: Path, forms: Sequence[str] | None) -> dict[str, Path]:
    """Return the files to write by their form: the one named, or one beside it for each form."""
    known = ", ".join(_FORMS)
    if forms is None:
        if target.suffix.removeprefix(".") not in _FORMS:
            suffixes = ", ".join(f".{form}" for form in _FORMS)
            raise OptionError(
                f"{target}: unknown suffix {target.suffix!r} of the output; use {suffixes}"
            )
        forms = [target.suffix.removeprefix(".")]
    if unknown := [form for form in forms if form not in _FORMS]:
        raise OptionError(f"--format: unknown form {unknown[0]!r}; use {known}")
    if not target.name:
        raise OptionError(f"{target}: this is a folder; name a file")
    return {form: target.with_suffix(f".{form}") for form in forms}


def _found(arguments: argparse.Namespace, labels: LazyFrame) -> Report:
    from affectlib.analysis import read_labels, report

    messages, participants, gold = (
        None if path is None else read_labels(path)
        for path in (arguments.messages, arguments.users, arguments.gold)
    )
    show = arguments.show_text
    return report(
        labels,
        messages=messages,
        participants=participants,
        gold=gold,
        by=arguments.by,
        outcomes=arguments.outcome,
        controls=arguments.control,
        title=arguments.title,
        show_text=None if show is None else labelled_transcripts(show, arguments),
        lang=arguments.lang,
        kind=arguments.measured_on,
        min_users=arguments.min_users,
    )
