"""Section on how good labels are: measures against hand labels, and whether probabilities hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import polars as pl

from affectlib.analysis._frames import (
    AnalysisWarning,
    AnyFrame,
    TableError,
    labels_table,
    user_keys,
)
from affectlib.analysis.evaluation import calibration, evaluate, ranked
from affectlib.analysis.gold import gold_rows
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import Figure, Grid, Number, Row, Section, Study, rows_of

_BINS = 10
_AREAS = ("average precision", "AUROC")


def quality(study: Study) -> Section | None:
    """Set labels and probabilities against hand labels; None without hand labels."""
    if study.gold is None:
        return None
    t = study.t
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)  # others have said the same of the sheet
        rows = gold_rows(user_keys(labels_table(study.labels).labelled()), study.gold)
        measured = []
        if rows["gold"].n_unique() > 1:
            measured = rows_of(evaluate(study.labels, study.gold, min_users=study.min_users))
    text: list[str | None] = [t("quality.measured") if measured else _of_one_kind(study, rows)]
    grids = [_measures(study, measured)] if measured else []
    numbers = [Number.of(row, f"quality: {row['measure']}", method="gold") for row in measured]
    figure = None
    notes = [study.filled_by]
    missing = len(rows) - len(ranked(rows))
    if measured and 0 < missing < len(rows) and not measured[0]["suppressed"]:
        notes.append(t("quality.unranked", rows=t.number(missing)))
    if found := _calibrated(study, study.gold):
        shown = [row for row in found if not row["suppressed"]]
        svg = _plots.calibration_curve("calibration", shown, t) if shown else ""
        figure = Figure(svg, t("calibration.caption"))
        text += [t("calibration.text"), t("calibration.points") if shown else None]
        grids.append(_bins(study, found, folded=bool(shown)))
        numbers += [
            Number.of(row, "share of gold labels", _bin(row["bin"], study), "gold") for row in found
        ]
    title = t("quality.title")
    return Section("quality", title, text, figure, grids, notes, numbers=numbers)


def _of_one_kind(study: Study, rows: pl.DataFrame) -> str:
    """Say what hand labels that are all charged, or all tasks, do not tell."""
    if rows["_user"].n_unique() < study.min_users:
        return study.t("quality.few", users=study.min_users)
    kind = "charged" if rows["gold"][0] else "task"
    return study.t(f"quality.all_{kind}")


def _calibrated(study: Study, gold: AnyFrame) -> Sequence[Row]:
    """Return what `calibration` says; nothing where no hand label has a probability."""
    try:
        return rows_of(calibration(study.labels, gold, bins=_BINS, min_users=study.min_users))
    except TableError:
        return []


def _bins(study: Study, found: Sequence[Row], *, folded: bool) -> Grid:
    t = study.t
    rows = [
        (
            _bin(row["bin"], study)
            if row["probability"] is None
            else t.percent(row["probability"]),
            t.share(row),
            t.interval(row),
            "–" if row["gold"] is None else t.number(row["gold"]),
        )
        for row in found
    ]
    head = study.head("probability", "charged", "interval", "hand")
    return Grid(t("calibration.grid"), head, rows, folded=folded)


def _measures(study: Study, found: Sequence[Row]) -> Grid:
    t = study.t
    rows = []
    for row in found:
        shown = t.share(row), t.interval(row)
        if row["measure"] == "calibration error":
            shown = t.difference(row)
        elif row["measure"] in _AREAS:
            shown = t.value(row, 3), t.reach(row, 3)
        rows.append((t(f"quality.{row['measure']}"), *shown))
    head = study.head("measure", "estimate", "interval")
    return Grid(t("quality.measures"), head, rows)


def _bin(place: int, study: Study) -> str:
    t = study.t
    return t("to", low=t.tick(place / _BINS), high=t.tick((place + 1) / _BINS))
