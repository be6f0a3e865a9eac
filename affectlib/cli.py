"""The command line: ``affectlib predict``, ``affectlib label`` and ``affectlib info``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from affectlib import __version__
from affectlib.errors import AffectlibError
from affectlib.taxonomy import CUES

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier
    from affectlib.corpus import LabelSummary

__all__ = ["main"]

_DONE, _SOME_FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130
_CUE_SHOWN_FROM = 0.5
_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_].*?(?:\x07|\x1b\\\\|$)|.)?"  # CSI, OSC and the like
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]",
    re.DOTALL,
)
_EPILOG = """\
exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130 interrupted

examples:
  affectlib predict "I feel so alone, can we just talk?"
  affectlib label conversations.json -o labels.parquet
  affectlib label chats.csv --columns role=who,content=words -o labels.csv --level message
  zcat chats.jsonl.gz | affectlib label - -o - > labels.jsonl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, those of the process if None.

    Returns:
        The exit status: 0 done, 1 some records failed, 2 usage or unreadable input, 130
        interrupted.

    Example:
        >>> main(["--version"])
        affectlib 0.1.0
        0
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _USAGE
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        status = command(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        _complain("interrupted", error)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read standard output has had enough; keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SOME_FAILED
    except AffectlibError as error:
        _complain(str(error), error)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        _complain(f"{place}{error.strerror or error}", error)
    return _USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "affectlib",
        description="Label chat transcripts as emotionally charged or task-oriented.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"affectlib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", help="a model's name or folder; the bundled one if left out")

    running = argparse.ArgumentParser(add_help=False, parents=[model])
    running.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    running.add_argument("--engine", default="auto", choices=["auto", "onnx", "torch"])
    running.add_argument(
        "--operating-point",
        default="balanced",
        help="where the threshold lies: balanced, high_precision or high_recall",
    )
    running.add_argument(
        "--no-assistant-cues",
        action="store_true",
        help="leave the assistant's messages out, which is faster",
    )

    predict = commands.add_parser("predict", parents=[running], help="label one message")
    predict.add_argument("text", metavar="TEXT")
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.set_defaults(command=_predict)

    label = commands.add_parser("label", parents=[running], help="label a file of transcripts")
    label.add_argument("input", metavar="IN", help="the transcripts; - for standard input")
    label.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a .parquet, .jsonl or .csv file; - for JSON Lines on standard output",
    )
    label.add_argument("--level", default="conversation", choices=["conversation", "message"])
    label.add_argument(
        "--format", default="auto", choices=["auto", "openai", "sharegpt", "chatgpt", "table"]
    )
    label.add_argument(
        "--columns",
        type=_columns,
        metavar="FIELD=COLUMN,…",
        help="columns of a table with unusual names, such as role=who,content=words",
    )
    label.add_argument("--on-error", default="record", choices=["record", "raise"])
    label.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    label.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    label.set_defaults(command=_label)

    info = commands.add_parser("info", parents=[model], help="say which model is used")
    info.set_defaults(command=_info)
    return parser


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(field and column for field, _, column in pairs):
        raise argparse.ArgumentTypeError("expected FIELD=COLUMN, several separated by commas")
    return {field.strip(): column for field, _, column in pairs}


def _classifier(arguments: argparse.Namespace) -> AffectClassifier:
    from affectlib.classifier import AffectClassifier

    options: dict[str, Any] = {} if arguments.model is None else {"model": arguments.model}
    if "device" in arguments:
        options |= {
            "device": arguments.device,
            "engine": arguments.engine,
            "operating_point": arguments.operating_point,
            "assistant_cues": not arguments.no_assistant_cues,
        }
    return AffectClassifier.from_pretrained(**options)


def _predict(arguments: argparse.Namespace) -> int:
    prediction = _classifier(arguments).predict(arguments.text)
    if arguments.json:
        _say(json.dumps(prediction.to_dict()))
        return _DONE
    _say(f"{prediction.label}  (probability of emotional {prediction.probability:.3f})")
    for name, probability in sorted(prediction.cues.items(), key=lambda cue: -cue[1]):
        if probability >= _CUE_SHOWN_FROM:
            _say(f"  {CUES[name].title:<24} {probability:.3f}")
    return _DONE


def _label(arguments: argparse.Namespace) -> int:
    from affectlib.corpus import label_file

    with _progress(arguments.quiet) as progress:
        summary = label_file(
            arguments.input,
            arguments.output,
            classifier=_classifier(arguments),
            level=arguments.level,
            format=arguments.format,
            columns=arguments.columns,
            on_error=arguments.on_error,
            overwrite=arguments.overwrite,
            progress=progress,
        )
    if not arguments.quiet:
        for line in _report(summary):
            _say(line, sys.stderr)
    return _SOME_FAILED if summary.failed else _DONE


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[LabelSummary], None] | None]:
    """Show a progress bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=" conversations", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:

        def show(summary: LabelSummary) -> None:
            bar.set_postfix_str(
                f"{summary.emotional_share:.1%} emotional, {summary.failed} errors", refresh=False
            )
            bar.update()

        yield show


def _report(summary: LabelSummary) -> Iterator[str]:
    labelled = summary.conversations - summary.failed
    target = "standard output" if summary.path == "-" else summary.path
    yield f"{summary.conversations:,} conversations in {summary.seconds:.1f} s -> {target}"
    yield (
        f"  emotional  {summary.emotional:,} of {labelled:,} labelled "
        f"({summary.emotional_share:.1%})"
    )
    yield (
        f"  read       {summary.user_messages:,} user messages; "
        f"{summary.truncated_tokens:,} tokens were too many and left out"
    )
    if summary.failed:
        yield f'  failed     {summary.failed:,}; their rows have status "error" and the reason'


def _info(arguments: argparse.Namespace) -> int:
    classifier = _classifier(arguments)
    artifact = classifier.artifact
    facts = {
        "affectlib": __version__,
        "model": f"{artifact.name} {artifact.version}",
        "fingerprint": artifact.fingerprint,
        "engine": classifier.engine,
        "device": classifier.device,
        "operating point": classifier.operating_point,
        **artifact.description,
    }
    for name, fact in facts.items():
        text = fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False, default=str)
        _say(f"{name.replace('_', ' '):<16} {text}")
    return _DONE


def _complain(problem: str, error: BaseException) -> None:
    """Say what went wrong in one line, on standard error."""
    notes = getattr(error, "__notes__", [])
    _say(f"affectlib: {'; '.join([' '.join(problem.split()), *notes])}", sys.stderr)


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print a line without what would steer the terminal."""
    print(_ESCAPES.sub("", text), file=stream or sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
