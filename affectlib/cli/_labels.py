"""What commands know of files of labels: which model made them, and what errors call them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectlib.corpus.shards import parquet_shards
from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.analysis import Accuracy
    from affectlib.model.artifacts import Artifact


@contextmanager
def naming(files: Mapping[str, str | None]) -> Iterator[None]:
    """Add to the error of a table from which file it was read.

    Args:
        files: The files, by what errors call their tables.
    """
    from affectlib.analysis import TableError

    try:
        yield
    except TableError as error:
        for name, path in files.items():
            if path is not None and str(error).startswith((f"{name}:", f"{name},")):
                error.add_note(f"{name} is {path}")
        raise


def model_of(path: str) -> str | None:
    """Return which model made the labels, None if the file does not say."""
    made = _made_with(path)
    return f"{made['model']} {made['model_version']}, {made['operating_point']}" if made else None


def measured_accuracy_of(path: str, columns: Sequence[str]) -> Accuracy | None:
    """Return what the model that made the labels says of its accuracy, None if it is not known.

    Args:
        path: The file of labels.
        columns: Its columns, which tell what a row is.
    """
    from affectlib.analysis import measured_accuracy

    made = _made_with(path)
    artifact = _artifact_of(made)
    if artifact is None:
        return None
    level = "message" if "message" in columns else "conversation"
    return measured_accuracy(artifact, made["operating_point"], level)


def artifact_of_labels(path: str, model: str | None) -> Artifact:
    """Return the model that made labels.

    Args:
        path: The file of labels.
        model: The model that the user names, None for the bundled one that the labels name.

    Raises:
        OptionError: The labels do not say which model made them and none is named, or it is
            another one than is named or bundled.
        ArtifactNotFoundError: There is no model of the name.
    """
    from affectlib.model.artifacts import bundled_models, load_artifact

    made = _made_with(path)
    if model is None and not made:
        raise OptionError(f"{path}: it does not say which model made the labels; give --model")
    if model is None and made["model"] not in bundled_models():
        raise OptionError(
            f"{path}: the labels are of the model {made['model']} {made['model_version']}, which "
            "is not a bundled one; give its folder with --model"
        )
    artifact = load_artifact(made["model"] if model is None else model)
    if made and made["fingerprint"] != artifact.fingerprint:
        raise OptionError(
            f"{path}: the labels are of {made['model']} {made['model_version']}, and "
            f"{artifact.folder} holds another model, or another version of it; label again, or "
            "give the folder of the model that made them with --model"
        )
    return artifact


def cue_thresholds_of(path: str) -> Mapping[str, float]:
    """Return from which probability the model that made the labels takes each cue to be shown.

    Args:
        path: The file of labels; nothing is returned if it names no model that is known.
    """
    artifact = _artifact_of(_made_with(path))
    return {} if artifact is None else artifact.cue_thresholds


def _artifact_of(made: Mapping[str, Any]) -> Artifact | None:
    """Return the bundled model that made labels, None if it was another one."""
    from affectlib.model.artifacts import bundled_models, load_artifact

    if made.get("model") not in bundled_models():
        return None
    artifact = load_artifact(made["model"])
    return artifact if artifact.fingerprint == made["fingerprint"] else None


def _made_with(path: str) -> dict[str, Any]:
    """Return what Parquet labels say of their making, nothing for other files."""
    file = Path(path)
    if file.is_dir():
        file = next((shards[0] for shards in parquet_shards(file)), file)
    if file.suffix != ".parquet":
        return {}
    from pyarrow.parquet import read_schema

    made: dict[str, Any] = json.loads((read_schema(file).metadata or {}).get(b"affectlib", "{}"))
    return made
