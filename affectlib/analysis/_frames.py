"""Frames of several kinds in, polars inside, the same kind out."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar, cast

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrame, IntoDataFrameT
from numpy.typing import NDArray

from affectlib._values import name_list, to_time
from affectlib.analysis import _provenance
from affectlib.analysis._provenance import Kind, Provenance
from affectlib.analysis.accuracy import Accuracy
from affectlib.corpus.rows import RowLevel
from affectlib.errors import AffectlibError, InputTypeError, OptionError
from affectlib.taxonomy import CUES, EMOTIONAL, LABELS, TASK, THEME_COLUMNS

__all__ = ["AnalysisWarning", "TableError"]

KEYS = ("conversation_id", "record")
TIMES = ("timestamp", "started_at")
_TEXTS = ("conversation_id", "user_id", "role", "status", "error", "label")
_NUMBERS = (
    "probability",
    "adjusted",
    "rate",
    "user_messages",
    "assistant_messages",
    "truncated_tokens",
    *CUES,
)
_SCORES = ("probability", "intensity", "adjusted", "rate", *CUES, *THEME_COLUMNS.values())
_USUAL_THRESHOLD = 0.5
_LARGEST = 1e100
_ROUNDED = 1e-5
"""Rounding of probabilities in files."""
_CHECKED = "_affectlib_checked"
_RESULT = ("message", "role", "probability")
_ABOUT = ("user_id", "label", *TIMES)
_MERGED = "conversations cannot be told apart"
_REMEDY = (
    "label the files in one run, number their records consecutively, or give each conversation its "
    "own id"
)
_ISO = "%Y-%m-%dT%H:%M:%S%.f%:z"

_Frame_co = TypeVar("_Frame_co", covariant=True)


class Lazy(Protocol[_Frame_co]):
    """A polars lazy frame, which becomes a polars frame."""

    def collect(self) -> _Frame_co: ...


Frame: TypeAlias = IntoDataFrameT | Lazy[IntoDataFrameT]
"""A pandas or polars frame, a pyarrow table or a polars lazy frame.

The type variable is the kind of frame that comes out.
"""

AnyFrame: TypeAlias = Frame[IntoDataFrame]
"""The same, where nothing of its kind comes out."""


class TableError(AffectlibError, ValueError):
    """A table lacks a column, or a column has invalid values."""


class AnalysisWarning(UserWarning):
    """A result is less certain than it seems, for example because rows were left out."""


def warn(problem: str, level: int = 3) -> None:
    """Give an `AnalysisWarning`; `level` counts from the function that calls this, 1."""
    warnings.warn(problem, AnalysisWarning, stacklevel=level + 1)


@dataclass(frozen=True, slots=True)
class Table:
    """A frame as polars, and its name in errors."""

    rows: pl.LazyFrame
    name: str

    @property
    def columns(self) -> list[str]:
        return self.rows.collect_schema().names()

    def require(
        self, names: Iterable[str], error: type[OptionError | TableError] = TableError
    ) -> Self:
        """Return the table itself if it has these columns."""
        for name in names:
            if name not in self.columns:
                raise error(f"{self.name}: no column {name!r}; there are {name_list(self.columns)}")
        return self

    def collect(self, *names: str) -> pl.DataFrame:
        """Return the columns in memory, all if none is named."""
        self.require(names)
        return (self.rows.select(names) if names else self.rows).collect()


@dataclass(frozen=True, slots=True)
class Labels(Table):
    """Labelled rows with ids as text and times in UTC, what a row is, and who made the labels."""

    level: RowLevel
    provenance: Provenance = _provenance.UNKNOWN

    def accuracy(
        self, measured: Accuracy | None = None, kind: Kind = "logs", *, beside_gold: bool = False
    ) -> Accuracy | None:
        """Return the accuracy that a user gives, or else what the model says of itself."""
        if kind not in _provenance.KINDS:
            raise OptionError(f"unknown kind {kind!r}; use {' or '.join(_provenance.KINDS)}")
        if measured is not None:
            if kind != "logs":
                raise OptionError("`measured` and `kind` contradict each other; give one of them")
            return measured
        known = self.provenance
        if kind == "studies":
            found = known.measured.get(kind) if self.level == "conversation" else None
            if found is None:
                raise OptionError(
                    f"`kind={kind!r}`: nothing says how well the model that made the labels does "
                    f"on {self.level}s of personal study chats; leave `kind` out, or give "
                    "`measured`"
                )
            return found
        # It may have been measured on these gold labels, which must not count twice.
        return None if known.fitted and beside_gold else known.measured.get(self.level)

    @property
    def time(self) -> str:
        return "timestamp" if self.level == "message" else "started_at"

    def conversation_keys(self) -> list[str]:
        """Return the columns that tell conversations apart."""
        keys = [name for name in KEYS if name in self.columns]
        self.require(keys or KEYS)
        # Of files put together, each has numbered its conversations from 0.
        return [*keys, "user_id"] if "user_id" in self.columns else keys

    def distinct_keys(self) -> list[str]:
        """Return `conversation_keys`, after checking that they tell conversations apart."""
        keys = self.conversation_keys()
        names = [name for name in keys if name in KEYS]
        if _one(self.rows, pl.all_horizontal(pl.col(names).is_null()).any()):
            raise TableError(
                f"{self.name}: rows without {' and '.join(names)}, so {_MERGED}; {_REMEDY}"
            )
        row = [*keys, "message"] if self.level == "message" else keys
        refuse_alike(self.rows, row, self.name, _MERGED)
        return keys

    def labelled(self) -> Labels:
        """Return the rows that have a label, with it as the flag ``charged``."""
        self.require(["label"])
        labels = self.rows.select(pl.col("label").unique()).collect(engine="streaming")
        found = labels["label"].drop_nulls()
        if unknown := [label for label in found if label not in LABELS]:
            raise TableError(
                f"{self.name}, label: {len(unknown)} unknown values; use {' or '.join(LABELS)}"
            )
        if found.is_empty():
            raise TableError(f"{self.name}: no row has a label")
        rows = self.rows.filter(pl.col("label").is_not_null())
        return self.having(rows.with_columns(charged=pl.col("label") == EMOTIONAL))

    def having(self, rows: pl.LazyFrame) -> Labels:
        return replace(self, rows=rows)


def table(frame: AnyFrame, name: str) -> Table:
    """Take a frame of any accepted kind; `name` is its name in errors."""
    if isinstance(frame, pl.LazyFrame):
        return Table(frame, name)
    if isinstance(frame, pl.DataFrame):
        return Table(frame.lazy(), name)
    package = _package(frame)
    if package == "pandas" and hasattr(frame, "columns"):
        return Table(_from_pandas(frame, name).lazy(), name)
    if package == "pyarrow" and hasattr(frame, "column_names"):
        return Table(cast(pl.DataFrame, pl.from_arrow(frame)).lazy(), name)
    raise InputTypeError(
        f"{name}: expected a pandas or polars frame or a pyarrow table, "
        f"got {type(frame).__name__}; read a file with affectlib.analysis.read_labels"
    )


def like(frame: Frame[IntoDataFrameT], result: pl.DataFrame) -> IntoDataFrameT:
    """Return a result as the kind of frame that came in."""
    convert: Any = {"pandas": result.to_pandas, "pyarrow": result.to_arrow}.get(_package(frame))
    return cast(IntoDataFrameT, convert() if convert else result)


def _package(frame: object) -> str:
    return type(frame).__module__.partition(".")[0]


def labels_table(frame: AnyFrame, name: str = "labels") -> Labels:
    """Take a frame of labels: drop rows that failed, make ids text, times UTC and NaN null."""
    source = table(frame, name)
    schema = source.rows.collect_schema()
    for column in (*_TEXTS, *_NUMBERS):
        if column in schema and schema[column].is_nested():
            raise TableError(f"{name}, {column}: expected single values, got lists")
    require_numbers(source, (c for c in _NUMBERS if schema.get(c, pl.Null) != pl.Null))
    # Such names are for what is computed.
    rows = source.rows.drop([column for column in schema if column.startswith("_")])
    if "status" in schema:
        rows = rows.filter(pl.col("status").is_null() | (pl.col("status") == "ok"))
    rows = rows.with_columns(
        *(as_text(column, schema[column]) for column in _TEXTS if column in schema),
        *(
            pl.col(column).fill_nan(None)
            for column in _SCORES
            if column in schema and schema[column].is_float()
        ),
    )
    for column in TIMES:
        if column in schema:
            rows = _in_utc(rows, column, schema[column], name)
    labels = Labels(rows, name, "message" if "message" in schema.names() else "conversation")
    found = getattr(frame, _CHECKED, None) if isinstance(frame, pl.LazyFrame) else None
    if found is None:
        found = _origin(labels, _provenance.remembered(frame))
        _refuse_doubles(labels)
        if isinstance(frame, pl.LazyFrame):
            setattr(frame, _CHECKED, found)
    return replace(labels, provenance=found)


def _origin(labels: Labels, said: Provenance) -> Provenance:
    """Return the provenance of all rows; `said` is what the frame says, perhaps of other rows."""
    if _provenance.COLUMN not in labels.columns:
        return said
    codes = labels.rows.select(pl.col(_provenance.COLUMN).cast(pl.String).unique()).collect(
        engine="streaming"
    )
    found = sorted(codes[_provenance.COLUMN].drop_nulls())
    if not found:
        return said
    if len(codes) > 1:
        parts = [_provenance.known_origin(code).name or f"provenance {code}" for code in found]
        parts += ["no known model"] * (len(codes) - len(found))
        raise TableError(
            f"{labels.name}: these are labels of several models or operating points "
            f"({'; '.join(parts)}), which err in different ways; analyse each by itself (column "
            f"{_provenance.COLUMN!r}), or label all with one"
        )
    origin = said if said.code == found[0] else _provenance.known_origin(found[0])
    if not origin.model:
        warn(
            f"{labels.name}: nothing says any more which model made these labels (provenance "
            f"{found[0]}), so they are not corrected by what it knows of its errors; read the file "
            "that affectlib label wrote with read_labels, or give measured",
            level=4,
        )
    _refuse_other_labels(labels, origin)
    return origin


def _refuse_other_labels(labels: Labels, origin: Provenance) -> None:
    """Refuse labels that were not made with the thresholds of their origin."""
    if not origin.thresholds or not {"label", "probability"} <= {*labels.columns}:
        return
    # A user's only message has the threshold of conversations.
    ends = {origin.thresholds[labels.level], origin.thresholds["conversation"]}
    given = pl.col("probability").cast(pl.Float64, strict=False)
    odd = ((pl.col("label") == EMOTIONAL) & (given < min(ends) - _ROUNDED)) | (
        (pl.col("label") == TASK) & (given > max(ends) + _ROUNDED)
    )
    if count := _one(labels.rows, odd.sum()):
        raise TableError(
            f"{labels.name}, label: {count:,} labels do not follow from probability and the "
            f"threshold of {origin.name}; label again with another operating point, or, for a "
            f"threshold of your own, leave out the column {_provenance.COLUMN!r} and give measured "
            "or gold"
        )


def _refuse_doubles(labels: Labels) -> None:
    """Refuse rows that are there twice: the same conversation, with the same result."""
    keys = [name for name in KEYS if name in labels.columns]
    if not keys:
        return
    same = [name for name in (*keys, *_RESULT, *_ABOUT) if name in labels.columns]
    known = labels.rows.filter(pl.any_horizontal(pl.col(keys).is_not_null()))
    # Rows that are not alike without their record are not alike with it either.
    some = _may_be_alike(known, [name for name in same if name != "record"] or same)
    copied = (some and alike(known, same)) or _alike_but_for_gaps(labels)
    if copied or (some and _alike_elsewhere(labels, same)):
        keys = keys if copied else ["conversation_id"]
        raise TableError(
            f"{labels.name}: rows with the same {' and '.join(keys)} and the same result, which "
            f"would count several times; drop copies, or, if they are no copies, {_REMEDY}"
        )


def _alike_elsewhere(labels: Labels, same: Sequence[str]) -> bool:
    """Tell whether a row has all but its record of another, as where labelled files overlap."""
    # Ids and results alone do not tell: files may number their conversations alike.
    about = [name for name in ("user_id", *TIMES) if name in same]
    if not about or not {"conversation_id", "record", "probability"} <= {*same}:
        return False
    told = pl.all_horizontal(pl.col("conversation_id", "probability").is_not_null())
    rows = labels.rows.filter(told & pl.any_horizontal(pl.col(about).is_not_null()))
    return alike(rows, [name for name in same if name != "record"])


def _alike_but_for_gaps(labels: Labels) -> bool:
    """Tell whether a row equals another but for gaps."""
    columns = labels.columns
    ids = [name for name in ("conversation_id", "message", "role") if name in columns]
    results = [name for name in ("label", "probability") if name in columns]
    if "conversation_id" not in ids or not results:
        return False
    known = pl.col("conversation_id").is_not_null()
    rows = labels.rows.filter(known & pl.any_horizontal(pl.col(results).is_not_null()))
    others = pl.col([name for name in ("record", "probability", *_ABOUT) if name in columns])
    partly = rows.select(others.is_null().any() & others.is_not_null().any())
    gappy = partly.collect(engine="streaming").row(0, named=True)
    gaps = [name for name, partial in gappy.items() if partial]
    keys = [*ids, *(name for name in gappy if name not in gaps)]
    if not gaps or not {*keys} - {*ids, "label"}:
        return False
    lacking = rows.filter(pl.any_horizontal(pl.col(gaps).is_null())).select(keys)
    near = rows.join(lacking, on=keys, how="semi", nulls_equal=True)
    return alike(near, keys)


def as_text(column: str, kind: pl.DataType | None = None) -> pl.Expr:
    """Return a column of ids as text; whole floats lose their fraction, empty text is null."""
    values = pl.col(column)
    text = values.cast(pl.String)
    if kind is not None and kind.is_float():
        whole = values.cast(pl.Int64, strict=False)
        fraction = values.fill_nan(None).cast(pl.String)
        text = pl.when(values == whole).then(whole.cast(pl.String)).otherwise(fraction)
    return pl.when(text != "").then(text).alias(column)


def alike(rows: pl.DataFrame | pl.LazyFrame, keys: Sequence[str]) -> bool:
    """Tell whether rows have the same keys; null equals null."""
    fewer = pl.struct(keys).n_unique() < pl.len()
    return _may_be_alike(rows, keys) and bool(_one(rows, fewer))


def _may_be_alike(rows: pl.DataFrame | pl.LazyFrame, keys: Sequence[str]) -> bool:
    """Tell whether keys have the same hash, which takes a tenth of their memory."""
    hashes = rows.lazy().select(pl.struct(keys).hash()).collect(engine="streaming").to_series()
    return hashes.n_unique() < len(hashes)


def _one(rows: pl.DataFrame | pl.LazyFrame, figure: pl.Expr) -> Any:
    """Return a figure of all rows."""
    return rows.lazy().select(figure).collect(engine="streaming").item()


def refuse_alike(
    rows: pl.DataFrame | pl.LazyFrame, keys: Sequence[str], name: str, trouble: str
) -> None:
    """Refuse rows with the same keys; `trouble` says what cannot be done with them."""
    if alike(rows, keys):
        raise TableError(
            f"{name}: rows with the same {' and '.join(keys)}, so {trouble}; {_REMEDY}"
        )


def _from_pandas(frame: Any, name: str) -> pl.DataFrame:
    frame = frame.copy(deep=False)
    for column in (*_TEXTS, *TIMES):
        if column in frame.columns and frame[column].dtype == object:
            frame[column] = frame[column].map(_object_text, na_action="ignore")
    try:
        return pl.from_pandas(frame)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{name}: a column mixes types; make each of one type") from error


def _object_text(value: object) -> str:
    """Return an id as text, as `as_text` does, or a time, where a column mixes types."""
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


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
    moments = texts.str.to_datetime(_ISO, time_unit="us", strict=False).dt.convert_time_zone("UTC")
    others = {text: to_time(text) for text in texts.filter(moments.is_null()) if text.strip()}
    if None in others.values():
        raise TableError(
            f"{name}, {column}: a time cannot be read; write times as 2025-03-01T12:00:00+00:00"
        )
    moments = moments.fill_null(
        texts.replace_strict(others, default=None, return_dtype=moments.dtype)
    )
    return rows.with_columns(pl.col(column).replace_strict(texts, moments, default=None))


def group_columns(by: str | Sequence[str] | None) -> list[str]:
    """Return the names in a ``by=`` as a list, each once."""
    if by is not None and not isinstance(by, str | Sequence):
        raise OptionError(f"by: expected names of columns, got {type(by).__name__}")
    return [] if by is None else [by] if isinstance(by, str) else [*dict.fromkeys(by)]


def decile(values: pl.Expr) -> pl.Expr:
    """Return the tenth of the rows that each belongs to, 1 (lowest) to 10; ties share one."""
    rank = values.rank("average")
    return (rank * 10 / values.count()).ceil().clip(1, 10).cast(pl.Int8)


def user_keys(labels: Labels) -> Labels:
    """Add ``_user``, a number for each user; a row without a user id is a user of its own."""
    # The position of such a row may change each time a lazy frame is read: collect the result
    # before it is read twice.
    user, missing = pl.col("_row").cast(pl.UInt64), 1.0
    if "user_id" in labels.columns:
        unknown = pl.col("user_id").is_null()
        missing = _one(labels.rows, unknown.mean()) or 0.0
        user = pl.when(unknown).then(user).otherwise(pl.col("user_id").hash())
    if missing:
        warn(
            f"{labels.name}: {missing:.0%} of the rows have no user id and count as users of "
            "their own; if users have several rows, the intervals are too narrow"
        )
    rows = labels.rows.with_row_index("_row").with_columns(user.alias("_user"))
    return labels.having(rows.drop("_row"))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is not between 0 and 1, or within a millionth of either."""
    if not isinstance(confidence, int | float) or not 1e-6 <= confidence <= 1 - 1e-6:
        raise OptionError(
            f"confidence must be more than 0 and less than 1, and not next to it, got {confidence}"
        )


def shown_from(
    given: float | Mapping[str, float] | None,
    known: Mapping[str, float],
    kind: Literal["cue", "theme"] = "cue",
) -> dict[str, float]:
    """Return the threshold of each cue or theme: as given, else the model's, else 0.5."""
    names: Collection[str] = CUES if kind == "cue" else THEME_COLUMNS
    given = known if given is None else given
    named = given if isinstance(given, Mapping) else dict.fromkeys(names, given)
    for name, threshold in named.items():
        if name not in names:
            raise OptionError(f"{kind}_threshold: no {kind} {name!r}; there are {', '.join(names)}")
        if not 0 < threshold <= 1:
            place = f", {name}:" if isinstance(given, Mapping) else ""
            raise OptionError(
                f"{kind}_threshold{place} must be more than 0 and at most 1, got {threshold}"
            )
    return dict.fromkeys(names, _USUAL_THRESHOLD) | dict(named)


def numbers(values: pl.Series) -> NDArray[np.float64]:
    """Return numbers without gaps."""
    return values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()


def require_numbers(source: Table, names: Iterable[str]) -> None:
    """Refuse columns that are not numeric, or hold infinite or very large numbers."""
    schema = source.rows.collect_schema()
    kinds = {name: schema[name] for name in names}
    for name, kind in kinds.items():
        if kind.is_numeric() or kind == pl.Boolean:
            continue
        place = ""
        if kind == pl.String:
            texts = source.collect(name)[name]
            odd = texts.cast(pl.Float64, strict=False).is_null() & texts.is_not_null()
            if odd.any():
                place = f", first in row {odd.arg_max()} (from 0); correct it or leave it empty"
        raise TableError(f"{source.name}, {name}: expected numbers, got {kind}{place}")
    if not (floats := [name for name, kind in kinds.items() if kind.is_float()]):
        return
    sizes = source.rows.select(pl.col(floats).fill_nan(None).abs().max())
    for name, size in sizes.collect(engine="streaming").row(0, named=True).items():
        if size is not None and size > _LARGEST:
            raise TableError(
                f"{source.name}, {name}: there are values beyond {_LARGEST:.0e}, too large to "
                "compute with; give them in another unit, or leave them empty"
            )


def require_options(source: Table, names: Iterable[str]) -> None:
    """Refuse options that name missing columns."""
    source.require(names, OptionError)
