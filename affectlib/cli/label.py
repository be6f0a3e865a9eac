"""``affectlib label``: label a file of transcripts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from affectlib.cli._options import Commands, load_classifier, running_options
from affectlib.cli._reading import input_options
from affectlib.cli._terminal import DONE, SOME_FAILED, say

if TYPE_CHECKING:
    from affectlib.corpus import LabelSummary


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
        help="a .parquet, .jsonl or .csv file; - for JSON Lines on standard output",
    )
    label.add_argument("--level", default="conversation", choices=["conversation", "message"])
    label.add_argument("--on-error", default="record", choices=["record", "raise"])
    label.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    label.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    label.set_defaults(command=_label)


def _label(arguments: argparse.Namespace) -> int:
    from affectlib.corpus import label_file

    with _progress(arguments.quiet) as progress:
        summary = label_file(
            arguments.input,
            arguments.output,
            classifier=load_classifier(arguments),
            level=arguments.level,
            format=arguments.format,
            columns=arguments.columns,
            on_error=arguments.on_error,
            overwrite=arguments.overwrite,
            progress=progress,
        )
    if not arguments.quiet:
        for line in _report(summary):
            say(line, sys.stderr)
    return SOME_FAILED if summary.failed else DONE


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[LabelSummary], None] | None]:
    """Show a progress bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=" conversations", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:

        def show(summary: LabelSummary) -> None:
            bar.set_postfix_str(
                f"{summary.emotional_share:.1%} emotional, {summary.failed} errors", refresh=False
            )
            bar.update()

        yield show


def _report(summary: LabelSummary) -> Iterator[str]:
    labelled = summary.conversations - summary.failed
    target = "standard output" if summary.path == "-" else summary.path
    yield f"{summary.conversations:,} conversations in {summary.seconds:.1f} s -> {target}"
    yield (
        f"  emotional  {summary.emotional:,} of {labelled:,} labelled "
        f"({summary.emotional_share:.1%})"
    )
    yield (
        f"  read       {summary.user_messages:,} user messages; "
        f"{summary.truncated_tokens:,} tokens were too many and left out"
    )
    if summary.failed:
        yield f'  failed     {summary.failed:,}; their rows have status "error" and the reason'
