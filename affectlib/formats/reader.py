"""What a reader is, and what it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO, Protocol, TextIO, TypeAlias

from affectlib._values import is_missing, kind_of, to_time
from affectlib.conversation import Conversation, Role, clean_text, is_role, parse_role
from affectlib.errors import ConversationError, ConversationFailure, TranscriptFormatError
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict
from affectlib.formats._progress import Progress
from affectlib.formats.fields import record_id
from affectlib.formats.grouping import TOO_LONG, Group, Row, grouped
from affectlib.formats.options import ReadOptions
from affectlib.formats.read_report import ReadReport

Item: TypeAlias = Conversation | ConversationFailure

HOW_TO_NAME = "(`users`, `assistants`)"
"""How to say who is who."""

MYSELF = frozenset({"me", "moi"})
"""What users call themselves in their own transcripts."""


@dataclass(slots=True)
class Reading:
    """What the caller asked for, where the reading is, and what it has counted so far."""

    options: ReadOptions = field(default_factory=ReadOptions)
    report: ReadReport = field(default_factory=ReadReport)
    progress: Progress = field(default_factory=Progress)
    archive: str = ""  # within a folder
    file: str = ""  # within a folder or archive
    place: str = ""  # of the record, within the file

    @property
    def named(self) -> frozenset[str]:
        """Everybody whom the caller gave a role."""
        return frozenset((*self.options.users, *self.options.assistants))

    def role_of(self, name: Any) -> Role | None:
        """Return the role that the caller gave to a person, or None if none.

        Where only users were named, everyone else is the assistant, and the other way round.
        """
        users, assistants = self.options.users, self.options.assistants
        if not isinstance(name, str):
            return None
        if name in users:
            return "user"
        if name in assistants or (users and not assistants):
            return "assistant"
        return "user" if assistants and not users else None

    def who(self, name: Any) -> Role | None:
        """Return who somebody is, or None if that is not known.

        The names that the caller gave come first, then those of roles, then what `role_of` says of
        everyone else, and last the words by which users call themselves.
        """
        if is_role(name) and name not in self.named:
            return parse_role(name)
        is_user = isinstance(name, str) and name.strip().lower() in MYSELF
        return self.role_of(name) or ("user" if is_user else None)

    def kept(self, conversation: Conversation, records: Sequence[Any]) -> Conversation:
        """Put the fields to keep into the metadata: of each, the first value in the records."""
        found: dict[str, Any] = {}
        for name in self.options.keep:
            for record in map(as_dict, records):
                value = record.get(name, as_dict(record.get("metadata")).get(name))
                if not is_missing(value) and value != "":
                    found[name] = value
                    break
        if not found:
            return conversation
        return replace(conversation, metadata={**conversation.metadata, **found})

    def time(self, value: Any) -> datetime | None:
        """Return a point in time as `to_time` does; what is none is counted, unless it is blank."""
        time = to_time(value)
        is_blank = isinstance(value, str) and not value.strip()
        if time is None and not is_missing(value) and not is_blank:
            self.drop("time")
        return time

    def rows(self, group: Group) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a group, each at its place; in the end the place is the first's."""
        for row in group.rows:
            self.place = row.place
            yield row.fields
        self.place = group.rows[0].place

    @contextmanager
    def inside(self, archive: str) -> Iterator[None]:
        """Put the name of an archive in front of those of its files while the block lasts."""
        outer = self.progress
        inner = self.progress = Progress()
        outer.within = lambda: inner.share() or 0.0
        self.archive, self.file = archive, ""
        try:
            yield
        finally:
            self.progress, self.archive, self.file = outer, "", archive

    def path(self, name: str) -> str:
        """Return the path of a file, with that of the archive in which it lies within a folder."""
        return "/".join(filter(None, (self.archive, name)))

    def where(self) -> str:
        """Return the file, if there are several, and the place in it."""
        return ": ".join(filter(None, (self.path(self.file), self.place)))

    def skip(self, reason: str, name: str) -> None:
        """Count a file that is not read."""
        self.report.skip(reason, self.path(name))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what is left out here; the reasons are those in `report.DROPS`."""
        if count:
            self.report.drop(reason, self.where(), count)

    def failure(
        self, error: ConversationError | TranscriptFormatError, id: str | None = None
    ) -> ConversationFailure:
        """Count a record that cannot be read, and return what is put out in its place."""
        self.report.fail(_kind(error), self.where())
        message = ": ".join(filter(None, (type(error).__name__, self.where(), str(error))))
        return ConversationFailure(id, message)


class Files(Protocol):
    """The files of a folder or archive.

    Attributes:
        names: Their paths, with ``/``, in order; without a folder that holds all of an archive.
    """

    names: tuple[str, ...]

    def size(self, name: str) -> int:
        """Return the bytes of one of them, as they are read."""

    def open(self, name: str) -> BinaryIO:
        """Open one of them, decompressed; close it after use."""


@dataclass(frozen=True, slots=True)
class RecordReader:
    """A format of JSON records (lines, arrays, documents), or of rows of Parquet.

    `recognizes` returns what identifies the format in a record, or None (see `with_keys`); `read`
    makes conversations of all records of a file (see `each` and `read_groups`).
    """

    name: str
    recognizes: Callable[[Any], str | None]
    read: Callable[[Iterator[Record], Reading], Iterator[Item]]


@dataclass(frozen=True, slots=True)
class TextReader:
    """A format of text that is not JSON, such as CSV, HTML or a log.

    `recognizes` gets the first 64 KiB; `read` gets the text with line ends as they are.
    """

    name: str
    recognizes: Callable[[str, Reading], str | None]
    read: Callable[[TextIO, Reading], Iterator[Item]]
    any_text: bool = False  # whether it reads any text if it is named, also what looks like JSON


@dataclass(frozen=True, slots=True)
class FolderReader:
    """A format of several files of a folder or a ZIP archive.

    Files of which `owns` says that they are not the format's are skipped and counted.
    """

    name: str
    recognizes: Callable[[Files, Reading], str | None]
    read: Callable[[Files, Reading], Iterator[Item]]
    owns: Callable[[str], bool]


Reader: TypeAlias = RecordReader | TextReader | FolderReader


def with_keys(*names: str) -> Callable[[Any], str | None]:
    """Make the `recognizes` of a format of which every record has these keys."""
    evidence = "records with " + " and ".join(f'"{name}"' for name in names)
    return lambda record: evidence if as_dict(record).keys() >= {*names} else None


def each(
    parse: Callable[[Any, Reading], Iterable[Conversation]],
) -> Callable[[Iterator[Record], Reading], Iterator[Item]]:
    """Make the `read` of a format of which `parse` turns each record into conversations."""

    def read(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
        for record in valid_records(records, reading):
            if isinstance(record, ConversationFailure):
                yield record
                continue
            try:
                for conversation in parse(record.value, reading):
                    yield reading.kept(conversation, [record.value])
            except ConversationError as error:
                yield reading.failure(error, record_id(record.value))

    return read


def whole(
    parse: Callable[[str, Reading], Iterable[Conversation]],
) -> Callable[[TextIO, Reading], Iterator[Item]]:
    """Make the `read` of a format of which `parse` turns a whole text into conversations."""

    def read(stream: TextIO, reading: Reading) -> Iterator[Item]:
        limit = reading.options.limits.record_characters
        text = stream.read(limit + 1)
        try:
            if len(text) > limit:
                raise ConversationError(TOO_LONG)
            yield from parse(text, reading)
        except ConversationError as error:
            yield reading.failure(error, clean_text(reading.path(reading.file)) or None)

    return read


def valid_records(
    records: Iterator[Record], reading: Reading
) -> Iterator[Record | ConversationFailure]:
    """Yield the records, each with its place as that of the reading; failures for invalid JSON."""
    for record in records:
        reading.place = record.place
        if record.problem is None:
            yield record
        else:
            yield reading.failure(TranscriptFormatError(record.problem))


def valid_rows(
    records: Iterator[Record], reading: Reading, failed: list[ConversationFailure]
) -> Iterator[Row]:
    """Yield the records that are objects, and put failures for the others into a list."""
    for record in valid_records(records, reading):
        if isinstance(record, ConversationFailure):
            failed.append(record)
        elif isinstance(record.value, Mapping):
            yield Row(record.place, dict(record.value))
        else:
            error = ConversationError(f"expected an object, got {kind_of(record.value)}")
            failed.append(reading.failure(error))


def read_groups(
    records: Iterator[Record],
    reading: Reading,
    key: Callable[[Mapping[str, Any]], str | None],
    parse: Callable[[Group, Reading], Iterable[Conversation]],
) -> Iterator[Item]:
    """Read a format of which several records make a conversation, wherever they stand.

    `key` returns which conversation a record belongs to; `parse` makes conversations of the
    records of one key.
    """
    failed: list[ConversationFailure] = []
    rows = ((key(row.fields), row) for row in valid_rows(records, reading, failed))
    limit = reading.options.limits.record_characters
    for group in grouped(rows, limit=limit, progress=reading.progress):
        reading.place = group.rows[0].place
        try:
            group.require_all()
            for conversation in parse(group, reading):
                yield reading.kept(conversation, [row.fields for row in group.rows])
        except ConversationError as error:
            yield reading.failure(error, group.key)
    yield from failed


def _kind(error: ConversationError | TranscriptFormatError) -> str:
    """Say what is wrong without the place, so that the same problems are counted together."""
    field = error.field if isinstance(error, ConversationError) else None
    return error.problem if field is None else f"{field.rpartition('.')[2]}: {error.problem}"
