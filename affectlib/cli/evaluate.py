"""``affectlib evaluate``: measure labels against labels given by people."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectlib.cli._labels import (
    TOO_FEW,
    artifact_of_labels,
    figure,
    gold_option,
    labelled_transcripts,
    labels_argument,
    model_of,
    naming,
    notes_of,
)
from affectlib.cli._options import Commands
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say
from affectlib.errors import OptionError

if TYPE_CHECKING:
    import polars as pl

    from affectlib.conversation import Conversation
    from affectlib.model.calibration import OperatingPoint

_TEXT_SHOWN = 300


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    evaluate = commands.add_parser(
        "evaluate",
        parents=[reading_options()],
        help="measure labels against labels given by people",
        description="Measure the labels of any model against a filled-in sheet: recall, "
        "specificity, precision, average precision, AUROC and calibration error, with intervals, "
        "and the rows where labels and sheet differ most.",
    )
    labels_argument(evaluate)
    gold_option(evaluate)
    where = evaluate.add_mutually_exclusive_group()
    where.add_argument(
        "--threshold", type=float, metavar="P", help="label rows emotional from probability P"
    )
    where.add_argument(
        "--operating-point",
        metavar="NAME",
        help="label rows emotional from the model's threshold of this name; by default, the "
        "labels are taken as they are",
    )
    evaluate.add_argument(
        "--model", help="the folder of the model that made LABELS, if it is not a bundled one"
    )
    evaluate.add_argument(
        "--by", type=lambda text: text.split(","), metavar="COLUMN,…", help="columns to group by"
    )
    evaluate.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals; default 0.95"
    )
    evaluate.add_argument(
        "--min-users", type=int, default=10, help="hide groups of fewer users; default 10"
    )
    evaluate.add_argument(
        "--worst",
        type=int,
        default=10,
        metavar="N",
        help="how many disagreements to list; default 10",
    )
    evaluate.add_argument(
        "--show-text",
        metavar="IN",
        help="the transcripts that were labelled: show the text of the rows listed",
    )
    evaluate.add_argument(
        "--plot",
        metavar="FILE",
        help="write a reliability plot to FILE, an .svg file",
    )
    evaluate.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    evaluate.add_argument(
        "--json", action="store_true", help="print JSON, a line per figure and disagreement"
    )
    evaluate.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import AnalysisWarning, disagreements, evaluate, read_labels
    from affectlib.analysis._pages import check_output

    if arguments.plot is not None:
        if Path(arguments.plot).suffix != ".svg":
            raise OptionError(
                f"--plot {arguments.plot}: the plot is an SVG file; use the suffix .svg"
            )
        check_output(Path(arguments.plot), ".svg", arguments.overwrite)
        refuse_inputs([Path(arguments.plot)], arguments.labels, arguments.gold, arguments.show_text)
    labels, gold = read_labels(arguments.labels), read_labels(arguments.gold)
    threshold = _threshold(arguments)
    with (
        naming({"labels": arguments.labels, "gold": arguments.gold}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", AnalysisWarning)
        figures = evaluate(
            labels,
            gold,
            threshold=threshold,
            by=arguments.by,
            confidence=arguments.confidence,
            min_users=arguments.min_users,
        )
        worst = None
        if arguments.worst > 0 and "probability" in labels.collect_schema().names():
            worst = disagreements(labels, gold, arguments.worst, threshold=threshold)
        if arguments.plot is not None:
            _write_plot(arguments, labels, gold)
    stream = sys.stderr if arguments.json else sys.stdout
    differing = [] if worst is None else _differing(worst, arguments)
    if arguments.json:
        for row in [*figures.to_dicts(), *({"disagreement": row} for row in differing)]:
            say(json.dumps(row, default=str))
    else:
        for line in _lines(figures.to_dicts(), arguments):
            say(line)
        for line in _worst_lines(differing):
            say(line)
    for note in notes_of(caught, arguments):
        say(f"note: {note}", stream)
    if arguments.plot is not None:
        say(f"reliability plot -> {arguments.plot}", sys.stderr)
    return DONE


def _threshold(arguments: argparse.Namespace) -> float | OperatingPoint | None:
    if arguments.operating_point is None:
        return None if arguments.threshold is None else float(arguments.threshold)
    artifact = artifact_of_labels(arguments.labels, arguments.model)
    return artifact.operating_point(arguments.operating_point)


def _lines(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[str]:
    groups, shown = arguments.by or [], None
    if arguments.threshold is not None:
        yield f"at a threshold of {arguments.threshold:g}"
    elif arguments.operating_point is not None:
        yield f"at the operating point {arguments.operating_point}"
    elif (made_by := model_of(arguments.labels)) is not None:
        yield f"labels of {made_by}"
    for row in rows:
        group = ", ".join(f"{name} {row[name]}" for name in groups) or "all"
        if group != shown:
            shown = group
            yield f"{group}: {_size(row)}"
        if not row["suppressed"]:
            yield f"  {row['measure']:<18} {figure(row, arguments.confidence)}"


def _size(row: dict[str, Any]) -> str:
    if row["suppressed"]:
        return TOO_FEW
    return f"{row['gold']:,} gold labels ({row['emotional']:,} emotional), {row['users']:,} users"


def _differing(worst: pl.DataFrame, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows that differ most, with their text if it is asked for."""
    rows = worst.to_dicts()
    if arguments.show_text is not None and rows:
        from affectlib.analysis._transcripts import conversations_of

        chats = conversations_of(worst, labelled_transcripts(arguments.show_text, arguments))
        for row, chat in zip(rows, chats, strict=True):
            row["text"] = _text(chat, row.get("message"))
    return rows


def _text(chat: Conversation, message: int | None) -> str:
    """Return what a user says in a conversation or in one message, cut short."""
    shown = chat.user_messages if message is None else [chat.messages[message]]
    text = " / ".join(" ".join(each.content.split()) for each in shown)
    return f"{text[:_TEXT_SHOWN]}{'…' * (len(text) > _TEXT_SHOWN)}"


def _worst_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    if rows:
        yield "where they differ most"
    for row in rows:
        keys = ("record", "conversation_id", "message")
        place = ", ".join(f"{name} {row[name]}" for name in keys if row.get(name) is not None)
        yield f"  {row['gold']}, but probability {row['probability']:.3f}: {place}"
        if "text" in row:
            yield f"    {row['text']}"


def _write_plot(arguments: argparse.Namespace, labels: pl.LazyFrame, gold: pl.LazyFrame) -> None:
    from affectlib.analysis import calibration
    from affectlib.analysis.report import answers_of
    from affectlib.analysis.report._plots import Points, calibration_curve
    from affectlib.analysis.report._words import Words
    from affectlib.corpus.output import write_atomically

    found = calibration(
        labels, gold, confidence=arguments.confidence, min_users=arguments.min_users
    )
    shown = [row for row in found.to_dicts() if row["estimate"] is not None]
    words = Words("en", answers_of(gold)[0])
    svg = calibration_curve(
        "reliability",
        [row["probability"] for row in shown],
        Points.of(shown),
        words,
        words("axis.probability"),
        words("axis.hand"),
    )
    write_atomically(Path(arguments.plot), svg)
