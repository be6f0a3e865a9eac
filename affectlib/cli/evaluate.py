"""``affectlib evaluate``: measure labels against labels given by people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import (
    TOO_FEW,
    analysis_of,
    artifact_of_labels,
    figure,
    labelled_transcripts,
    print_findings,
    shortened,
)
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say
from affectlib.errors import OptionError
from affectlib.formats import ReadOptions

if TYPE_CHECKING:
    import polars as pl

_TEXT_SHOWN = 300


@click.command("evaluate")
@click.argument("files", metavar="LABELS", nargs=-1, required=True)
@shared.gold_option()
@click.option("--threshold", type=float, metavar="P", help="label emotional from probability P")
@click.option("--operating-point", metavar="NAME", help="label from the model's threshold NAME")
@shared.labelled_by_option
@shared.by_option
@shared.confidence_option
@shared.min_users_option
@click.option("--worst", default=10, metavar="N", help="how many disagreements to list")
@click.option("--show-text", metavar="IN", help="transcripts that were labelled: show their text")
@click.option("--plot", metavar="FILE", help="write a reliability plot to FILE, an .svg file")
@shared.flag("--agreement", "agreement", "compare filled-in sheets, given in the place of LABELS")
@click.option("-o", "--output", metavar="OUT", help="with --agreement: write a sheet of majorities")
@click.option("--answers", "column", default="gold", help="with --agreement: the column to compare")
@shared.overwrite_option
@shared.json_option
@reading_options
def command(
    files: Sequence[str],
    agreement: bool,
    output: str | None,
    column: str,
    overwrite: bool,
    **options: Any,
) -> int:
    """Measure labels against labels given by people, or people against each other.

    Measure LABELS, the output of affectlib label with any model, against a filled-in sheet:
    recall, specificity, precision, average precision, AUROC and calibration error, with intervals,
    and the rows where labels and sheet differ most. With --agreement, measure how well two or more
    filled-in sheets agree.
    """
    if agreement:
        return _compare(files, output, overwrite, column, options)
    if len(files) > 1 or options["gold"] is None:
        raise click.UsageError("give one file of labels, and --gold")
    if output is not None:
        raise click.UsageError("--output goes with --agreement; did you mean --plot?")
    if options["threshold"] is not None and options["operating_point"] is not None:
        raise click.UsageError("--threshold is not allowed with --operating-point")
    return _evaluate(files[0], overwrite=overwrite, **options)


def _compare(
    sheets: Sequence[str], output: str | None, overwrite: bool, column: str, options: dict[str, Any]
) -> int:
    """Measure how well sheets agree; also write their majority to a file if one is named."""
    from affectlib.analysis import agreement, majority, read_gold, read_labels
    from affectlib.analysis._pages import check_output
    from affectlib.corpus.output import write_rows

    confidence = options["confidence"]
    if len(sheets) < 2:
        raise click.UsageError("--agreement takes two sheets or more")
    target = None if output is None else Path(output)
    if target is not None:
        check_output(target, ".csv", overwrite)
        refuse_inputs([target], *sheets)
    names = ["first sheet", "second sheet", *(f"sheet {n + 1}" for n in range(2, len(sheets)))]
    with analysis_of(dict(zip(names, sheets, strict=True))) as notes:
        tables = [
            read_gold(path, missing_at_random=True)
            if options["missing_at_random"]
            else read_labels(path)
            for path in sheets
        ]
        rows = agreement(*tables, column=column, confidence=confidence).to_dicts()
        if target is not None:
            merged = majority(*tables, column=column)
            write_rows(target, merged.to_dicts(), merged.to_arrow().schema)
    who = "both" if len(sheets) == 2 else "two or more"
    lines = [f"{rows[0]['units']:,} rows answered by {who}"]
    lines += [f"  {row['measure']:<24} {figure(row, confidence)}" for row in rows]
    print_findings(rows, lines, notes, as_json=options["as_json"])
    return DONE


def _evaluate(
    path: str,
    gold: str,
    missing_at_random: bool,
    threshold: float | None,
    operating_point: str | None,
    model: str | None,
    by: list[str],
    confidence: float,
    min_users: int,
    worst: int,
    show_text: str | None,
    plot: str | None,
    as_json: bool,
    overwrite: bool,
    options: ReadOptions,
) -> int:
    from affectlib.analysis import disagreements, evaluate, read_gold, read_labels
    from affectlib.analysis._frames import labels_table
    from affectlib.analysis._pages import check_output

    if plot is not None:
        if Path(plot).suffix != ".svg":
            raise OptionError(f"--plot {plot}: the plot is an SVG file; use the suffix .svg")
        check_output(Path(plot), ".svg", overwrite)
        refuse_inputs([Path(plot)], path, gold, show_text)
    labels = read_labels(path)
    shown: dict[str, Any] = {"confidence": confidence, "min_users": min_users}
    at: Any = threshold
    if operating_point is not None:
        at = artifact_of_labels(path, model).operating_point(operating_point)
    with analysis_of({"labels": path, "gold": gold}) as notes:
        sheet = read_gold(gold, missing_at_random=missing_at_random)
        figures = evaluate(labels, sheet, threshold=at, by=by, **shown).to_dicts()
        differing = []
        if worst > 0 and "probability" in labels.collect_schema().names():
            most = disagreements(labels, sheet, worst, threshold=at)
            differing = _with_text(most, show_text, path, options)
        if plot is not None:
            _write_plot(Path(plot), labels, sheet, shown)
    made_by = labels_table(labels).provenance.name
    heading = None if made_by is None else f"labels of {made_by}"
    if threshold is not None:
        heading = f"at a threshold of {threshold:g}"
    elif operating_point is not None:
        heading = f"at the operating point {operating_point}"
    lines = [*_lines(figures, by, confidence), *_worst_lines(differing)]
    lines = lines if heading is None else [heading, *lines]
    rows = [*figures, *({"disagreement": row} for row in differing)]
    print_findings(rows, lines, notes, as_json=as_json)
    if plot is not None:
        say(f"reliability plot -> {plot}", sys.stderr)
    return DONE


def _lines(
    rows: Iterable[Mapping[str, Any]], groups: Sequence[str], confidence: float
) -> Iterator[str]:
    def name_of(row: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {row[name]}" for name in groups) or "all"

    for group, own in groupby(rows, name_of):
        first, *others = own
        yield f"{group}: {_size(first)}"
        for row in (first, *others):
            if not row["suppressed"]:
                yield f"  {row['measure']:<18} {figure(row, confidence)}"


def _size(row: Mapping[str, Any]) -> str:
    if row["suppressed"]:
        return TOO_FEW
    return f"{row['gold']:,} gold labels ({row['emotional']:,} emotional), {row['users']:,} users"


def _with_text(
    worst: pl.DataFrame, show_text: str | None, labels: str, options: ReadOptions
) -> list[dict[str, Any]]:
    """Return the rows that differ most, with their text if it is asked for."""
    rows = worst.to_dicts()
    if show_text is not None and rows:
        from affectlib.analysis._transcripts import conversations_of

        chats = conversations_of(worst, labelled_transcripts(show_text, labels, options))
        for row, chat in zip(rows, chats, strict=True):
            place = row.get("message")
            said = chat.user_messages if place is None else [chat.messages[place]]
            text = " / ".join(" ".join(message.content.split()) for message in said)
            row["text"] = shortened(text, _TEXT_SHOWN)
    return rows


def _worst_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if rows:
        yield "where they differ most"
    for row in rows:
        keys = ("record", "conversation_id", "message")
        place = ", ".join(f"{name} {row[name]}" for name in keys if row.get(name) is not None)
        yield f"  {row['gold']}, but probability {row['probability']:.3f}: {place}"
        if "text" in row:
            yield f"    {row['text']}"


def _write_plot(
    path: Path, labels: pl.LazyFrame, gold: pl.DataFrame, shown: Mapping[str, Any]
) -> None:
    from affectlib.analysis import calibration
    from affectlib.analysis.report import answers_of
    from affectlib.analysis.report._plots import calibration_curve
    from affectlib.analysis.report._translator import Translator
    from affectlib.corpus.output import write_atomically

    found = calibration(labels, gold, **shown).to_dicts()
    rows = [row for row in found if row["estimate"] is not None]
    t = Translator("en", answers_of(gold)[0])
    write_atomically(path, calibration_curve("reliability", rows, t))
