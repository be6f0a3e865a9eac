"""Data sets of the Hugging Face library ``datasets``: saved on disk, or on the Hub.

What ``save_to_disk`` writes is read with only pyarrow: a folder with ``state.json`` and Arrow
files, or one such folder for each split. Only the files that ``state.json`` names are read, not
what the library keeps beside them (``cache-….arrow``). Rows are recognised by their structure, like
those of any other file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from affectlib._extras import requires_extra
from affectlib.errors import OptionError, TranscriptFormatError
from affectlib.formats._arrow import arrow_rows
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_list, as_text
from affectlib.formats._os_errors import is_environment_error
from affectlib.formats.listing import HUB
from affectlib.formats.reader import Files, Reading
from affectlib.formats.sources import Source

_STATE = "state.json"
_INFO = "dataset_info.json"
_DICT = "dataset_dict.json"
_ARROW = re.compile(r"[^/]+\.arrow")
_STATE_SIZE = 1 << 24
_PAIRS = ({"role", "content"}, {"from", "value"})
_HUB_NAME = re.compile(rf"{HUB}([\w.-]+/[\w.-]+)(?:/([\w.-]+))?(?::([\w.+-]+))?", re.ASCII)


class Saved(NamedTuple):
    """The rows of each split of saved data sets, and all files that are theirs."""

    splits: dict[str, Iterator[Record]]
    own: set[str]


def find_saved(files: Files, reading: Reading) -> Saved:
    """Find the splits of saved data sets; what the library has put beside them is skipped."""
    saved = Saved({}, set())
    for name in files.names:
        folder, slash, last = name.rpartition("/")
        inside = folder + slash
        if last != _STATE or inside + _INFO not in files.names:
            continue
        named = [inside + file for file in _saved_files(files, name, reading)]
        if not named:
            continue
        saved.splits[folder] = _saved_rows(files, named, reading)
        above, slash, _ = folder.rpartition("/")
        saved.own.update((name, inside + _INFO, above + slash + _DICT, *named))
        for other in files.names:
            is_arrow = other.startswith(inside) and _ARROW.fullmatch(other, len(inside))
            if is_arrow and other not in saved.own:
                saved.own.add(other)
                reading.skip(f"{_STATE} does not name it as part of its data set", other)
    return saved


def hub_splits(name: str, *, local_files_only: bool) -> Mapping[str, Iterator[Record]]:
    """Return the rows of each split of a data set on the Hub, read while they are downloaded.

    The name is ``hf://datasets/OWNER/NAME``, with ``/CONFIGURATION`` and ``:SPLIT`` if need be.
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise OptionError(f"expected {HUB}OWNER/NAME[/CONFIGURATION][:SPLIT]")
    if local_files_only:
        raise OptionError(
            f"{name} is on the Hub; allow the network with `local_files_only=False`, or "
            "save the data set to disk"
        )
    with requires_extra("hub"):
        from datasets import load_dataset
    repository, configuration, split = match.groups()
    try:
        found = load_dataset(repository, configuration, split=split, streaming=True)
    except Exception as error:
        kind = type(error).__name__
        raise TranscriptFormatError(f"the data set cannot be loaded ({kind})") from error
    splits = {split: found} if split is not None else found
    return {name: numbered_rows(rows) for name, rows in splits.items()}


def numbered_rows(rows: Iterator[Mapping[str, Any]]) -> Iterator[Record]:
    """Make records of rows; objects of lists, as the library saves them, are lists of objects."""
    for number, row in enumerate(rows):
        yield Record(f"row {number}", {name: _list_of(value) for name, value in row.items()})


def _saved_files(files: Files, name: str, reading: Reading) -> list[str]:
    try:
        with files.open(name) as raw:
            state = json.loads(Source(raw, reading.options.limits).stream.read(_STATE_SIZE))
    except (ValueError, RecursionError, TranscriptFormatError, OSError) as error:
        if isinstance(error, OSError) and is_environment_error(error):
            raise
        return []
    listed = as_list(as_dict(state).get("_data_files"))
    return [name for file in listed if (name := as_text(as_dict(file).get("filename")))]


def _saved_rows(files: Files, names: list[str], reading: Reading) -> Iterator[Record]:
    def rows() -> Iterator[Mapping[str, Any]]:
        for name in names:
            if name not in files.names:
                raise TranscriptFormatError(
                    f"{name} is missing, which {_STATE} names; save the data set again"
                )
            with ExitStack() as stack:
                raw = stack.enter_context(files.open(name))
                stack.enter_context(reading.progress.file(raw, files.size(name)))
                source = Source(raw, reading.options.limits)
                yield from arrow_rows(source.seekable(stack))
                source.require_whole()

    return numbered_rows(rows())


def _list_of(value: Any) -> Any:
    if not isinstance(value, Mapping) or not any(pair <= value.keys() for pair in _PAIRS):
        return value
    lists = [*value.values()]
    if not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return value
    return [dict(zip(value, cells, strict=True)) for cells in zip(*lists, strict=True)]
