"""Options of the commands that read transcripts, and what they report about the reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from affectlib.cli._options import network_option, pairs, together
from affectlib.corpus.source import file_among
from affectlib.errors import OutputExistsError
from affectlib.formats import DROPS, FORMATS, Branches, ReadOptions, ReadReport, Tally

_SHOWN = 8


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how transcripts are read; the command gets them as `options`."""

    @wraps(command)
    def read(**given: Any) -> Any:
        reading = {name: given.pop(name) for name in _FIELDS}
        return command(options=ReadOptions(**reading), **given)

    return _reading(read)


def _person_option(role: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        f"--{role}",
        f"{role}s",
        multiple=True,
        metavar="NAME",
        help=f"who is the {role} in chats without roles; may be given several times",
    )


_reading = together(
    click.option(
        "--format",
        default="auto",
        type=click.Choice(["auto", *FORMATS]),
        metavar="FORMAT",
        help=f"auto, or one of {', '.join(FORMATS)}",
    ),
    click.option(
        "--columns",
        type=pairs,
        metavar="FIELD=COLUMN,…",
        help="columns of a table with unusual names, such as role=who,content=words",
    ),
    click.option(
        "--branches",
        default="active",
        type=click.Choice(get_args(Branches)),
        help="which branch of edited conversations to read: the one last seen, all, or the longest",
    ),
    _person_option("user"),
    _person_option("assistant"),
    click.option(
        "--gap",
        type=float,
        metavar="MINUTES",
        help="silence after which a new conversation begins, in formats that do not mark "
        "conversations (Gemini: 30)",
    ),
    network_option,
)
_FIELDS = ("format", "columns", "branches", "users", "assistants", "gap", "local_files_only")


def refuse_inputs(outputs: Sequence[Path], *sources: str | None) -> None:
    """Refuse outputs that are files of an input."""
    for source in sources:
        if source is not None and (path := file_among(source, outputs)) is not None:
            raise OutputExistsError(f"{path}: this is the input; name another output")


def report_lines(report: ReadReport, *, quiet: bool = False) -> Iterator[str]:
    """Say what was left out, what could not be read, and where that first occurred.

    If `quiet`, name only skipped files, which leave no trace in the output.
    """
    kinds = {
        "left out": report.dropped,
        "not read": report.problems,
        "files skipped": report.skipped,
    }
    for title, tallies in kinds.items():
        if not tallies or (quiet and tallies is not report.skipped):
            continue
        yield title
        ranked = sorted(tallies.items(), key=lambda item: -item[1].count)
        for reason, tally in ranked[:_SHOWN]:
            yield f"  {tally.count:>9,}  {DROPS.get(reason, reason)}{_places(tally)}"
        if rest := [tally.count for _, tally in ranked[_SHOWN:]]:
            yield f"  {sum(rest):>9,}  of {len(rest)} other kinds"


def _places(tally: Tally) -> str:
    if not any(tally.places):
        return ""
    more = ", …" if tally.count > len(tally.places) else ""
    return f" ({', '.join(filter(None, tally.places))}{more})"
