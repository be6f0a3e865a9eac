"""``affectlib info``: show what is in transcripts, or which model is used and how well it does."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from affectlib._version import __version__
from affectlib.cli import _options as shared
from affectlib.cli._labels import shortened
from affectlib.cli._reading import reading_options, refuse_inputs, report_lines
from affectlib.cli._terminal import DONE, SOME_FAILED, say
from affectlib.conversation import Conversation
from affectlib.errors import MissingExtraError
from affectlib.formats import ReadOptions, ReadReport, read_conversations
from affectlib.formats.canonical import write_conversations
from affectlib.formats.inspection import Inspection, inspect_conversations, language_detector
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, bundled_with, load_artifact
from affectlib.model.reference import Comparison
from affectlib.predictions import ConversationFailure
from affectlib.taxonomy import CHARGES, CUES, THEMES

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier

_LISTED = 8
_TEXT_SHOWN = 200
_LEVELS = ("conversation", "message")
_SHARE = 20
"""Width of a share with the numbers behind it."""


@click.command("info")
@click.argument("input", metavar="[IN]", required=False)
@click.option(
    "-o", "--output", metavar="OUT", help="convert IN to OUT, a .jsonl file, or - for output"
)
@shared.flag("--no-languages", "languages", "do not detect languages; faster", value=False)
@click.option(
    "--preview", default=0, metavar="N", help="show the text of the first N conversations"
)
@shared.flag("--json", "as_json", "print JSON")
@shared.overwrite_option
@shared.quiet_option
@shared.model_option
@reading_options
def command(
    input: str | None,
    output: str | None,
    languages: bool,
    preview: int,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    model: str | None,
    options: ReadOptions,
) -> int:
    """Show what is in the transcripts IN, without their text, or convert them to JSON Lines.

    IN is a file, a folder, a pattern in quotes, a ZIP archive, or - for standard input. Without
    IN, show which model is used and how well it does.
    """
    if input is None:
        if output is not None:
            raise click.UsageError("--output takes transcripts; name them")
        classifier = shared.load_classifier(model, local_files_only=options.local_files_only)
        if as_json:
            say(json.dumps(_everything(classifier), ensure_ascii=False, default=str))
        else:
            for line in _lines(classifier):
                say(line)
        return DONE
    if output is not None:
        return convert(input, options, output, overwrite=overwrite, quiet=quiet)
    return inspect(input, options, model, languages=languages, preview=preview, as_json=as_json)


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
        for line in [*_contents(found, report), *report_lines(report)]:
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


def _contents(found: Inspection, report: ReadReport) -> Iterator[str]:
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


def _lines(classifier: AffectClassifier) -> Iterator[str]:
    artifact = classifier.artifact
    facts = {
        "affectlib": __version__,
        "model": f"{artifact.name} {artifact.version}",
        "fingerprint": artifact.fingerprint,
        **_base(artifact.description),
        "languages": ", ".join(artifact.description.get("languages", ())) or "not said",
        "gives": ", ".join(_outputs(artifact)),
        "runs on": f"{classifier.device}, with {classifier.engine}",
        "folder": str(artifact.folder),
        "prevalence": f"its probabilities assume {artifact.prevalence:.1%} emotional",
    }
    if classifier.screen:
        facts["screen"] = "settles plain tasks first, in less time"
    for name, fact in facts.items():
        yield f"{name:<12} {fact}"
    yield ""
    yield from _table(artifact, classifier.operating_point)


def _outputs(artifact: Artifact) -> Iterator[str]:
    """Name what the model gives."""
    known = {*artifact.outputs}
    yield "label"
    if {*CHARGES} <= known:
        yield "intensity"
    for title, names in (("cues", CUES), ("themes", THEMES)):
        if count := len(known & {*names}):
            yield f"{count} {title}"


def _base(said: Mapping[str, Any]) -> dict[str, str]:
    """Name the model that a calibrated or fine-tuned one is based on."""
    if base := said.get("calibrated"):
        return {"based on": f"{base['from']} {base['version']}"}
    if base := said.get("base"):
        return {"based on": f"{base['name']} {base['version']}, fine-tuned"}
    return {}


def _everything(classifier: AffectClassifier) -> dict[str, Any]:
    artifact = classifier.artifact
    return {
        "affectlib": __version__,
        "model": artifact.name,
        "version": artifact.version,
        "fingerprint": artifact.fingerprint,
        "folder": str(artifact.folder),
        "engine": classifier.engine,
        "device": classifier.device,
        "operating_point": classifier.operating_point,
        "prevalence": artifact.prevalence,
        "outputs": [*artifact.outputs],
        "windows": artifact.windows.to_dict(),
        "conversation": asdict(artifact.conversation),
        "operating_points": {
            name: asdict(point) for name, point in artifact.operating_points.items()
        },
        "cue_thresholds": dict(artifact.cue_thresholds),
        "theme_thresholds": dict(artifact.theme_thresholds),
        **artifact.description,
    }


def _table(artifact: Artifact, default: str) -> Iterator[str]:
    """Show thresholds, and how they did on chats of real people."""
    measured: Mapping[str, Any] = artifact.description.get("measured", {})
    personal = any("studies" in counts for counts in measured.values())
    if personal:
        yield f"{'':42}{'shared logs':<{2 * (_SHARE + 1)}}personal chats"
    yield _line(
        "operating point", "level", "threshold", *["recall", "specificity"] * (1 + personal)
    )
    for name, point in artifact.operating_points.items():
        counts = measured.get(name, {})
        for level in _LEVELS:
            title = f"{name}{' *' if name == default else ''}" if level == _LEVELS[0] else ""
            shares = [*_recall_and_specificity(counts.get(level, {}))]
            if personal and level == _LEVELS[0]:
                shares += _recall_and_specificity(counts.get("studies", {}))
            yield _line(title, level, f"{getattr(point, level):.3f}", *shares)
    yield "* the default; one message alone has the threshold of conversations"
    if any(measured.values()):
        yield f"recall and specificity: {_measured_on(artifact)}"
    else:
        yield "recall and specificity were not measured; affectlib evaluate does that, with labels"


def _measured_on(artifact: Artifact) -> str:
    """Say on what a model was measured, as far as that is known."""
    said = artifact.description
    if own := said.get("calibrated"):
        labelled = "".join(f", labelled by {each}" for each in own.get("labelled_by", ()))
        return (
            f"cross-fitted on the {own['rows']:,} {own['level']}s that it was calibrated on "
            f"({own['emotional']:,} emotional){labelled}"
        )
    if own := said.get("finetuned"):
        return (
            f"on {own['held_out']:,} of its labelled conversations ({own['held_out_emotional']:,} "
            "emotional), which were held out of training"
        )
    if bundled_with(artifact.fingerprint, artifact.name) is not None:
        return "on real transcripts that no weight was trained on"
    return "as the model says of itself; it does not say on what they were measured"


def _line(title: str, level: str, threshold: str, *shares: str) -> str:
    columns = "".join(f"{share:<{_SHARE}} " for share in shares)
    return f"{title:<16} {level:<13} {threshold:>9}  {columns}".rstrip()


def _recall_and_specificity(counts: Mapping[str, float]) -> Iterator[str]:
    yield _share(counts, "true_positives", "false_negatives")
    yield _share(counts, "true_negatives", "false_positives")


def _share(counts: Mapping[str, float], right: str, wrong: str) -> str:
    """Return a share with the numbers behind it, which are fractions if rows have weights."""
    total = counts.get(right, 0) + counts.get(wrong, 0)
    if not total:
        return "-"
    shown = (f"{count:.1f}".removesuffix(".0") for count in (counts[right], total))
    return f"{counts[right] / total:.3f} ({'/'.join(shown)})"
