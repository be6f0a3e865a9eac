"""Files of labels and sheets as lazy frames."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import polars as pl

from affectlib.analysis._frames import TIMES, TableError, alike, warn
from affectlib.analysis._provenance import remember
from affectlib.corpus.manifest import Manifest
from affectlib.corpus.output import FORMULA
from affectlib.corpus.rows import RowLevel, output_schema
from affectlib.corpus.shards import Layout, parquet_shards
from affectlib.errors import OptionError
from affectlib.formats.sources import NOT_UTF8

__all__ = ["read_labels"]

_GUARDED = ("conversation_id", "user_id", "model", "language", "source", "error")
_INFERRED = 10_000
_SEPARATORS = ",;\t|"
_LOOK = 200
_UNREADABLE = "the file cannot be read as a table"
_MISSING = ("", "NA")
_TRUTH = {
    **dict.fromkeys(("TRUE", "VRAI", "WAHR", "VERDADERO", "VERO"), "true"),
    **dict.fromkeys(("FALSE", "FAUX", "FALSCH", "FALSO"), "false"),
}
_WANTED: dict[pl.DataType, str] = {
    pl.Int64(): "not a whole number",
    pl.Float64(): "not a number",
    pl.Boolean(): "neither true nor false",
}
"""What is wrong with a cell that is not of these types, the narrowest first."""
_DECIMAL = r"^(-?\d+),(\d+(?:[eE][+-]?\d+)?)$"
_THOUSANDS = r"^-?[1-9]\d{0,2},\d{3}$"
"""A comma may separate thousands where commas separate cells too."""


def read_labels(path: str | os.PathLike[str], *, unfinished: bool = False) -> pl.LazyFrame:
    """Open a file of labels, or a sheet filled in by hand.

    Args:
        path: A .parquet, .jsonl or .csv file, or a folder of Parquet shards; a name, not a pattern.
            A CSV file (.csv, .tsv or .txt) may have semicolons, tabs and decimal commas, as
            spreadsheets save it in many countries, and be UTF-16 or Windows-1252.
        unfinished: Whether to take a folder whose run has not finished, with a warning.

    Returns:
        A lazy frame, whose columns have the types of `affectlib.corpus.rows.output_schema` in every
        format; only times are text in CSV and JSON Lines. Whole numbers may be written as floats
        (``172.0``), as pandas does beside gaps; ``NA`` in CSV is a gap, as R writes it. The
        apostrophe by which `affectlib.label_file` guards text against spreadsheets is removed. A
        Parquet file says which model made the labels, so that `prevalence` and others need not be
        told.

    Raises:
        OptionError: The suffix is another one.
        TableError: The file cannot be read as a table (a bad cell is named by its place), or a
            folder's run did not finish, or it holds copies or lacks a shard.
        FileNotFoundError: There is no such file.

    Example:
        >>> from tools.simulate import simulate
        >>> simulate(50).conversations.write_parquet("labels.parquet")
        >>> read_labels("labels.parquet").collect_schema().names()[:2]
        ['conversation_id', 'record']
    """
    file = Path(path)
    readers: dict[str, Callable[[Path], pl.LazyFrame]] = {
        ".parquet": partial(pl.scan_parquet, glob=False),
        ".jsonl": _read_json_lines,
        **dict.fromkeys((".csv", ".tsv", ".txt"), _read_csv),
    }
    if file.is_dir():
        return _read_shards(file, unfinished)
    if file.suffix not in readers:
        raise OptionError(f"{file}: unknown suffix {file.suffix!r}; use {', '.join(readers)}")
    if not file.is_file():
        raise FileNotFoundError(2, "no such file", str(file))
    try:
        rows = readers[file.suffix](file)
        rows.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{file}: {_UNREADABLE}") from error
    return remember(rows, file) if file.suffix == ".parquet" else rows


def _known_types(names: Iterable[str]) -> dict[str, Any]:
    """Return the types of the label columns among these; times are text until they are parsed."""
    levels: tuple[RowLevel, ...] = ("message", "conversation")
    known: dict[str, Any] = {}
    for level in levels:
        known |= cast(pl.DataFrame, pl.from_arrow(output_schema(level).empty_table())).schema
    known |= dict.fromkeys(TIMES, pl.String)
    return {name: known[name] for name in names if name in known}


def _read_shards(folder: Path, unfinished: bool) -> pl.LazyFrame:
    tables = parquet_shards(folder)
    if len(tables) > 1:
        raise TableError(f"{folder}: it has labels of conversations and of messages; name one")
    if not tables:
        raise TableError(f"{folder}: it holds no Parquet shards of labels")
    _check_run(folder, tables[0], unfinished)
    return remember(pl.scan_parquet(tables[0], glob=False), tables[0][0])


def _check_run(folder: Path, shards: list[Path], unfinished: bool) -> None:
    """Compare shards with the manifest of the run that wrote them, or else with each other."""
    # The manifest lies in the folder, or beside the folders of both tables.
    around = (folder, folder.parent)
    places = (Layout(place, (), ".parquet", None).working_manifest for place in around)
    manifest = next((found for place in places if (found := Manifest.read(place))), None)
    if manifest is None:
        rows = pl.scan_parquet(shards, glob=False)
        keys = [name for name in ("record", "message") if name in rows.collect_schema().names()]
        if len(shards) > 1 and "record" in keys and alike(rows, keys):
            raise TableError(
                f"{folder}: shards hold the same records; remove copies, or label the files in one "
                "run, so that each record has its own number"
            )
        return
    written = {name for shard in manifest.shards.values() for name in shard.files}
    for shard in shards:
        if shard.relative_to(manifest.path.parent).as_posix() not in written:
            raise TableError(
                f"{shard}: it is not from the run that wrote this folder (a copy?); move it away"
            )
    there = {shard.name for shard in shards}
    own = shards[0].parent.relative_to(manifest.path.parent)
    of_table = (Path(name) for name in sorted(written))
    if gone := [file for file in of_table if file.parent == own and file.name not in there]:
        more = f", and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        raise TableError(
            f"{manifest.path.parent / gone[0]}: the run wrote this shard, and it is gone{more}; "
            "put it back, or label its records again (affectlib label with the same OUT and "
            "--resume)"
        )
    if manifest.finished is None:
        records = sum(shard.records for shard in manifest.shards.values())
        problem = f"{folder}: the run that wrote it stopped after {records:,} records"
        if not unfinished:
            raise TableError(
                f"{problem}; finish it (affectlib label with the same OUT and --resume), or take "
                "what is there with read_labels(..., unfinished=True)"
            )
        warn(
            f"{problem}; the figures are only of these records, and the others may differ",
            level=4,
        )


def _read_json_lines(file: Path) -> pl.LazyFrame:
    # polars would take brackets in a name for a pattern, so it is given an open file.
    with file.open("rb") as stream:
        there = pl.scan_ndjson(stream, infer_schema_length=_INFERRED).collect_schema()
    known = _known_types(there)
    floats = [name for name in known if known[name].is_integer() and there[name].is_float()]
    types = known | dict.fromkeys(floats, pl.Float64)
    with file.open("rb") as stream:
        rows = pl.read_ndjson(stream, schema_overrides=types, infer_schema_length=_INFERRED)
    whole = (_as(known[name], rows[name].cast(pl.String), file, 1) for name in floats)
    return rows.with_columns(whole).select(_in_order(file, rows.columns)).lazy()


def _in_order(file: Path, columns: Sequence[str]) -> list[str]:
    """Return the columns in the order of the first line; polars mixes more than 32 of them."""
    with file.open("rb") as stream:
        first = next((line for line in stream if line.strip()), b"{}")
    names = [name for name in json.loads(first) if name in columns]
    return [*names, *sorted({*columns} - {*names})]


def _read_csv(file: Path) -> pl.LazyFrame:
    """Read cells separated by commas, or by what the header has more of.

    Text is UTF-8, UTF-16 as spreadsheets save "Unicode text", or else Windows-1252.
    """
    data = file.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\0" in data[:_LOOK]:
        text = data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace")
    else:
        text = data.decode("utf-8-sig", NOT_UTF8)
    header = text.lstrip().partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    rows = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
    semicolons = separator != ","
    known = _known_types(rows.columns)
    typed = rows.select(
        _as(known[cells.name], cells, file, 2, semicolons)
        if cells.name in known
        else _inferred(cells, semicolons)
        for cells in rows
    )
    return typed.lazy().with_columns(
        pl.col(name).str.replace(f"^'({FORMULA.pattern})", "$1")
        for name in _GUARDED
        if name in typed.columns
    )


def _plain(cells: pl.Series, semicolons: bool) -> pl.Series:
    """Return numbers with a decimal point, and truth values by their English names.

    With `semicolons` between cells, a comma is decimal. Else it may separate thousands, unless a
    cell of the column shows that it does not.
    """
    cells = cells.replace(_TRUTH)
    odd = cells.filter(cells.str.contains(_DECIMAL) & ~cells.str.contains(_THOUSANDS))
    return cells.str.replace(_DECIMAL, "$1.$2") if semicolons or len(odd) else cells


def _as(
    kind: pl.DataType, cells: pl.Series, file: Path, first: int, semicolons: bool = False
) -> pl.Series:
    """Return text as values of a type; `first` is the number of the first row, 2 below a header."""
    if kind == pl.String:
        return cells
    cells = _plain(cells, semicolons)
    if kind.is_integer():
        cells = cells.str.replace(r"\.0+$", "")
    values, odd = _cast(cells, kind)
    if odd.any():
        raise TableError(
            f"{file}: {_UNREADABLE}; column {cells.name!r}, row {int(odd.arg_max() or 0) + first} "
            f"(the first is row {first}): {_WANTED[kind]}; correct the cell or leave it empty"
        )
    return values


def _inferred(cells: pl.Series, semicolons: bool) -> pl.Series:
    """Return text as numbers or truth values, if all of it is."""
    if cells.null_count() < len(cells):
        plain = _plain(cells, semicolons)
        for kind in _WANTED:
            values, odd = _cast(plain, kind)
            if not odd.any():
                return values
    return cells.replace(_TRUTH) if semicolons else cells


def _cast(cells: pl.Series, kind: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """Return text as values of a type, and which cells could not be converted."""
    cells = cells.replace(_MISSING, None)
    if kind == pl.Boolean:
        truth = {"true": True, "false": False}
        lower = cells.str.to_lowercase()
        values = lower.replace_strict(truth, default=None, return_dtype=pl.Boolean)
    else:
        values = cells.cast(kind, strict=False)
    return values, values.is_null() & cells.is_not_null()
