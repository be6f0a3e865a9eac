"""``affectlib label``: label a file of transcripts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from affectlib._atomic import require_folder
from affectlib.cli._language import in_options
from affectlib.cli._options import Commands, load_classifier, names, running_options
from affectlib.cli._reading import input_options, read_options, refuse_inputs, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, say
from affectlib.corpus.output import write_atomically
from affectlib.corpus.rows import row_levels
from affectlib.corpus.shards import Layout
from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.corpus.label_file import LabelSummary


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    label = commands.add_parser(
        "label",
        parents=[running_options(), input_options()],
        help="label a file of transcripts",
    )
    label.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a .parquet, .jsonl or .csv file, or a folder; - for JSON Lines on standard output",
    )
    label.add_argument(
        "--level",
        default="conversation",
        choices=["conversation", "message", "both"],
        help="what a row is; both writes two tables",
    )
    label.add_argument(
        "--keep",
        type=names,
        default=[],
        metavar="COLUMN,…",
        help="columns of IN, or fields of its records, to carry over to OUT",
    )
    label.add_argument(
        "--output-format",
        choices=["parquet", "jsonl", "csv"],
        help="the kind of files in a folder; by default, parquet",
    )
    label.add_argument(
        "--on-error",
        default="record",
        choices=["record", "raise"],
        help="whether a record that fails gets a row that says why (default) or ends the run",
    )
    begun = label.add_mutually_exclusive_group()
    begun.add_argument(
        "--resume",
        action="store_true",
        help="continue an unfinished OUT, or repair a damaged folder",
    )
    begun.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    label.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, or actors on Ray; default 1"
    )
    label.add_argument(
        "--ray", metavar="ADDRESS", help="label on a Ray cluster; local starts one on this machine"
    )
    label.add_argument("--summary", metavar="FILE", help="write the summary as JSON to FILE")
    label.add_argument(
        "--quiet",
        action="store_true",
        help="print no progress bar and no figures, only the files that were skipped",
    )
    label.set_defaults(command=_label)


def _label(arguments: argparse.Namespace) -> int:
    from affectlib.corpus.label_file import label_file
    from affectlib.formats import ReadReport

    report = ReadReport()
    if arguments.summary is not None:
        summary_file = Path(arguments.summary)
        _require_own(summary_file, arguments)
    summary = label_file(
        arguments.input,
        arguments.output,
        classifier=load_classifier(arguments),
        level=arguments.level,
        options=read_options(arguments),
        keep=arguments.keep,
        report=report,
        on_error=arguments.on_error,
        output_format=arguments.output_format,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
        ray=arguments.ray,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    if arguments.summary is not None and not (summary.finished_before and summary_file.exists()):
        write_atomically(summary_file, json.dumps(summary.to_dict(), indent=1) + "\n")
    for problem in summary.repaired:
        say(f"affectlib: {problem}; its records were labelled again", sys.stderr)
    if not arguments.quiet:
        for line in _report(summary):
            say(line, sys.stderr)
    for line in report_lines(report, quiet=arguments.quiet):
        say(in_options(line, arguments), sys.stderr)
    return SOME_FAILED if summary.failed else DONE


def _require_own(summary_file: Path, arguments: argparse.Namespace) -> None:
    """Refuse a file for the summary that is the input, or that the output needs for itself."""
    refuse_inputs([summary_file], arguments.input)
    if summary_file.is_dir():
        raise OptionError(f"{summary_file}: this is a folder; name a file")
    if arguments.output == "-":
        require_folder(summary_file, "summary")
        return
    levels = row_levels(arguments.level)
    if Layout.of(arguments.output, levels, arguments.output_format).holds(summary_file):
        raise OptionError(f"{summary_file}: this is the output; name another file")
    if summary_file.parent.resolve() != Path(arguments.output).resolve():  # yet to be made
        require_folder(summary_file, "summary")


def _report(summary: LabelSummary) -> Iterator[str]:
    target = "standard output" if summary.path == "-" else summary.path
    if summary.finished_before:
        yield f"nothing to do: {target} is finished, with {summary.conversations:,} conversations"
        return
    ending = "" if summary.conversations == 1 else "s"
    yield f"{summary.conversations:,} conversation{ending} in {summary.seconds:.1f} s -> {target}"
    yield (
        f"  emotional  {summary.emotional:,} of {summary.labelled:,} labelled "
        f"({summary.emotional_share:.1%})"
    )
    yield (
        f"  read       {summary.user_messages:,} user messages; "
        f"{summary.truncated_tokens:,} tokens were too many and left out"
    )
    if summary.screened:
        yield (
            f"  screened   {summary.screened:,} of {summary.messages:,} messages were settled by "
            "the screen, without the encoder"
        )
    if summary.resumed:
        yield f"  resumed    after {summary.resumed:,} labelled before"
    if summary.empty:
        yield f'  empty      {summary.empty:,} without user text; status "empty"'
    if summary.not_kept:
        yield f"  not kept   {', '.join(summary.not_kept)}: no record has it"
    if summary.failed:
        yield f'  failed     {summary.failed:,}; their rows have status "error" and the reason'
    if summary.unlike:
        yield f"  note       {summary.unlike}"
