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
from affectlib.analysis.calibration import calibration
from affectlib.analysis.evaluation import evaluate, unranked
from affectlib.analysis.gold import gold_rows
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import (
    Figure,
    Grid,
    Number,
    Row,
    Section,
    Study,
    rows_of,
)

_BINS = 10
_AREAS = ("average precision", "AUROC")


def quality(study: Study) -> Section | None:
    """Set labels and probabilities against hand labels; None without hand labels."""
    if study.gold is None:
        return None
    words = study.words
    rows = _joined(study, study.gold)
    measured = _measured(study, study.gold) if rows["gold"].n_unique() > 1 else []
    text = [words("quality.measured", units=study.units) if measured else _of_one_kind(study, rows)]
    grids = [_measures(study, measured)] if measured else []
    numbers = [Number.of(row, f"quality: {row['measure']}", method="gold") for row in measured]
    figures = []
    notes = [] if study.filled_by is None else [study.filled_by]
    missing = unranked(rows)
    if measured and 0 < missing < len(rows) and not measured[0]["suppressed"]:
        notes.append(words("quality.unranked", rows=words.number(missing), units=study.units))
    if found := _calibrated(study, study.gold):
        shown = [row for row in found if not row["suppressed"]]
        text.append(words("calibration.text"))
        if shown:
            text.append(words("calibration.points"))
            figures.append(_curve(study, shown))
        else:
            notes.append(words("note.left_out"))
        grids.append(_bins(study, found, folded=bool(shown)))
        numbers += [
            Number.of(row, "share of gold labels", _bin(row["bin"], study), "gold") for row in found
        ]
    title = words("quality.title")
    return Section("quality", title, text, figures, grids, notes, numbers=numbers)


def _joined(study: Study, gold: AnyFrame) -> pl.DataFrame:
    """Return the rows with hand labels, without what others have said of the sheet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)
        return gold_rows(user_keys(labels_table(study.labels).labelled()), gold)


def _of_one_kind(study: Study, rows: pl.DataFrame) -> str:
    """Say what hand labels that are all charged, or all tasks, do not tell."""
    if rows["_user"].n_unique() < study.min_users:
        return study.words("quality.few", users=study.min_users)
    kind = "charged" if rows["gold"][0] else "task"
    return study.words(f"quality.all_{kind}", units=study.units)


def _calibrated(study: Study, gold: AnyFrame) -> Sequence[Row]:
    """Return what `calibration` says; nothing where no hand label has a probability."""
    try:
        return rows_of(calibration(study.labels, gold, bins=_BINS, min_users=study.min_users))
    except TableError:
        return []


def _bins(study: Study, found: Sequence[Row], *, folded: bool) -> Grid:
    words = study.words
    rows = [
        (
            _bin(row["bin"], study)
            if row["probability"] is None
            else words.percent(row["probability"]),
            words.share(row),
            words.interval(row),
            "–" if row["gold"] is None else words.number(row["gold"]),
        )
        for row in found
    ]
    head = ("head.probability", "head.charged", "head.interval", "head.hand")
    return Grid(words("calibration.grid"), [words(name) for name in head], rows, folded=folded)


def _curve(study: Study, shown: Sequence[Row]) -> Figure:
    words = study.words
    plot = _plots.calibration_curve(
        "calibration",
        [row["probability"] for row in shown],
        _plots.Points.of(shown),
        words,
        words("axis.probability"),
        words("axis.hand"),
    )
    return Figure(plot, words("calibration.caption"))


def _measured(study: Study, gold: AnyFrame) -> Sequence[Row]:
    """Return what `evaluate` says of the labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)  # others have said the same of the sheet
        return rows_of(evaluate(study.labels, gold, min_users=study.min_users))


def _measures(study: Study, found: Sequence[Row]) -> Grid:
    words = study.words
    head = ("head.measure", "head.estimate", "head.interval")
    rows = []
    for row in found:
        shown = words.share(row), words.interval(row)
        if row["measure"] == "calibration error":
            shown = words.difference(row)
        elif row["measure"] in _AREAS:
            shown = words.value(row, 3), words.reach(row, 3)
        rows.append((words(f"quality.{row['measure']}"), *shown))
    return Grid(words("quality.measures", units=study.units), [words(n) for n in head], rows)


def _bin(place: int, study: Study) -> str:
    words = study.words
    return words("to", low=words.tick(place / _BINS), high=words.tick((place + 1) / _BINS))
