"""Transcript files of every supported format as conversations, one at a time.

`read_conversations` takes a file, a folder, a pattern such as ``chats/*.jsonl``, a ZIP archive, or
``-`` for standard input; files may be compressed (gzip, Zstandard). The format is recognised by
what is in a file, never by its name. `FORMATS` lists the formats; each has a module of the same
name, which says what is kept and what is not. Data sets of the library ``datasets`` are read from
disk, or from the Hub if the network is allowed; their rows have one of the formats.

To add a format, write one module here that ends with ``READERS``, and list it in `_MODULES` below,
before those that would also take its files. Records that belong together but may be far apart go
through `read_groups`. If all records of a file are in an object, under a key, add the key to
``_json._WRAPPERS``. The page ``docs/contributing.md`` lists all steps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias, TypeVar

from affectlib._atomic import attach_filename
from affectlib._values import kind_of
from affectlib.conversation import Conversation
from affectlib.errors import ConversationFailure, OptionError, TranscriptFormatError
from affectlib.formats import (
    anthropic_hh,
    canonical,
    chatgpt,
    claude,
    claude_code,
    convokit,
    discord,
    gemini,
    intercom,
    oasst,
    openai,
    plain,
    sharegpt,
    slack,
    table,
    telegram,
    text,
    whatsapp,
    wildchat,
    zendesk,
)
from affectlib.formats._arrow import ARROW, PARQUET, arrow_rows, parquet_rows
from affectlib.formats._datasets import find_saved, hub_splits, numbered_rows
from affectlib.formats._json import Record, iter_records
from affectlib.formats._os_errors import is_environment_error
from affectlib.formats.columns import describe_columns, describe_header
from affectlib.formats.listing import HUB, Listing, list_files
from affectlib.formats.options import Branches, ReadOptions
from affectlib.formats.read_report import DROPS, Limits, ReadReport, Tally
from affectlib.formats.reader import (
    Files,
    FolderReader,
    Item,
    Reader,
    Reading,
    RecordReader,
    TextReader,
)
from affectlib.formats.sources import (
    Archive,
    Folder,
    Source,
    is_archive,
)

__all__ = [
    "DROPS",
    "FORMATS",
    "Branches",
    "Limits",
    "ReadOptions",
    "ReadReport",
    "Tally",
    "read_conversations",
]

_MODULES = (
    canonical,
    chatgpt,
    claude,
    claude_code,
    wildchat,
    oasst,
    convokit,
    anthropic_hh,
    discord,
    slack,
    telegram,
    intercom,
    zendesk,
    gemini,
    whatsapp,
    plain,
    text,
    openai,
    sharegpt,
    table,
)
_READERS = tuple(reader for module in _MODULES for reader in module.READERS)
FORMATS = tuple(dict.fromkeys(reader.name for reader in _READERS))
"""The formats that can be named."""

_KNOWN = f"known formats are {', '.join(FORMATS)}; name one with `format` if this is one of them"
_OFFICE = "[Content_Types].xml"
_TRIES = 100
_SAMPLE = 1 << 24


_ReaderT = TypeVar("_ReaderT", bound=Reader)
_Part: TypeAlias = Callable[[ExitStack], Iterator[Item]]
"""Reads a file, or a split of a data set, which is open as long as the stack."""


class _UnknownFormatError(TranscriptFormatError):
    """A file has none of the formats."""


def read_conversations(
    path: str | os.PathLike[str],
    options: ReadOptions | None = None,
    *,
    report: ReadReport | None = None,
) -> Iterator[Conversation | ConversationFailure]:
    """Read the conversations of a file or of many, one at a time.

    Text is UTF-8, or UTF-16 or UTF-32 with a byte order mark; bytes that are not UTF-8 are read as
    Windows-1252, which spreadsheets use. Files of a folder, pattern or archive are read in the
    order of their names; those without a known format are skipped and counted. Archives in a
    folder, or that fit a pattern, are read; those inside other archives are not.

    Args:
        path: A file, folder, pattern (glob), ZIP archive, a data set saved by the library
            ``datasets``, or its name on the Hub (``hf://datasets/OWNER/NAME``); or ``-`` for
            standard input.
        options: How it is read; see `ReadOptions`.
        report: Filled in while reading: formats, drops by reason, problems and their places.

    Yields:
        A `Conversation` for each record, or a `ConversationFailure` that names the file, the line
        or record, and the field that is wrong. Conversations without an id in the file have none.

    Raises:
        TranscriptFormatError: No file has a known format.
        OSError: A file cannot be opened.
        OptionError: The format is unknown, or the columns do not fit the file.
        MissingExtraError: A library that the file needs is not installed.

    Example:
        >>> next(read_conversations("examples/transcripts.jsonl")).id
        'ex-001'
    """
    options = ReadOptions() if options is None else options
    if options.format not in ("auto", *FORMATS):
        raise OptionError(f"unknown format {options.format!r}; use auto, {', '.join(FORMATS)}")
    reading = Reading(options, ReadReport() if report is None else report)
    return _counted(os.fspath(path), reading)


def _counted(path: str, reading: Reading) -> Iterator[Item]:
    report, progress = reading.report, reading.progress
    with ExitStack() as stack:
        try:
            for item in _read_input(path, reading, stack):
                if isinstance(item, Conversation):
                    report.conversations += 1
                else:
                    report.failures += 1
                report.share = progress.share()
                yield item
            report.share = 1.0
        except TranscriptFormatError as error:
            problem = ": ".join(filter(None, (reading.file, error.problem)))
            raise TranscriptFormatError(problem, path=path, line=error.line) from None
        except OSError as error:
            with attach_filename(os.path.join(path, reading.file) if reading.file else path):
                raise error


def _read_input(path: str, reading: Reading, stack: ExitStack) -> Iterator[Item]:
    if path.startswith(HUB):
        splits = hub_splits(path, local_files_only=reading.options.local_files_only)
        return _read_parts(_parts(splits, reading), reading)
    listing = list_files(path)
    if listing is not None:
        return _read_listing(listing, reading)
    raw: BinaryIO = sys.stdin.buffer
    if path != "-":
        raw = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115
    size = raw.seek(0, os.SEEK_END) if raw.seekable() else 0
    source = Source(raw, reading.options.limits)
    if is_archive(source.head):
        return _read_archive(Archive(source.seekable(stack), reading), reading)
    if size:
        reading.progress.total = size
        stack.enter_context(reading.progress.file(raw, size))
    return _guarded(_read_source(source, reading, stack), reading)


def _read_listing(listing: Listing, reading: Reading) -> Iterator[Item]:
    for name, reason in listing.skipped.items():
        reading.report.skip(reason, name)
    if listing.files or not listing.failed:
        yield from _read_files(Folder(listing.files, reading), reading)
    reading.place = ""
    for name, problem in sorted(listing.failed.items()):
        reading.file = name
        yield reading.failure(TranscriptFormatError(problem))
    reading.file = ""


def _read_files(files: Files, reading: Reading) -> Iterator[Item]:
    """Read files as a format of several files, or else each by itself."""
    reading.progress.total = sum(map(files.size, files.names))
    for reader in _readers(FolderReader, reading.options.format):
        why = reader.recognizes(files, reading)
        if why is not None:
            reading.report.formats.setdefault(reader.name, why)
            for name in files.names:
                if not reader.owns(name):
                    where = f"the {reader.name} export beside it"
                    reading.skip(f"it is no part of {where}; read it by itself", name)
            reading.progress.size = reading.progress.total
            yield from _guarded(reader.read(files, reading), reading)
            return
    saved = find_saved(files, reading)
    others = (
        (name, partial(_read_file, files, name, reading))
        for name in files.names
        if name not in saved.own
    )
    yield from _read_parts(chain(_parts(saved.splits, reading), others), reading)


def _read_file(files: Files, name: str, reading: Reading, stack: ExitStack) -> Iterator[Item]:
    raw = stack.enter_context(files.open(name))
    stack.enter_context(reading.progress.file(raw, files.size(name)))
    source = Source(raw, reading.options.limits)
    if is_archive(source.head):
        if isinstance(files, Archive):
            raise _UnknownFormatError("it is an archive inside another; unpack the outer one")
        archive = Archive(source.seekable(stack), reading)
        if _is_unpacked(archive, name, files):
            reading.skip("its files lie unpacked beside it", name)
            return iter(())
        stack.enter_context(reading.inside(name))
        return _read_archive(archive, reading)
    return _guarded(_read_source(source, reading, stack), reading)


def _is_unpacked(archive: Archive, name: str, files: Files) -> bool:
    """Whether the largest file of an archive also lies beside it, or in a folder of its name."""
    largest = max(archive.names, key=archive.size, default="")
    path = PurePosixPath(name)
    found = {str(place / largest) for place in (path.parent, path.with_suffix(""))} & {*files.names}
    return any(files.size(other) == archive.size(largest) for other in found)


def _read_archive(archive: Archive, reading: Reading) -> Iterator[Item]:
    if _OFFICE in archive.names:
        raise _UnknownFormatError("found an Office document; save its table as CSV (UTF-8)")
    return _read_files(archive, reading)


def _parts(splits: Mapping[str, Iterator[Record]], reading: Reading) -> Iterator[tuple[str, _Part]]:
    def read(rows: Iterator[Record], stack: ExitStack) -> Iterator[Item]:
        return _guarded(_read_records(rows, reading), reading)

    return ((name, partial(read, rows)) for name, rows in splits.items())


def _read_parts(parts: Iterator[tuple[str, _Part]], reading: Reading) -> Iterator[Item]:
    """Read parts by themselves; those that have no known format are skipped and counted."""
    known = False
    count = 0
    problem = ""
    without_columns = None
    for name, read in parts:
        count += 1
        reading.file, reading.place = name, ""
        try:
            with ExitStack() as stack:
                yield from read(stack)
                known = True
        except _UnknownFormatError as error:
            reading.skip("it has no known format", name or "the data set")
            problem = problem or ": ".join(filter(None, (name, error.problem)))
        except OptionError as error:
            reading.skip("it lacks the columns that were named", name or "the data set")
            without_columns = error
        except TranscriptFormatError as error:
            known = True
            yield reading.failure(error)
        except OSError as error:
            if is_environment_error(error):
                raise
            known = True
            yield reading.failure(TranscriptFormatError(f"cannot be read: {error.strerror}"))
    reading.file = ""
    if not known:
        if without_columns is not None:
            raise without_columns
        if count > 1:
            problem = f"none of the {count:,} files has a known format; {problem}"
        raise _UnknownFormatError(problem or "it holds no files")


def _guarded(items: Iterator[Item], reading: Reading) -> Iterator[Item]:
    """Turn an error after the first item into a failure; before it, it stays an error."""
    begun = False
    try:
        for item in items:
            begun = True
            yield item
    except TranscriptFormatError as error:
        if not begun:
            raise
        yield reading.failure(TranscriptFormatError(f"{error}; the rest was not read"))


def _read_source(source: Source, reading: Reading, stack: ExitStack) -> Iterator[Item]:
    """Read a file, and raise at its end if it ends because it is damaged."""
    try:
        yield from _recognized(source, reading, stack)
    except _UnknownFormatError:
        source.require_whole()
        raise
    source.require_whole()


def _recognized(source: Source, reading: Reading, stack: ExitStack) -> Iterator[Item]:
    """Find the reader that the beginning of a file calls for, and read."""
    if not source.head and reading.options.format == "auto":
        raise _UnknownFormatError(f"the file is empty; {_KNOWN}")
    if source.head.startswith((PARQUET, *ARROW)):
        raw = source.seekable(stack)
        is_parquet = source.head.startswith(PARQUET)
        rows = parquet_rows(raw, reading.progress) if is_parquet else arrow_rows(raw)
        return _read_records(numbered_rows(rows), reading)
    beginning = source.beginning()
    stream = source.text()
    stack.callback(stream.detach)
    like_json = beginning.startswith(("{", "[", '"'))
    format = reading.options.format
    for reader in _readers(TextReader, format):
        why = reader.recognizes(beginning, reading)
        if why is None and format == reader.name and (reader.any_text or not like_json):
            why = "it was named"
        if why is not None:
            reading.report.formats.setdefault(reader.name, why)
            return reader.read(stream, reading)
    if not like_json and (format == "auto" or not _readers(RecordReader, format)):
        found = plain.describe(beginning) or describe_header(beginning, reading.options.columns)
        raise _UnknownFormatError(f"found {found}; {_KNOWN}")
    is_table = bool(reading.options.columns) or format == table.NAME
    records = iter_records(stream, limit=reading.options.limits.record_characters, rows=is_table)
    return _read_records(records, reading)


def _readers(kind: type[_ReaderT], format: str) -> list[_ReaderT]:
    return [
        reader
        for reader in _READERS
        if isinstance(reader, kind) and format in ("auto", reader.name)
    ]


def _read_records(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
    """Find the reader that the first records call for, and read."""
    columns, format = reading.options.columns, reading.options.format
    format = table.NAME if columns and format == "auto" else format
    readers = _readers(RecordReader, format)
    if format != "auto":
        if not readers:
            raise TranscriptFormatError(f"found JSON or a table; the format {format} is neither")
        reader, why = readers[0], "it was named"
    else:
        reader, why, records = _recognized_records(readers, records)
    if columns and reader.name != table.NAME:
        raise OptionError(
            f"columns were named, but the file is JSON of the format {reader.name}; "
            "leave `columns` out"
        )
    reading.report.formats.setdefault(reader.name, why)
    return reader.read(records, reading)


def _recognized_records(
    readers: list[RecordReader], records: Iterator[Record]
) -> tuple[RecordReader, str, Iterator[Record]]:
    """Find the format of a file by the first record that has a known one."""
    seen = []
    size = 0
    for record in records:
        seen.append(record)
        size += record.size
        if record.problem is None and record.value != []:
            for reader in readers:
                why = reader.recognizes(record.value)
                if why is not None:
                    return reader, why, chain(seen, records)
        if len(seen) == _TRIES or size > _SAMPLE:
            break
    if all(record.value == [] and record.problem is None for record in seen):
        return openai.READERS[0], "empty lists", iter(seen)
    raise _UnknownFormatError(f"found {_describe(seen[0])}; {_KNOWN}")


def _describe(record: Record) -> str:
    if record.problem is not None:
        return f"{record.place}: {record.problem}"
    if isinstance(record.value, dict):
        is_row = record.place.startswith("row")
        what = "a table with the columns" if is_row else "JSON with the keys"
        return describe_columns([*record.value], what=what)
    return f"JSON, but {record.place} is {kind_of(record.value)}"
