"""Frames of several kinds in, polars inside, the same kind out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib._output import FORMULA
from affectlib._rows import RowLevel, output_schema
from affectlib._shards import parquet_shards
from affectlib.errors import AffectlibError, InputTypeError, OptionError
from affectlib.formats._fields import name_list, to_time
from affectlib.formats._sources import NOT_UTF8
from affectlib.taxonomy import CUES, EMOTIONAL, LABELS

__all__ = ["AnalysisWarning", "TableError", "read_labels"]

_KEYS = ("conversation_id", "record")
_TIMES = ("timestamp", "started_at")
_TEXTS = ("conversation_id", "user_id", "role", "status", "error", "label")
_GUARDED = ("conversation_id", "user_id", "model", "language", "source", "error")
_INFERRED = 10_000
_TRUTH = {
    **dict.fromkeys(("TRUE", "VRAI", "WAHR", "VERDADERO", "VERO"), "true"),
    **dict.fromkeys(("FALSE", "FAUX", "FALSCH", "FALSO"), "false"),
}
_CUE_THRESHOLD = 0.5
_ISO = "%Y-%m-%dT%H:%M:%S%.f%:z"


class TableError(AffectlibError, ValueError):
    """A table lacks a column, or a column holds what it cannot."""


class AnalysisWarning(UserWarning):
    """A result rests on less than it seems: a fallback, a shift, rows left out."""


@dataclass(frozen=True, slots=True)
class Table:
    """A frame as polars, and the way back to the kind that it came in.

    Attributes:
        rows: The frame.
        name: What to call it in errors.
        restore: Turns a result into the kind of frame that came in.
    """

    rows: pl.LazyFrame
    name: str
    restore: Callable[[pl.DataFrame], Any]

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.rows.collect_schema().names()

    def require(self, names: Iterable[str]) -> Self:
        """Return the table itself if it has these columns.

        Raises:
            TableError: It lacks one; the error lists those there are.
        """
        for name in names:
            if name not in self.columns:
                raise TableError(
                    f"{self.name}: no column {name!r}; there are {name_list(self.columns)}"
                )
        return self

    def collect(self, *names: str) -> pl.DataFrame:
        """Return the columns in memory, all if none is named.

        Raises:
            TableError: One is missing.
        """
        self.require(names)
        return (self.rows.select(names) if names else self.rows).collect()


@dataclass(frozen=True, slots=True)
class Labels(Table):
    """A table of labels: rows that were labelled, ids as text, times in UTC.

    Attributes:
        level: What a row is.
    """

    level: RowLevel

    @property
    def time(self) -> str:
        """Name of the column of times."""
        return "timestamp" if self.level == "message" else "started_at"

    def conversation_keys(self) -> list[str]:
        """Return the columns that tell conversations apart.

        The user's id is one of them, if it is there: where the labels of several files were put
        together, each file has numbered its conversations from 0.

        Raises:
            TableError: There is neither an id of conversations nor their number.
        """
        keys = [name for name in _KEYS if name in self.columns]
        self.require(keys or _KEYS)
        return [*keys, "user_id"] if "user_id" in self.columns else keys

    def labelled(self) -> Labels:
        """Return the rows that have a label, with it as the flag ``charged``.

        Raises:
            TableError: There is no label at all, or an unknown one.
        """
        self.require(["label"])
        found = self.rows.select(pl.col("label").unique()).collect()["label"].drop_nulls()
        if unknown := [label for label in found if label not in LABELS]:
            raise TableError(
                f"{self.name}, label: {len(unknown)} unknown values; use {' or '.join(LABELS)}"
            )
        if found.is_empty():
            raise TableError(f"{self.name}: no row has a label")
        rows = self.rows.filter(pl.col("label").is_not_null())
        return self.having(rows.with_columns(charged=pl.col("label") == EMOTIONAL))

    def having(self, rows: pl.LazyFrame) -> Labels:
        """Return the table with other rows."""
        return replace(self, rows=rows)


def table(frame: Any, name: str) -> Table:
    """Take a frame of any kind that is accepted.

    Args:
        frame: A pandas or polars frame, a polars lazy frame or a pyarrow table.
        name: What to call it in errors.

    Raises:
        InputTypeError: It is none of these.
        TableError: pandas holds what has no type in a table.
    """
    if isinstance(frame, pl.LazyFrame):
        return Table(frame, name, lambda result: result)
    if isinstance(frame, pl.DataFrame):
        return Table(frame.lazy(), name, lambda result: result)
    package = type(frame).__module__.partition(".")[0]
    if package == "pandas" and hasattr(frame, "columns"):
        return Table(_from_pandas(frame, name).lazy(), name, lambda result: result.to_pandas())
    if package == "pyarrow" and hasattr(frame, "column_names"):
        rows = cast(pl.DataFrame, pl.from_arrow(frame)).lazy()
        return Table(rows, name, lambda result: result.to_arrow())
    raise InputTypeError(
        f"{name}: expected a pandas or polars frame or a pyarrow table, "
        f"got {type(frame).__name__}; read a file with affectlib.analysis.read_labels"
    )


def labels_table(frame: Any, name: str = "labels") -> Labels:
    """Take a frame of labels: drop rows that failed, make ids text and times UTC.

    Raises:
        InputTypeError: It is no frame.
        TableError: A time cannot be read.
    """
    source = table(frame, name)
    schema = source.rows.collect_schema()
    rows = source.rows
    if "status" in schema:
        rows = rows.filter(pl.col("status").is_null() | (pl.col("status") == "ok"))
    rows = rows.with_columns(
        as_text(column, schema[column]) for column in _TEXTS if column in schema
    )
    for column in _TIMES:
        if column in schema:
            rows = _in_utc(rows, column, schema[column], name)
    return Labels(
        rows, name, source.restore, "message" if "message" in schema.names() else "conversation"
    )


def as_text(column: str, kind: pl.DataType | None = None) -> pl.Expr:
    """Return a column of ids as text; whole floats lose their fraction, empty text is null."""
    values = pl.col(column)
    if kind is not None and kind.is_float():
        values = values.cast(pl.Int64, strict=False)
    text = values.cast(pl.String)
    return pl.when(text != "").then(text).alias(column)


def read_labels(path: str | os.PathLike[str]) -> pl.LazyFrame:
    """Open a file of labels, or a sheet filled by hand.

    Args:
        path: A .parquet, .jsonl or .csv file, or a folder of Parquet shards. A CSV file may have
            semicolons and decimal commas, as spreadsheets save it in many countries.

    Returns:
        A lazy frame. Columns of `affectlib.corpus.output_schema` have its types in every format,
        but for times, which are text in CSV and JSON Lines; so ids stay text. Text that
        `affectlib.label_file` guarded against spreadsheets by an apostrophe has lost it.

    Raises:
        OptionError: The suffix is another one.
        TableError: The file cannot be read as a table.
        FileNotFoundError: There is no such file.

    Example:
        >>> from affectlib.analysis import simulate
        >>> simulate(50).conversations.write_parquet("labels.parquet")
        >>> read_labels("labels.parquet").collect_schema().names()[:2]
        ['conversation_id', 'record']
    """
    file = Path(path)
    readers: dict[str, Callable[[Path], pl.LazyFrame]] = {
        ".parquet": pl.scan_parquet,
        ".jsonl": _read_json_lines,
        ".csv": _read_csv,
    }
    if file.is_dir():
        return _read_shards(file)
    if file.suffix not in readers:
        raise OptionError(f"{file}: unknown suffix {file.suffix!r}; use {', '.join(readers)}")
    if not file.is_file():
        raise FileNotFoundError(2, "no such file", str(file))
    try:
        rows = readers[file.suffix](file)
        rows.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{file}: the file cannot be read as a table") from error
    return rows


def _known_types(names: Iterable[str]) -> dict[str, Any]:
    """Return the types of the label columns among these; times are text until they are parsed."""
    levels: tuple[RowLevel, ...] = ("message", "conversation")
    known: dict[str, Any] = {}
    for level in levels:
        known |= cast(pl.DataFrame, pl.from_arrow(output_schema(level).empty_table())).schema
    known |= dict.fromkeys(_TIMES, pl.String)
    return {name: known[name] for name in names if name in known}


def _read_shards(folder: Path) -> pl.LazyFrame:
    tables = parquet_shards(folder)
    if len(tables) > 1:
        raise TableError(f"{folder}: it has labels of conversations and of messages; name one")
    if not tables:
        raise TableError(f"{folder}: it holds no Parquet shards of labels")
    return pl.scan_parquet(tables[0])


def _read_json_lines(file: Path) -> pl.LazyFrame:
    names = pl.scan_ndjson(file, infer_schema_length=_INFERRED).collect_schema().names()
    known = _known_types(names)
    return pl.read_ndjson(file, schema_overrides=known, infer_schema_length=_INFERRED).lazy()


def _read_csv(file: Path) -> pl.LazyFrame:
    with file.open("rb") as stream:
        header = stream.readline()
    of_spreadsheet = header.count(b";") > header.count(b",")
    source = _with_commas(file) if of_spreadsheet else file
    names = pl.scan_csv(source, infer_schema=False).collect_schema().names()
    known = _known_types(names)
    rows = pl.read_csv(source, schema_overrides=known, infer_schema_length=_INFERRED).lazy()
    return rows.with_columns(
        pl.col(name).str.replace(f"^'({FORMULA.pattern})", "$1")
        for name in _GUARDED
        if name in names
    )


def _with_commas(file: Path) -> bytes:
    """Rewrite what spreadsheets save where commas are for decimals: semicolons between cells.

    Numbers get a decimal point, truth values their English names. Bytes that are not UTF-8 are
    Windows-1252.
    """
    text = file.read_bytes().decode("utf-8-sig", NOT_UTF8)
    rows = pl.read_csv(text.encode(), separator=";", infer_schema=False)
    number = r"^(-?\d+),(\d+)$"
    cells = pl.all().str.replace(number, "$1.$2").replace(_TRUTH)
    return rows.with_columns(cells).write_csv().encode()


def _from_pandas(frame: Any, name: str) -> pl.DataFrame:
    with requires_extra("analysis"):
        import pandas as pd
    frame = frame.copy(deep=False)
    for column in _TIMES:
        if column not in frame.columns or frame[column].dtype != object:
            continue
        # Texts, which pandas 2 keeps as objects, are read later, as those of other tables are.
        if pd.api.types.infer_dtype(frame[column], skipna=True) != "string":
            try:
                frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
            except (ValueError, TypeError) as error:
                raise _unreadable_time(name, column) from error
    for column in _TEXTS:
        if column in frame.columns and frame[column].dtype == object:
            frame[column] = frame[column].map(str, na_action="ignore")
    try:
        return pl.from_pandas(frame)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{name}: a column mixes types; make each of one type") from error


def _in_utc(rows: pl.LazyFrame, column: str, kind: pl.DataType, name: str) -> pl.LazyFrame:
    """Bring times to UTC; those without a zone are taken as UTC."""
    if isinstance(kind, pl.Datetime):
        moment = pl.col(column)
        zoned = moment.dt.convert_time_zone if kind.time_zone else moment.dt.replace_time_zone
        return rows.with_columns(zoned("UTC").dt.cast_time_unit("us"))
    if isinstance(kind, pl.Date | pl.Null):
        return rows.with_columns(pl.col(column).cast(pl.Datetime("us", "UTC")))
    if not isinstance(kind, pl.String):
        raise TableError(f"{name}, {column}: expected times, got {kind}")
    texts = rows.select(pl.col(column).unique().drop_nulls()).collect()[column]
    moments = texts.str.to_datetime(_ISO, time_unit="us", strict=False)
    odd = texts.filter(moments.is_null())
    slow = {text: to_time(text) for text in odd if text.strip()}
    if any(moment is None for moment in slow.values()):
        raise _unreadable_time(name, column)
    known = pl.DataFrame(
        {column: texts, "moment": moments.dt.convert_time_zone("UTC")},
    ).with_columns(
        pl.coalesce(
            "moment",
            pl.col(column).replace_strict(
                slow, default=None, return_dtype=pl.Datetime("us", "UTC")
            ),
        ).alias("moment")
    )
    return (
        rows.join(known.lazy(), on=column, how="left", maintain_order="left")
        .with_columns(pl.col("moment").alias(column))
        .drop("moment")
    )


def _unreadable_time(name: str, column: str) -> TableError:
    return TableError(
        f"{name}, {column}: a time cannot be read; write times as 2025-03-01T12:00:00+00:00"
    )


def group_columns(by: str | Sequence[str] | None) -> list[str]:
    """Return the names in a ``by=`` as a list."""
    return [] if by is None else [by] if isinstance(by, str) else list(by)


def decile(values: pl.Expr) -> pl.Expr:
    """Return the tenth of the rows that each belongs to, 1 (lowest) to 10; ties are together."""
    rank = values.rank("average")
    return (rank * 10 / values.count()).ceil().clip(1, 10).cast(pl.Int8)


def user_keys(labels: Labels) -> Labels:
    """Add ``_user``, a number for each user; a row without a user id is a user of its own.

    Warns:
        AnalysisWarning: There are such rows.
    """
    rows = labels.rows.with_row_index("_row")
    alone = pl.col("_row").cast(pl.UInt64)
    if "user_id" not in labels.columns:
        missing = 1.0
        rows = rows.with_columns(alone.alias("_user"))
    else:
        missing = rows.select(pl.col("user_id").is_null().mean()).collect().item() or 0.0
        known = pl.when(pl.col("user_id").is_not_null()).then(pl.col("user_id").hash())
        rows = rows.with_columns(pl.coalesce(known, alone).alias("_user"))
    if missing:
        warnings.warn(
            f"{labels.name}: {missing:.0%} of the rows have no user id and count as users of "
            "their own; if users have several rows, the intervals are too narrow",
            AnalysisWarning,
            stacklevel=3,
        )
    return labels.having(rows.drop("_row"))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none.

    Raises:
        OptionError: It is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise OptionError(f"confidence must be more than 0 and less than 1, got {confidence}")


def cue_thresholds(given: float | Mapping[str, float]) -> dict[str, float]:
    """Return the probability from which each cue counts as shown.

    Args:
        given: One for all cues, or some by the cue's name; the others have 0.5.

    Raises:
        OptionError: A name is that of no cue, or a threshold is not between 0 and 1.
    """
    named = given if isinstance(given, Mapping) else dict.fromkeys(CUES, given)
    for name, threshold in named.items():
        if name not in CUES:
            raise OptionError(f"cue_threshold: no cue {name!r}; there are {', '.join(CUES)}")
        if not 0 < threshold <= 1:
            place = f", {name}:" if isinstance(given, Mapping) else ""
            raise OptionError(
                f"cue_threshold{place} must be more than 0 and at most 1, got {threshold}"
            )
    return dict.fromkeys(CUES, _CUE_THRESHOLD) | dict(named)


def numbers(rows: pl.DataFrame, name: str, frame: str) -> NDArray[np.float64]:
    """Return a column of numbers without its gaps.

    Raises:
        TableError: It holds something else.
    """
    values = rows[name]
    if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
        raise TableError(f"{frame}, {name}: expected numbers, got {values.dtype}")
    return values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()


def require_options(source: Table, names: Iterable[str]) -> None:
    """Refuse options that name columns which are not there.

    Raises:
        OptionError: One is not; the error lists those there are.
    """
    for name in names:
        if name not in source.columns:
            raise OptionError(
                f"{source.name}: no column {name!r}; there are {name_list(source.columns)}"
            )
