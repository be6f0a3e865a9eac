"""Files that get their name when they are complete; until then only their owner may read them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from affectlib.errors import OutputExistsError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that replaces the one at `path` when the block ends without an error."""
    temporary = temporary_of(path)
    try:
        with attach_filename(path), open_private(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing this file or folder; refuse it if one is."""
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputExistsError(
            f"{path}: another process is writing it; wait for it, or name another output"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file
            Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def attach_filename(path: Path | str) -> Iterator[None]:
    """Name the file in a system error that does not, such as that of a full disk.

    Example:
        >>> with attach_filename("labels.csv"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: 'labels.csv'
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def temporary_of(path: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return path.with_name(f".{path.name}.tmp")


def open_private(path: Path) -> BinaryIO:
    """Open a new file that only its owner may read, in place of an old one."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def publish(temporary: Path, path: Path) -> None:
    """Give a complete file its name, and the usual permissions."""
    mask = os.umask(0o077)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(path)


def require_folder(path: Path, what: str = "output") -> None:
    """Raise `FileNotFoundError` if the folder that a file is to be written to does not exist."""
    if not path.parent.is_dir():
        problem = f"the folder of the {what} does not exist"
        raise FileNotFoundError(errno.ENOENT, problem, str(path.parent))


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
