"""What the commands share about label files: which model made them, how errors name them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectlib.cli._language import in_options
from affectlib.cli._reading import read_options
from affectlib.conversation import Conversation
from affectlib.errors import OptionError
from affectlib.formats import Limits, ReadOptions, read_conversations
from affectlib.predictions import ConversationFailure

if TYPE_CHECKING:
    from warnings import WarningMessage

    from affectlib.model.artifacts import Artifact

TOO_FEW = "not shown, too few users (--min-users)"
"""Stands in place of a figure that is suppressed."""


@contextmanager
def naming(files: Mapping[str, str | None]) -> Iterator[None]:
    """Add to the errors of a table the name of the file that it was read from.

    Args:
        files: The files, by the names that errors give to their tables.
    """
    from polars.exceptions import PolarsError

    from affectlib.analysis import TableError

    try:
        yield
    except (TableError, OptionError) as error:
        for name, path in files.items():
            if path is not None and str(error).startswith((f"{name}:", f"{name},")):
                error.add_note(f"{name} is {path}")
        raise
    except PolarsError as error:
        named = ", ".join(path for path in files.values() if path is not None)
        raise TableError(
            f"{named}: a table cannot be read; it is damaged, or a column holds wrong values"
        ) from error


def labels_argument(command: argparse._ActionsContainer) -> None:
    """Add the file of labels."""
    command.add_argument(
        "labels", metavar="LABELS", help="the output of affectlib label: .parquet, .jsonl or .csv"
    )


def gold_option(command: argparse._ActionsContainer) -> None:
    """Add the sheet that people filled in, which must be given."""
    command.add_argument(
        "--gold", metavar="SHEET", required=True, help="the sheet from affectlib sample, filled in"
    )


def measured_on_option(command: argparse._ActionsContainer) -> None:
    """Add the option that says on which transcripts the model was measured."""
    command.add_argument(
        "--measured-on",
        default="logs",
        choices=["logs", "studies"],
        help="which error counts of the model to use: those measured on shared logs, or on "
        "personal chats that people gave to studies; default logs",
    )


def notes_of(caught: Iterable[WarningMessage], arguments: argparse.Namespace) -> list[str]:
    """Return what a command was warned of, each once, with its options in place of arguments."""
    return [*dict.fromkeys(in_options(str(warning.message), arguments) for warning in caught)]


def model_of(path: str) -> str | None:
    """Return which model made the labels, or None if the file does not say."""
    from affectlib.analysis import read_labels
    from affectlib.analysis._frames import labels_table

    return labels_table(read_labels(path)).provenance.name


def artifact_of_labels(path: str, model: str | None) -> Artifact:
    """Return the model that made labels.

    Args:
        path: The file of labels.
        model: The model that the user names; None for the bundled one that the labels name.

    Raises:
        OptionError: The labels do not say which model made them and none is named, or they
            were made by a model other than the one named or bundled.
        ArtifactNotFoundError: There is no model of that name.
    """
    from affectlib.analysis import read_labels
    from affectlib.analysis._frames import labels_table
    from affectlib.model.artifacts import bundled_models, load_artifact

    made = labels_table(read_labels(path)).provenance
    if model is None and not made.model:
        raise OptionError(
            f"{path}: the file does not say which model made the labels; give --model"
        )
    if model is None and made.model not in bundled_models():
        raise OptionError(
            f"{path}: the labels were made by {made.model} {made.model_version}, which is "
            "not bundled; give its folder with --model"
        )
    artifact = load_artifact(made.model if model is None else model)
    if made.model and made.fingerprint != artifact.fingerprint:
        raise OptionError(
            f"{path}: the labels were made by {made.model} {made.model_version}, but "
            f"{artifact.folder} holds another model or version; label again, or give the folder "
            "of the model that made them with --model"
        )
    return artifact


def labelled_transcripts(
    path: str, arguments: argparse.Namespace
) -> Iterator[Conversation | ConversationFailure]:
    """Read the transcripts behind labels as the options say, or else as they were first read."""
    options = read_options(arguments)
    if replace(options, local_files_only=True) == ReadOptions():
        known = reading_of(arguments.labels) or options
        options = replace(known, local_files_only=options.local_files_only)
    return read_conversations(path, options)


def reading_of(path: str) -> ReadOptions | None:
    """Return how the transcripts behind labels were read, or None if no manifest says.

    Args:
        path: The file or folder of labels.
    """
    from affectlib.corpus.manifest import Manifest
    from affectlib.corpus.shards import Layout

    target = Path(path)
    folder = target.is_dir()
    layout = Layout(target, (), ".parquet", None if folder else {"conversation": target})
    manifest = Manifest.read(layout.final_manifest)
    if manifest is None:
        return None
    recorded = manifest.header["options"]
    names = {field.name for field in fields(ReadOptions)} - {"limits", "local_files_only"}
    limits = Limits(**recorded.get("limits", {}))
    known = {name: recorded[name] for name in names if name in recorded}
    return ReadOptions(**known, limits=limits)


def figure(row: dict[str, Any], confidence: float) -> str:
    """Show an estimate from a table of figures, with its interval if it has one."""
    if row["estimate"] is None:
        return "not defined"
    if row["low"] is None:
        return f"{row['estimate']:.3f}  (interval cannot be estimated)"
    return (
        f"{row['estimate']:.3f}  ({confidence * 100:g} % interval {row['low']:.3f} to "
        f"{row['high']:.3f})"
    )


def change(row: Mapping[str, Any], confidence: float) -> str:
    """Show a figure before and after, with intervals for the new value and the change."""
    if row["before"] is None or row["after"] is None:
        return "not defined"
    text = f"{row['before']:.3f}, now {row['after']:.3f}"
    if row["after_low"] is not None:
        text += f" ({row['after_low']:.3f} to {row['after_high']:.3f})"
    if row["change_low"] is not None:
        text += f"; change {row['change']:+.3f} ({row['change_low']:+.3f} to "
        text += f"{row['change_high']:+.3f})"
    return f"{text}, {confidence * 100:g} % intervals"
