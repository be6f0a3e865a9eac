"""What charged talk is about: its themes, and the kinds of use that follow from them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis._correction import Target
from affectlib.analysis._frames import (
    KEYS,
    AnalysisWarning,
    AnyFrame,
    Frame,
    Labels,
    TableError,
    check_confidence,
    group_columns,
    labels_table,
    like,
    require_numbers,
    shown_from,
    user_keys,
)
from affectlib.analysis.accuracy import Accuracy
from affectlib.analysis.gold import gold_themes
from affectlib.analysis.prevalence import check_target, hidden_among, shares, with_groups
from affectlib.errors import OptionError
from affectlib.taxonomy import CUES, EMOTIONAL, THEME_COLUMNS, USE_KIND_RULES, USE_KINDS

__all__ = ["themes", "use_kinds"]

_FIGURES = ("estimate", "low", "high", "units", "users", "gold")
OTHER_TRANSCRIPTS = "how well themes are found was measured on other transcripts"


def themes(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame | None = None,
    *,
    measured: Mapping[str, Accuracy] | None = None,
    by: str | Sequence[str] | None = None,
    theme_threshold: float | Mapping[str, float] | None = None,
    target: Target = "population",
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Estimate what share of charged conversations, or messages, is about each theme.

    The share is of the rows labelled ``emotional``; one can have several themes, or none. A row
    that is labelled so by mistake has none. Methods are those of `prevalence`, by what was measured
    for each theme, and by themes that people named.

    Args:
        labels: Labels with ``label`` and the columns of themes (``theme_love`` and so on), and if
            there are any ``user_id``.
        gold: Labels that people gave, with a column ``themes``: names from
            `affectlib.taxonomy.THEMES` separated by commas, ``none`` for a charged row that has
            none of them. A charged row without an answer there is taken to be like the others.
        measured: How well each theme was found elsewhere in what is labelled emotional, by name. If
            None, what the model that made `labels` says of itself, for conversations, if they carry
            it (see `read_labels`).
        by: Columns to group by; ``day``, ``week`` and ``month`` are made from the time.
        theme_threshold: Probability from which a theme counts as shown: one for all, or a mapping
            from theme to threshold (themes that it lacks: 0.5). If None, the model's own thresholds
            where the labels say which model made them (see `read_labels`), else 0.5.
        target: The ``population`` of users, or the ``corpus``; see `prevalence`.
        confidence: Level of the intervals.
        min_users: A figure of fewer users is suppressed, also where fewer show the theme, and so is
            what would show it by subtraction; 0 shows all.

    Returns:
        A frame: ``theme``, the columns of `by`, ``method, estimate, low, high, units`` (rows
        labelled emotional), ``users, gold, suppressed``.

    Raises:
        OptionError: `by` names no column or one whose name the result uses, or there is no such
            theme.
        TableError: There are no themes, or no row is labelled emotional.

    Example:
        >>> from affectlib.analysis import themes
        >>> from tools.simulate import simulate
        >>> people = simulate(400, prevalence=0.1)
        >>> found = themes(people.conversations, people.gold_conversations.sample(900, seed=1))
        >>> found.select("theme", "method").rows()[:3]
        [('love', 'naive'), ('love', 'gold'), ('love', 'ppi')]
    """
    source = labels_table(labels).labelled()
    cut = shown_from(theme_threshold, source.provenance.themes, "theme")
    if measured is None:
        measured = source.provenance.measured_themes if source.level == "conversation" else {}
    found = _figures(
        source,
        _flags(source, cut),
        _Asked("theme", group_columns(by), target, confidence, min_users),
        gold,
        measured,
    )
    if gold is None and measured:
        warnings.warn(
            f"{OTHER_TRANSCRIPTS}; if yours differ, corrected shares are off by more than their "
            "intervals say: name the themes of a sample of yours",
            AnalysisWarning,
            stacklevel=2,
        )
    return like(labels, found)


def use_kinds(
    labels: Frame[IntoDataFrameT],
    *,
    by: str | Sequence[str] | None = None,
    cue_threshold: float | Mapping[str, float] | None = None,
    theme_threshold: float | Mapping[str, float] | None = None,
    target: Target = "population",
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Count the kinds of affective use among charged conversations, or messages.

    Each has one kind, by its cues and themes; see `affectlib.taxonomy.use_kind`. The figures count
    labels, errors included.

    Args:
        labels: Labels with themes and cues.
        by: Columns to group by.
        cue_threshold: The threshold of all cues, or of each by name; by default the model's, else
            0.5.
        theme_threshold: The same for themes.
        target: The ``population`` of users, or the ``corpus``; see `prevalence`.
        confidence: Level of the intervals.
        min_users: A figure of fewer users is suppressed; see `themes`.

    Returns:
        A frame: ``use_kind``, the columns of `by`, ``method, estimate, low, high, units, users,
        gold, suppressed``. The shares of a group add up to 1.

    Example:
        >>> from affectlib.analysis import use_kinds
        >>> from tools.simulate import simulate
        >>> use_kinds(simulate(400, prevalence=0.1).conversations)["use_kind"].to_list()[:3]
        ['interpersonal_advice', 'coaching', 'counselling']
    """
    source = labels_table(labels).labelled()
    flags = _flags(source, shown_from(theme_threshold, source.provenance.themes, "theme"))
    cut = shown_from(cue_threshold, source.provenance.cues)
    shown = {name: column >= cut[name] for name, column in _columns(source, CUES)}
    shown |= {name: flag.flag for name, flag in flags.items()}
    found = _figures(
        source,
        {kind: _Flag(own, own.cast(pl.Float64)) for kind, own in _kinds(shown)},
        _Asked("use_kind", group_columns(by), target, confidence, min_users, exclusive=True),
        None,
        {},
    )
    return like(labels, found)


@dataclass(frozen=True, slots=True)
class _Flag:
    """Whether a row shows what is counted, and the probability that it does."""

    flag: pl.Expr
    likely: pl.Expr


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options of a table; `exclusive` if a row has just one of what is counted."""

    what: str
    by: Sequence[str]
    target: Target
    confidence: float
    min_users: int
    exclusive: bool = False


def _columns(source: Labels, names: Iterable[str]) -> Iterator[tuple[str, pl.Expr]]:
    """Yield each name whose column is there, and the column without gaps."""
    for name in names:
        column = THEME_COLUMNS.get(name, name)
        if column in source.columns:
            yield name, pl.col(column).cast(pl.Float64).fill_null(0.0)


def _flags(source: Labels, thresholds: Mapping[str, float]) -> dict[str, _Flag]:
    """Return the flags of each theme that labels have."""
    there = [column for column in THEME_COLUMNS.values() if column in source.columns]
    kinds = source.rows.collect_schema()
    require_numbers(source, (column for column in there if kinds[column] != pl.Null))
    known = source.rows.select(pl.col(there).count()).collect().row(0) if there else ()
    if not any(known):
        raise TableError(
            f"{source.name}: no themes; label the transcripts with a model that knows them"
        )
    return {
        name: _Flag(column >= thresholds[name], column)
        for name, column in _columns(source, THEME_COLUMNS)
    }


def _kinds(shown: Mapping[str, pl.Expr]) -> Iterator[tuple[str, pl.Expr]]:
    """Yield each kind of use with whether a row is of it; the first rule that fits counts."""
    never = pl.lit(value=False)
    fits = [
        (kind, reduce(and_, [pl.any_horizontal(*(shown.get(n, never) for n in g)) for g in groups]))
        for kind, groups in USE_KIND_RULES
    ]
    chosen: pl.Expr = pl.lit(USE_KINDS[-1])
    for kind, fit in reversed(fits):
        chosen = pl.when(fit).then(pl.lit(kind)).otherwise(chosen)
    yield from ((kind, chosen == kind) for kind in USE_KINDS)


def _figures(
    source: Labels,
    flags: Mapping[str, _Flag],
    asked: _Asked,
    gold: AnyFrame | None,
    measured: Mapping[str, Accuracy],
) -> pl.DataFrame:
    """Return the share of rows labelled emotional that show each of what is counted."""
    check_confidence(asked.confidence)
    check_target(asked.target)
    if asked.what in asked.by:
        raise OptionError(f"by: the result has a column {asked.what!r} of its own; rename yours")
    rows = with_groups(user_keys(source), asked.by)
    kept = _kept(rows, flags, asked.by)
    rows = rows.having((kept if gold is not None else kept.filter("charged")).collect().lazy())
    sample = None if gold is None else gold_themes(rows, gold)
    charged = rows.rows.filter("charged").collect()
    if charged.is_empty():
        raise TableError(f"{source.name}: no row is labelled {EMOTIONAL}, so there are no themes")
    tables = []
    for name in flags:
        own = rows.having(_counted(charged, name).lazy())
        tables.append(
            shares(
                own,
                _truth(sample, name),
                measured.get(name),
                asked.by,
                asked.target,
                asked.confidence,
                asked.min_users,
            ).select(pl.lit(name).alias(asked.what), pl.all())
        )
    few = _few(charged, flags, asked)
    return _suppressed(pl.concat(tables), few, asked)


def _kept(rows: Labels, flags: Mapping[str, _Flag], by: Sequence[str]) -> pl.LazyFrame:
    """Return the columns that are used, with those of the flags."""
    wanted = (*KEYS, "message", "charged", "_user", *by)
    return rows.rows.select(
        *(name for name in rows.columns if name in wanted),
        *(own.flag.alias(f"_shown {name}") for name, own in flags.items()),
        *(own.likely.alias(f"_likely {name}") for name, own in flags.items()),
    )


def _counted(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return rows with what is counted as their flag and prediction."""
    shown, likely = pl.col(f"_shown {name}"), pl.col(f"_likely {name}")
    return rows.with_columns(charged=shown, _prediction=likely)


def _truth(sample: pl.DataFrame | None, name: str) -> pl.DataFrame | None:
    """Return gold labels of what is counted, if there are any."""
    if sample is None or sample.is_empty():
        return None
    return _counted(sample, name).with_columns(gold=pl.col("themes").list.contains(name))


def _few(charged: pl.DataFrame, names: Iterable[str], asked: _Asked) -> set[tuple[Any, ...]]:
    """Return the cells to suppress."""
    shown = {name: charged.filter(pl.col(f"_shown {name}")) for name in names}
    if asked.exclusive:
        rows = pl.concat(own.with_columns(pl.lit(n).alias(asked.what)) for n, own in shown.items())
        found = hidden_among(rows.lazy(), [asked.what, *asked.by], asked.min_users)
        return {cell for cell, hidden in found.items() if hidden}
    return {
        (name, *cell)
        for name, own in shown.items()
        for cell, hidden in hidden_among(own.lazy(), asked.by, asked.min_users).items()
        if hidden
    }


def _suppressed(
    found: pl.DataFrame, cells: Collection[tuple[Any, ...]], asked: _Asked
) -> pl.DataFrame:
    """Return figures without those of these cells."""
    rows = found.select(asked.what, *asked.by).rows()
    gone = pl.Series([row in cells for row in rows], dtype=pl.Boolean)
    return found.with_columns(
        *(pl.when(gone).then(None).otherwise(pl.col(name)).alias(name) for name in _FIGURES),
        suppressed=pl.col("suppressed") | gone,
    )
