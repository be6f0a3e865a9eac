"""Sections on how common charge is: overall, over time, and by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from affectlib.analysis._correction import difference_of
from affectlib.analysis._frames import labels_table, user_keys
from affectlib.analysis._trends import share_change
from affectlib.analysis.groups import compare
from affectlib.analysis.prevalence import (
    BY_HAND,
    PERIODS,
    headline_method,
    more_to_label,
    nothing_of_origin,
    prevalence,
)
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import (
    LABELLED,
    PERIOD,
    Figure,
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
    uncorrected,
)
from affectlib.taxonomy import EMOTIONAL

_ENDS = ("estimate", "low", "high")
_BEST = ("ppi", "rogan_gladen", "gold", "naive")
_CONFIDENCE = 0.95
_THIN = 30
_FEWEST_PERIODS = 3
_OWN_SHARE = "own_share"
_FEW_DAYS, _FEW_WEEKS = timedelta(days=28), timedelta(weeks=40)


def headline(found: Sequence[Row]) -> Row:
    """Return the row of the best method that gave an estimate."""
    rows = (one_of(found, method=method) for method in _BEST)
    best = next((row for row in rows if row and row["estimate"] is not None), found[0])
    return _named(best, one_of(found, method="gold"))


def labelled(found: Sequence[Row]) -> Row:
    """Return the row of the labels, their errors included."""
    return one_of(found, method="naive") or found[0]


def leading(found: Sequence[Row]) -> Row:
    """Return the row that stands first: the best one, if hand labels support it."""
    return headline(found) if headline_method(found) else labelled(found)


def _named(row: Row, by_hand: Row | None) -> Row:
    """Return the figure of the hand labels where `prevalence` takes it for its best."""
    if by_hand is None or row["estimate"] is None:
        return row
    return by_hand if all(row[end] == by_hand[end] for end in _ENDS) else row


def best_by(study: Study, labels: pl.LazyFrame, column: str, table: str | None = None) -> list[Row]:
    """Return the share of each group by the best method that gave one, the same in all of them.

    Where the hand labels of a group contradict what all together say of label errors, its share is
    theirs, by the method ``gold``. `table` is one of `Study.suppressed`, `column` if None.
    """
    found = rows_of(
        prevalence(
            labels, study.gold, measured=study.measured, by=column, min_users=study.min_users
        )
    )
    found = [*suppress(found, column, study.suppressed.get((table or column,), {}))]
    given = {row["method"] for row in found if row["estimate"] is not None}
    method = next((name for name in _BEST if name in given), "naive")
    by_hand = {row[column]: row for row in found if row["method"] == "gold"}
    return [_named(row, by_hand.get(row[column])) for row in found if row["method"] == method]


def contradicted(study: Study, found: Sequence[Row]) -> bool:
    """Tell whether hand labels of a group contradict what all together say of label errors."""
    return study.errors is not None and any(row["method"] == "gold" for row in found)


def error_notes(study: Study, found: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """Say what shares of groups, or of periods, assume of the program's errors."""
    t = study.t
    if is_labelled(found):
        return [t("note.labelled")]
    own = [name for name, row in zip(labels, found, strict=True) if row["method"] == "gold"]
    if own and study.errors is None:
        return [t("note.useless")]
    more = [t("note.contradicted", groups=t.quoted(own))] if own else []
    return [t("note.same_errors"), *more]


def overall(study: Study) -> tuple[Section, Row]:
    """Say how common charge is, by every method that is possible; also return the best row."""
    t, found = study.t, study.shares
    best = headline(found)
    corrected = best["method"] != "naive" and best["estimate"] is not None
    naive = labelled(found)
    users = "overall.users" if study.people is not None else "overall.no_users"
    text: list[str | None] = [" ".join(t(name) for name in ("overall.text", users))]
    if corrected:
        way = _way(study, naive, best)
        text.append(t(way, naive=t.share(naive), best=t.share(best)))
    labels = [t(f"method.{row['method']}") for row in found]
    points = _plots.Points.apart(found)
    axis = t("axis.share" if corrected else "axis.labelled")
    caption = "overall.caption" if corrected else "overall.caption_labelled"
    shown = any(row["estimate"] is not None for row in found)
    plot = _plots.dots("overall", labels, points, t, axis) if shown else ""
    grid = Grid(
        t("overall.grid" if corrected else "overall.grid_labelled"),
        study.head("method", "share", "interval", "hand"),
        [
            (
                label,
                t.share(row),
                t.interval(row),
                t.number(row["gold"]) if row["gold"] and row["method"] in BY_HAND else "–",
            )
            for label, row in zip(labels, found, strict=True)
        ],
        labelled=uncorrected(found),
    )
    numbers = [Number.of(row, "share") for row in found]
    finding = None
    if corrected:
        lead = leading(found)
        sentence = t(
            "overall.finding" if lead["method"] in BY_HAND else "overall.finding_labelled",
            share=t.share(lead),
            interval=t.interval(best),
            method=t(f"method.{best['method']}"),
        )
        finding = Statement(sentence, [Number.of(lead, "share")])
    figure = Figure(plot, t(caption))
    notes = [*_overall_notes(study, best)]
    title = t("overall.title")
    return Section("overall", title, text, figure, [grid], notes, finding, numbers), best


def _way(study: Study, naive: Row, best: Row) -> str:
    """Name the sentence that says how the best share differs from that of the labels."""
    if best["method"] == "gold":
        return "overall.by_hand"
    if study.t.share(best) == study.t.share(naive):
        return "overall.corrected_same"
    up = best["estimate"] > (naive["estimate"] or 0)
    return "overall.corrected_up" if up else "overall.corrected"


def _overall_notes(study: Study, best: Row) -> Iterator[str]:
    """Say what the share rests on, and what would make it surer."""
    t = study.t
    naive = labelled(study.shares)
    if best["suppressed"]:
        yield t("overall.hidden", users=study.min_users)
    elif best["method"] == "naive":
        few = "overall.few" if study.gold is not None else "overall.naive_only"
        yield t(few, users=study.min_users)
        if study.gold is None and nothing_of_origin(labels_table(study.labels)):
            yield t("overall.no_origin")
    if best["method"] == "rogan_gladen":
        yield t("overall.shift")
    if study.filled_by is not None:
        yield study.filled_by
    if best["method"] not in BY_HAND:
        return
    more = more_to_label(best, naive, _CONFIDENCE)
    if more is None:
        yield t("overall.too_few", interval=t.interval(best))
    elif more:
        yield t("overall.little", rows=t.number(more), interval=t.interval(best))


def over_time(study: Study) -> Section | None:
    """Show the share by day, week or month, and a line through all of them; None without times."""
    t = study.t
    period = period_of(study)
    if period is None:
        return None
    labels = study.labels.drop(period, strict=False)  # a column of that name is no time
    found = [row for row in best_by(study, labels, period, PERIOD) if row[period] is not None]
    ticks = [tick_of(row[period], period, study) for row in found]
    name = t(f"period.{period}")
    figure = share_figure(study, _plots.band, "time.caption", ticks, found, period=name)
    grid = share_grid(study, study.behind(figure), t(f"head.{period}"), ticks, found)
    apart = contradicted(study, found)
    finding = None if apart else _change(study, found)
    numbers = [Number.of(row, "share", row[period].date().isoformat()) for row in found]
    return Section(
        "time",
        t("time.title"),
        [
            t("time.text" if figure.svg else "time.text_table", period=name),
            finding.text if finding else None,
        ],
        figure,
        [replace(grid, folded=bool(figure.svg))],
        [*error_notes(study, found, ticks), t("time.no_line") if apart else None],
        finding,
        [*numbers, *(finding.numbers if finding else ())],
    )


def period_of(study: Study) -> str | None:
    """Choose days, weeks or months, so that each has enough users; None if there are no times."""
    if study.time not in study.labels.collect_schema().names():
        return None
    time = pl.col(study.time)
    first, last = study.labels.select(time.min(), time.max().alias("last")).collect().row(0)
    if first is None or last - first < timedelta(days=2):
        return None
    names = ["day"] if last - first < _FEW_DAYS else []
    names += ["week"] if last - first < _FEW_WEEKS else []
    for name in names:
        user = pl.col("user_id") if study.people is not None else pl.int_range(pl.len())
        sizes = (
            study.labels.filter(time.is_not_null())
            .group_by(time.dt.truncate(PERIODS[name]).alias("_period"))
            .agg(user.n_unique().alias("users"))
            .collect()["users"]
            .to_numpy()
        )
        if np.median(sizes) >= max(_THIN, study.min_users):
            return name
    return names[-1] if last - first < _FEW_DAYS else "month"


def _change(study: Study, found: Sequence[Row]) -> Statement | None:
    """Say how the share changed, by a line through all labels, corrected for their errors."""
    shown = [row for row in found if not row["suppressed"]]
    if is_labelled(found) or study.errors is None or len(shown) < _FEWEST_PERIODS:
        return None
    t, time = study.t, pl.col(study.time)
    first, last = study.labels.select(time.min(), time.max().alias("last")).collect().row(0)
    rows = user_keys(labels_table(study.labels).labelled()).rows.filter(time.is_not_null())
    span = (last - first).total_seconds()
    place = ((time - first).dt.total_seconds() / span).alias("place")
    users = rows.select("_user", place, "charged").collect()
    slope, error = share_change(users)
    if users["_user"].n_unique() < max(study.min_users, 3) or not np.isfinite(error):
        return None
    change = study.errors_here(study.errors).difference(slope, error, _CONFIDENCE)
    if abs(change.estimate) >= 1:  # shares do not lie on a line
        return None
    row = asdict(change) | {"method": study.method, "suppressed": False}
    name = "time.rose" if change.low > 0 else "time.fell" if change.high < 0 else "time.flat"
    middle, interval = t.difference(row)
    sentence = t(name, change=middle, interval=interval, first=t.day(first), last=t.day(last))
    number = Number.of(row, "change from first to last day")
    return Statement(sentence, [replace(number, users=users["_user"].n_unique())])


def by_groups(study: Study) -> Iterator[Section]:
    """Compare the groups of every column to group by."""
    t = study.t
    for place, column in enumerate(study.groups):
        found = study.by_group[column]
        labelled = is_labelled(found)
        labels = [t("unknown") if row[column] is None else str(row[column]) for row in found]
        caption = t("groups.grid_labelled" if labelled else "groups.grid")
        grids = [share_grid(study, caption, column, labels, found)]
        numbers = [Number.of(row, "share", name) for name, row in zip(labels, found, strict=True)]
        compared = _compared(study, column)
        if compared is not None:
            grids.append(compared[0])
            numbers += compared[1]
        text = t("groups.text_labelled" if labelled else "groups.text", column=column)
        apart = compared is not None and contradicted(study, found)
        yield Section(
            f"group-{place}",
            t("groups.title", column=column),
            [text, t("groups.compared") if compared else None],
            share_figure(
                study,
                _plots.dots,
                "groups.caption",
                labels,
                found,
                name=f"group{place}",
                column=column,
            ),
            grids,
            [
                *error_notes(study, found, labels),
                t("groups.uncorrected") if apart else None,
                t("note.association"),
            ],
            numbers=numbers,
        )


def _compared(study: Study, column: str) -> tuple[Grid, list[Number]] | None:
    """Compare users of a group with those of the largest one, if a user has one group.

    The share of a user's rows is that of the group's own figure, corrected in the same way; not
    corrected where groups differ in the program's errors.
    """
    if study.participants is None or column not in study.participants.columns:
        return None
    t = study.t
    errors = None if contradicted(study, study.by_group[column]) else study.errors
    users = study.participants.filter(pl.col(column).is_not_null())
    if users[column].n_unique() < 2:
        return None
    shares = (
        study.labels.filter(pl.col("label").is_not_null())
        .group_by("user_id")
        .agg((pl.col("label") == EMOTIONAL).mean().alias(_OWN_SHARE))
        .collect()
    )
    users = users.drop(_OWN_SHARE, strict=False).join(shares, on="user_id", how="left")
    found = rows_of(
        compare(users, column, outcomes=[_OWN_SHARE, "messages"], min_users=study.min_users)
    )
    cells: list[tuple[str, ...]] = []
    numbers: list[Number] = []
    labelled: list[int] = []
    for row in found:
        method, rate = LABELLED, row["outcome"] == _OWN_SHARE
        if rate and errors is not None and row["low"] is not None:
            row, method = difference_of(study.errors_here(errors), row), study.method
        name = f"outcome.{row['outcome']}"
        if rate and method == LABELLED:
            name = "outcome.own_share_labelled"
            labelled.append(len(cells))
        outcome = t(name, units=t(f"own.{study.level}"))
        group = t("groups.against", outcome=outcome, group=row["group"], reference=row["reference"])
        cells.append(
            (
                group,
                *(t.difference(row) if rate else (t.value(row, 1), t.reach(row, 1))),
                "–" if row["effect"] is None else t.number(row["effect"], 2),
                t.p(row["q"]),
            )
        )
        measure = f"difference between users: {row['outcome']}"
        against = f"{row['group']} against {row['reference']}"
        numbers.append(Number.of(row, measure, against, method if rate else "counted"))
    head = study.head("comparison", "difference", "interval", "effect", "q")
    return Grid(t("groups.differences"), head, cells, labelled=labelled), numbers


def share_figure(
    study: Study,
    draw: Callable[..., str],
    caption: str,
    labels: Sequence[str],
    found: Sequence[Row],
    *,
    name: str | None = None,
    axis: str | None = None,
    **values: str,
) -> Figure:
    """Plot shares with their intervals; no plot if too few can be shown."""
    labelled = is_labelled(found)
    points = _plots.Points.of(found, labelled=labelled)
    axis = axis or ("axis.labelled" if labelled else "axis.share")
    name = name or caption.partition(".")[0]
    title = study.t(axis)
    svg = draw(name, labels, [points], study.t, title) if points.enough else ""
    caption = f"{caption}_labelled" if labelled else caption
    return Figure(svg, study.t(caption, **values))


def share_grid(
    study: Study, caption: str, head: str, labels: Sequence[str], found: Sequence[Row]
) -> Grid:
    """Return a table of shares, their intervals, and the counts behind them."""
    return Grid(
        caption,
        [head, *study.head("share", "interval", study.level, "users")],
        [(label, *share_cells(row, study)) for label, row in zip(labels, found, strict=True)],
        labelled=uncorrected(found),
    )


def share_cells(row: Row, study: Study) -> tuple[str, ...]:
    """Write a share, its interval, and the counts behind it."""
    t = study.t
    counts = (row["units"], row["users"])
    if row["suppressed"]:
        return (t.share(row), "–", "–", t("hidden"))
    return (t.share(row), t.interval(row), *(t.number(count) for count in counts))


def tick_of(moment: datetime, period: str, study: Study) -> str:
    """Write the day, the first day of the week, or the month."""
    if period == "month":
        return f"{moment:%Y-%m}"
    return f"{moment.day:02}/{moment.month:02}" if study.t.lang == "fr" else f"{moment:%m-%d}"
