"""``affectlib sample``: choose what to label by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from affectlib.cli._labels import labelled_transcripts
from affectlib.cli._options import Commands
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    sample = commands.add_parser(
        "sample",
        parents=[reading_options()],
        help="choose what to label by hand",
        description="Draw conversations (or messages) to label by hand, more of those that the "
        "classifier is unsure of, and write a sheet with the weight of each. Then fill in the "
        "column gold with emotional or task, by the codebook, in the sheet or on the page that "
        "--transcripts adds; and the column themes, if the labels have themes.",
    )
    sample.add_argument("labels", metavar="LABELS", help="the output of affectlib label")
    sample.add_argument(
        "-n", type=int, default=200, metavar="ROWS", help="how many to draw; default 200"
    )
    sample.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="the sheet, a .csv file"
    )
    sample.add_argument(
        "--transcripts",
        metavar="IN",
        help="the file that was labelled; also write a page (OUT with .html) on which to label the "
        "conversations with the keyboard, offline; it contains their text",
    )
    sample.add_argument(
        "--strata",
        type=int,
        default=10,
        help="how many ranges of probability to draw from; default 10",
    )
    sample.add_argument(
        "--seed",
        type=int,
        default=0,
        help="the random seed; the same seed draws the same rows; default 0",
    )
    sample.add_argument("--lang", default="en", help="language of the page, en or fr")
    sample.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    sample.set_defaults(command=_sample)


def _sample(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import read_labels
    from affectlib.analysis._pages import check_output, in_language, write_page
    from affectlib.analysis._transcripts import with_lengths
    from affectlib.analysis.sampling import sample
    from affectlib.analysis.sheet import annotation_page
    from affectlib.analysis.sheet_texts import TEXTS
    from affectlib.corpus.output import write_rows

    target = Path(arguments.output)
    page = target.parent / f"{target.stem}.html"
    check_output(target, ".csv", arguments.overwrite)
    refuse_inputs([target, page], arguments.labels, arguments.transcripts)
    in_language(TEXTS, arguments.lang)
    if arguments.transcripts is not None:
        check_output(page, ".html", arguments.overwrite)
    labels = read_labels(arguments.labels)
    drawn = sample(labels, arguments.n, strata=arguments.strata, seed=arguments.seed)
    drawn = with_lengths(drawn, labels)
    if arguments.transcripts is not None:
        text = annotation_page(
            drawn,
            labelled_transcripts(arguments.transcripts, arguments),
            lang=arguments.lang,
        )
        write_page(page, text, overwrite=arguments.overwrite)
    write_rows(target, drawn.to_dicts(), drawn.to_arrow().schema)
    say(f"{len(drawn):,} rows to label -> {target}", sys.stderr)
    if arguments.transcripts is not None:
        say(f"page to label them on, with their text -> {page}", sys.stderr)
    return DONE
