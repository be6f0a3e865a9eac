"""``affectlib convert``: bring transcripts of any format into affectlib's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from affectlib.cli._options import Commands
from affectlib.cli._reading import input_options, read_options, refuse_inputs, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    convert = commands.add_parser(
        "convert",
        parents=[input_options()],
        help="convert transcripts of any format to JSON Lines",
    )
    convert.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a .jsonl file; - for standard output",
    )
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.add_argument(
        "--quiet", action="store_true", help="print no summary, only the files that were skipped"
    )
    convert.set_defaults(command=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    from affectlib.formats import ReadReport, read_conversations
    from affectlib.formats.canonical import write_conversations

    if arguments.output != "-":
        refuse_inputs([Path(arguments.output)], arguments.input)
    report = ReadReport()
    items = read_conversations(arguments.input, read_options(arguments), report=report)
    count = write_conversations(items, arguments.output, overwrite=arguments.overwrite)
    if not arguments.quiet:
        target = "standard output" if arguments.output == "-" else arguments.output
        formats = ", ".join(report.formats) or "no format"
        say(f"{count:,} conversations ({formats}) -> {target}", sys.stderr)
    for line in report_lines(report, quiet=arguments.quiet):
        say(line, sys.stderr)
    return SOME_FAILED if report.failures else DONE
