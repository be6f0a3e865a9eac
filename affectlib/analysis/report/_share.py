"""Sections on how common charge is: overall, over time, by group, and how good the scores are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import polars as pl

from affectlib.analysis.groups import compare
from affectlib.analysis.prevalence import calibration, prevalence
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import Figure, Grid, Row, Section, Study, one_of, rows_of

_BEST = ("ppi", "rogan_gladen", "gold", "naive")
_BINS = 10
_FEW_DAYS, _FEW_WEEKS = timedelta(days=28), timedelta(weeks=40)


def headline(found: Sequence[Row]) -> Row:
    """Return the row of the best method that gave an estimate."""
    rows = (one_of(found, method=method) for method in _BEST)
    return next((row for row in rows if row and row["estimate"] is not None), found[0])


def overall(study: Study) -> tuple[Section, Row]:
    """Say how common charge is, by every method that can be had; also return the best row."""
    words = study.words
    found = rows_of(
        prevalence(study.labels, study.gold, measured=study.measured, min_users=study.min_users)
    )
    best = headline(found)
    corrected = best["method"] != "naive"
    naive = one_of(found, method="naive") or best
    users = "overall.users" if study.people is not None else "overall.no_users"
    text = [" ".join([words("overall.text"), words(users, units=study.units)])]
    if corrected:
        text.append(
            words(
                "overall.corrected",
                naive=words.share(naive),
                best=words.share(best),
                units=study.units,
            )
        )
    notes = [words("overall.naive_only")] if not corrected else []
    notes.append(words("overall.labels"))
    if study.measured is not None:
        notes.append(words("overall.shift"))
    labels = [words(f"method.{row['method']}") for row in found]
    figure = Figure(
        _plots.dots(
            "overall",
            labels,
            _plots.Points.of(found),
            words,
            words("axis.share", units=study.units),
        ),
        words("overall.caption", units=study.units),
    )
    grid = Grid(
        words("overall.grid"),
        [words(name) for name in ("head.method", "head.share", "head.interval", "head.hand")],
        [
            (
                label,
                words.share(row),
                words.interval(row),
                "–" if row["gold"] is None else words.number(row["gold"]),
            )
            for label, row in zip(labels, found, strict=True)
        ],
    )
    finding = None
    if best["estimate"] is not None:
        finding = words(
            "overall.finding" if corrected else "overall.finding_naive",
            units=study.units,
            share=words.share(best),
            interval=words.interval(best),
            method=words(f"method.{best['method']}"),
        )
    shown = [] if all(row["estimate"] is None for row in found) else [figure]
    return Section("overall", words("overall.title"), text, shown, [grid], notes, finding), best


def over_time(study: Study) -> Section | None:
    """Show the share labelled charged by day, week or month; None without times."""
    words = study.words
    if study.time not in study.labels.collect_schema().names():
        return None
    span = study.labels.select(
        pl.col(study.time).min().alias("first"), pl.col(study.time).max().alias("last")
    ).collect()
    first, last = span.row(0)
    if first is None or last - first < timedelta(days=2):
        return None
    period = "day" if last - first < _FEW_DAYS else "week" if last - first < _FEW_WEEKS else "month"
    dated = study.labels.filter(pl.col(study.time).is_not_null())
    found = rows_of(prevalence(dated, by=period, min_users=study.min_users))
    ticks = [_tick(row[period], period, study) for row in found]
    figure = Figure(
        _plots.band(
            "time", ticks, _plots.Points.of(found), words, words("axis.labelled", units=study.units)
        ),
        words("time.caption", period=words(f"period.{period}"), units=study.units),
    )
    grid = Grid(
        words("time.grid"),
        [words(f"head.{period}"), *_share_head(study)],
        [(tick, *_share_cells(row, study)) for tick, row in zip(ticks, found, strict=True)],
        folded=True,
    )
    ends = [row for row in found if row["estimate"] is not None]
    finding = None
    if len(ends) > 1:
        finding = words(
            "time.finding",
            first=words.share(ends[0]),
            first_interval=words.interval(ends[0]),
            last=words.share(ends[-1]),
            last_interval=words.interval(ends[-1]),
            period=words(f"period.{period}"),
        )
    text = [words("time.text", period=words(f"period.{period}"))]
    text += [finding] if finding else []
    return Section("time", words("time.title"), text, [figure], [grid], finding=finding)


def by_groups(study: Study) -> Iterator[Section]:
    """Compare the groups of every column to group by."""
    words = study.words
    for place, column in enumerate(study.groups):
        found = rows_of(prevalence(study.labels, by=column, min_users=study.min_users))
        labels = [words("unknown") if row[column] is None else str(row[column]) for row in found]
        grids = [
            Grid(
                words("groups.grid"),
                [column, *_share_head(study)],
                [
                    (label, *_share_cells(row, study))
                    for label, row in zip(labels, found, strict=True)
                ],
            )
        ]
        text = [words("groups.text", column=column)]
        if (compared := _compared(study, column)) is not None:
            grids.append(compared)
            text.append(words("groups.compared"))
        figure = Figure(
            _plots.dots(
                f"group{place}",
                labels,
                _plots.Points.of(found),
                words,
                words("axis.labelled", units=study.units),
            ),
            words("groups.caption", column=column, units=study.units),
        )
        yield Section(
            f"group-{place}",
            words("groups.title", column=column),
            text,
            [figure],
            grids,
            [words("note.association")],
        )


def calibrated(study: Study) -> Section | None:
    """Set probabilities against hand labels; None without hand labels."""
    if study.gold is None:
        return None
    words = study.words
    found = rows_of(calibration(study.labels, study.gold, bins=_BINS, min_users=study.min_users))
    shown = [row for row in found if not row["suppressed"]]
    grid = Grid(
        words("calibration.grid"),
        [words(n) for n in ("head.probability", "head.charged", "head.interval", "head.hand")],
        [
            (
                _bin(row["bin"], study)
                if row["probability"] is None
                else words.percent(row["probability"]),
                words.share(row),
                words.interval(row),
                "–" if row["gold"] is None else words.number(row["gold"]),
            )
            for row in found
        ],
        folded=bool(shown),
    )
    figures = [
        Figure(
            _plots.calibration_curve(
                "calibration",
                [row["probability"] for row in shown],
                _plots.Points.of(shown),
                words,
                words("axis.probability"),
                words("axis.hand"),
            ),
            words("calibration.caption"),
        )
    ]
    text = [words("calibration.text")]
    return Section(
        "calibration", words("calibration.title"), text, figures if shown else [], [grid]
    )


def _compared(study: Study, column: str) -> Grid | None:
    """Compare users of a group with those of the largest one, if a user has one group."""
    if study.participants is None or column not in study.participants.columns:
        return None
    words = study.words
    users = study.participants.filter(pl.col(column).is_not_null())
    if users[column].n_unique() < 2:
        return None
    outcomes = ["any_rate", "turn_rate", "messages"]
    found = rows_of(compare(users, column, outcomes=outcomes, min_users=study.min_users))
    rows = []
    for row in found:
        rate = row["outcome"] != "messages"
        rows.append(
            (
                words(
                    "groups.against",
                    outcome=words(f"outcome.{row['outcome']}"),
                    group=row["group"],
                    reference=row["reference"],
                ),
                *(words.difference(row) if rate else (words.value(row, 1), words.reach(row, 1))),
                "–" if row["effect"] is None else words.number(row["effect"], 2),
                words.p(row["q"]),
            )
        )
    head = ("head.comparison", "head.difference", "head.interval", "head.effect", "head.q")
    return Grid(words("groups.differences"), [words(name) for name in head], rows)


def _bin(place: int, study: Study) -> str:
    words = study.words
    return words("to", low=words.tick(place / _BINS), high=words.tick((place + 1) / _BINS))


def _share_head(study: Study) -> list[str]:
    names = ("head.share", "head.interval", f"head.{study.level}", "head.users")
    return [study.words(name) for name in names]


def _share_cells(row: Row, study: Study) -> tuple[str, ...]:
    words = study.words
    counts = (row["units"], row["users"])
    if row["suppressed"]:
        return (words.share(row), "–", "–", words("fewer", users=study.min_users))
    return (words.share(row), words.interval(row), *(words.number(count) for count in counts))


def _tick(moment: datetime, period: str, study: Study) -> str:
    if period == "month":
        return f"{moment:%Y-%m}"
    return f"{moment.day:02}/{moment.month:02}" if study.words.lang == "fr" else f"{moment:%m-%d}"
