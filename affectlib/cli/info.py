"""``affectlib info``: show what is in transcripts, or which model is used and how well it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from affectlib._version import __version__
from affectlib.cli import _options as shared
from affectlib.cli._reading import reading_options
from affectlib.cli._terminal import DONE, say
from affectlib.formats import ReadOptions
from affectlib.taxonomy import CHARGES, CUES, THEMES

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier
    from affectlib.model.artifacts import Artifact

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
    from affectlib.cli._transcripts import convert, inspect

    if output is not None:
        return convert(input, options, output, overwrite=overwrite, quiet=quiet)
    return inspect(input, options, model, languages=languages, preview=preview, as_json=as_json)


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
    from affectlib.model.artifacts import bundled_with

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
