"""Sections on users: how uneven use is, heavy use, change, and what goes with survey scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import polars as pl

from affectlib.analysis._frames import AnalysisWarning, TableError
from affectlib.analysis.association import associate
from affectlib.analysis.concentration import concentration, lorenz
from affectlib.analysis.prevalence import prevalence
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import (
    Figure,
    Grid,
    Row,
    Section,
    Study,
    one_of,
    rows_of,
)

_FEWEST_FOR_DECILES = 100


def concentrated(study: Study) -> Section | None:
    """Show how much of the charge few users produce; None if there is none, or no users."""
    if study.people is None or not study.people["charged_turns"].sum():
        return None
    words = study.words
    found = rows_of(concentration(study.people, min_users=study.min_users))
    curve = lorenz(study.people, min_users=study.min_users)
    tops = [row for row in found if row["measure"] != "gini"]
    gini = one_of(found, measure="gini")
    rows = [
        (
            words("users.top", share=words.tick(float(row["measure"][4:-1]) / 100)),
            words.share(row),
            words.interval(row),
        )
        for row in tops
    ]
    if gini is not None:
        rows.append((words("users.gini"), words.value(gini), words.reach(gini)))
    figures = [
        Figure(
            _plots.lorenz_curve(
                "lorenz",
                curve["share_of_users"].to_list(),
                curve["share"].to_list(),
                words,
                words("axis.of_users"),
                words("axis.of_charge"),
            ),
            words("users.lorenz"),
        )
    ]
    finding = None
    top = one_of(found, measure="top 5%")
    if top is not None and top["estimate"] is not None:
        finding = words(
            "users.finding",
            top=words.tick(0.05),
            share=words.share(top),
            interval=words.interval(top),
        )
    return Section(
        "users",
        words("users.title"),
        [words("users.text"), *([finding] if finding else [])],
        figures if len(curve) > 2 else [],
        [Grid(words("users.grid"), [words(n) for n in _HEAD], rows)],
        [words("users.note")],
        finding,
    )


_HEAD = ("head.measure", "head.estimate", "head.interval")


def by_usage(study: Study) -> Section | None:
    """Set tenths of users by usage against the share labelled charged."""
    if study.people is None or len(study.people) < _FEWEST_FOR_DECILES:
        return None
    words = study.words
    tenths = study.people.select("user_id", "usage_decile").lazy()
    joined = study.labels.join(tenths, on="user_id", how="inner")
    found = rows_of(prevalence(joined, by="usage_decile", min_users=study.min_users))
    ticks = [str(row["usage_decile"]) for row in found]
    figure = Figure(
        _plots.series(
            "deciles",
            ticks,
            [_plots.Points.of(found)],
            words,
            words("axis.decile"),
            words("axis.labelled", units=study.units),
        ),
        words("deciles.caption", units=study.units),
    )
    grid = Grid(
        words("deciles.grid"),
        [words("head.decile"), words("head.share"), words("head.interval"), words("head.users")],
        [
            (
                tick,
                words.share(row),
                words.interval(row),
                words("fewer", users=study.min_users)
                if row["suppressed"]
                else words.number(row["users"]),
            )
            for tick, row in zip(ticks, found, strict=True)
        ],
        folded=True,
    )
    first, last = (one_of(found, usage_decile=tenth) for tenth in (1, 10))
    finding = None
    if first and last and first["estimate"] is not None and last["estimate"] is not None:
        finding = words(
            "deciles.finding",
            units=study.units,
            high=words.share(last),
            high_interval=words.interval(last),
            low=words.share(first),
            low_interval=words.interval(first),
        )
    return Section(
        "deciles",
        words("deciles.title"),
        [words("deciles.text"), *([finding] if finding else [])],
        [figure],
        [grid],
        [words("note.association")],
        finding,
    )


def changing(study: Study) -> Section | None:
    """Count users whose rate rises, falls or is flat; None if too few were there long enough."""
    if study.people is None:
        return None
    total = study.people["direction"].count()
    if total < max(study.min_users, 1):
        return None
    words = study.words
    counts = dict(study.people["direction"].drop_nulls().value_counts().iter_rows())
    rows = [
        (
            words(f"trend.{name}"),
            words.number(counts.get(name, 0))
            if counts.get(name, 0) >= study.min_users or not counts.get(name, 0)
            else words("fewer", users=study.min_users),
        )
        for name in ("rising", "flat", "falling")
    ]
    return Section(
        "trends",
        words("trend.title"),
        [words("trend.text", users=words.number(total))],
        [],
        [Grid(words("trend.grid"), [words("head.direction"), words("head.users")], rows)],
        [words("trend.note")],
    )


def associated(study: Study) -> list[Section]:
    """Regress every outcome on usage and the affective rate, controls held constant."""
    if study.participants is None:
        return []
    words = study.words
    sections = []
    for place, outcome in enumerate(study.outcomes):
        try:
            found = _regressed(study, study.participants, outcome)
        except TableError as error:
            warnings.warn(
                f"what goes with {outcome!r}: not shown; {error}", AnalysisWarning, stacklevel=3
            )
            hidden = words("associated.hidden", users=max(study.min_users, 3))
            title = words("associated.title", outcome=outcome)
            sections.append(Section(f"outcome-{place}", title, [hidden]))
            continue
        rows = [
            (
                words.maybe(f"term.{row['term']}", row["term"])
                + (f" ({words('control')})" if row["role"] == "control" else ""),
                words.value(row, 3),
                words.reach(row, 3),
                words.number(row["standardized"], 2),
                words.p(row["q"]),
            )
            for row in found
        ]
        head = ("head.term", "head.coefficient", "head.interval", "head.standardized", "head.q")
        usage = one_of(found, term="usage_decile")
        finding = None
        if usage is not None:
            finding = words(
                "associated.finding",
                outcome=outcome,
                value=words.value(usage, 3),
                interval=words.reach(usage, 3),
            )
        sections.append(
            Section(
                f"outcome-{place}",
                words("associated.title", outcome=outcome),
                [
                    words(
                        "associated.text", outcome=outcome, users=words.number(found[0]["users"])
                    ),
                    *([finding] if finding else []),
                ],
                [],
                [Grid(words("associated.grid"), [words(name) for name in head], rows)],
                [words("note.association")],
                finding,
            )
        )
    return sections


def _regressed(study: Study, users: pl.DataFrame, outcome: str) -> Sequence[Row]:
    """Regress an outcome.

    Raises:
        TableError: That cannot be done with these users, or not without showing what few have.
    """
    groups = [name for name in study.groups if name in users.columns and users[name].n_unique() > 1]
    found = associate(
        users.with_columns(pl.col("usage_decile").cast(pl.Float64)),
        outcome=outcome,
        predictors=["usage_decile", "turn_rate", *groups],
        controls=[name for name in study.controls if name != outcome],
        min_users=study.min_users,
    )
    return rows_of(found)
