"""``affectlib annotate``: have a language model fill in a sheet."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectlib.cli._labels import labelled_transcripts
from affectlib.cli._options import Commands
from affectlib.cli._reading import reading_options, refuse_inputs, transcripts
from affectlib.cli._terminal import DONE, SOME_FAILED, USAGE, say
from affectlib.conversation import Conversation
from affectlib.errors import OptionError
from affectlib.predictions import ConversationFailure


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    annotate = commands.add_parser(
        "annotate",
        parents=[reading_options()],
        help="have a language model fill in a sheet",
        description="Send the conversations of a sheet, one at a time with the codebook, to a "
        "language model behind an OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp, a "
        "provider), and fill in the sheet with its answers. Transcript text leaves this machine "
        "unless the endpoint runs on it. The sheet says which model and prompt filled it in.",
    )
    annotate.add_argument("sheet", metavar="SHEET", help="the output of affectlib sample")
    annotate.add_argument(
        "--transcripts", metavar="IN", required=True, help="the file that was labelled"
    )
    annotate.add_argument(
        "--labels",
        metavar="LABELS",
        help="the labels that the sheet was drawn from; IN is then read with the options that were "
        "used to make them",
    )
    annotate.add_argument(
        "--endpoint", metavar="URL", required=True, help="such as http://localhost:11434/v1"
    )
    annotate.add_argument("--model", required=True, help="the model's name at the endpoint")
    annotate.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="the filled-in sheet, a .csv file"
    )
    annotate.add_argument(
        "--yes", action="store_true", help="send the text; without it, only the estimate is printed"
    )
    annotate.add_argument(
        "--price",
        type=_prices,
        metavar="IN,OUT",
        help="prices per million tokens, to estimate the cost",
    )
    annotate.add_argument(
        "--key-variable", metavar="NAME", help="environment variable that holds the endpoint's key"
    )
    annotate.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="requests at a time; default 4"
    )
    annotate.add_argument(
        "--timeout",
        type=float,
        default=120,
        metavar="SECONDS",
        help="how long to wait for an answer; default 120",
    )
    annotate.add_argument(
        "--max-characters",
        type=int,
        default=24_000,
        metavar="N",
        help="shorten conversations of more characters: the longest messages lose their middle; "
        "default 24,000",
    )
    annotate.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    annotate.set_defaults(command=_annotate)


def _annotate(arguments: argparse.Namespace) -> int:
    from affectlib.analysis import read_labels
    from affectlib.analysis._pages import check_output
    from affectlib.analysis.annotate import Endpoint, annotate, estimate
    from affectlib.corpus.output import write_rows

    if not arguments.network:
        raise OptionError("annotate sends transcript text to the endpoint; allow it with --network")
    target = Path(arguments.output)
    answers = target.parent / f".{target.name}.answers.jsonl"
    check_output(target, ".csv", arguments.overwrite or answers.exists())
    refuse_inputs([target], arguments.sheet, arguments.transcripts, arguments.labels)
    sheet = read_labels(arguments.sheet).collect()
    limits: dict[str, Any] = {"answers": answers, "max_characters": arguments.max_characters}
    needed = estimate(sheet, _chats(arguments), model=arguments.model, **limits)
    left = " left" if needed.rows < len(sheet) else ""
    say(
        f"{needed.rows:,} rows{left}, about {needed.tokens_in:,} tokens to send and "
        f"{needed.tokens_out:,} to receive",
        sys.stderr,
    )
    if needed.shortened:
        say(f"{needed.shortened:,} conversations are too long and are sent in part", sys.stderr)
    if arguments.price is not None:
        say(f"about {needed.cost(*arguments.price):.2f} at these prices", sys.stderr)
    if not arguments.yes:
        say("nothing was sent; add --yes to send it", sys.stderr)
        return USAGE
    with Endpoint(
        arguments.endpoint, arguments.model, _key(arguments.key_variable), arguments.timeout
    ) as endpoint:
        found = annotate(
            sheet,
            _chats(arguments),
            endpoint,
            concurrency=arguments.concurrency,
            **limits,
        )
    write_rows(target, found.sheet.to_dicts(), found.sheet.to_arrow().schema)
    if found.resumed:
        say(f"{found.resumed:,} answers were there from an earlier call", sys.stderr)
    answered = len(found.sheet) - len(found.failed)
    say(f"{answered:,} rows answered by {arguments.model} -> {target}", sys.stderr)
    if found.failed:
        for problem in sorted({*found.failed.values()}):
            count = [*found.failed.values()].count(problem)
            say(f"  {count:,} without an answer: {problem}", sys.stderr)
        say("run the same command again to retry those", sys.stderr)
        return SOME_FAILED
    answers.unlink(missing_ok=True)
    return DONE


def _chats(arguments: argparse.Namespace) -> Iterator[Conversation | ConversationFailure]:
    """Read the transcripts as the options say, or else as they were when they were labelled."""
    from affectlib.analysis import read_labels

    if arguments.labels is None:
        return transcripts(arguments.transcripts, arguments)
    read_labels(arguments.labels)  # where there are none, nothing says how they were made
    return labelled_transcripts(arguments.transcripts, arguments)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise OptionError(f"--key-variable {variable}: there is no such environment variable")
    return os.environ[variable]


def _prices(text: str) -> tuple[float, float]:
    try:
        price_in, price_out = (float(price) for price in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("expected two prices IN,OUT, such as 0.15,0.6") from None
    return price_in, price_out
