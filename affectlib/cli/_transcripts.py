"""``affectlib info IN``: show what is in transcripts, or convert them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from affectlib.cli._labels import shortened
from affectlib.cli._reading import refuse_inputs, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, say
from affectlib.conversation import Conversation
from affectlib.errors import MissingExtraError
from affectlib.formats import ReadOptions, ReadReport, read_conversations
from affectlib.formats.canonical import write_conversations
from affectlib.formats.inspection import inspect_conversations, language_detector
from affectlib.model.artifacts import DEFAULT_MODEL, load_artifact
from affectlib.model.reference import Comparison

if TYPE_CHECKING:
    from affectlib.formats.inspection import Inspection
    from affectlib.predictions import ConversationFailure

_LISTED = 8
_TEXT_SHOWN = 200


def convert(source: str, options: ReadOptions, output: str, *, overwrite: bool, quiet: bool) -> int:
    """Write transcripts of any format as JSON Lines, and say what was left out."""
    if output != "-":
        refuse_inputs([Path(output)], source)
    report = ReadReport()
    items = read_conversations(source, options, report=report)
    count = write_conversations(items, output, overwrite=overwrite)
    if not quiet:
        target = "standard output" if output == "-" else output
        formats = ", ".join(report.formats) or "no format"
        say(f"{count:,} conversations ({formats}) -> {target}", sys.stderr)
    for line in report_lines(report, quiet=quiet):
        say(line, sys.stderr)
    return SOME_FAILED if report.failures else DONE


def inspect(
    source: str,
    options: ReadOptions,
    model: str | None,
    *,
    languages: bool,
    preview: int,
    as_json: bool,
) -> int:
    """Show what is in a collection of transcripts."""
    detect = None
    if languages:
        try:
            detect = language_detector()
        except MissingExtraError as error:
            say(f"affectlib: languages are left out: {error}", sys.stderr)
    report = ReadReport()
    items = read_conversations(source, options, report=report)
    artifact = load_artifact(model or DEFAULT_MODEL, local_files_only=options.local_files_only)
    comparison = Comparison.of(artifact.reference, artifact.name)
    # Where standard output is JSON, nothing else may stand in it.
    shown = _shown(items, preview, sys.stderr if as_json else sys.stdout, comparison)
    found = inspect_conversations(shown, detect=detect)
    unlike = None if comparison is None else comparison.line()
    if as_json:
        facts = report.to_dict() | found.to_dict() | {"unlike": unlike}
        say(json.dumps(facts, ensure_ascii=False))
    else:
        for line in [*_lines(found, report), *report_lines(report)]:
            say(line)
        if unlike is not None:
            say(f"note: {unlike}")
    return SOME_FAILED if found.failures else DONE


def _shown(
    items: Iterable[Conversation | ConversationFailure],
    count: int,
    stream: TextIO,
    comparison: Comparison | None,
) -> Iterator[Conversation | ConversationFailure]:
    """Hand conversations on, compare them, and print the text of the first ones."""
    for item in items:
        if count > 0 and isinstance(item, Conversation):
            count -= 1
            say(f"--- {item.id or 'without an id'}", stream)
            for message in item.messages:
                say(f"{message.role}: {shortened(message.content, _TEXT_SHOWN)}", stream)
        if comparison is not None and isinstance(item, Conversation):
            comparison.histogram.add(item)
        yield item


def _lines(found: Inspection, report: ReadReport) -> Iterator[str]:
    dates = ""
    if found.first is not None and found.last is not None:
        undated = f"; {found.undated:,} conversations without" if found.undated else ""
        dates = f"{found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}{undated}"
    unknown = f"; {found.without_user:,} conversations without" if found.without_user else ""
    facts = (
        *(("format", f"{name} ({why})") for name, why in report.formats.items()),
        ("conversations", f"{found.conversations:,}"),
        ("not read", found.failures),
        ("messages", _tally(found.messages)),
        ("no user text", found.without_user_text),
        ("empty messages", found.empty_messages),
        ("dates", dates),
        ("languages", _tally(found.languages)),
        ("as stated", _tally(found.stated_languages)),
        ("modality", _tally(found.modalities)),
        ("models", _tally(found.models)),
        ("users", f"{found.users:,}{unknown}"),
        ("no id", found.without_id),
        ("repeated ids", found.repeated_ids),
    )
    for name, value in facts:
        if value:
            yield f"{name:<15} {f'{value:,}' if isinstance(value, int) else value}"


def _tally(counts: Counter[str]) -> str:
    listed = counts.most_common(_LISTED)
    rest = counts.total() - sum(count for _, count in listed)
    shown = [f"{name} {count:,}" for name, count in listed]
    return ", ".join([*shown, *([f"others {rest:,}"] if rest else [])])
