"""``affectlib inspect``: show what is in a collection of transcripts, without its text."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from affectlib.cli._options import Commands, model_options
from affectlib.cli._reading import input_options, read_options, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, say
from affectlib.conversation import Conversation
from affectlib.errors import MissingExtraError
from affectlib.model.artifacts import DEFAULT_MODEL, load_artifact
from affectlib.model.reference import Comparison

if TYPE_CHECKING:
    from affectlib.formats import ReadReport
    from affectlib.formats.inspection import Inspection
    from affectlib.predictions import ConversationFailure

_LISTED = 8
_TEXT_SHOWN = 200


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    inspect = commands.add_parser(
        "inspect",
        parents=[model_options(), input_options()],
        help="show what is in a collection of transcripts, without its text",
    )
    inspect.add_argument(
        "--no-languages", action="store_true", help="do not detect languages, which is faster"
    )
    inspect.add_argument(
        "--show-text",
        type=int,
        nargs="?",
        const=3,
        default=0,
        metavar="N",
        help="also show the text of the first conversations (3 if no number is given)",
    )
    inspect.add_argument("--json", action="store_true", help="print JSON")
    inspect.set_defaults(command=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from affectlib.formats import ReadReport, read_conversations
    from affectlib.formats.inspection import inspect_conversations, language_detector

    detect = None
    if not arguments.no_languages:
        try:
            detect = language_detector()
        except MissingExtraError as error:
            say(f"affectlib: languages are left out: {error}", sys.stderr)
    report = ReadReport()
    items = read_conversations(arguments.input, read_options(arguments), report=report)
    # Where standard output is JSON, nothing else may stand in it.
    stream = sys.stderr if arguments.json else sys.stdout
    artifact = load_artifact(
        arguments.model or DEFAULT_MODEL, local_files_only=not arguments.network
    )
    comparison = Comparison.of(artifact)
    shown = _compared(_shown(items, arguments.show_text, stream), comparison)
    found = inspect_conversations(shown, detect=detect)
    unlike = None if comparison is None else comparison.line()
    if arguments.json:
        facts = report.to_dict() | found.to_dict() | {"unlike": unlike}
        say(json.dumps(facts, ensure_ascii=False))
    else:
        for line in filter(None, _lines(found, report)):
            say(line)
        if unlike is not None:
            say(f"note: {unlike}")
    return SOME_FAILED if found.failures else DONE


def _shown(
    items: Iterable[Conversation | ConversationFailure], count: int, stream: TextIO
) -> Iterator[Conversation | ConversationFailure]:
    """Hand conversations on, and print the text of the first ones."""
    for item in items:
        if count > 0 and isinstance(item, Conversation):
            count -= 1
            say(f"--- {item.id or 'without an id'}", stream)
            for message in item.messages:
                text = " ".join(message.content.split())
                shown = f"{text[:_TEXT_SHOWN]}{'…' * (len(text) > _TEXT_SHOWN)}"
                say(f"{message.role}: {shown}", stream)
        yield item


def _compared(
    items: Iterable[Conversation | ConversationFailure], comparison: Comparison | None
) -> Iterator[Conversation | ConversationFailure]:
    for item in items:
        if comparison is not None and isinstance(item, Conversation):
            comparison.histogram.add(item)
        yield item


def _lines(found: Inspection, report: ReadReport) -> Iterator[str]:
    for name, why in report.formats.items():
        yield _line("format", f"{name} ({why})")
    yield _line("conversations", f"{found.conversations:,}")
    yield _line("not read", f"{found.failures:,}" if found.failures else "")
    yield _line("messages", _tally(found.messages))
    yield _line("no user text", f"{found.without_user_text:,}" if found.without_user_text else "")
    yield _line("empty messages", f"{found.empty_messages:,}" if found.empty_messages else "")
    if found.first is not None and found.last is not None:
        undated = f"; {found.undated:,} conversations without" if found.undated else ""
        yield _line("dates", f"{found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}{undated}")
    yield _line("languages", _tally(found.languages))
    yield _line("as stated", _tally(found.stated_languages))
    yield _line("modality", _tally(found.modalities))
    yield _line("models", _tally(found.models))
    unknown = f"; {found.without_user:,} conversations without" if found.without_user else ""
    yield _line("users", f"{found.users:,}{unknown}")
    yield _line("no id", f"{found.without_id:,}" if found.without_id else "")
    yield _line("repeated ids", f"{found.repeated_ids:,}" if found.repeated_ids else "")
    yield from report_lines(report)


def _line(name: str, value: str) -> str:
    return f"{name:<15} {value}" if value else ""


def _tally(counts: Counter[str]) -> str:
    listed = [f"{name} {count:,}" for name, count in counts.most_common(_LISTED)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(_LISTED))
    return ", ".join([*listed, *([f"others {rest:,}"] if rest else [])])
