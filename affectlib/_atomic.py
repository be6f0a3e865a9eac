"""Files that get their name when they are complete, and that only their owner reads until then."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from affectlib.errors import OutputExistsError

__all__ = [
    "attach_filename",
    "locked",
    "open_private",
    "publish",
    "replacing",
    "require_folder",
    "sync_folder",
    "temporary_of",
]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of another, or of none, when the block ends.

    If the block raises, what was there stays. The rest of a run that was killed is written over.
    """
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
    """Keep every other process from writing this file or folder at the same time.

    Raises:
        OutputExistsError: Another process does.
    """
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
        with suppress(OSError):  # where an open file cannot be removed, it stays
            Path(lock.lock_file).unlink()
        lock.release()


@contextmanager
def attach_filename(path: Path | str) -> Iterator[None]:
    """Add the file to a system error that does not name it, such as that of a full disk.

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
    """Open a new file that only its owner may read, in the place of one that is there."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def publish(temporary: Path, path: Path) -> None:
    """Give a complete file its name, and the permissions that new files have."""
    mask = os.umask(0o077)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    temporary.replace(path)


def require_folder(path: Path, what: str = "output") -> None:
    """Refuse a place whose folder is not there, before the work for it is done.

    Args:
        path: What is to be written.
        what: What to call it.

    Raises:
        FileNotFoundError: The folder that it should lie in is not there.
    """
    if not path.parent.is_dir():
        problem = f"the folder of the {what} does not exist"
        raise FileNotFoundError(errno.ENOENT, problem, str(path.parent))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
