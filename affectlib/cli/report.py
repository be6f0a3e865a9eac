"""``affectlib report``: put the findings on a page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import analysis_of, labelled_transcripts
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say
from affectlib.corpus.output import FORMULA
from affectlib.errors import OptionError
from affectlib.formats import ReadOptions
from affectlib.taxonomy import CUES

if TYPE_CHECKING:
    from affectlib.analysis import Report


def _csv(report: Report) -> str:
    """Return the figures as CSV in which no spreadsheet takes the name of a group for a formula."""
    import polars as pl

    from affectlib.analysis._pages import visible

    guarded = pl.col(pl.String).str.replace(f"^({FORMULA.pattern})", "'$1")
    return visible(report.figures().with_columns(guarded).write_csv())


_FORMS: Mapping[str, Callable[[Report], str]] = {
    "html": lambda report: report.html(),
    "md": lambda report: report.markdown(),
    "json": lambda report: report.json() + "\n",
    "csv": _csv,
}
"""How each form of a report is made."""


@click.command("report")
@shared.labels_argument
@shared.output_option("the file to write")
@click.option(
    "--to", type=shared.names, metavar="FORMAT,…", help="html, md, json or csv, one file each"
)
@click.option("--messages", metavar="FILE", help="labels of the same at --level message")
@click.option("--participants", metavar="FILE", help="a table of users: user_id and other columns")
@shared.gold_option()
@shared.by_option
@shared.names_option("--outcome", "outcomes", help="columns of --participants to relate to usage")
@shared.names_option("--control", "controls", help="columns of --participants to hold constant")
@click.option("--title", help="title of the page")
@shared.lang_option
@click.option("--show-text", metavar="IN", help="transcripts that were labelled: show some of them")
@shared.measured_on_option
@shared.min_users_option
@shared.overwrite_option
@reading_options
def command(
    labels: str,
    output: str,
    to: list[str] | None,
    messages: str | None,
    participants: str | None,
    gold: str | None,
    missing_at_random: bool,
    show_text: str | None,
    overwrite: bool,
    options: ReadOptions,
    **asked: Any,
) -> int:
    """Put the findings on a page.

    Write one HTML page for people who did not run the analysis: how common charged use is, what it
    is about, which users it comes from, whether it is growing and what goes with it, with
    intervals, methods and limits. It needs no network and holds no transcript text unless
    --show-text asks for it. Or write Markdown, JSON, or a CSV table of all figures for your own
    plots.
    """
    from affectlib.analysis import read_gold, read_labels, report
    from affectlib.analysis._frames import labels_table
    from affectlib.analysis._pages import check_output, write_page

    targets = _targets(Path(output), to)
    for form, path in targets.items():
        check_output(path, f".{form}", overwrite)
    tables = {"messages": messages, "participants": participants, "gold": gold}
    refuse_inputs([*targets.values()], show_text, labels, *tables.values())
    rows = read_labels(labels)
    with analysis_of({"labels": labels} | tables) as notes:
        others = {
            name: path for name, path in tables.items() if path is not None and name != "gold"
        }
        given: dict[str, Any] = {name: read_labels(path) for name, path in others.items()}
        if gold is not None:
            given["gold"] = read_gold(gold, missing_at_random=missing_at_random)
        if show_text is not None:
            given["show_text"] = labelled_transcripts(show_text, labels, options)
        found = report(rows, **given, **asked)
    for form, path in targets.items():
        write_page(path, _FORMS[form](found), overwrite=overwrite)
    if not labels_table(rows).provenance.cues and {*CUES} & {*rows.collect_schema().names()}:
        notes.append(
            f"{labels}: the file does not hold the thresholds of the model that made its labels, "
            "so every cue and theme counts as shown from 0.5; the Parquet files of affectlib label "
            "hold them"
        )
    for note in notes:
        say(f"note: {note}", sys.stderr)
    for path in targets.values():
        say(f"report -> {path}", sys.stderr)
    return DONE


def _targets(target: Path, forms: Sequence[str] | None) -> dict[str, Path]:
    """Return the files to write by their form: the one named, or one beside it for each form."""
    if forms is None:
        forms = [target.suffix.removeprefix(".")]
        if forms[0] not in _FORMS:
            suffixes = ", ".join(f".{form}" for form in _FORMS)
            raise OptionError(
                f"{target}: unknown suffix {target.suffix!r} of the output; use {suffixes}"
            )
    if unknown := [form for form in forms if form not in _FORMS]:
        raise OptionError(f"--to: unknown form {unknown[0]!r}; use {', '.join(_FORMS)}")
    if not target.name:
        raise OptionError(f"{target}: this is a folder; name a file")
    return {form: target.with_suffix(f".{form}") for form in forms}
