"""What charged talk is about: its themes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

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
from affectlib.taxonomy import EMOTIONAL, THEME_COLUMNS

__all__ = ["themes"]

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
    check_confidence(confidence)
    check_target(target)
    names = group_columns(by)
    if "theme" in names:
        raise OptionError("by: the result has a column 'theme' of its own; rename yours")
    source = labels_table(labels).labelled()
    cut = shown_from(theme_threshold, source.provenance.themes, "theme")
    if measured is None:
        measured = source.provenance.measured_themes if source.level == "conversation" else {}
    columns = _theme_columns(source)
    rows = with_groups(user_keys(source), names)
    wanted = (*KEYS, "message", "charged", "_user", *names)
    kept = rows.rows.select(
        *(name for name in rows.columns if name in wanted),
        *(
            pl.col(column).cast(pl.Float64).fill_null(0.0).alias(f"_likely {name}")
            for name, column in columns.items()
        ),
    )
    rows = rows.having((kept if gold is not None else kept.filter("charged")).collect().lazy())
    sample = None if gold is None else gold_themes(rows, gold)
    charged = rows.rows.filter("charged").collect()
    if charged.is_empty():
        raise TableError(f"{source.name}: no row is labelled {EMOTIONAL}, so there are no themes")
    tables = []
    for name in columns:
        likely = pl.col(f"_likely {name}")
        shown = likely >= cut[name]
        counted = {"charged": shown, "_prediction": likely}
        truth = None
        if sample is not None and len(sample):
            truth = sample.with_columns(**counted, gold=pl.col("themes").list.contains(name))
        own = rows.having(charged.with_columns(**counted).lazy())
        found = shares(own, truth, measured.get(name), names, target, confidence, min_users)
        few = hidden_among(charged.filter(shown).lazy(), names, min_users)
        cells = (tuple(row[column] for column in names) for row in found.iter_rows(named=True))
        gone = pl.Series([few.get(cell, False) for cell in cells], dtype=pl.Boolean)
        tables.append(
            found.select(
                pl.lit(name).alias("theme"),
                pl.exclude(*_FIGURES, "suppressed"),
                *(pl.when(~gone).then(pl.col(figure)).alias(figure) for figure in _FIGURES),
                suppressed=pl.col("suppressed") | gone,
            )
        )
    if gold is None and measured:
        warnings.warn(
            f"{OTHER_TRANSCRIPTS}; if yours differ, corrected shares are off by more than their "
            "intervals say: name the themes of a sample of yours",
            AnalysisWarning,
            stacklevel=2,
        )
    return like(labels, pl.concat(tables))


def _theme_columns(source: Labels) -> dict[str, str]:
    """Return the column of each theme that labels have; refuse labels in which all are empty."""
    there = {name: own for name, own in THEME_COLUMNS.items() if own in source.columns}
    kinds = source.rows.collect_schema()
    require_numbers(source, (column for column in there.values() if kinds[column] != pl.Null))
    known = source.rows.select(pl.col(*there.values()).count()).collect().row(0) if there else ()
    if not any(known):
        raise TableError(
            f"{source.name}: no themes; label the transcripts with a model that knows them"
        )
    return there
