"""``affectlib label``: label a file of transcripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectlib._atomic import require_folder
from affectlib.cli import _options as shared
from affectlib.cli._reading import reading_options, refuse_inputs, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, in_options, say
from affectlib.corpus.output import write_atomically
from affectlib.corpus.rows import row_levels
from affectlib.corpus.shards import Layout
from affectlib.errors import OptionError
from affectlib.formats import ReadOptions, ReadReport

if TYPE_CHECKING:
    from affectlib.corpus.label_file import LabelSummary
    from affectlib.corpus.rows import Level

_RUNNING = ("model", "device", "engine", "operating_point", "screen")


@click.command("label")
@click.argument("input", metavar="IN")
@shared.output_option("a .parquet, .jsonl or .csv file, or a folder; - for standard output")
@click.option(
    "--to",
    "output_format",
    type=click.Choice(["parquet", "jsonl", "csv"]),
    help="the kind of files in a folder; parquet if not given",
)
@click.option(
    "--level",
    default="conversation",
    type=click.Choice(["conversation", "message", "both"]),
    help="what a row is; both writes two tables",
)
@shared.names_option("--keep", help="columns of IN, or fields of its records, to carry over to OUT")
@click.option(
    "--on-error",
    default="record",
    type=click.Choice(["record", "raise"]),
    help="whether a record that fails gets a row that says why, or ends the run",
)
@shared.flag("--resume", "resume", "continue an unfinished OUT, or repair a damaged folder")
@shared.overwrite_option
@click.option("--workers", default=1, metavar="N", help="processes, or actors on Ray")
@click.option("--ray", metavar="ADDRESS", help="a Ray cluster; local starts one on this machine")
@click.option("--summary", metavar="FILE", help="write the summary as JSON to FILE")
@shared.quiet_option
@shared.running_options
@reading_options
def command(
    input: str, output: str, summary: str | None, quiet: bool, options: ReadOptions, **others: Any
) -> int:
    """Label a file of transcripts.

    Write a row for each conversation, or for each message, of IN: a file, a folder, a pattern in
    quotes, a ZIP archive, or - for standard input.
    """
    from affectlib.corpus.label_file import label_file

    running = {name: others.pop(name) for name in _RUNNING}
    report = ReadReport()
    summary_file = None if summary is None else Path(summary)
    if summary_file is not None:
        refuse_inputs([summary_file], input)
        _require_own(summary_file, output, others["level"], others["output_format"])
    found = label_file(
        input,
        output,
        classifier=shared.load_classifier(**running, local_files_only=options.local_files_only),
        options=options,
        report=report,
        progress=not quiet and sys.stderr.isatty(),
        **others,
    )
    if summary_file is not None and not (found.finished_before and summary_file.exists()):
        write_atomically(summary_file, json.dumps(found.to_dict(), indent=1) + "\n")
    for problem in found.repaired:
        say(f"affectlib: {problem}; its records were labelled again", sys.stderr)
    lines = [] if quiet else [*_report(found)]
    for line in [*lines, *report_lines(report, quiet=quiet)]:
        say(in_options(line, command), sys.stderr)
    return SOME_FAILED if found.failed else DONE


def _require_own(summary_file: Path, output: str, level: Level, output_format: str | None) -> None:
    """Refuse a file for the summary that the output needs for itself, or that has no folder."""
    if summary_file.is_dir():
        raise OptionError(f"{summary_file}: this is a folder; name a file")
    if output == "-":
        require_folder(summary_file, "summary")
        return
    if Layout.of(output, row_levels(level), output_format).holds(summary_file):
        raise OptionError(f"{summary_file}: this is the output; name another file")
    if summary_file.parent.resolve() != Path(output).resolve():  # yet to be made
        require_folder(summary_file, "summary")


def _report(summary: LabelSummary) -> Iterator[str]:
    target = "standard output" if summary.path == "-" else summary.path
    if summary.finished_before:
        yield f"nothing to do: {target} is finished, with {summary.conversations:,} conversations"
        return
    ending = "" if summary.conversations == 1 else "s"
    yield f"{summary.conversations:,} conversation{ending} in {summary.seconds:.1f} s -> {target}"
    facts = {
        "emotional": f"{summary.emotional:,} of {summary.labelled:,} labelled "
        f"({summary.emotional_share:.1%})",
        "read": f"{summary.user_messages:,} user messages; "
        f"{summary.truncated_tokens:,} tokens were too many and left out",
        "screened": summary.screened
        and f"{summary.screened:,} of {summary.messages:,} messages were settled by the screen, "
        "without the encoder",
        "resumed": summary.resumed and f"after {summary.resumed:,} labelled before",
        "empty": summary.empty and f'{summary.empty:,} without user text; status "empty"',
        "not kept": summary.not_kept and f"{', '.join(summary.not_kept)}: no record has it",
        "failed": summary.failed
        and f'{summary.failed:,}; their rows have status "error" and the reason',
        "note": summary.unlike,
        "languages": summary.foreign,
    }
    yield from (f"  {name:<10} {fact}" for name, fact in facts.items() if fact)
