"""``affectlib annotate``: have a language model fill in a sheet."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import labelled_transcripts
from affectlib.cli._reading import reading_options, refuse_inputs
from affectlib.cli._terminal import DONE, SOME_FAILED, USAGE, say
from affectlib.errors import OptionError
from affectlib.formats import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from affectlib.analysis.annotate import Annotation, Endpoint


@click.command("annotate")
@click.argument("sheet", metavar="SHEET")
@click.option("--transcripts", metavar="IN", required=True, help="the file that was labelled")
@click.option("--labels", metavar="LABELS", help="the labels of SHEET; IN is read as for them")
@click.option("--endpoint", metavar="URL", required=True, help="such as http://localhost:11434/v1")
@click.option("--endpoint-model", metavar="NAME", required=True, help="the model's name there")
@shared.output_option("the filled-in sheet, a .csv file")
@shared.flag("--yes", "yes", "send the text; without it, only the estimate is printed")
@shared.numbers_option("--price", "IN,OUT", "prices per million tokens, to estimate the cost")
@click.option("--key-variable", metavar="NAME", help="environment variable with the endpoint's key")
@click.option("--concurrency", default=4, metavar="N", help="requests at a time")
@click.option("--timeout", default=120.0, metavar="SECONDS", help="what a request may take")
@click.option(
    "--max-characters",
    default=24_000,
    metavar="N",
    help="shorten longer conversations: the longest messages lose their middle",
)
@shared.overwrite_option
@reading_options
def command(
    sheet: str,
    transcripts: str,
    labels: str | None,
    output: str,
    yes: bool,
    price: list[float] | None,
    max_characters: int,
    concurrency: int,
    overwrite: bool,
    options: ReadOptions,
    **endpoint: Any,
) -> int:
    """Have a language model fill in a sheet.

    Send the conversations of SHEET, the output of affectlib sample, one at a time with the
    codebook, to a language model behind an OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp, a
    provider), and fill in the sheet with its answers. Transcript text leaves this machine unless
    the endpoint runs on it. The sheet says which model and prompt filled it in.
    """
    from affectlib.analysis import read_labels
    from affectlib.analysis._pages import check_output
    from affectlib.analysis.annotate import annotate, estimate

    if options.local_files_only:
        raise OptionError("annotate sends transcript text to the endpoint; allow it with --network")
    asked = _endpoint(**endpoint)
    target = Path(output)
    answers = target.parent / f".{target.name}.answers.jsonl"
    check_output(target, ".csv", overwrite or answers.exists())
    refuse_inputs([target], sheet, transcripts, labels)
    rows = read_labels(sheet).collect()
    if labels is not None:
        read_labels(labels)  # where there are none, nothing says how they were made
    limits: dict[str, Any] = {"answers": answers, "max_characters": max_characters}
    chats = labelled_transcripts(transcripts, labels, options)
    needed = estimate(rows, chats, model=asked.model, **limits)
    left = " left" if needed.rows < len(rows) else ""
    say(
        f"{needed.rows:,} rows{left}, about {needed.tokens_in:,} tokens to send and "
        f"{needed.tokens_out:,} to receive",
        sys.stderr,
    )
    if needed.shortened:
        say(f"{needed.shortened:,} conversations are too long and are sent in part", sys.stderr)
    if price is not None:
        say(f"about {needed.cost(*price):.2f} at these prices", sys.stderr)
    if not yes:
        say("nothing was sent; add --yes to send it", sys.stderr)
        return USAGE
    chats = labelled_transcripts(transcripts, labels, options)
    with asked as opened:
        found = annotate(rows, chats, opened, concurrency=concurrency, **limits)
    return _finish(found, target, answers, asked.model)


def _finish(found: Annotation[pl.DataFrame], target: Path, answers: Path, model: str) -> int:
    """Write the sheet, and say how many rows have an answer."""
    from affectlib.corpus.output import write_rows

    write_rows(target, found.sheet.to_dicts(), found.sheet.to_arrow().schema)
    if found.resumed:
        say(f"{found.resumed:,} answers were there from an earlier call", sys.stderr)
    answered = len(found.sheet) - len(found.failed)
    say(f"{answered:,} rows answered by {model} -> {target}", sys.stderr)
    if not found.failed:
        answers.unlink(missing_ok=True)
        return DONE
    for problem, count in sorted(Counter(found.failed.values()).items()):
        say(f"  {count:,} without an answer: {problem}", sys.stderr)
    say("run the same command again to retry those", sys.stderr)
    return SOME_FAILED


def _endpoint(
    endpoint: str, endpoint_model: str, key_variable: str | None, timeout: float
) -> Endpoint:
    from affectlib.analysis.annotate import Endpoint

    key = None
    if key_variable is not None and not (key := os.environ.get(key_variable)):
        raise OptionError(f"--key-variable {key_variable}: there is no such environment variable")
    try:
        return Endpoint(endpoint, endpoint_model, key, timeout)
    except OptionError as error:
        said = str(error).replace("`key`", f"--key-variable {key_variable}: it")
        raise OptionError(said) from None
