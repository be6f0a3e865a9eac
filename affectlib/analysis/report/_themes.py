"""The section on what charged use is about: themes, by group and over time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from affectlib.analysis._frames import AnalysisWarning, AnyFrame, table
from affectlib.analysis.gold import Unanswered
from affectlib.analysis.prevalence import PERIODS
from affectlib.analysis.report import _plots
from affectlib.analysis.report._share import headline, period_of, share_figure, share_grid, tick_of
from affectlib.analysis.report._study import (
    PERIOD,
    Grid,
    Number,
    Row,
    Section,
    Statement,
    Study,
    is_labelled,
    one_of,
    rows_of,
    suppress,
    suppressed_groups,
)
from affectlib.analysis.sheet_texts import TEXTS
from affectlib.analysis.themes import OTHER_TRANSCRIPTS, themes
from affectlib.taxonomy import EMOTIONAL, THEME_COLUMNS

_COMMONEST = 5
_COARSER = {"day": "week", "week": "month", "month": "month"}
"""Periods in which as many chats are about one theme as are charged at all in shorter ones."""


def about(study: Study) -> Section | None:
    """Say what charged use is about; None without themes, or if nothing is charged."""
    charged = _charged(study)
    if charged is None:
        return None
    t = study.t
    found = _ordered(_best(study, None))
    labelled = is_labelled(found)
    names = [row["theme"] for row in found]
    titles = [_title(name, study) for name in names]
    figure = share_figure(study, _plots.dots, "themes.caption", titles, found, axis="axis.themes")
    caption = t("themes.grid")
    grids = [share_grid(study, caption, t("head.theme"), titles, found)]
    numbers = [_number(row) for row in found]
    parts = [*_by_columns(study, charged, names[:_COMMONEST], corrected=not labelled)]
    for more, own in parts:
        grids.append(more)
        numbers += own
    methods = {row["method"] for row in found}
    by_hand = any(n.method == "gold" and n.estimate is not None for _, own in parts for n in own)
    alike = len({*study.theme_thresholds.values()}) == 1
    finding = _finding(study, found, labelled)
    return Section(
        "themes",
        t("themes.title"),
        [t("themes.text"), finding.text if finding else None],
        figure,
        grids,
        [
            t("note.labelled") if labelled else None,
            t("themes.shift") if "rogan_gladen" in methods else None,
            t("note.same_errors") if parts and not labelled else None,
            t("themes.contradicted") if "ppi" in methods and by_hand else None,
            t("themes.alike") if alike else None,
        ],
        finding,
        numbers,
    )


def _charged(study: Study) -> pl.LazyFrame | None:
    """Return the rows labelled charged, None if there are none or nobody knows their themes."""
    there = [c for c in THEME_COLUMNS.values() if c in study.labels.collect_schema().names()]
    charged = study.labels.filter(pl.col("label") == EMOTIONAL)
    known = charged.select(pl.col(there).count()).collect().row(0) if there else ()
    return charged if any(known) else None


def _best(study: Study, by: str | None, *, of_time: bool = False) -> list[Row]:
    """Return the share of each theme, in each group: corrected if all can be, else of labels.

    `of_time` says that `by` is a period, whatever columns of that name there are.
    """
    found: list[Row]
    own = replace(study, labels=study.labels.drop(by or (), strict=False)) if of_time else study
    try:
        found = [*_shares(own, by, _gold(study))]
    except Unanswered:
        found = [*_shares(own, by, None)]
    if by is not None:
        found = [*_suppressed(study, found, by, PERIODS[by] if of_time else None)]
    cells: dict[tuple[Any, Any], list[Row]] = {}
    for row in found:
        cells.setdefault((row["theme"], row[by] if by else None), []).append(row)
    best = [headline(rows) for rows in cells.values()]
    if any(row["method"] == "naive" and row["estimate"] is not None for row in best):
        best = [row for row in found if row["method"] == "naive"]
    return best


def _suppressed(study: Study, found: Sequence[Row], by: str, every: str | None) -> Iterator[Row]:
    """Suppress the groups of each theme that follow from those of the other columns."""
    table = PERIOD if every else by
    for name in dict.fromkeys(row["theme"] for row in found):
        shown = pl.col(THEME_COLUMNS[name]) >= study.theme_thresholds[name]
        about_it = study.labels.filter(pl.col("label") == EMOTIONAL, shown)
        hidden = suppressed_groups(study, about_it, every)[table,]
        yield from suppress([row for row in found if row["theme"] == name], by, hidden)


def _shares(study: Study, by: str | None, gold: AnyFrame | None) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", OTHER_TRANSCRIPTS, AnalysisWarning)  # the page says so
        return rows_of(
            themes(
                study.labels,
                gold,
                measured=study.measured_themes,
                by=by,
                theme_threshold=study.theme_thresholds,
                min_users=study.min_users,
            )
        )


def _gold(study: Study) -> AnyFrame | None:
    """Return the hand labels if they name themes, else None."""
    if study.gold is None or "themes" not in (sheet := table(study.gold, "gold")).columns:
        return None
    named = pl.col("themes").cast(pl.String).str.contains(r"\S").any()
    return study.gold if sheet.rows.select(named).collect().item() else None


def _ordered(found: Sequence[Row]) -> list[Row]:
    """Return the commonest theme first, and those that are not shown last."""
    return sorted(found, key=lambda row: -1.0 if row["estimate"] is None else -row["estimate"] - 2)


def _finding(study: Study, found: Sequence[Row], labelled: bool) -> Statement | None:
    """Name the theme with the highest share, as the commonest only if no other may be it.

    None if that share is 0: the themes that are not shown may be more common.
    """
    row, *others = found
    if labelled or not row["estimate"]:
        return None
    t = study.t
    highs = [other["high"] for other in others if other["estimate"] is not None]
    surely = highs and row["low"] > max(highs)
    sentence = t(
        "themes.finding" if surely else "themes.finding_among",
        theme=_title(row["theme"], study),
        share=t.share(row),
        interval=t.interval(row),
        method=t(f"method.{row['method']}"),
    )
    return Statement(sentence, [_number(row)])


def _by_columns(
    study: Study, charged: pl.LazyFrame, names: Sequence[str], *, corrected: bool
) -> Iterator[tuple[Grid, list[Number]]]:
    """Yield the commonest themes in the groups of every column to group by, and over time."""
    t = study.t
    usual = period_of(replace(study, labels=charged))
    period = None if usual is None else _COARSER[usual]
    columns = [(name, False) for name in study.groups]
    columns += [] if period is None else [(period, True)]
    for column, of_time in columns:
        found = _best(study, column, of_time=of_time)
        if corrected and is_labelled(found):
            continue
        groups = [*dict.fromkeys(row[column] for row in found)]
        groups = [group for group in groups if group is not None or not of_time]
        labels = [
            tick_of(group, column, study) if of_time else _group(group, study) for group in groups
        ]
        rows = []
        for group, label in zip(groups, labels, strict=True):
            cells = [one_of(found, theme=name, **{column: group}) for name in names]
            rows.append((label, *("–" if row is None else _cell(row, study) for row in cells)))
        caption = (
            t("themes.over_time", period=t(f"period.{column}"))
            if of_time
            else t("themes.by", column=column)
        )
        head = [t(f"head.{column}") if of_time else column]
        head += [_title(name, study) for name in names]
        yield (
            Grid(
                caption, head, rows, folded=of_time, labelled=range(0 if corrected else len(rows))
            ),
            [
                _number(row, _group(row[column], study))
                for row in found
                if row[column] is not None or not of_time
            ],
        )


def _number(row: Row, group: str | None = None) -> Number:
    return Number.of(row, f"share about {row['theme']}", group)


def _cell(row: Row, study: Study) -> str:
    """Write a share with its interval."""
    share = study.t.share(row)
    return share if row["low"] is None else f"{share} ({study.t.interval(row)})"


def _group(value: Any, study: Study) -> str:
    if value is None:
        return study.t("unknown")
    return value.date().isoformat() if hasattr(value, "date") else str(value)


def _title(name: str, study: Study) -> str:
    return TEXTS[study.t.lang].themes[name]
