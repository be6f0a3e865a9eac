"""The files of a folder, or that match a pattern: each once, whatever links lead to it."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from affectlib.formats._os_errors import is_environment_error

HUB = "hf://datasets/"
"""What names of data sets on the Hub begin with."""

_LINKED_FOLDER = "it is a link to a folder that is read in any case"
_LINKED_FILE = "it is another name of a file that is read"
_HIDDEN = ("__MACOSX", "Thumbs.db")
_Identity = tuple[int, int]


@dataclass(slots=True)
class Listing:
    """The files that were found, by their paths in a folder, or as a pattern has found them."""

    files: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # why, by name: read under another name
    failed: dict[str, str] = field(default_factory=dict)  # why a folder could not be read


def list_files(path: str | os.PathLike[str]) -> Listing | None:
    """List the files of a folder, or those that match a pattern such as ``chats/*.jsonl``.

    Files and folders that begin with a dot are left out. A file that has several names, by links,
    counts once, and so does a folder that a pattern leads to. Below a folder, links to folders are
    not followed.

    Returns:
        The files; None if the path is that of a single file, a pipe or nothing at all.
    """
    text = os.fspath(path)
    if text != "-" and os.path.isdir(text):
        return _list_folder(Path(text))
    if text == "-" or os.path.exists(text) or not glob.has_magic(text):
        return None
    listing = Listing()
    parts = Path(text).parts
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    found = [*_matching(Path(*parts[:first]), parts[first:], listing)]
    if not found and not listing.failed:
        raise FileNotFoundError(errno.ENOENT, "no file matches this pattern", text)
    _add_files(listing, {str(name): name for name in found})
    return listing


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out."""
    return name in _HIDDEN or (name.startswith(".") and name not in (".", ".."))


def _list_folder(folder: Path) -> Listing:
    listing = Listing()
    paths: dict[str, Path] = {}
    read: set[_Identity] = set()
    links: list[Path] = []

    def fail(error: OSError) -> None:
        if is_environment_error(error):
            raise error
        listing.failed[_name(Path(error.filename), folder)] = _unreadable(error)

    for place, folders, names in os.walk(folder, onerror=fail):
        read.add(_identity(Path(place)))
        folders[:] = [name for name in folders if not is_hidden(name)]
        links += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        for name in names:
            if not is_hidden(name):
                paths[_name(Path(place, name), folder)] = Path(place, name)
    for link in links:
        if _identity(link) in read:
            listing.skipped[_name(link, folder)] = _LINKED_FOLDER
        else:
            problem = "it is a link to a folder elsewhere, which is not followed; name that folder"
            listing.failed[_name(link, folder)] = problem
    _add_files(listing, paths)
    return listing


def _add_files(listing: Listing, paths: dict[str, Path]) -> None:
    """Take each file once, if it can be under its own name and not that of a link."""
    read: set[_Identity] = set()
    kept = {}
    for name in sorted(paths, key=lambda name: (paths[name].is_symlink(), name)):
        try:
            facts = paths[name].stat()
        except OSError as error:
            if is_environment_error(error):
                raise
            if error.errno not in (errno.ENOENT, errno.ELOOP):  # else a link that leads nowhere
                listing.failed[name] = f"the file cannot be read: {error.strerror}"
            continue
        identity = facts.st_dev, facts.st_ino
        if not stat.S_ISREG(facts.st_mode):
            continue
        if identity in read:
            listing.skipped[name] = _LINKED_FILE
            continue
        read.add(identity)
        kept[name] = paths[name]
    listing.files = {name: kept[name] for name in sorted(kept)}


def _matching(folder: Path, pattern: Sequence[str], listing: Listing) -> Iterator[Path]:
    """Yield what fits a pattern below a folder, by the rules of `glob`."""
    first, *rest = pattern
    if first == "**":
        for place in _folders(folder, listing, set()):
            yield from _matching(place, rest or ["*"], listing)
        return
    if not glob.has_magic(first):
        paths = [folder / first]
    else:
        paths = [path for path in _entries(folder, listing) if _matches(path.name, first)]
    for path in paths:
        if not rest:
            yield from [path] if path.exists() else []
        elif path.is_dir():
            yield from _matching(path, rest, listing)


def _folders(folder: Path, listing: Listing, read: set[_Identity]) -> Iterator[Path]:
    """Yield a folder and those below it, each once; nothing if it is none."""
    if not folder.is_dir():
        return
    read.add(_identity(folder))
    yield folder
    for path in _entries(folder, listing):
        if is_hidden(path.name) or not path.is_dir():
            continue
        if _identity(path) in read:
            listing.skipped[str(path)] = _LINKED_FOLDER
        else:
            yield from _folders(path, listing, read)


def _entries(folder: Path, listing: Listing) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        if is_environment_error(error):
            raise
        listing.failed[str(folder)] = _unreadable(error)
        return []


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _identity(path: Path) -> _Identity:
    """Return what is the same for all names of a file or folder."""
    facts = path.stat()
    return facts.st_dev, facts.st_ino


def _unreadable(error: OSError) -> str:
    return f"the folder cannot be read: {error.strerror}"
