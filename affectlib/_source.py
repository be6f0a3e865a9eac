"""What tells whether an input is still the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from affectlib.formats._datasets import HUB
from affectlib.formats._sources import list_files

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of an input without parsing it.

    Attributes:
        files: Number of its files.
        bytes: Their size.
        sha256: SHA-256 over the names and contents of the files, None for a stream, which can be
            read only once.
    """

    files: int
    bytes: int
    sha256: str | None

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once."""
        return self.sha256 is None


def inspect_source(source: str) -> SourceFacts:
    """Read an input once, at the speed of the disk.

    Args:
        source: What `affectlib.formats.read_conversations` reads.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    files = None if source.startswith(HUB) else list_files(source)
    path = Path(source)
    if files is None:
        if source == "-" or source.startswith(HUB) or (path.exists() and not path.is_file()):
            return SourceFacts(1, 0, None)
        files = {path.name: path}
    digest = hashlib.sha256()
    size = 0
    for name, file in files.items():
        size += file.stat().st_size
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return SourceFacts(len(files), size, digest.hexdigest())
