"""``affectlib sample``: choose what to label by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import labelled_transcripts
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, say
from affectlib.formats import ReadOptions


@click.command("sample")
@shared.labels_argument
@click.option("-n", default=200, metavar="ROWS", help="how many to draw")
@shared.output_option("the sheet, a .csv file")
@click.option(
    "--transcripts",
    metavar="IN",
    help="the file that was labelled: also write a page (OUT with .html) to label it on, with text",
)
@click.option("--strata", default=10, help="how many ranges of probability to draw from")
@click.option("--seed", default=0, help="the random seed; the same seed draws the same rows")
@shared.lang_option
@shared.overwrite_option
@reading_options
def command(
    labels: str,
    n: int,
    output: str,
    transcripts: str | None,
    lang: str,
    overwrite: bool,
    options: ReadOptions,
    **drawing: int,
) -> int:
    """Choose what to label by hand.

    Draw conversations (or messages) from LABELS, the output of affectlib label, more of those that
    the classifier is unsure of, and write a sheet with the weight of each. Then fill in the column
    gold with emotional or task, by the codebook, in the sheet or on the page that --transcripts
    adds; and the column themes, if the labels have themes.
    """
    from affectlib.analysis import read_labels
    from affectlib.analysis._pages import check_output, in_language, write_page
    from affectlib.analysis._transcripts import with_lengths
    from affectlib.analysis.sampling import sample
    from affectlib.analysis.sheet import annotation_page
    from affectlib.analysis.sheet_texts import TEXTS
    from affectlib.corpus.output import write_rows

    target = Path(output)
    page = target.parent / f"{target.stem}.html"
    check_output(target, ".csv", overwrite)
    refuse_inputs([target, page], labels, transcripts)
    in_language(TEXTS, lang)
    if transcripts is not None:
        check_output(page, ".html", overwrite)
    table = read_labels(labels)
    drawn = with_lengths(sample(table, n, **drawing), table)
    if transcripts is not None:
        chats = labelled_transcripts(transcripts, labels, options)
        write_page(page, annotation_page(drawn, chats, lang=lang), overwrite=overwrite)
    write_rows(target, drawn.to_dicts(), drawn.to_arrow().schema)
    say(f"{len(drawn):,} rows to label -> {target}", sys.stderr)
    if transcripts is not None:
        say(f"page to label them on, with their text -> {page}", sys.stderr)
    return DONE
