"""The command line, one module a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from affectlib._atomic import attach_filename
from affectlib._version import __version__
from affectlib.cli import (
    agreement,
    annotate,
    calibrate,
    convert,
    evaluate,
    finetune,
    info,
    inspect,
    label,
    predict,
    prevalence,
    report,
    sample,
)
from affectlib.cli._language import in_options
from affectlib.cli._terminal import (
    INTERRUPTED,
    SOME_FAILED,
    USAGE,
    Parser,
    complain,
    open_closed_streams,
)
from affectlib.errors import AffectlibError

__all__ = ["main"]

_EPILOG = """\
exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130 interrupted

examples:
  affectlib predict "I feel so alone, can we just talk?"
  affectlib label conversations.json -o labels.parquet
  affectlib label chats.csv --columns role=who,content=words -o labels.csv --level message
  affectlib inspect chatgpt-export.zip
  affectlib convert "exports/*.zip" --branches all -o chats.jsonl
  affectlib prevalence labels.parquet --gold filled.csv
  zcat chats.jsonl.gz | affectlib label - -o - > labels.jsonl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130
        interrupted.

    Example:
        >>> main(["--version"])
        affectlib 0.13.0
        0
    """
    open_closed_streams()
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        status = command(arguments)
        with attach_filename("standard output"):
            sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        complain("interrupted", error)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read standard output has had enough; keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except AffectlibError as error:
        complain(in_options(str(error), arguments), error)
    except MemoryError as error:
        complain("there is not enough memory", error)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        complain(f"{place}{error.strerror or error}", error)
    return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "affectlib",
        description="Label chat transcripts as emotionally charged or task-oriented.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"affectlib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        predict,
        label,
        inspect,
        convert,
        sample,
        annotate,
        prevalence,
        evaluate,
        calibrate,
        finetune,
        agreement,
        report,
        info,
    ):
        command.add(commands)
    return parser
