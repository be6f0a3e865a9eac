"""Where transcripts lie: files, folders, globs, archives and pipes, opened within limits."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import os
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

from affectlib._extras import requires_extra
from affectlib.errors import TranscriptFormatError
from affectlib.formats._json import Record, iter_records
from affectlib.formats._system import is_environment_error
from affectlib.formats.listing import is_hidden
from affectlib.formats.reader import Files, Reading
from affectlib.formats.report import Limits

HEAD = 1 << 16
"""Bytes from which the format of a file is told."""

NOT_UTF8 = "affectlib-windows-1252"
"""The error handler of decoders that reads bytes that are not UTF-8 as Windows-1252, in which
spreadsheets write. A text of that encoding holds next to no valid UTF-8 but ASCII."""

_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, lzma.LZMAError)
"""What reading compressed data raises if it is damaged or cut short."""
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNPACKED_FREELY = 1 << 26
_WINDOW = 1 << 27
_PIECE = 2048  # no more than 64 MiB, whatever is in it

_FileT = TypeVar("_FileT")


class DamagedError(TranscriptFormatError):
    """Compressed data is damaged or was cut short; what comes before is good."""


class Source:
    """A file on its way to a reader, decompressed.

    Attributes:
        head: Up to 64 KiB from the beginning.
        stream: All bytes.
    """

    def __init__(self, raw: BinaryIO, limits: Limits) -> None:
        """Look at the beginning of a stream, and decompress it if need be."""
        seekable = raw.seekable()
        if seekable:
            raw.seek(0)
        magic, stream = _look(raw, len(_ZSTD), seekable)
        unpacked = _unpacked(stream, magic, limits)
        self._seekable = seekable and unpacked is None
        self._unpacked = [getattr(each, "raw", None) for each in (raw, unpacked)]
        self.head, self.stream = _look(unpacked or stream, HEAD, self._seekable)
        if not self.head:
            self.require_whole()

    def require_whole(self) -> None:
        """Raise `DamagedError` if damage has ended the stream; call it at the end of the stream."""
        if any(isinstance(raw, _Bounded) and raw.damaged for raw in self._unpacked):
            raise DamagedError("the compressed data is damaged or cut short")

    def seekable(self, stack: ExitStack) -> BinaryIO:
        """Return the stream, by way of a temporary file if it is a pipe or was compressed."""
        if self._seekable:
            return self.stream
        file = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
        shutil.copyfileobj(self.stream, file)
        file.seek(0)
        return file


def open_input(path: str | os.PathLike[str], stack: ExitStack) -> BinaryIO:
    """Open a file, or standard input for ``-``."""
    if os.fspath(path) == "-":
        return cast(BinaryIO, sys.stdin.buffer)
    return stack.enter_context(Path(path).open("rb"))


class Folder:
    """Files on disk."""

    def __init__(self, paths: dict[str, Path], reading: Reading) -> None:
        """Take files by their names."""
        self._paths = _bounded(paths, reading)
        self._reading = reading

    @property
    def names(self) -> tuple[str, ...]:
        """Their paths, in order."""
        return tuple(self._paths)

    def size(self, name: str) -> int:
        """Return the bytes of one of them."""
        return self._paths[name].stat().st_size

    def open(self, name: str) -> BinaryIO:
        """Open one of them."""
        return self._paths[name].open("rb")


class Archive:
    """The files of a ZIP archive, read where they lie: nothing is unpacked to the disk."""

    def __init__(self, stream: BinaryIO, reading: Reading) -> None:
        """List the files."""
        try:
            self._archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            if is_environment_error(error):
                raise
            raise TranscriptFormatError("the ZIP archive is damaged or cut short") from None
        self._reading = reading
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            problem = _entry_problem(entry)
            if problem is not None:
                reading.skip(problem, entry.filename)
            elif not entry.is_dir() and not any(map(is_hidden, entry.filename.split("/"))):
                if entry.filename in entries:
                    reading.skip(
                        "the archive has two files of that name; the last one was read",
                        entry.filename,
                    )
                entries[entry.filename] = entry
        prefix = _common_folder(entries)
        self._entries = _bounded(
            {name[len(prefix) :]: entry for name, entry in entries.items()}, reading
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Their paths, in order."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Return the bytes of one of them, unpacked."""
        return self._entries[name].file_size

    def open(self, name: str) -> BinaryIO:
        """Open one of them."""
        entry = self._entries[name]
        try:
            member = cast(BinaryIO, self._archive.open(entry))
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile):
            raise TranscriptFormatError(
                "the file is encrypted, damaged or packed in an unknown way"
            ) from None
        return cast(
            BinaryIO,
            io.BufferedReader(
                _Bounded(member, lambda: entry.compress_size, self._reading.limits), HEAD
            ),
        )


def file_records(files: Files, name: str, reading: Reading) -> Iterator[Record]:
    """Yield the JSON records of one of the files that a `FolderReader` reads."""
    with files.open(name) as raw:
        source = Source(raw, reading.limits)
        encoding = encoding_of(source.head)
        text = io.TextIOWrapper(source.stream, encoding, errors=NOT_UTF8, newline="")
        yield from iter_records(text, limit=reading.limits.record_characters)
        source.require_whole()


def is_archive(head: bytes) -> bool:
    """Whether a file begins as a ZIP archive does."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def encoding_of(head: bytes) -> str:
    """Return the encoding that a byte order mark tells, UTF-8 if there is none."""
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if head.startswith(b"\xef\xbb\xbf") else "utf-8"


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode what is no UTF-8 as Windows-1252, what is no UTF-16 or UTF-32 as U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    if error.encoding.lower().replace("_", "-") != "utf-8":
        return "\ufffd", error.end
    return error.object[error.start : error.end].decode("windows-1252", "replace"), error.end


codecs.register_error(NOT_UTF8, _as_windows_1252)


def _entry_problem(entry: zipfile.ZipInfo) -> str | None:
    """Return why an entry of an archive is not read, or None if it is."""
    name = entry.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        return "its path leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if entry.flag_bits & 1:
        return "it is encrypted"
    return None


def _common_folder(names: Iterable[str]) -> str:
    """Return the folder that holds all of the files, with its slash; empty if there is none."""
    firsts = {name.partition("/")[:2] for name in names}
    first, slash = firsts.pop() if len(firsts) == 1 else ("", "")
    return first + slash if slash else ""


def _bounded(files: dict[str, _FileT], reading: Reading) -> dict[str, _FileT]:
    """Return the files in the order of their names."""
    if len(files) > reading.limits.files:
        limit = reading.limits.files
        raise TranscriptFormatError(
            f"it holds {len(files):,} files, more than the limit of {limit:,} (files)"
        )
    return {name: files[name] for name in sorted(files)}


def _look(stream: BinaryIO, size: int, seekable: bool) -> tuple[bytes, BinaryIO]:
    """Read the beginning of a stream, and return it and the whole."""
    if seekable:
        head = stream.read(size)
        stream.seek(0)
        return head, stream
    head = _beginning(stream, size)
    return head, cast(BinaryIO, io.BufferedReader(_Whole(head, stream)))


def _beginning(stream: Any, size: int) -> bytes:
    """Read up to `size` bytes; an error after the first of them is left to the next read."""
    head = b""
    while len(head) < size:
        try:
            data = stream.read1(size - len(head))
        except TranscriptFormatError:
            if not head:
                raise
            break
        if not data:
            break
        head += data
    return head


def _unpacked(stream: BinaryIO, magic: bytes, limits: Limits) -> BinaryIO | None:
    """Return the stream decompressed, or None if it is not compressed."""
    if not magic.startswith((_GZIP, _ZSTD)):
        return None
    packed = _Counted(stream)
    buffered = cast(BinaryIO, io.BufferedReader(packed))
    unpacked: Any = (
        gzip.GzipFile(fileobj=buffered) if magic.startswith(_GZIP) else _Unzstd(buffered)
    )
    return cast(BinaryIO, io.BufferedReader(_Bounded(unpacked, lambda: packed.count, limits), HEAD))


class _Raw(io.RawIOBase):
    """A stream that can only be read."""

    def readable(self) -> bool:
        return True


class _Whole(_Raw):
    """A stream that cannot seek, made whole again after its head was read."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._rest.read1(size)
        buffer[: len(data)] = data
        return len(data)


class _Counted(_Raw):
    """A stream, and how many bytes were read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


class _Unzstd:
    """Data compressed with Zstandard; an error where it is damaged or cut short."""

    def __init__(self, stream: BinaryIO) -> None:
        with requires_extra("formats"):
            import zstandard
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._stream = stream
        self._ready = memoryview(b"")
        self._within = False

    def read1(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end."""
        try:
            while not self._ready:
                packed = self._stream.read(_PIECE)
                if not packed:
                    if self._within:
                        raise EOFError
                    break
                self._ready = memoryview(self._unpacked(packed))
        except self._error:
            raise EOFError from None
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)

    def _unpacked(self, packed: bytes) -> bytes:
        unpacked = b""
        while packed:
            unpacked += self._frame.decompress(packed)
            packed = self._frame.unused_data
            self._within = not self._frame.eof
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
        return unpacked

    def close(self) -> None:
        """Do nothing; the stream is its owner's."""


class _Bounded(_Raw):
    """Decompressed data, which ends where it is damaged; an error if there is far too much of it.

    Attributes:
        damaged: Whether it ended for that, so that those who read text get all that is good.
    """

    def __init__(self, stream: Any, packed: Callable[[], int], limits: Limits) -> None:
        self._stream = stream
        self._packed = packed
        self._limits = limits
        self._count = 0
        self.damaged = False

    def readinto(self, buffer: Any) -> int:
        if self.damaged:
            return 0
        try:
            data = self._stream.read1(len(buffer))
        except _DAMAGED:
            self.damaged = True
            return 0
        self._count += len(data)
        if self._count > self._limits.unpacked_bytes:
            raise TranscriptFormatError(
                f"it unpacks to more than {self._limits.unpacked_bytes:,} bytes (unpacked_bytes)"
            )
        if self._count > _UNPACKED_FREELY + self._limits.ratio * self._packed():
            raise TranscriptFormatError(
                f"it unpacks to more than {self._limits.ratio} times its size (ratio); "
                "it may be a decompression bomb"
            )
        buffer[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        return self._count

    def close(self) -> None:
        self._stream.close()
        super().close()
