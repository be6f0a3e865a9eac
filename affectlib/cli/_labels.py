"""What the commands share about label files: which model made them, and how figures are shown."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectlib.cli._terminal import in_options, say
from affectlib.conversation import Conversation
from affectlib.errors import OptionError
from affectlib.formats import Limits, ReadOptions, read_conversations
from affectlib.predictions import ConversationFailure

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

TOO_FEW = "not shown, too few users (--min-users)"
"""Stands in place of a figure that is suppressed."""


@contextmanager
def analysis_of(files: Mapping[str, str | None]) -> Iterator[list[str]]:
    """Collect the warnings of an analysis, and add to its errors which file a table is.

    `files` are by the names that errors give to their tables. The list that is yielded has the
    warnings, each once, when the block ends.
    """
    from polars.exceptions import PolarsError

    from affectlib.analysis import AnalysisWarning, TableError

    given = {name: path for name, path in files.items() if path is not None}
    notes: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AnalysisWarning)
            yield notes
    except (TableError, OptionError) as error:
        for name, path in given.items():
            if str(error).startswith((f"{name}:", f"{name},")):
                error.add_note(f"{name} is {path}")
        raise
    except PolarsError as error:
        raise TableError(
            f"{', '.join(given.values())}: a table cannot be read; it is damaged, or a column "
            "holds wrong values"
        ) from error
    command = click.get_current_context().command
    notes += dict.fromkeys(in_options(str(each.message), command) for each in caught)


def print_findings(
    rows: Iterable[Mapping[str, Any]], lines: Iterable[str], notes: Sequence[str], *, as_json: bool
) -> None:
    """Print rows as JSON and notes on standard error, or lines and notes on standard output."""
    for line in (json.dumps(row, default=str) for row in rows) if as_json else lines:
        say(line)
    for note in notes:
        say(f"note: {note}", sys.stderr if as_json else sys.stdout)


def artifact_of_labels(path: str, model: str | None) -> Artifact:
    """Return the model that made labels: the one that the user names, or a bundled one."""
    from affectlib.analysis import read_labels
    from affectlib.analysis._frames import labels_table
    from affectlib.model.artifacts import bundled_models, load_artifact

    provenance = labels_table(read_labels(path)).provenance
    if model is None and not provenance.model:
        raise OptionError(
            f"{path}: the file does not say which model made the labels; give `model`"
        )
    if model is None and provenance.model not in bundled_models():
        raise OptionError(
            f"{path}: the labels were made by {provenance.model} {provenance.model_version}, which "
            "is not bundled; give its folder with `model`"
        )
    artifact = load_artifact(provenance.model if model is None else model)
    if provenance.model and provenance.fingerprint != artifact.fingerprint:
        raise OptionError(
            f"{path}: the labels were made by {provenance.model} {provenance.model_version}, but "
            f"{artifact.folder} holds another model or version; label again, or give the folder "
            "of the model that made them with `model`"
        )
    return artifact


def labelled_transcripts(
    path: str, labels: str | None, options: ReadOptions
) -> Iterator[Conversation | ConversationFailure]:
    """Read the transcripts behind labels as the options say, or else as they were first read."""
    if labels is not None and replace(options, local_files_only=True) == ReadOptions():
        known = reading_of(labels) or options
        options = replace(known, local_files_only=options.local_files_only)
    return read_conversations(path, options)


def reading_of(path: str) -> ReadOptions | None:
    """Return how the transcripts behind labels were read, or None if no manifest says."""
    from affectlib.corpus.manifest import Manifest
    from affectlib.corpus.shards import Layout

    target = Path(path)
    layout = Layout(target, (), ".parquet", None if target.is_dir() else {"conversation": target})
    manifest = Manifest.read(layout.final_manifest)
    if manifest is None:
        return None
    recorded = manifest.header["options"]
    names = {field.name for field in fields(ReadOptions)} - {"limits", "local_files_only"}
    known = {name: recorded[name] for name in names if name in recorded}
    return ReadOptions(**known, limits=Limits(**recorded.get("limits", {})))


def figure(row: Mapping[str, Any], confidence: float, form: str = ".3f") -> str:
    """Show an estimate from a table of figures, with its interval if it has one."""
    if row.get("suppressed"):
        return TOO_FEW
    if row["estimate"] is None:
        return "not defined"
    if row["low"] is None:
        return f"{row['estimate']:{form}}  (interval cannot be estimated)"
    return (
        f"{row['estimate']:{form}}  ({confidence * 100:g} % interval {row['low']:{form}} to "
        f"{row['high']:{form}})"
    )


def change_lines(
    rows: Iterable[Mapping[str, Any]], base: Artifact, new: Artifact, level: str, confidence: float
) -> Iterator[str]:
    """Show figures of the model before and after, under the thresholds of each operating point."""
    shown = ""
    for row in rows:
        name, heading = row["operating_point"], "probabilities"
        if name is not None:
            old, now = (getattr(each.operating_points[name], level) for each in (base, new))
            heading = f"{name}: threshold {old:.3f}, now {now:.3f}"
        if heading != shown:
            shown = heading
            yield heading
        yield f"  {row['measure']:<18} {_change(row, confidence)}"


def _change(row: Mapping[str, Any], confidence: float) -> str:
    if row["before"] is None or row["after"] is None:
        return "not defined"
    text = f"{row['before']:.3f}, now {row['after']:.3f}"
    if row["after_low"] is not None:
        text += f" ({row['after_low']:.3f} to {row['after_high']:.3f})"
    if row["change_low"] is not None:
        text += f"; change {row['change']:+.3f} ({row['change_low']:+.3f} to "
        text += f"{row['change_high']:+.3f})"
    return f"{text}, {confidence * 100:g} % intervals"


def shortened(text: str, length: int) -> str:
    """Return a text on one line, cut if it is long."""
    line = " ".join(text.split())
    return f"{line[:length]}{'…' * (len(line) > length)}"
