"""The manifest of an output: what it is made from, and every shard that is complete.

It is a JSON Lines file: a header (input, model, options), a line for each shard, and one that says
that the output is finished. A line is added once its shard is on the disk. There is no transcript
text in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from affectlib import _version
from affectlib._atomic import attach_filename
from affectlib.corpus.output import FileFacts, write_atomically
from affectlib.corpus.rows import Counts
from affectlib.errors import ResumeError

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

Header: TypeAlias = Mapping[str, Mapping[str, Any]]
"""What an output is made from: ``input``, ``model`` and ``options``."""

NAME_ANOTHER = "name another output or give `overwrite=True`"
"""The remedy where what is there cannot be continued."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Shard:
    """The labels of consecutive records, from `first` on, in files named relative to the folder."""

    first: int
    records: int
    files: Mapping[str, FileFacts]
    counts: Counts

    @property
    def end(self) -> int:
        """The record after its last."""
        return self.first + self.records

    def problems(self, folder: Path) -> list[str]:
        """Say what is wrong with each of its files that was lost or altered."""
        checked = ((name, facts.problem(folder / name)) for name, facts in self.files.items())
        return [f"{folder / name}: {problem}" for name, problem in checked if problem]


@dataclass(slots=True)
class Manifest:
    """What is known about an output.

    Attributes:
        path: The manifest's file.
        header: What the output is made from.
        shards: The complete shards by their first record.
        finished: The facts of the output's files once it is finished; empty for a folder, where
            the shards are the output.
    """

    path: Path
    header: Header
    shards: dict[int, Shard] = field(default_factory=dict)
    finished: Mapping[str, FileFacts] | None = None

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """Read a manifest, or None if there is none; a last line that was cut short is dropped."""
        try:
            lines = path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        manifest: Manifest | None = None
        for number, line in enumerate(lines, start=1):
            try:
                values = json.loads(line)
                if manifest is not None:
                    manifest._take(values)
                elif values.pop("manifest") == _FORMAT:
                    manifest = cls(path, values)
                else:
                    raise ResumeError(
                        f"{path}: it was made by a version of affectlib that this one does not "
                        f"know; use that version, {NAME_ANOTHER}"
                    )
            except (UnicodeError, json.JSONDecodeError, TypeError, KeyError, AttributeError):
                raise ResumeError(
                    f"{path}, line {number}: the manifest is damaged; {NAME_ANOTHER}"
                ) from None
        return manifest

    def write(self) -> None:
        """Replace the file by what is known."""
        lines = [{"manifest": _FORMAT, **self.header}, *map(asdict, self.ordered())]
        if self.finished is not None:
            lines.append(_finish_line(self.finished))
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def add(self, shard: Shard) -> None:
        """Add a shard that is on the disk."""
        self._append(asdict(shard))
        self.shards[shard.first] = shard

    def finish(self, files: Mapping[str, FileFacts]) -> None:
        """Say that the output is finished, and which files it is."""
        self._append(_finish_line(files))
        self.finished = files

    def ordered(self) -> list[Shard]:
        """Return the shards by their first record."""
        return [self.shards[first] for first in sorted(self.shards)]

    def counts(self) -> Counts:
        """Return the counts of all shards together."""
        return sum((shard.counts for shard in self.shards.values()), Counts())

    def changes(self, header: Header) -> list[str]:
        """Say how another header differs, such as ``options.level was …, is …``."""
        return differences(self.header, json.loads(json.dumps(header)))

    def _append(self, line: Mapping[str, Any]) -> None:
        # "r+b", so that a manifest that somebody removed is not made again.
        with attach_filename(self.path), self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _take(self, line: Mapping[str, Any]) -> None:
        if "finished" in line:
            self.finished = _facts(line["finished"])
            return
        parsed = {"files": _facts(line["files"]), "counts": Counts(**line["counts"])}
        shard = Shard(**{**line, **parsed})
        self.shards[shard.first] = shard


def model_facts(artifact: Artifact) -> dict[str, str]:
    """Return what decides on labels: the version of affectlib, and the model."""
    return {
        "version": _version.__version__,
        "model": artifact.name,
        "model_version": artifact.version,
        "fingerprint": artifact.fingerprint,
    }


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Say how two mappings differ, as `Manifest.changes` does.

    Example:
        >>> differences({"model": {"version": "0.12.0"}}, {"model": {"version": "0.13.0"}})
        ['model.version was "0.12.0", is "0.13.0"']
    """
    if not (isinstance(old, dict | None) and isinstance(new, dict | None)):
        return [] if old == new else [f"{place} was {_short(old)}, is {_short(new)}"]
    old, new = old or {}, new or {}
    inside = f"{place}." if place else ""
    found = (differences(old.get(key), new.get(key), inside + key) for key in {**old, **new})
    return [*chain.from_iterable(found)]


def _finish_line(files: Mapping[str, FileFacts]) -> dict[str, Any]:
    return {"finished": {name: asdict(facts) for name, facts in files.items()}}


def _facts(values: Mapping[str, Any]) -> dict[str, FileFacts]:
    return {name: FileFacts(**facts) for name, facts in values.items()}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    closing = '"' if isinstance(value, str) else ""
    return text if len(text) <= 40 else f"{text[:18]}…{closing}"
