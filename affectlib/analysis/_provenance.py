"""Which model made labels, and what it knows of itself.

Rows carry a code (`affectlib.corpus.provenance`), so that it survives filtering, sampling and other
libraries. What a code stands for is in the metadata of a Parquet file; this process remembers what
it has read; and those of the bundled models are always known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from affectlib.analysis.accuracy import Accuracy
from affectlib.corpus.provenance import provenance
from affectlib.model.artifacts import bundled_models, bundled_with, load_artifact

__all__ = ["COLUMN", "UNKNOWN", "Kind", "Provenance", "known_origin", "remember", "said_by"]

Kind: TypeAlias = Literal["logs", "studies"]
"""On which transcripts a model was measured: shared logs, or personal chats given to studies."""
KINDS = get_args(Kind)

COLUMN = "provenance"
"""The column of codes."""

_KEY = b"affectlib"
_FIELDS = ("provenance", "model", "model_version", "fingerprint", "operating_point")
_MEASURED = ("measured", "cue_thresholds", "theme_thresholds", "fitted")
_THEMES = "themes"
_ATTRIBUTE = "_affectlib_provenance"
_read: dict[str, Provenance] = {}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which model made labels, and what it knows of itself; nothing, unless it is said.

    Attributes:
        code: What rows carry.
        model: Its name.
        model_version: Its version.
        fingerprint: Of its ``affect.json``.
        operating_point: Whose thresholds made the labels.
        thresholds: These, by level.
        measured: Its accuracy, by what it was measured on.
        measured_themes: That of its themes, by name.
        cues: From which probability each cue is shown.
        themes: The same of the themes.
        fitted: Whether it was fitted to labels of its user, on which it was measured, too.
    """

    code: str = ""
    model: str = ""
    model_version: str = ""
    fingerprint: str = ""
    operating_point: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Accuracy] = field(default_factory=dict)
    measured_themes: Mapping[str, Accuracy] = field(default_factory=dict)
    cues: Mapping[str, float] = field(default_factory=dict)
    themes: Mapping[str, float] = field(default_factory=dict)
    fitted: bool = False

    @property
    def name(self) -> str | None:
        """The model, and where its threshold lay; None if that is not known."""
        return f"{self.model} {self.model_version}, {self.operating_point}" if self.model else None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Provenance:
        """Return what a file says; what of it cannot be read is not known."""
        if not {*_MEASURED} <= said.keys():
            artifact = bundled_with(said["fingerprint"], said["model"])
            if artifact is not None and said["operating_point"] in artifact.operating_points:
                said = {**provenance(artifact, said["operating_point"]), **said}
        named = {name: said[name] for name in _FIELDS[1:]} | {"code": said["provenance"]}
        try:
            counts = dict(said.get("measured", {}))
            themes = counts.pop(_THEMES, {})
            return cls(
                **named,
                thresholds=_numbers(said.get("thresholds", {})),
                measured=_accuracies(counts),
                measured_themes=_accuracies(themes),
                cues=_numbers(said.get("cue_thresholds", {})),
                themes=_numbers(said.get("theme_thresholds", {})),
                fitted=bool(said.get("fitted", False)),
            )
        except (ValueError, TypeError, AttributeError, KeyError):  # written by somebody else
            return cls(**named)


UNKNOWN = Provenance()


def remember(rows: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Keep with a lazy frame, and in this process, what its Parquet file says of its origin."""
    from pyarrow.parquet import read_schema

    found = said_by(read_schema(file).metadata)
    if found.code:
        _read[found.code] = found
    setattr(rows, _ATTRIBUTE, found)
    return rows


def remembered(rows: object) -> Provenance:
    """Return what was kept with a frame, or is in the metadata of a pyarrow table."""
    found = getattr(rows, _ATTRIBUTE, None)
    if found is None and type(rows).__module__.partition(".")[0] == "pyarrow":
        found = said_by(getattr(rows, "schema").metadata)  # noqa: B009
    return found or UNKNOWN


def said_by(metadata: Mapping[bytes, bytes] | None) -> Provenance:
    """Return what a file says of its origin, nothing if that is damaged or by somebody else."""
    try:
        found = json.loads((metadata or {}).get(_KEY, b"{}"))
        named = {name: found.get(name, "") for name in _FIELDS}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return UNKNOWN
    sound = all(isinstance(value, str) for value in named.values())
    return Provenance.of({**found, **named}) if sound and named["model"] else UNKNOWN


def known_origin(code: str) -> Provenance:
    """Return what a code stands for, with no more than the code if that is not known."""
    return _read.get(code) or _bundled().get(code) or Provenance(code)


@cache
def _bundled() -> Mapping[str, Provenance]:
    return {origin.code: origin for origin in _of_bundled()}


def _of_bundled() -> Iterator[Provenance]:
    for name in bundled_models():
        artifact = load_artifact(name)
        for point in artifact.operating_points:
            yield Provenance.of(provenance(artifact, point))


def _accuracies(counts: Mapping[str, Mapping[str, float]]) -> Mapping[str, Accuracy]:
    return {name: Accuracy(**own) for name, own in counts.items() if _of_both(own)}


def _of_both(counts: Mapping[str, float]) -> bool:
    """Whether there are rows of one kind, and of the other."""
    have = counts["true_positives"] + counts["false_negatives"]
    return have > 0 and counts["true_negatives"] + counts["false_positives"] > 0


def _numbers(thresholds: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(value) for name, value in thresholds.items()}
