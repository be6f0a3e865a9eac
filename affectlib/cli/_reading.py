"""Options of the commands that read transcripts, and what they report about the reading."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from affectlib.cli._options import columns
from affectlib.conversation import Conversation
from affectlib.corpus.source import file_among
from affectlib.errors import OutputExistsError
from affectlib.formats import DROPS, FORMATS, ReadOptions, ReadReport, Tally, read_conversations
from affectlib.formats import Branches as _Branches
from affectlib.predictions import ConversationFailure

_SHOWN = 8


def input_options() -> argparse.ArgumentParser:
    """Return a parent parser: which transcripts are read, and how."""
    reading = argparse.ArgumentParser(add_help=False, parents=[reading_options()])
    reading.add_argument(
        "input",
        metavar="IN",
        help="a file, a folder, a pattern in quotes, a ZIP archive, or - for standard input",
    )
    return reading


def reading_options() -> argparse.ArgumentParser:
    """Return a parent parser: how transcripts are read."""
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument(
        "--format",
        default="auto",
        choices=["auto", *FORMATS],
        metavar="FORMAT",
        help=f"auto, or one of {', '.join(FORMATS)}",
    )
    reading.add_argument(
        "--columns",
        type=columns,
        metavar="FIELD=COLUMN,…",
        help="columns of a table with unusual names, such as role=who,content=words",
    )
    reading.add_argument(
        "--branches",
        default="active",
        choices=get_args(_Branches),
        help="which branch of edited conversations to read: the one last seen, all, or the longest",
    )
    for role in ("user", "assistant"):
        reading.add_argument(
            f"--{role}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"who is the {role} in chats without roles; may be given several times",
        )
    reading.add_argument(
        "--gap",
        type=float,
        metavar="MINUTES",
        help="silence after which a new conversation begins, in formats that do not mark "
        "conversations (Gemini: 30)",
    )
    reading.add_argument(
        "--network",
        action="store_true",
        help="allow the network, for data sets (hf://datasets/OWNER/NAME) and models from the Hub",
    )
    return reading


def read_options(arguments: argparse.Namespace) -> ReadOptions:
    """Return the options as `read_conversations` takes them."""
    return ReadOptions(
        format=arguments.format,
        columns=arguments.columns or {},
        branches=arguments.branches,
        users=arguments.user,
        assistants=arguments.assistant,
        gap=arguments.gap,
        local_files_only=not arguments.network,
    )


def transcripts(
    path: str, arguments: argparse.Namespace
) -> Iterator[Conversation | ConversationFailure]:
    """Read transcripts as the options say."""
    return read_conversations(path, read_options(arguments))


def refuse_inputs(outputs: Sequence[Path], *sources: str | None) -> None:
    """Refuse outputs that are files of an input.

    Raises:
        OutputExistsError: One is.
        FileNotFoundError: An input is a pattern that matches no file.
    """
    for source in sources:
        if source is not None and (path := file_among(source, outputs)) is not None:
            raise OutputExistsError(f"{path}: this is the input; name another output")


def report_lines(report: ReadReport, *, quiet: bool = False) -> Iterator[str]:
    """Say what was left out, what could not be read, and where that first occurred.

    Args:
        report: What the reading found.
        quiet: Whether to name only skipped files, which leave no trace in the output.
    """
    if quiet:
        report = ReadReport(skipped=report.skipped)
    if report.dropped:
        yield "left out"
        for reason, tally in _most(report.dropped):
            yield f"  {tally.count:>9,}  {DROPS[reason]}{_places(tally)}"
    if report.problems:
        yield "not read"
        for problem, tally in _most(report.problems):
            yield f"  {tally.count:>9,}  {problem}{_places(tally)}"
    if report.skipped:
        yield "files skipped"
        for reason, tally in _most(report.skipped):
            yield f"  {tally.count:>9,}  {reason}{_places(tally)}"


def _most(tallies: dict[str, Tally]) -> Iterator[tuple[str, Tally]]:
    ranked = sorted(tallies.items(), key=lambda item: -item[1].count)
    yield from ranked[:_SHOWN]
    rest = [tally for _, tally in ranked[_SHOWN:]]
    if rest:
        yield f"of {len(rest)} other kinds", Tally(sum(tally.count for tally in rest))


def _places(tally: Tally) -> str:
    if not any(tally.places):
        return ""
    more = ", …" if tally.count > len(tally.places) else ""
    return f" ({', '.join(filter(None, tally.places))}{more})"
