"""Rows of Arrow tables, which Parquet files and saved data sets hold, as Python values.

A cell that Python cannot hold costs itself only. Bytes become text if they are some: columns of
text that Hive, Impala or pandas wrote as binary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from affectlib._values import Unreadable, text_of_bytes

if TYPE_CHECKING:
    import pyarrow

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_of(batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any]]:
    r"""Yield the rows of a batch as dicts.

    Example:
        >>> import pyarrow
        >>> [*rows_of(pyarrow.record_batch({"content": [b"caf\xc3\xa9"]}))]
        [{'content': 'café'}]
    """
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
    """Return a cell as Python value, or what can be of it."""
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

    if types.is_dictionary(kind):
        return _may_hold_bytes(kind.value_type)
    if types.is_nested(kind):
        return True
    return "binary" in str(kind)


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        text = text_of_bytes(value)
        return value if text is None else text
    if isinstance(value, Mapping):
        return {key: _decoded(each) for key, each in value.items()}
    return [_decoded(each) for each in value] if isinstance(value, list) else value
