"""How well people who labelled the same rows agree, and what most of them say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import polars as pl
import polars.selectors as cs
from narwhals.typing import IntoDataFrameT

from affectlib._extras import requires_extra
from affectlib.analysis._design import DESIGN
from affectlib.analysis._frames import (
    AnalysisWarning,
    AnyFrame,
    Frame,
    Table,
    TableError,
    alike,
    check_confidence,
    like,
    table,
)
from affectlib.analysis._intervals import (
    NONE,
    Codes,
    Estimate,
    Floats,
    clustered_mean,
    exact_share,
    kish,
)
from affectlib.analysis.gold import (
    NO_THEME,
    PARTED,
    annotating_models,
    answered_by,
    gold_flags,
    id_columns,
    key_columns,
    most_named,
    theme_names,
    whole_sheet,
)
from affectlib.errors import OptionError
from affectlib.taxonomy import EMOTIONAL, TASK

__all__ = ["agreement", "majority"]

_RESAMPLES = 1000
_ALIKE = 1e-9
_OBSERVED, _POSITIVE = "observed agreement", "agreement on emotional"
_COHEN, _FLEISS, _KRIPPENDORFF = "Cohen's kappa", "Fleiss' kappa", "Krippendorff's alpha"
_NAMES = ("first sheet", "second sheet")


def agreement(
    sheet: Frame[IntoDataFrameT],
    /,
    *others: AnyFrame,
    column: str = "gold",
    confidence: float = 0.95,
    seed: int = 0,
) -> IntoDataFrameT:
    """Compare sheets that two or more people filled in.

    Intervals are percentiles of 1,000 bootstrap samples of conversations. Where all samples are
    alike, for example because nobody disagrees, observed agreement has an exact interval and the
    other measures have none.

    Where emotional rows are rare, observed agreement is high by chance: look at the other measures.
    If the rows were drawn by score, the figures describe that draw, not the corpus.

    Args:
        sheet: The first sheet: ``record``, ``conversation_id`` or both (and ``message``, if it
            has it), and the answers. Rows with fewer than two answers are left out.
        *others: One or more sheets like it.
        column: The column of answers.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.

    Returns:
        A frame: ``measure, estimate, low, high, units``. The measures are ``observed agreement``
        (share of rows; of three sheets and more, of pairs of answers to a row), ``agreement on
        emotional`` (of all emotional answers, the share that another one gave too), ``Cohen's
        kappa`` (Educational and Psychological Measurement 20, 1960) of two sheets, ``Fleiss'
        kappa`` (Psychological Bulletin 76, 1971) of more, over the rows that all answered, and
        ``Krippendorff's alpha`` for nominal data (Krippendorff 2004). Undefined measures, such as
        kappa where all give the same answer, are null.

    Raises:
        OptionError: There are fewer than two sheets.
        TableError: A row occurs twice, rows that were drawn are gone, sheets are of messages and of
            conversations, or no row has answers in two sheets.

    Example:
        >>> from affectlib.analysis import agreement
        >>> from tools.simulate import simulate
        >>> sheet = simulate(50).gold_conversations
        >>> agreement(sheet, sheet)["estimate"].to_list()
        [1.0, 1.0, 1.0, 1.0]
    """
    check_confidence(confidence)
    sheets = (sheet, *others)
    rows, unit, _ = _joined(sheets, column)
    several = _with_two_answers(rows.select(~cs.starts_with("annotator ", "themes ")))
    pair = len(sheets) == 2
    kinds = _kinds_of_two(several) if pair else _kinds_of_many(several)
    measures = _of_two if pair else _of_many(kinds.columns, len(sheets))
    tables = (
        several.select(unit)
        .hstack(kinds)
        .group_by(unit)
        .agg(pl.col(kinds.columns).sum())
        .sort(unit)
        .drop(unit)
        .to_numpy()
        .astype(np.int64)
    )
    rng = np.random.default_rng(seed)
    size = len(tables)
    resampled = np.stack(
        [measures(tables[rng.integers(0, size, size)].sum(axis=0)) for _ in range(_RESAMPLES)]
    )
    exact = _exact(several, unit, confidence)
    found = [
        {"measure": name, "estimate": float(estimate)}
        | _ends(draws, exact if name == _OBSERVED else NONE, confidence)
        | {"units": len(several)}
        for name, estimate, draws in zip(
            (_OBSERVED, _POSITIVE, _COHEN if pair else _FLEISS, _KRIPPENDORFF),
            measures(tables.sum(axis=0)),
            resampled.T,
            strict=True,
        )
    ]
    return like(sheet, pl.DataFrame(found).fill_nan(None))


def majority(
    sheet: Frame[IntoDataFrameT], /, *others: AnyFrame, column: str = "gold"
) -> IntoDataFrameT:
    """Combine the sheets of several people: the majority answer, and how many gave it.

    Args:
        sheet: The first sheet; see `agreement`.
        *others: One or more sheets like it.
        column: The column of answers.

    Returns:
        A sheet: the columns that tell rows apart, ``weight`` and ``design`` if the first sheet has
        them, ``gold`` (empty where votes are tied), ``answers`` (how many people gave one) and
        ``emotional`` (how many of them said so). If a sheet has ``themes``, it has them too, where
        gold is not ``task``: those named by at least half of the people who named any. If a
        language model answered, ``annotator`` says who answered each row, and with which prompt.

    Example:
        >>> from affectlib.analysis import majority
        >>> from tools.simulate import simulate
        >>> sheet = simulate(50).gold_conversations
        >>> majority(sheet, sheet, sheet)["answers"].unique().to_list()
        [3]
    """
    rows, unit, first = _joined((sheet, *others), column)
    keys = [name for name in (*unit, "message") if name in rows.columns]
    emotional, task = _votes(rows)
    counted = rows.select(
        *keys,
        _annotators(rows),
        answers=emotional + task,
        emotional=emotional,
    )
    twice = 2 * pl.col("emotional")
    gold = (
        pl.when(twice > pl.col("answers"))
        .then(pl.lit(EMOTIONAL))
        .when(twice < pl.col("answers"))
        .then(pl.lit(TASK))
    )
    counted = counted.with_columns(gold=gold)
    if open_rows := counted["gold"].null_count():
        warnings.warn(
            f"{open_rows:,} of {len(counted):,} rows have as many answers of one kind as of the "
            "other; gold is empty there: let another person decide",
            AnalysisWarning,
            stacklevel=2,
        )
    more = [_themes(rows, keys)]
    drawn = [name for name in ("weight", DESIGN) if name in first.columns]
    if drawn:
        more.append(first.rows.select(*key_columns(first, keys), *drawn).collect())
    for columns in more:
        counted = counted.join(
            columns, on=keys, how="left", nulls_equal=True, maintain_order="left"
        )
    counted = counted.with_columns(pl.when(pl.col("gold").ne_missing(TASK)).then("themes"))
    names = [*keys, *drawn, "gold", "answers", "emotional"]
    names += ["themes"] if _columns(rows, "themes") else []
    names += ["annotator"] if annotating_models(Table(counted.lazy(), "majority")) else []
    return like(sheet, counted.select(name for name in names if name in counted.columns))


def _columns(rows: pl.DataFrame, kind: str) -> list[str]:
    """Return the columns of this kind, one per sheet that has it."""
    return [name for name in rows.columns if name.startswith(f"{kind} ")]


def _votes(rows: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
    """Return how many said emotional, and how many task."""
    answers = [pl.col(name) for name in _columns(rows, "answer")]
    return (
        pl.sum_horizontal(answer.cast(pl.Int64) for answer in answers),
        pl.sum_horizontal((~answer).cast(pl.Int64) for answer in answers),
    )


def _annotators(rows: pl.DataFrame) -> pl.Expr:
    """Return who answered, each named once."""
    names = pl.concat_str(_columns(rows, "annotator"), separator=PARTED, ignore_nulls=True)
    return (
        names.str.split(PARTED)
        .list.unique(maintain_order=True)
        .list.join(PARTED)
        .alias("annotator")
    )


def _themes(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the themes that most named, as a sheet holds them."""
    named = [rows.select(*keys, themes=name) for name in _columns(rows, "themes")]
    empty = rows.clear().select(*keys, themes=pl.lit([], pl.List(pl.String)))
    found = most_named(pl.concat([empty, *named]), keys)
    names = pl.col("themes").list.set_difference([NO_THEME]).list.join(",")
    return found.with_columns(names.replace("", NO_THEME))


def _joined(sheets: Sequence[AnyFrame], column: str) -> tuple[pl.DataFrame, list[str], Table]:
    """Return the answers side by side, what tells conversations apart, and the first sheet.

    Columns are numbered by sheet: ``answer 0``, ``annotator 0``, ``themes 0``.
    """
    if len(sheets) < 2:
        raise OptionError(f"give two sheets or more, got {len(sheets)}")
    names = [*_NAMES, *(f"sheet {place + 1}" for place in range(2, len(sheets)))]
    tables = [
        Table(whole_sheet(table(sheet, name)).lazy(), name)
        for sheet, name in zip(sheets, names, strict=True)
    ]
    shared = set.intersection(*({*sheet.columns} for sheet in tables))
    for sheet in tables:
        if "message" in sheet.columns and "message" not in shared:
            raise TableError(
                f"{sheet.name}: its answers are for messages (there is a column 'message'), but "
                "those of another sheet are for conversations; give sheets of the same sample"
            )
    unit = id_columns(shared)
    keys = [*unit, "message"] if "message" in shared else unit
    answers = [_answers(sheet, keys, column, place) for place, sheet in enumerate(tables)]

    def join(rows: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
        return rows.join(other, on=keys, how="full", coalesce=True, nulls_equal=True)

    return reduce(join, answers), unit, tables[0]


def _answers(sheet: Table, keys: list[str], column: str, place: int) -> pl.DataFrame:
    parts = {"answer": pl.col(column), "annotator": answered_by(sheet)}
    if "themes" in sheet.columns:
        parts["themes"] = theme_names()
    named = [part.alias(f"{name} {place}") for name, part in parts.items()]
    rows = gold_flags(sheet, column).select(*key_columns(sheet, keys), *named).collect()
    if alike(rows, keys):
        raise TableError(f"{sheet.name}: rows with the same {' and '.join(keys)}")
    return rows


def _with_two_answers(rows: pl.DataFrame) -> pl.DataFrame:
    emotional, task = _votes(rows)
    several = rows.filter(emotional + task >= 2)
    if several.is_empty():
        keys = [name for name in rows.columns if not name.startswith("answer ")]
        raise TableError(
            f"no row has an answer in both sheets; rows are matched by {' and '.join(keys)}"
        )
    if len(several) < len(rows):
        warnings.warn(
            f"{len(rows) - len(several):,} rows have an answer in one sheet only and are left out",
            AnalysisWarning,
            stacklevel=3,
        )
    return several


def _kinds_of_two(rows: pl.DataFrame) -> pl.DataFrame:
    """Return which of four pairs of answers each row has."""
    one, other = pl.col("answer 0"), pl.col("answer 1")
    kinds = {"both": one & other, "first": one & ~other, "second": ~one & other}
    return rows.select(**kinds, neither=~one & ~other).select(pl.all().cast(pl.Int64))


def _kinds_of_many(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how many said emotional and how many task, as one indicator per combination."""
    kinds = rows.select(kind=pl.format("{} {}", *_votes(rows)))
    return kinds.select(
        (pl.col("kind") == kind).cast(pl.Int64).alias(kind)
        for kind in kinds["kind"].unique().sort()
    )


def _of_two(counts: Codes) -> Floats:
    """Return the measures of a two by two table: both, first only, second only, neither."""
    with requires_extra("analysis"):
        from statsmodels.stats.inter_rater import cohens_kappa
    both, first, second, neither = counts.tolist()
    pairs = np.array([[2, 0], [1, 1], [0, 2]])
    times = np.array([both, first + second, neither])
    kappa = np.nan
    if 0 < 2 * both + first + second < 2 * counts.sum():
        square = np.array([[both, first], [second, neither]])
        kappa = float(cohens_kappa(square, return_results=False))
    observed, positive, alpha = _of_answers(pairs, times)
    return np.array([observed, positive, kappa, alpha])


def _of_many(kinds: Sequence[str], people: int) -> Callable[[Codes], Floats]:
    """Return the function that gives the measures, from the count of each combination."""
    answers = np.array([[int(count) for count in kind.split()] for kind in kinds])
    complete = answers.sum(axis=1) == people

    def measures(times: Codes) -> Floats:
        with requires_extra("analysis"):
            from statsmodels.stats.inter_rater import fleiss_kappa
        observed, positive, alpha = _of_answers(answers, times)
        every = np.repeat(answers[complete], times[complete], axis=0)
        kappa = np.nan
        if len(every) and every.sum(axis=0).all():
            kappa = float(fleiss_kappa(every))
        return np.array([observed, positive, kappa, alpha])

    return measures


def _of_answers(answers: Codes, times: Codes) -> tuple[float, float, float]:
    """Return observed agreement, agreement on emotional, and alpha.

    Args:
        answers: How many said emotional, and how many task, in each kind of row.
        times: How many rows are of that kind.
    """
    with requires_extra("analysis"):
        import krippendorff
    emotional, task = answers.T
    given = emotional + task
    agreed = (emotional * (emotional - 1) + task * (task - 1)) / (given * (given - 1))
    observed = float(times @ agreed / times.sum())
    total = times @ emotional
    positive = (
        float(times @ (emotional * (emotional - 1) / (given - 1)) / total) if total else np.nan
    )
    alpha = np.nan
    if 0 < total < times @ given:
        units = np.repeat(answers, times, axis=0)
        alpha = float(krippendorff.alpha(value_counts=units, level_of_measurement="nominal"))
    return observed, positive, alpha


def _ends(draws: Floats, exact: Estimate, confidence: float) -> dict[str, float]:
    """Return the interval of a measure; the exact one where the bootstrap shows no spread."""
    defined = draws[np.isfinite(draws)]
    if len(defined) and np.ptp(defined) > _ALIKE:
        low, high = np.percentile(defined, [50 * (1 - confidence), 50 * (1 + confidence)])
        return {"low": float(low), "high": float(high)}
    return {"low": exact.low, "high": exact.high}


def _exact(rows: pl.DataFrame, unit: list[str], confidence: float) -> Estimate:
    """Return the observed agreement with its exact interval."""
    emotional, task = _votes(rows)
    given = emotional + task
    agreed = (emotional * (emotional - 1) + task * (task - 1)) / (given * (given - 1))
    sums = rows.group_by(unit).agg(agreed.sum().alias("agreed"), pl.len().alias("rows"))
    counts = sums["rows"].to_numpy().astype(float)
    share, spread = clustered_mean(sums["agreed"].to_numpy().astype(float), counts)
    return exact_share(share, spread, kish(counts), float(counts.sum()), confidence)
