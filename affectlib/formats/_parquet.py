"""Rows of a Parquet file as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from affectlib.errors import TranscriptFormatError
from affectlib.formats._arrow import rows_of
from affectlib.formats._json import Record
from affectlib.formats._progress import Progress
from affectlib.formats._system import is_environment_error

MAGIC = b"PAR1"
_BATCH = 128


def iter_rows(stream: BinaryIO, progress: Progress) -> Iterator[Record]:
    """Yield the rows of a Parquet file.

    Args:
        stream: A seekable binary stream.
        progress: Told how many of the rows were read.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    unreadable = (pyarrow.ArrowException, OSError, ValueError, OverflowError)
    try:
        file = ParquetFile(stream)
    except unreadable as error:
        if is_environment_error(error):
            raise
        raise TranscriptFormatError("the Parquet file is damaged or cut short") from None
    number, rows = 0, file.metadata.num_rows
    progress.within = lambda: number / rows if rows else 0.0
    try:
        for batch in file.iter_batches(batch_size=_BATCH):
            for row in rows_of(batch):
                number += 1
                yield Record(f"row {number - 1}", row)
    except unreadable as error:
        if is_environment_error(error):
            raise
        raise TranscriptFormatError("the Parquet file is damaged", line=number) from None
