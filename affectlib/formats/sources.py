"""Files, folders, archives and pipes with transcripts, opened within limits."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from affectlib._extras import requires_extra
from affectlib.errors import TranscriptFormatError
from affectlib.formats._json import Record, iter_records
from affectlib.formats._os_errors import is_environment_error
from affectlib.formats.listing import is_hidden
from affectlib.formats.read_report import Limits
from affectlib.formats.reader import Files, Reading

HEAD = 1 << 16
"""Bytes from which the format of a file is recognised."""

NOT_UTF8 = "affectlib-windows-1252"
"""The error handler of decoders that reads bytes that are not UTF-8 as Windows-1252, in which
spreadsheets write. Apart from ASCII, Windows-1252 text almost never holds valid UTF-8."""

_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, lzma.LZMAError)
"""What reading compressed data raises if it is damaged or cut short."""
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNPACKED_FREELY = 1 << 26
_WINDOW = 1 << 27
_PIECE = 2048  # compressed bytes, which never unpack to more than 64 MiB


class Source:
    """A file, decompressed if need be: its `head`, up to 64 KiB, and the whole `stream`."""

    def __init__(self, raw: BinaryIO, limits: Limits) -> None:
        seekable = raw.seekable()
        if seekable:
            raw.seek(0)
        magic, stream = _peek(raw, len(_ZSTD), seekable)
        unpacked = _unpacked(stream, magic, limits)
        self._seekable = seekable and unpacked is None
        self._unpacked = [getattr(each, "raw", None) for each in (raw, unpacked)]
        self.head, self.stream = _peek(unpacked or stream, HEAD, self._seekable)
        if not self.head:
            self.require_whole()

    def require_whole(self) -> None:
        """Raise an error if damage has ended the stream; call it at the end of the stream."""
        if any(isinstance(raw, _Bounded) and raw.damaged for raw in self._unpacked):
            raise TranscriptFormatError("the compressed data is damaged or cut short")

    def beginning(self) -> str:
        """Return the head as text, without white space before it."""
        return self.head.decode(encoding_of(self.head), NOT_UTF8).lstrip("\ufeff \t\r\n")

    def text(self) -> io.TextIOWrapper:
        """Return the stream as text, with line ends as they are."""
        encoding = encoding_of(self.head)
        return io.TextIOWrapper(self.stream, encoding, errors=NOT_UTF8, newline="")

    def seekable(self, stack: ExitStack) -> BinaryIO:
        """Return the stream, by way of a temporary file if it is a pipe or was compressed."""
        if self._seekable:
            return self.stream
        file = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
        shutil.copyfileobj(self.stream, file)
        file.seek(0)
        return file


class Folder:
    """Files on disk."""

    def __init__(self, paths: dict[str, Path], reading: Reading) -> None:
        self._paths = paths
        self.names = _in_order(paths, reading)

    def size(self, name: str) -> int:
        """Return the bytes of one of them."""
        return self._paths[name].stat().st_size

    def open(self, name: str) -> BinaryIO:
        """Open one of them."""
        return self._paths[name].open("rb")


class Archive:
    """The files of a ZIP archive; nothing is unpacked to the disk."""

    def __init__(self, stream: BinaryIO, reading: Reading) -> None:
        try:
            self._archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            if is_environment_error(error):
                raise
            raise TranscriptFormatError("the ZIP archive is damaged or cut short") from None
        self._limits = reading.options.limits
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            name = entry.filename
            problem = _entry_problem(entry)
            if problem is not None:
                reading.skip(problem, name)
            elif not entry.is_dir() and not any(map(is_hidden, name.split("/"))):
                if name in entries:
                    reading.skip(
                        "the archive has two files of that name; the last one was read", name
                    )
                entries[name] = entry
        prefix = len(_common_folder(entries))
        self._entries = {name[prefix:]: entry for name, entry in entries.items()}
        self.names = _in_order(self._entries, reading)

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
        return _buffered(_Bounded(member, lambda: entry.compress_size, self._limits))


def file_records(files: Files, name: str, reading: Reading) -> Iterator[Record]:
    """Yield the JSON records of one of the files that a `FolderReader` reads."""
    with files.open(name) as raw:
        source = Source(raw, reading.options.limits)
        text = source.text()  # which closes the file with it
        yield from iter_records(text, limit=reading.options.limits.record_characters)
        source.require_whole()


def is_archive(head: bytes) -> bool:
    """Whether a file begins as a ZIP archive does."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def encoding_of(head: bytes) -> str:
    """Return the encoding by the byte order mark, UTF-8 if there is none."""
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if head.startswith(b"\xef\xbb\xbf") else "utf-8"


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    # In UTF-16 and UTF-32 there is nothing to fall back on.
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
    firsts = {name.partition("/")[:2] for name in names}
    first, slash = firsts.pop() if len(firsts) == 1 else ("", "")
    return first + slash if slash else ""


def _in_order(names: Collection[str], reading: Reading) -> tuple[str, ...]:
    limit = reading.options.limits.files
    if len(names) > limit:
        raise TranscriptFormatError(
            f"it holds {len(names):,} files, more than the limit of {limit:,} (files)"
        )
    return tuple(sorted(names))


def _buffered(stream: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(stream, HEAD))


def _peek(stream: Any, size: int, seekable: bool) -> tuple[bytes, BinaryIO]:
    if seekable:
        head = stream.read(size)
        stream.seek(0)
        return head, stream
    head = b""
    while data := stream.read1(size - len(head)):
        head += data
    return head, _buffered(_Rejoined(head, stream))


def _unpacked(stream: BinaryIO, magic: bytes, limits: Limits) -> BinaryIO | None:
    if not magic.startswith((_GZIP, _ZSTD)):
        return None
    packed = _Rejoined(b"", stream)
    buffered = cast(BinaryIO, io.BufferedReader(packed))
    unpacked: Any = (
        gzip.GzipFile(fileobj=buffered) if magic.startswith(_GZIP) else _Unzstd(buffered)
    )
    return _buffered(_Bounded(unpacked, lambda: packed.count, limits))


class _Raw(io.RawIOBase):
    """A stream that can only be read."""

    def readable(self) -> bool:
        return True


class _Rejoined(_Raw):
    """The head of a stream and the rest of it; counts the bytes that are read."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest
        self.count = 0

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._rest.read1(size)
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
    """Decompressed data, which ends where it is `damaged`; an error if there is too much of it."""

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
        most, ratio = self._limits.unpacked_bytes, self._limits.ratio
        if self._count > most:
            raise TranscriptFormatError(f"it unpacks to more than {most:,} bytes (unpacked_bytes)")
        if self._count > _UNPACKED_FREELY + ratio * self._packed():
            raise TranscriptFormatError(
                f"it unpacks to more than {ratio} times its size (ratio); "
                "it may be a decompression bomb"
            )
        buffer[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        return self._count

    def close(self) -> None:
        self._stream.close()
        super().close()
