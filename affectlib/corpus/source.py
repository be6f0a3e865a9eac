"""The files of an input: whether they have changed, and whether a path is one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from affectlib._atomic import attach_filename
from affectlib.errors import SourceChangedError
from affectlib.formats.listing import HUB, fits, list_files, pattern_of


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What tells whether an input is still the same.

    Attributes:
        files: Number of its files.
        bytes: Their size.
        sha256: SHA-256 over the names and contents of the files; None for a stream, which is a
            pipe or a data set on the Hub.
    """

    files: int
    bytes: int
    sha256: str | None

    @property
    def is_stream(self) -> bool:
        """Whether it cannot be read before it is labelled, nor compared with an earlier one."""
        return self.sha256 is None


def inspect_source(source: str) -> SourceFacts:
    """Read an input once, without parsing it."""
    files = _files_of(source)
    if files is None:
        return SourceFacts(1, 0, None)
    digest = hashlib.sha256()
    size = 0
    for name, file in files.items():
        size += file.stat().st_size
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        with attach_filename(file), file.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return SourceFacts(len(files), size, digest.hexdigest())


def stamps_of(source: str) -> dict[str, tuple[int, ...]]:
    """Return what changes when somebody writes to a file of an input: its inode, size and time."""
    found: dict[str, tuple[int, ...]] = {}
    for name, file in (_files_of(source) or {}).items():
        facts = file.stat()
        found[name] = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return found


def require_unchanged(source: str, stamps: Mapping[str, tuple[int, ...]]) -> None:
    """Raise if a file of an input was written to, replaced, added or removed since `stamps_of`."""
    try:
        now = stamps_of(source)
    except FileNotFoundError:
        now = {}
    changed = [name for name in {**stamps, **now} if stamps.get(name) != now.get(name)]
    if changed:
        raise SourceChangedError(
            f"{source}: {', '.join(changed[:3])} changed while it was read, so the labels would "
            "match no version of it; label a copy, to another output"
        )


def file_among(source: str, paths: Iterable[Path]) -> Path | None:
    """Return the first of some paths that is a file of an input, by whatever name, or None."""
    there = [path for path in paths if path.exists()]
    files = [*(_files_of(source) or {}).values()] if there else []
    read = [file for file in files if file.exists()]
    return next((path for path in there if any(map(path.samefile, read))), None)


def takes_up(source: str, path: Path) -> bool:
    """Whether an input that is a folder or a pattern would hold a file of this path."""
    found = pattern_of(source)
    if found is None:
        return False
    folder, pattern = found[0].resolve(), found[1]
    place = path.parent.resolve() / path.name
    return place.is_relative_to(folder) and fits(place.relative_to(folder).parts, pattern)


def _files_of(source: str) -> dict[str, Path] | None:
    """Return the files of an input by their names, None for a stream."""
    if source == "-" or source.startswith(HUB):
        return None
    listing = list_files(source)
    if listing is not None:
        return listing.files
    path = Path(source)
    return {path.name: path} if path.is_file() or not path.exists() else None
