"""What a reader is, and what it gets.

A reader is one of three things, by what it reads:

- `RecordReader`: JSON records (lines, arrays, documents), rows of Parquet;
- `TextReader`: text that is not JSON, such as CSV, HTML or a log;
- `FolderReader`: the files of a folder or a ZIP archive that belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO, Protocol, TextIO, TypeAlias

from affectlib._values import is_missing, kind_of, to_time
from affectlib.conversation import Conversation, Role, is_role, parse_role
from affectlib.errors import AffectlibError, ConversationError, TranscriptFormatError
from affectlib.formats._json import Record
from affectlib.formats._progress import Progress
from affectlib.formats.fields import record_id
from affectlib.formats.grouping import Group, Row, grouped
from affectlib.formats.options import Branches, ReadOptions
from affectlib.formats.report import Limits, ReadReport
from affectlib.predictions import ConversationFailure

Item: TypeAlias = Conversation | ConversationFailure

HOW_TO_NAME = "(`users`, `assistants`)"
"""How to say who is who."""

MYSELF = frozenset({"me", "moi"})
"""What users call themselves in their own transcripts."""


@dataclass(slots=True)
class Reading:
    """What the caller asked for, and where the reading is.

    Attributes:
        columns: Column names by field, for tables.
        branches: Which paths of a conversation that is a tree are read.
        users: Names of people who are the user, for chats without roles.
        assistants: Names of those who are the assistant.
        gap: Minutes of silence after which a chat is another conversation, None for the format's
            own default.
        keep: Names of fields that go into a conversation's metadata.
        limits: How much is too much.
        report: Where drops, failures and formats are counted.
        progress: How much was read.
        archive: The archive within a folder that is being read, the empty string if there is none.
        file: The file within a folder or archive, the empty string if there is just one.
        place: The record that is being read, within the file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    branches: Branches = "active"
    users: frozenset[str] = frozenset()
    assistants: frozenset[str] = frozenset()
    gap: float | None = None
    keep: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    report: ReadReport = field(default_factory=ReadReport)
    progress: Progress = field(default_factory=Progress)
    archive: str = ""
    file: str = ""
    place: str = ""

    @classmethod
    def of(cls, options: ReadOptions, report: ReadReport) -> Reading:
        """Begin a reading."""
        return cls(
            options.columns,
            options.branches,
            frozenset(options.users),
            frozenset(options.assistants),
            options.gap,
            tuple(options.keep),
            options.limits,
            report,
        )

    @property
    def named(self) -> frozenset[str]:
        """Everybody whom the caller gave a role."""
        return self.users | self.assistants

    def role_of(self, name: Any) -> Role | None:
        """Return the role that the caller gave to a person, or None if none.

        Where only users were named, everyone else is the assistant, and the other way round.

        Example:
            >>> Reading(assistants=frozenset({"Bot"})).role_of("Ana")
            'user'
        """
        if not isinstance(name, str):
            return None
        if name in self.users:
            return "user"
        if name in self.assistants:
            return "assistant"
        if self.users and not self.assistants:
            return "assistant"
        return "user" if self.assistants and not self.users else None

    def who(self, name: Any) -> Role | None:
        """Return who somebody is, or None if that is not known.

        The names that the caller gave come first, then those of roles, then what `role_of` says of
        everyone else, and last the words by which users call themselves.

        Example:
            >>> reading = Reading(assistants=frozenset({"Bot"}))
            >>> [reading.who(name) for name in ("Bot", "system", "Ana")]
            ['assistant', 'system', 'user']
        """
        if is_role(name) and name not in self.named:
            return parse_role(name)
        is_user = isinstance(name, str) and name.strip().lower() in MYSELF
        return self.role_of(name) or ("user" if is_user else None)

    def kept(self, conversation: Conversation, records: Sequence[Any]) -> Conversation:
        """Put what is kept of a conversation's records into its metadata.

        Args:
            conversation: The conversation.
            records: What it was read from; of a field, the first value that is there is taken.
        """
        found: dict[str, Any] = {}
        for name in self.keep:
            for record in records:
                known = record if isinstance(record, Mapping) else {}
                others = known.get("metadata")
                value = known.get(name, others.get(name) if isinstance(others, Mapping) else None)
                if not is_missing(value) and value != "":
                    found[name] = value
                    break
        if not found:
            return conversation
        return replace(conversation, metadata={**conversation.metadata, **found})

    def time(self, value: Any) -> datetime | None:
        """Return a point in time as `to_time` does; what is none is counted, unless it is blank.

        Example:
            >>> reading = Reading()
            >>> [reading.time(value) for value in (None, " ", "yesterday")]
            [None, None, None]
            >>> reading.report.dropped["time"].count
            1
        """
        time = to_time(value)
        is_blank = isinstance(value, str) and not value.strip()
        if time is None and not is_missing(value) and not is_blank:
            self.drop("time")
        return time

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

    def failure(self, error: AffectlibError, id: str | None = None) -> ConversationFailure:
        """Count a record that cannot be read, and return what is put out in its place."""
        self.report.fail(_kind(error), self.where())
        message = ": ".join(filter(None, (type(error).__name__, self.where(), str(error))))
        return ConversationFailure(id, message)


class Files(Protocol):
    """The files of a folder or archive.

    Attributes:
        names: Their paths in it, with ``/`` between folders, in order. A folder that holds all
            the others, as in many archives, is left out.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Their paths, in order."""

    def size(self, name: str) -> int:
        """Return the bytes of one of them, as they are read."""

    def open(self, name: str) -> BinaryIO:
        """Open one of them, decompressed; close it after use."""


@dataclass(frozen=True, slots=True)
class RecordReader:
    """A format of JSON records.

    Attributes:
        name: The format.
        recognizes: Returns what identifies the format in a record, or None.
        read: Makes conversations of all records of a file; see `each`.
    """

    name: str
    recognizes: Callable[[Any], str | None]
    read: Callable[[Iterator[Record], Reading], Iterator[Item]]


@dataclass(frozen=True, slots=True)
class TextReader:
    """A format of text that is not JSON.

    Attributes:
        name: The format.
        recognizes: Returns what identifies the format in the first 64 KiB, or None.
        read: Makes conversations of the text, with line ends as they are.
        any_text: Whether it reads any text if it is named, also what looks like JSON.
    """

    name: str
    recognizes: Callable[[str, Reading], str | None]
    read: Callable[[TextIO, Reading], Iterator[Item]]
    any_text: bool = False


@dataclass(frozen=True, slots=True)
class FolderReader:
    """A format of several files.

    Attributes:
        name: The format.
        recognizes: Returns which files identify the format, or None.
        read: Makes conversations of the files.
        owns: Whether a file of this name is one of the format's; others are skipped and counted.
    """

    name: str
    recognizes: Callable[[Files, Reading], str | None]
    read: Callable[[Files, Reading], Iterator[Item]]
    owns: Callable[[str], bool]


Reader: TypeAlias = RecordReader | TextReader | FolderReader


def each(
    parse: Callable[[Any, Reading], Iterable[Conversation]],
) -> Callable[[Iterator[Record], Reading], Iterator[Item]]:
    """Make the `read` of a format of which each record is a conversation, or several.

    Args:
        parse: Turns a record into conversations; raises `ConversationError` if it is malformed.
    """

    def read(records: Iterator[Record], reading: Reading) -> Iterator[Item]:
        for record in good(records, reading):
            if isinstance(record, ConversationFailure):
                yield record
                continue
            try:
                for conversation in parse(record.value, reading):
                    yield reading.kept(conversation, [record.value])
            except ConversationError as error:
                yield reading.failure(error, record_id(record.value))

    return read


def good(records: Iterator[Record], reading: Reading) -> Iterator[Record | ConversationFailure]:
    """Yield the records, and failures in the place of those that are not valid JSON.

    Each record's place becomes that of the reading.
    """
    for record in records:
        reading.place = record.place
        if record.problem is None:
            yield record
        else:
            yield reading.failure(TranscriptFormatError(record.problem))


def good_rows(
    records: Iterator[Record], reading: Reading, failed: list[ConversationFailure]
) -> Iterator[Row]:
    """Yield the records that are objects, and put failures for the others into a list."""
    for record in good(records, reading):
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

    Args:
        records: The records of a file.
        reading: What the caller asked for.
        key: Returns which conversation a record belongs to.
        parse: Turns the records of one into conversations; raises `ConversationError` if they are
            malformed.
    """
    failed: list[ConversationFailure] = []
    rows = ((key(row.fields), row) for row in good_rows(records, reading, failed))
    limit = reading.limits.record_characters
    for group in grouped(rows, limit=limit, progress=reading.progress):
        reading.place = group.rows[0].place
        try:
            group.require_all()
            for conversation in parse(group, reading):
                yield reading.kept(conversation, [row.fields for row in group.rows])
        except ConversationError as error:
            yield reading.failure(error, group.key)
    yield from failed


def _kind(error: AffectlibError) -> str:
    """Say what is wrong without the place, so that the same problems are counted together."""
    problem = getattr(error, "problem", str(error))
    name = getattr(error, "field", None)
    return f"{name.rpartition('.')[2]}: {problem}" if isinstance(name, str) else str(problem)
