"""Which model made labels, and what it knows of itself.

Rows carry a code (`affectlib.corpus.provenance`), which survives filtering and other libraries.
What it stands for is in the metadata of a Parquet file, in the memory of this process once read,
and always known for the bundled models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from affectlib.analysis.accuracy import Accuracy
from affectlib.corpus.provenance import provenance
from affectlib.model.artifacts import bundled_models, bundled_with, load_artifact

__all__ = ["COLUMN", "UNKNOWN", "Kind", "Provenance", "known_origin", "remember", "remembered"]

Kind: TypeAlias = Literal["logs", "studies"]
"""On which transcripts a model was measured: shared logs, or personal chats given to studies."""
KINDS = get_args(Kind)

COLUMN = "provenance"

_KEY = b"affectlib"
_FIELDS = ("provenance", "model", "model_version", "fingerprint", "operating_point")
_MEASURED = ("measured", "cue_thresholds", "theme_thresholds", "fitted")
_THEMES = "themes"
_ATTRIBUTE = "_affectlib_provenance"
_read: dict[str, Provenance] = {}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which model made labels, and what it says of itself.

    Rows carry the `code`. Its `thresholds`, by level, made the labels. It was `measured`, by what
    on, and its themes were, by name. `cues` and `themes` have their thresholds. `fitted` says
    whether it was fitted to, and measured on, labels of its user.
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
        """The model and its operating point; None if not known."""
        return f"{self.model} {self.model_version}, {self.operating_point}" if self.model else None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Provenance:
        """Return what a file says, as far as it can be read."""
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
    """Keep the provenance in a Parquet file with its lazy frame, and in this process."""
    from pyarrow.parquet import read_schema

    found = in_metadata(read_schema(file).metadata)
    if found.code:
        _read[found.code] = found
    setattr(rows, _ATTRIBUTE, found)
    return rows


def remembered(rows: object) -> Provenance:
    """Return the provenance kept with a frame, or in the metadata of a pyarrow table."""
    found = getattr(rows, _ATTRIBUTE, None)
    if found is None and type(rows).__module__.partition(".")[0] == "pyarrow":
        found = in_metadata(getattr(rows, "schema").metadata)  # noqa: B009
    return found or UNKNOWN


def in_metadata(metadata: Mapping[bytes, bytes] | None) -> Provenance:
    """Return the provenance in a file's metadata; `UNKNOWN` if damaged or by somebody else."""
    try:
        found = json.loads((metadata or {}).get(_KEY, b"{}"))
        named = {name: found.get(name, "") for name in _FIELDS}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return UNKNOWN
    sound = all(isinstance(value, str) for value in named.values())
    return Provenance.of({**found, **named}) if sound and named["model"] else UNKNOWN


def known_origin(code: str) -> Provenance:
    """Return what a code stands for; only the code itself if that is not known."""
    return _read.get(code) or _bundled().get(code) or Provenance(code)


@cache
def _bundled() -> Mapping[str, Provenance]:
    found = (
        Provenance.of(provenance(artifact, point))
        for artifact in map(load_artifact, bundled_models())
        for point in artifact.operating_points
    )
    return {each.code: each for each in found}


def _accuracies(counts: Mapping[str, Mapping[str, float]]) -> Mapping[str, Accuracy]:
    """Return what was measured; where all rows were of one kind, that is nothing."""
    return {
        name: Accuracy(**own)
        for name, own in counts.items()
        if own["true_positives"] + own["false_negatives"] > 0
        and own["true_negatives"] + own["false_positives"] > 0
    }


def _numbers(thresholds: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(value) for name, value in thresholds.items()}
