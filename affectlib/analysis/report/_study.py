"""What a report is about, and what it is made of."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from affectlib.analysis._correction import ErrorRates
from affectlib.analysis._frames import AnalysisWarning, AnyFrame, labels_table, user_keys
from affectlib.analysis._privacy import Cell, hidden_groups, rows_of_users
from affectlib.analysis.accuracy import Accuracy
from affectlib.analysis.gold import MODEL_PREFIX
from affectlib.analysis.prevalence import is_own
from affectlib.analysis.report._translator import Translator
from affectlib.corpus.rows import RowLevel

Row = Mapping[str, Any]

_DIGITS = 12
_FIGURES = ("estimate", "low", "high", "units", "users", "gold")

PERIOD, DECILE = "_period", "_decile"
"""What stands for periods and tenths of usage among the columns of `Study.suppressed`."""

Suppressed = Mapping[tuple[str, ...], Mapping[Cell, bool]]
"""Which groups are suppressed, by table."""

LABELLED = "labelled"
"""The method of what is not corrected for label error."""

CALIBRATED = "calibrated"
"""The method of a regression on rates that are corrected for it."""


@dataclass(frozen=True, slots=True)
class Study:
    """The data of a report, checked and joined.

    Attributes:
        level: What a row of `labels` is.
        messages: Labels of messages, for what happens within conversations.
        people: A row a user; None without user ids.
        participants: A row a user of whom more is known, with that; all of `people` if nothing is.
        models: The language models that gave answers in `gold`, each with its prompt if known.
        measured_themes: How well each theme was found elsewhere in what is labelled emotional.
        shares: The share of all labels, by every method that is possible.
        errors: What is known about the errors of the labels, None if nothing is.
        by_group: The shares of the groups of every column to group by.
        suppressed: Which of their groups are suppressed, by table.
    """

    labels: pl.LazyFrame
    level: RowLevel
    gold: AnyFrame | None
    models: Sequence[tuple[str, str | None]]
    measured: Accuracy | None
    measured_themes: Mapping[str, Accuracy]
    groups: Sequence[str]
    outcomes: Sequence[str]
    controls: Sequence[str]
    min_users: int
    thresholds: Mapping[str, float]
    theme_thresholds: Mapping[str, float]
    t: Translator
    messages: pl.LazyFrame | None = None
    people: pl.DataFrame | None = None
    participants: pl.DataFrame | None = None
    shares: Sequence[Row] = ()
    errors: ErrorRates | None = None
    message_errors: ErrorRates | None = None
    by_group: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    suppressed: Suppressed = field(default_factory=dict)

    @property
    def units(self) -> str:
        """What the rows are called, in the plural."""
        return self.t(f"units.{self.level}")

    def errors_here(self, errors: ErrorRates) -> ErrorRates:
        """Return errors with an allowance for domain shift, unless the user's labels show them."""
        own = is_own(labels_table(self.labels), self.measured)
        return errors if own else errors.with_domain_shift()

    def behind(self, figure: Figure) -> str:
        """Name the table of a plot's numbers, whether or not the plot is shown."""
        return self.t("grid.behind" if figure.svg else "grid.numbers")

    def head(self, *names: str) -> list[str]:
        """Return what stands above the columns of a table."""
        return [self.t(f"head.{name}") for name in names]

    @property
    def method(self) -> str:
        """By what figures of the labels are corrected for their errors, if these are known."""
        return "ppi" if gold_counts(self.shares) else "rogan_gladen"

    @property
    def message_method(self) -> str:
        """The same of figures of messages."""
        return self.method if self.level == "message" else "rogan_gladen"

    @property
    def filled_by(self) -> str | None:
        """Say which language models gave answers in the sheet; None if people did."""
        if self.t.answers == "hand":
            return None
        return self.t(f"filled.{self.t.answers}", models=self.named_models)

    @property
    def named_models(self) -> str:
        """Name the language models that gave answers in the sheet, in the report's language."""
        return self.t("and").join(
            self.t("who.model" if prompt is None else "who.prompt", model=name, prompt=prompt)
            for name, prompt in self.models
        )

    def annotator(self, method: str) -> str | None:
        """Return which language models' answers a figure by a method rests on, None if none's."""
        rests = method == "gold" or "ppi" in method
        rests |= method == CALIBRATED and self.message_method == "ppi"
        return "; ".join(map(as_annotator, self.models)) or None if rests else None

    @property
    def cue_note(self) -> str | None:
        """What to know of sections that count cues."""
        return self.t("cues.alike") if len({*self.thresholds.values()}) == 1 else None

    @property
    def time(self) -> str:
        """Name of the column of times."""
        return "timestamp" if self.level == "message" else "started_at"


@dataclass(frozen=True, slots=True)
class Number:
    """A figure of the report as its data hold it, see `Report.figures`."""

    measure: str
    estimate: float | None
    low: float | None
    high: float | None
    group: str | None = None
    units: int | None = None
    users: int | None = None
    method: str = LABELLED
    annotator: str | None = None
    section: str = ""

    def within(self, section: str, study: Study) -> Number:
        """Return it as part of a section, without digits that depend on the order of a sum."""
        low, high, estimate = (
            None if value is None else round(value, _DIGITS)
            for value in (self.low, self.high, self.estimate)
        )
        annotator = study.annotator(self.method)
        return replace(
            self, section=section, annotator=annotator, estimate=estimate, low=low, high=high
        )

    @classmethod
    def of(cls, row: Row, measure: str, group: str | None = None, method: str = LABELLED) -> Number:
        """Take a row of an analysis; its own method counts if it has one."""
        own = row.get("method", method)
        return cls(
            measure,
            row["estimate"],
            row["low"],
            row["high"],
            group,
            row.get("units"),
            row.get("users"),
            LABELLED if own == "naive" else own,
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of the summary with its figures, each corrected for label error."""

    text: str
    numbers: Sequence[Number]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot as an ``svg`` element, empty if too few values can be shown, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts.

    Attributes:
        rows: The cells; the first of each row names it.
        folded: Whether it is closed at first.
        labelled: Places of the rows that are not corrected for label error.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    labelled: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        name: Its id in the page.
        text: Its paragraphs; None is left out, here and in the notes.
        notes: What the reader must know to read it right.
        finding: What it adds to the summary, if anything.
        numbers: Its figures.
    """

    name: str
    title: str
    text: Sequence[str | None]
    figure: Figure | None = None
    grids: Sequence[Grid] = ()
    notes: Sequence[str | None] = ()
    finding: Statement | None = None
    numbers: Sequence[Number] = ()


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as dicts, NaN as None."""
    return frame.fill_nan(None).to_dicts()


def one_of(rows: Iterable[Row], **values: Any) -> Row | None:
    """Return the first row with these values, None if there is none."""
    return next(
        (row for row in rows if all(row[name] == value for name, value in values.items())), None
    )


def gold_counts(shares: Sequence[Row]) -> bool:
    """Tell whether there are hand labels of so many users that figures may rest on them."""
    row = one_of(shares, method="ppi")
    return row is not None and row["estimate"] is not None


def as_annotator(model: tuple[str, str | None]) -> str:
    """Return how a sheet names a language model, with its prompt."""
    name, prompt = model
    return f"{MODEL_PREFIX}{name}" + ("" if prompt is None else f" prompt:{prompt}")


def uncorrected(rows: Sequence[Row]) -> list[int]:
    """Return the places of the figures that are shown and count labels, their errors included."""
    return [
        place
        for place, row in enumerate(rows)
        if row["method"] == "naive" and row["estimate"] is not None
    ]


def is_labelled(rows: Iterable[Row]) -> bool:
    """Tell whether figures count labels, their errors included."""
    return all(row["method"] == "naive" for row in rows)


def suppressed_groups(study: Study, labels: pl.LazyFrame, every: str | None) -> Suppressed:
    """Say which groups of every column, period and tenth of usage to suppress.

    `labels` are the rows of `study.labels` that are counted, and `every` is the length of a period.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalysisWarning)  # the page says which rows have no user
        rows = user_keys(labels_table(labels)).rows
    names = [*study.groups]
    kinds = rows.collect_schema()
    rows = rows.with_columns(pl.col(n).fill_nan(None) for n in names if kinds[n].is_float())
    if every is not None:
        rows = rows.with_columns(pl.col(study.time).dt.truncate(every).alias(PERIOD))
        names.append(PERIOD)
    if study.people is not None:
        tenths = study.people.lazy().select("user_id", pl.col("usage_decile").alias(DECILE))
        rows = rows.join(tenths, on="user_id", how="left")
        names.append(DECILE)
    counted = rows_of_users(rows, names)
    return hidden_groups(counted, [(name,) for name in names], study.min_users)


def suppress(
    rows: Sequence[Row], column: str, hidden: Mapping[Cell, bool]
) -> Iterator[dict[str, object]]:
    """Yield rows of an analysis, without the figures of groups that are suppressed."""
    for row in rows:
        gone = hidden.get((row[column],), False)
        yield {**row, **(dict.fromkeys(_FIGURES) | {"suppressed": True} if gone else {})}
