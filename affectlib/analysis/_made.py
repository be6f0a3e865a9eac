"""Which model made labels, and what it knows of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from affectlib.analysis._frames import AnyFrame, package_of
from affectlib.analysis.accuracy import Accuracy, measured_accuracy
from affectlib.corpus.rows import RowLevel
from affectlib.model import artifacts

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = [
    "known_accuracy",
    "known_accuracy_of_themes",
    "known_theme_thresholds",
    "known_thresholds",
    "made_with",
    "model_name",
    "remember",
]

_KEY = b"affectlib"
_FIELDS = ("model", "model_version", "fingerprint", "operating_point")
_REMEMBERED = "_affectlib_made_with"


def remember(rows: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Keep with a lazy frame what its Parquet file says about its making."""
    from pyarrow.parquet import read_schema

    setattr(rows, _REMEMBERED, _parsed(read_schema(file).metadata))
    return rows


def _parsed(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, str]:
    """Return what a file says about its making, nothing if that is damaged or by somebody else."""
    try:
        found = json.loads((metadata or {}).get(_KEY, b"{}"))
        made = {name: found.get(name, "") for name in _FIELDS}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    sound = all(isinstance(value, str) for value in made.values())
    return made if sound and made["model"] else {}


def made_with(labels: AnyFrame) -> Mapping[str, Any]:
    """Return which model made labels, nothing if that is not known.

    Args:
        labels: What `affectlib.analysis.read_labels` returned for Parquet, or a pyarrow table read
            from it. Other frames do not keep it.
    """
    found = getattr(labels, _REMEMBERED, None)
    if found is None and package_of(labels) == "pyarrow" and hasattr(labels, "schema"):
        found = _parsed(labels.schema.metadata)
    return found or {}


def model_name(labels: AnyFrame) -> str | None:
    """Return which model made labels, and where its threshold lay; None if that is not known."""
    made = made_with(labels)
    return f"{made['model']} {made['model_version']}, {made['operating_point']}" if made else None


def known_accuracy(labels: AnyFrame, level: RowLevel) -> Accuracy | None:
    """Return what the model that made labels says of its accuracy, None if that is not known."""
    artifact = _artifact_of(made_with(labels))
    if artifact is None:
        return None
    return measured_accuracy(artifact, made_with(labels)["operating_point"], level)


def known_thresholds(labels: AnyFrame) -> Mapping[str, float]:
    """Return from which probability the model that made labels takes each cue to be shown."""
    artifact = _artifact_of(made_with(labels))
    return {} if artifact is None else artifact.cue_thresholds


def known_theme_thresholds(labels: AnyFrame) -> Mapping[str, float]:
    """Return from which probability the model that made labels takes each theme to be shown."""
    artifact = _artifact_of(made_with(labels))
    return {} if artifact is None else artifact.theme_thresholds


def known_accuracy_of_themes(labels: AnyFrame) -> Mapping[str, Accuracy]:
    """Return what the model that made labels says of its themes of conversations, by name."""
    made = made_with(labels)
    artifact = _artifact_of(made)
    measured = {} if artifact is None else artifact.description.get("measured", {})
    counts = measured.get(made["operating_point"], {}).get("themes", {}) if measured else {}
    return {name: Accuracy(**own) for name, own in counts.items() if _of_both(own)}


def _of_both(counts: Mapping[str, float]) -> bool:
    """Whether there are rows that have a theme, and others."""
    have = counts["true_positives"] + counts["false_negatives"]
    return have > 0 and counts["true_negatives"] + counts["false_positives"] > 0


def _artifact_of(made: Mapping[str, Any]) -> Artifact | None:
    """Return the bundled model that made labels, None if it was another one."""
    if made.get("model") not in artifacts.bundled_models():
        return None
    artifact = artifacts.load_artifact(made["model"])
    return artifact if artifact.fingerprint == made["fingerprint"] else None
