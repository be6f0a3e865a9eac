"""Rows of Parquet and Arrow files, which saved data sets hold, as Python values.

A cell that Python cannot hold is `Unreadable`; the rest of its row is read. Bytes that are text
are decoded: Hive, Impala and pandas write columns of text as binary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from affectlib._values import Unreadable, text_of_bytes
from affectlib.errors import TranscriptFormatError
from affectlib.formats._os_errors import is_environment_error
from affectlib.formats._progress import Progress

if TYPE_CHECKING:
    import pyarrow

PARQUET = b"PAR1"
"""What Parquet files begin with."""
ARROW = (b"ARROW1", b"\xff\xff\xff\xff")
"""What Arrow files and Arrow streams begin with."""

_ROWS = 128
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parquet_rows(stream: BinaryIO, progress: Progress) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, and let the progress follow them."""
    from pyarrow.parquet import ParquetFile

    number = 0
    with _damage_named("Parquet"):
        file = ParquetFile(stream)
        rows = file.metadata.num_rows
        progress.within = lambda: number / rows if rows else 0.0
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in rows_of(batch):
                number += 1
                yield row


def arrow_rows(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the rows of an Arrow file or stream, of which the bytes can be sought."""
    from pyarrow import ipc

    with _damage_named("Arrow"):
        is_file = stream.read(len(ARROW[0])) == ARROW[0]
        stream.seek(0)
        reader = ipc.open_file(stream) if is_file else ipc.open_stream(stream)
        count = reader.num_record_batches if is_file else 0
        for batch in map(reader.get_batch, range(count)) if is_file else reader:
            for start in range(0, batch.num_rows, _ROWS):
                yield from rows_of(batch.slice(start, _ROWS))


@contextmanager
def _damage_named(kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if is_environment_error(error):
            raise
        raise TranscriptFormatError(f"the {kind} file is damaged or cut short") from None


def rows_of(batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch as dicts."""
    columns = [_values(column) for column in batch.columns]
    names = batch.schema.names
    for cells in zip(*columns, strict=True):
        yield dict(zip(names, cells, strict=True))


def _values(column: pyarrow.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except Exception:  # of times out of range, unknown time zones, and others
        values = [_value(cell) for cell in column]
    return [_decoded(value) for value in values] if _may_hold_bytes(column.type) else values


def _value(cell: pyarrow.Scalar) -> Any:
    import pyarrow

    try:
        return cell.as_py()
    except Exception:  # see above
        if isinstance(cell, pyarrow.TimestampScalar):
            return _time(cell)
        if isinstance(cell, pyarrow.StructScalar):
            return {name: _value(cell[name]) for name in cell}
        if isinstance(cell, pyarrow.ListScalar | pyarrow.LargeListScalar):
            return [_value(each) for each in cell.values]
        return Unreadable(str(cell.type))


def _time(cell: pyarrow.TimestampScalar) -> Any:
    """Return a time whose zone Python does not know; Arrow's are in UTC, whatever the zone."""
    per_second = _PER_SECOND[cell.type.unit]
    seconds, rest = divmod(cell.value, per_second)
    try:
        time = _EPOCH + timedelta(seconds=seconds, microseconds=rest * 10**6 // per_second)
    except OverflowError:
        return Unreadable(str(cell.type))
    return time if cell.type.tz is not None else time.replace(tzinfo=None)


def _may_hold_bytes(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_nested(kind) or "binary" in str(kind)


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        text = text_of_bytes(value)
        return value if text is None else text
    if isinstance(value, Mapping):
        return {key: _decoded(each) for key, each in value.items()}
    return [_decoded(each) for each in value] if isinstance(value, list) else value
