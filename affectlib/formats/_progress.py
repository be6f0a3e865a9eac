"""How much of an input was read, as far as that can be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(slots=True)
class Progress:
    """How many bytes of its files were read."""

    total: int = 0  # of all files, 0 if unknown, as of a pipe
    before: int = 0  # of the files that were read
    size: int = 0  # of the file that is being read
    within: Callable[[], float] = lambda: 0.0
    """Returns how much of that file was read; readers that read it twice put their own here."""

    @contextmanager
    def file(self, stream: BinaryIO, size: int) -> Iterator[None]:
        """Follow a file while the block lasts, by the bytes that are taken from it."""
        self.size = size
        self.within = lambda: stream.tell() / size if size else 0.0
        try:
            yield
        finally:
            self.before += size
            self.size, self.within = 0, lambda: 0.0

    def share(self) -> float | None:
        """Return how much of all was read, more than 0 and at most 1; None if it is unknown."""
        read = self.before + self.size * self.within()
        return min(read / self.total, 1.0) if self.total and read else None
