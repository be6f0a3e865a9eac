"""The files of a folder, or that match a pattern: each once, whatever links lead to it."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from affectlib.formats._os_errors import is_environment_error

HUB = "hf://datasets/"
"""What names of data sets on the Hub begin with."""

_LINKED_FOLDER = "it is a link to a folder that is read in any case"
_LINKED_ELSEWHERE = "it is a link to a folder elsewhere, which is not followed; name that folder"
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
    found = pattern_of(path)
    if found is None:
        return None
    folder, pattern = found
    listing = Listing()
    if os.path.isdir(path):
        _walk(folder, pattern, listing, lambda file: file.relative_to(folder).as_posix())
    else:
        _walk(folder, pattern, listing, str, follow=True)
        if not listing.files and not listing.failed:
            problem = "no file matches this pattern"
            raise FileNotFoundError(errno.ENOENT, problem, os.fspath(path))
    return listing


def pattern_of(path: str | os.PathLike[str]) -> tuple[Path, Sequence[str]] | None:
    """Return a folder and the parts of a pattern below it; None if a path stands for one file."""
    text = os.fspath(path)
    if text != "-" and os.path.isdir(text):
        return Path(text), ("**", "*")
    if text == "-" or os.path.exists(text) or not glob.has_magic(text):
        return None
    parts = Path(text).parts
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    pattern = (*parts[first:], "*") if parts[-1] == "**" else parts[first:]
    return Path(*parts[:first]), pattern


def fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, by the rules of `glob`."""
    if not pattern:
        return not names
    first, *rest = pattern
    if first == "**" and fits(names, rest):
        return True
    if not names or (is_hidden(names[0]) and not first.startswith(".")):
        return False
    if first == "**":
        return fits(names[1:], pattern)
    return fnmatch(names[0], first) and fits(names[1:], rest)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out."""
    return name in _HIDDEN or name.startswith(".")


def _walk(
    folder: Path,
    pattern: Sequence[str],
    listing: Listing,
    name_of: Callable[[Path], str],
    *,
    follow: bool = False,
) -> None:
    """Find the files below a folder that fit a pattern; links to folders come last."""

    def fail(error: OSError) -> None:
        if is_environment_error(error):
            raise error
        problem = f"the folder cannot be read: {error.strerror}"
        listing.failed[name_of(Path(error.filename))] = problem

    paths: dict[str, Path] = {}
    read: set[_Identity] = set()
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        start = waiting.pop(0)
        if "**" in pattern and _identity(start) in read:
            listing.skipped[name_of(start)] = _LINKED_FOLDER
            continue
        if start != folder and not follow:
            listing.failed[name_of(start)] = _LINKED_ELSEWHERE
            continue
        for place, folders, names in os.walk(start, onerror=fail):
            above = Path(place).relative_to(folder).parts
            read.add(_identity(Path(place)))
            folders[:] = sorted(name for name in folders if _may_hold((*above, name), pattern))
            waiting += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
            found = [Path(place, name) for name in names if fits((*above, name), pattern)]
            paths |= {name_of(path): path for path in found}
    _add_files(listing, paths)


def _may_hold(folder: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether files that fit a pattern may be below a folder."""
    deep = "**" in pattern
    begin = pattern[: pattern.index("**")] if deep else pattern[:-1]
    if len(folder) > len(begin) and not deep:
        return False
    hidden = is_hidden(folder[-1]) and not any(part.startswith(".") for part in pattern)
    return not hidden and fits(folder[: len(begin)], begin[: len(folder)])


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


def _identity(path: Path) -> _Identity:
    """Return what is the same for all names of a file or folder."""
    facts = path.stat()
    return facts.st_dev, facts.st_ino
