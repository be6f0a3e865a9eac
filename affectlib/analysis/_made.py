"""Which model made labels, and what it knows of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from affectlib.analysis._frames import AnyFrame, package_of
from affectlib.analysis.accuracy import Accuracy
from affectlib.corpus.manifest import known_of
from affectlib.corpus.rows import RowLevel
from affectlib.errors import OptionError
from affectlib.model.artifacts import bundled_with

__all__ = [
    "Kind",
    "accuracy_of",
    "known_accuracy",
    "known_accuracy_of_themes",
    "known_theme_thresholds",
    "known_thresholds",
    "made_with",
    "model_name",
    "remember",
]

Kind: TypeAlias = Literal["logs", "studies"]
"""On which transcripts a model was measured: shared logs, or personal chats given to studies."""

_KEY = b"affectlib"
_FIELDS = ("model", "model_version", "fingerprint", "operating_point")
_KNOWN = ("measured", "cue_thresholds", "theme_thresholds", "fitted")
_THEMES = "themes"
_REMEMBERED = "_affectlib_made_with"


def remember(rows: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Keep with a lazy frame what its Parquet file says about its making."""
    from pyarrow.parquet import read_schema

    setattr(rows, _REMEMBERED, _parsed(read_schema(file).metadata))
    return rows


def _parsed(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """Return what a file says about its making, nothing if that is damaged or by somebody else."""
    try:
        found = json.loads((metadata or {}).get(_KEY, b"{}"))
        made = {name: found.get(name, "") for name in _FIELDS}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    sound = all(isinstance(value, str) for value in made.values())
    known = {name: found[name] for name in _KNOWN if name in found}
    return made | known if sound and made["model"] else {}


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


def known_accuracy(
    labels: AnyFrame, level: RowLevel, kind: Kind = "logs", *, gold: AnyFrame | None = None
) -> Accuracy | None:
    """Return what the model that made labels says of its accuracy, None if that is not known.

    Args:
        labels: The labels.
        level: What a row of them is.
        kind: On which transcripts it was measured.
        gold: Gold labels that it is used with. What a calibrated or fine-tuned model says was
            measured on labels of its user, and these may be the same, which must not count twice.

    Raises:
        OptionError: `kind` is unknown, or the model was not measured on such transcripts.
    """
    if kind not in get_args(Kind):
        raise OptionError(f"unknown kind {kind!r}; use {' or '.join(get_args(Kind))}")
    known = _known(labels)
    if kind == "studies":
        found = known.measured.get(kind) if level == "conversation" else None
        if found is None:
            raise OptionError(
                f"kind={kind!r}: nothing says how well the model that made the labels does on "
                f"{level}s of personal study chats; leave kind out, or give measured"
            )
        return found
    return None if known.fitted and gold is not None else known.measured.get(level)


def accuracy_of(
    labels: AnyFrame,
    level: RowLevel,
    measured: Accuracy | None,
    kind: Kind,
    gold: AnyFrame | None,
) -> Accuracy | None:
    """Return the accuracy that a user gives, or else what the labels say; see `known_accuracy`.

    Raises:
        OptionError: Both are asked for.
    """
    if measured is None:
        return known_accuracy(labels, level, kind, gold=gold)
    if kind != "logs":
        raise OptionError("measured and kind contradict each other; give one of them")
    return measured


def known_thresholds(labels: AnyFrame) -> Mapping[str, float]:
    """Return from which probability the model that made labels takes each cue to be shown."""
    return _known(labels).cues


def known_theme_thresholds(labels: AnyFrame) -> Mapping[str, float]:
    """Return from which probability the model that made labels takes each theme to be shown."""
    return _known(labels).themes


def known_accuracy_of_themes(labels: AnyFrame) -> Mapping[str, Accuracy]:
    """Return what the model that made labels says of its themes of conversations, by name."""
    return _known(labels).measured_themes


@dataclass(frozen=True, slots=True)
class _Known:
    """What a model knows of itself; nothing, unless it is said.

    Attributes:
        measured: Its accuracy, by what it was measured on.
        measured_themes: That of its themes, by name.
        cues: From which probability each cue is shown.
        themes: The same of the themes.
        fitted: Whether it was fitted to labels of its user, on which it was measured, too.
    """

    measured: Mapping[str, Accuracy] = field(default_factory=dict)
    measured_themes: Mapping[str, Accuracy] = field(default_factory=dict)
    cues: Mapping[str, float] = field(default_factory=dict)
    themes: Mapping[str, float] = field(default_factory=dict)
    fitted: bool = False


def _known(labels: AnyFrame) -> _Known:
    """Return what the model that made labels knows of itself: by their file, or else as bundled."""
    made = made_with(labels)
    if not {*_KNOWN} <= made.keys():
        made = {**made, **_of_bundled(made)}
    try:
        counts = dict(made.get("measured", {}))
        themes = counts.pop(_THEMES, {})
        return _Known(
            _accuracies(counts),
            _accuracies(themes),
            _probabilities(made.get("cue_thresholds", {})),
            _probabilities(made.get("theme_thresholds", {})),
            bool(made.get("fitted", False)),
        )
    except (ValueError, TypeError, AttributeError, KeyError):  # written by somebody else
        return _Known()


def _of_bundled(made: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the bundled model that made labels knows, nothing if another model did."""
    artifact = bundled_with(made["fingerprint"], made["model"]) if made else None
    return {} if artifact is None else known_of(artifact, made["operating_point"])


def _accuracies(counts: Mapping[str, Mapping[str, float]]) -> Mapping[str, Accuracy]:
    return {name: Accuracy(**own) for name, own in counts.items() if _of_both(own)}


def _of_both(counts: Mapping[str, float]) -> bool:
    """Whether there are rows of one kind, and of the other."""
    have = counts["true_positives"] + counts["false_negatives"]
    return have > 0 and counts["true_negatives"] + counts["false_positives"] > 0


def _probabilities(thresholds: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(value) for name, value in thresholds.items()}
