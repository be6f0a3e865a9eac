"""The command line, one module a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click

from affectlib._atomic import attach_filename
from affectlib._version import __version__
from affectlib.cli._terminal import (
    INTERRUPTED,
    SOME_FAILED,
    USAGE,
    complain,
    in_options,
    open_closed_streams,
    say,
)
from affectlib.errors import AffectlibError

__all__ = ["main"]

_COMMANDS = {
    "predict": "label one message",
    "label": "label a file of transcripts",
    "info": "show what is in transcripts, convert them, or show which model is used",
    "sample": "choose what to label by hand",
    "annotate": "have a language model fill in a sheet",
    "prevalence": "estimate how common emotional conversations or messages are",
    "evaluate": "measure labels against people's, or people against each other",
    "calibrate": "fit a model's probabilities and thresholds to labels given by people",
    "finetune": "train a model further on labels of your own",
    "report": "put the findings on a page",
}
"""The commands, and what each does."""

_EPILOG = """\
\b
exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130 interrupted

\b
examples:
  affectlib predict "I feel so alone, can we just talk?"
  affectlib label conversations.json -o labels.parquet
  affectlib label chats.csv --columns role=who,content=words -o labels.csv --level message
  affectlib info chatgpt-export.zip
  affectlib info "exports/*.zip" --branches all -o chats.jsonl
  affectlib prevalence labels.parquet --gold filled.csv
  zcat chats.jsonl.gz | affectlib label - -o - > labels.jsonl
"""


class _Commands(click.Group):
    """The commands, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return cast(click.Command, import_module(f"affectlib.cli.{cmd_name}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    no_args_is_help=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(__version__, message="affectlib %(version)s")
def app() -> None:
    """Label chat transcripts as emotionally charged or task-oriented."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130
        interrupted.

    Example:
        >>> main(["--version"])
        affectlib 0.14.0
        0
    """
    open_closed_streams()
    context = click.Context(app, info_name="affectlib")
    try:
        context = app.make_context("affectlib", [*(sys.argv[1:] if argv is None else argv)])
        status = app.invoke(context)
        with attach_filename("standard output"):
            sys.stdout.flush()
        return cast(int, status)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        context = error.ctx or context
        say(context.get_usage(), sys.stderr)
        say(f"{context.command_path}: error: {error.format_message()}", sys.stderr)
    except KeyboardInterrupt as error:
        complain("interrupted", error)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read standard output has had enough; keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except AffectlibError as error:
        command = app.get_command(context, context.invoked_subcommand or "")
        complain(in_options(str(error), command or app), error)
    except MemoryError as error:
        complain("there is not enough memory", error)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        complain(f"{place}{error.strerror or error}", error)
    return USAGE
