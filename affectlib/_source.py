"""What tells whether an input is still the same, and how much of it there is."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affectlib.formats._datasets import HUB

_BLOCK = 1 << 20
_LINES = (b"{", b"[")


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of an input without parsing it.

    Attributes:
        files: Number of its files.
        bytes: Their size.
        sha256: SHA-256 over the names and contents of the files, None for a stream, which can be
            read only once.
        lines: Number of records if it is JSON Lines, as its lines tell; else None.
    """

    files: int
    bytes: int
    sha256: str | None
    lines: int | None

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once."""
        return self.sha256 is None

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {key: value for key, value in asdict(self).items() if key != "lines"}


def inspect_source(source: str) -> SourceFacts:
    """Read an input once, at the speed of the disk.

    Args:
        source: A file, a folder (its files, hidden ones aside), a glob, ``-``, or a data set on
            the Hub.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    path = Path(source)
    if (
        source == "-"
        or source.startswith(HUB)
        or (path.exists() and not path.is_file() and not path.is_dir())
    ):
        return SourceFacts(1, 0, None, None)
    files = source_files(source)
    digest = hashlib.sha256()
    size, lines = 0, 0
    countable = True
    for file in files:
        name = file.name if file == path else os.path.relpath(file, path if path.is_dir() else ".")
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        counted = _read(file, digest)
        size += file.stat().st_size
        countable = countable and counted is not None
        lines += counted or 0
    return SourceFacts(len(files), size, digest.hexdigest(), lines if countable else None)


def source_files(source: str) -> list[Path]:
    """Return the files that an input may be read from, in a fixed order.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    found = path.rglob("*") if path.is_dir() else map(Path, glob.glob(source, recursive=True))
    files = sorted(
        file
        for candidate in found
        for file in ([candidate] if path.is_dir() or candidate.is_file() else candidate.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    )
    if not files:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
    return files


def _read(path: Path, digest: Any) -> int | None:
    """Feed a file to the digest, and count its lines if they look like records."""
    lines, ended = 0, True
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        first, newline, _ = head.partition(b"\n")
        record = first.strip()
        is_lines = bool(newline) and record.startswith(_LINES) and record.endswith((b"}", b"]"))
        block = head
        while block:
            digest.update(block)
            if is_lines:
                lines += block.count(b"\n")
                ended = block.endswith(b"\n")
            block = file.read(_BLOCK)
    return lines + (not ended) if is_lines else None
