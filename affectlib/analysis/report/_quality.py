"""Section on how good labels are: measures against hand labels, and whether probabilities hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from affectlib.analysis._frames import AnalysisWarning, AnyFrame, TableError
from affectlib.analysis.calibration import calibration
from affectlib.analysis.evaluation import evaluate
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
    measured = _measured(study, study.gold)
    text = [words("quality.measured" if measured else "quality.one_kind", units=study.units)]
    grids = [_measures(study, measured)] if measured else []
    numbers = [Number.of(row, f"quality: {row['measure']}", method="gold") for row in measured]
    figures = []
    notes = [] if study.filled_by is None else [study.filled_by]
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
    """Return what `evaluate` says of the labels; nothing where hand labels are of one kind only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)  # others have said the same of the sheet
        try:
            found = evaluate(study.labels, gold, min_users=study.min_users)
        except TableError:
            return []
    return rows_of(found)


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
