"""Survey answers as scores, and their place beside the usage of the same users."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis._frames import (
    AnalysisWarning,
    AnyFrame,
    Frame,
    Table,
    TableError,
    as_text,
    like,
    table,
)
from affectlib.errors import OptionError

__all__ = ["INSTRUMENTS", "Instrument", "join_users", "score_survey"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A questionnaire and how it is scored.

    Attributes:
        name: Its short name, which its columns begin with.
        title: Its name.
        items: How many items it has.
        low: The lowest answer, None if forms differ.
        high: The highest answer, None if forms differ.
        reversed: Items (from 1) in which a low answer means much of what is measured.
        total: Whether the score is the sum of the items or their mean.
        source: Where it is from.
    """

    name: str
    title: str
    items: int
    low: int | None
    high: int | None
    reversed: tuple[int, ...]
    total: Literal["sum", "mean"]
    source: str


_ALL = (
    Instrument(
        "ucla20",
        "UCLA Loneliness Scale, version 3",
        20,
        1,
        4,
        (1, 5, 6, 9, 10, 15, 16, 19, 20),
        "sum",
        "Russell, Journal of Personality Assessment 66, 1996, pp. 20-40",
    ),
    Instrument(
        "uls8",
        "UCLA Loneliness Scale, short form",
        8,
        1,
        4,
        (3, 6),
        "sum",
        "Hays and DiMatteo, Journal of Personality Assessment 51, 1987, pp. 69-81",
    ),
    Instrument(
        "lsns6",
        "Lubben Social Network Scale, six items (high: more social ties)",
        6,
        0,
        5,
        (),
        "sum",
        "Lubben et al., The Gerontologist 46, 2006, pp. 503-513",
    ),
    Instrument(
        "ads9",
        "Affective Dependence Scale",
        9,
        None,
        None,
        (),
        "mean",
        "Sirvent-Ruiz et al., Psychology Research and Behavior Management 15, 2022, pp. 3875-3888",
    ),
    Instrument(
        "pcus",
        "Problematic ChatGPT Use Scale",
        11,
        1,
        4,
        (),
        "mean",
        "Yu, Chen and Yang, Current Psychology 43, 2024, pp. 26080-26092",
    ),
)

INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType({each.name: each for each in _ALL})
"""The questionnaires that are known by name."""

_MISSING_SHARE = 0.2


def score_survey(
    answers: Frame[IntoDataFrameT],
    instrument: str | Instrument,
    *,
    items: Sequence[str] | None = None,
    answer_range: tuple[int, int] | None = None,
    name: str | None = None,
) -> IntoDataFrameT:
    """Score a questionnaire.

    Reversed items are recoded. If at most a fifth of the items have no answer, they count as the
    person's mean over the others; if more are missing, there is no score. Forms of one
    questionnaire differ in their answers (some ask the PCUS on five points): check yours against
    the `Instrument`, and give `answer_range` if it differs.

    Args:
        answers: A frame with ``user_id`` and a column for each item.
        instrument: A name of `INSTRUMENTS`, or an `Instrument` of your own.
        items: The columns, in the order of the questionnaire; ``uls8_1`` and so on if None.
        answer_range: Lowest and highest answer of your form.
        name: Name of the score, that of the instrument if None.

    Returns:
        A frame: ``user_id``, the score, and ``<name>_missing``, how many items had no answer.

    Raises:
        OptionError: The instrument is unknown, has another number of items, or needs
            `answer_range`.
        TableError: An answer is not a whole number in the range, or a user is there twice.

    Example:
        >>> import polars as pl
        >>> items = {f"lsns6_{item}": [3] for item in range(1, 7)}
        >>> score_survey(pl.DataFrame({"user_id": ["a"], **items}), "lsns6").rows()
        [('a', 18.0, 0)]
    """
    form = _instrument(instrument)
    columns = items or [f"{form.name}_{item}" for item in range(1, form.items + 1)]
    if len(columns) != form.items:
        raise OptionError(f"items: {form.name} has {form.items} items, got {len(columns)}")
    low, high = answer_range or (form.low, form.high)
    if low is None or high is None or low >= high:
        raise OptionError(
            f"answer_range: give the lowest and highest answer of your form of {form.name}"
        )
    source = table(answers, "answers").require(["user_id", *columns])
    schema = source.rows.collect_schema()
    rows = source.rows.select(
        as_text("user_id", schema["user_id"]),
        *(pl.col(column).cast(pl.Float64, strict=False) for column in columns),
    ).collect()
    _check_ids(rows, source.name)
    given = source.rows.select(pl.col(column).is_not_null() for column in columns).collect()
    for column in columns:
        read = rows[column].fill_nan(None)
        odd = (read.is_null() & given[column] & ~_is_nan(rows[column])) | ~(
            read.is_between(low, high) & (read == read.floor())
        ).fill_null(True)
        if odd.any():
            raise TableError(
                f"{source.name}, {column}: {odd.sum()} answers are not whole numbers from {low} "
                f"to {high}, the first in row {odd.arg_max()} (from 0)"
            )
    turned = [
        (low + high - pl.col(column) if item in form.reversed else pl.col(column)).fill_nan(None)
        for item, column in enumerate(columns, start=1)
    ]
    title = name or form.name
    missing = pl.sum_horizontal(pl.col(column).fill_nan(None).is_null() for column in columns)
    mean = pl.mean_horizontal(turned)
    score = mean * form.items if form.total == "sum" else mean
    enough = missing <= _MISSING_SHARE * form.items
    return like(
        answers,
        rows.select(
            "user_id",
            pl.when(enough).then(score).alias(title),
            missing.cast(pl.Int64).alias(f"{title}_missing"),
        ),
    )


def join_users(users: Frame[IntoDataFrameT], *others: AnyFrame) -> IntoDataFrameT:
    """Join what else is known about users, such as survey scores, to their usage.

    Args:
        users: A frame of `affectlib.analysis.users`.
        *others: Frames with ``user_id``, one row per user.

    Returns:
        A frame of the kind of `users`, with a row for each user that all frames have.

    Raises:
        TableError: A frame lacks ``user_id``, has a user twice or a column that another has, or no
            user is in all of them.
    """
    named = [table(frame, f"frame {place}") for place, frame in enumerate(others, start=1)]
    return like(users, join_tables(table(users, "users"), named))


def join_tables(users: Table, others: Iterable[Table]) -> pl.DataFrame:
    """Join frames that have names, as `join_users` does."""
    joined = _by_id(users)
    for other in others:
        rows = _by_id(other)
        if twice := ({*joined.columns} & {*rows.columns}) - {"user_id"}:
            raise TableError(f"{other.name}: column {sorted(twice)[0]!r} exists already")
        before = len(joined)
        joined = joined.join(rows, on="user_id", how="inner", maintain_order="left")
        if joined.is_empty():
            raise TableError(
                f"{other.name}: none of its user ids is one of the users'; write them the same way"
            )
        if len(joined) < before:
            warnings.warn(
                f"{other.name}: {before - len(joined):,} of {before:,} users are not in it and "
                "are left out",
                AnalysisWarning,
                stacklevel=3,
            )
    return joined


def _by_id(source: Table) -> pl.DataFrame:
    rows = source.require(["user_id"]).rows.collect()
    rows = rows.with_columns(as_text("user_id", rows.schema["user_id"]))
    _check_ids(rows, source.name)
    return rows


def _instrument(instrument: str | Instrument) -> Instrument:
    if isinstance(instrument, Instrument):
        return instrument
    if instrument not in INSTRUMENTS:
        raise OptionError(f"unknown instrument {instrument!r}; use {', '.join(INSTRUMENTS)}")
    return INSTRUMENTS[instrument]


def _is_nan(values: pl.Series) -> pl.Series:
    return values.is_nan().fill_null(False)


def _check_ids(rows: pl.DataFrame, name: str) -> None:
    ids = rows["user_id"]
    if ids.null_count():
        raise TableError(f"{name}, user_id: {ids.null_count()} rows have none")
    if ids.is_duplicated().any():
        raise TableError(f"{name}, user_id: users appear twice; keep one row for each")
