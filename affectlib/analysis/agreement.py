"""How well people who labelled the same rows agree, and what most of them say."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
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
from affectlib.analysis._intervals import NONE, Codes, Floats, clustered_mean, exact_share, kish
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
    rows, unit, _ = _joined((sheet, *others), column)
    rows = _with_two_answers(rows, unit).sort(unit)
    answers = rows.select(cs.starts_with("answer ").cast(pl.Float64)).to_numpy()
    conversation = rows.select(pl.struct(unit).rle_id()).to_series().to_numpy()
    size = int(conversation[-1]) + 1
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(_RESAMPLES):
        times = np.bincount(rng.integers(0, size, size), minlength=size)
        draws.append(_measures(answers.repeat(times[conversation], axis=0)))
    found = []
    for name, estimate, drawn in zip(
        (
            "observed agreement",
            "agreement on emotional",
            "Fleiss' kappa" if len(others) > 1 else "Cohen's kappa",
            "Krippendorff's alpha",
        ),
        _measures(answers),
        np.transpose(draws),
        strict=True,
    ):
        row = {"measure": name, "estimate": estimate, "low": NONE.low, "high": NONE.high}
        defined = drawn[np.isfinite(drawn)]
        if len(defined) and np.ptp(defined) > _ALIKE:
            ends = [(1 - confidence) / 2, (1 + confidence) / 2]
            row["low"], row["high"] = np.quantile(defined, ends)
        elif name == "observed agreement":
            counts = np.bincount(conversation).astype(np.float64)
            agreed = np.bincount(conversation, _agreed(answers)).astype(np.float64)
            share, spread = clustered_mean(agreed, counts)
            exact = exact_share(share, spread, kish(counts), len(rows), confidence)
            row["low"], row["high"] = exact.low, exact.high
        found.append(row | {"units": len(rows)})
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
    gold = pl.when(emotional > task).then(pl.lit(EMOTIONAL))
    counted = rows.select(
        *keys,
        _annotators(rows),
        gold=gold.when(emotional < task).then(pl.lit(TASK)),
        answers=emotional + task,
        emotional=emotional,
    )
    if open_rows := counted["gold"].null_count():
        warnings.warn(
            f"{open_rows:,} of {len(counted):,} rows have as many answers of one kind as of the "
            "other; gold is empty there: let another person decide",
            AnalysisWarning,
            stacklevel=2,
        )
    drawn = [name for name in ("weight", DESIGN) if name in first.columns]
    for columns in (
        first.rows.select(*key_columns(first, keys), *drawn).collect(),
        _themes(rows, keys),
    ):
        counted = counted.join(
            columns, on=keys, how="left", nulls_equal=True, maintain_order="left"
        )
    counted = counted.with_columns(pl.when(pl.col("gold").ne_missing(TASK)).then("themes"))
    names = [*keys, *drawn, "gold", "answers", "emotional"]
    names += ["themes"] if _columns(rows, "themes") else []
    names += ["annotator"] if annotating_models(Table(counted.lazy(), "majority")) else []
    return like(sheet, counted.select(names))


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
    each = names.str.split(PARTED).list.unique(maintain_order=True)
    return each.list.join(PARTED).alias("annotator")


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
    names = ["first sheet", "second sheet", *(f"sheet {n + 1}" for n in range(2, len(sheets)))]
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


def _with_two_answers(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    emotional, task = _votes(rows)
    several = rows.filter(emotional + task >= 2)
    if several.is_empty():
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


def _counts(answers: Floats) -> Codes:
    """Return how many said emotional, and how many task, shape ``[rows, 2]``."""
    emotional = np.nansum(answers, axis=1)
    return np.column_stack([emotional, np.nansum(1 - answers, axis=1)]).astype(np.int64)


def _agreed(answers: Floats) -> Floats:
    """Return the share of pairs of answers to each row that are the same."""
    counts = _counts(answers)
    given = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (given * (given - 1)))


def _measures(answers: Floats) -> Floats:
    """Return the measures of answers (1 emotional, 0 task, NaN none), shape ``[rows, people]``."""
    with requires_extra("analysis"):
        import krippendorff
        from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa
    counts = _counts(answers)
    emotional, given = counts[:, 0], counts.sum(axis=1)
    positive = kappa = alpha = np.nan
    if emotional.any():
        positive = (emotional * (emotional - 1) / (given - 1)).sum() / emotional.sum()
        if counts[:, 1].any():
            alpha = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    by_all = given == answers.shape[1]
    if counts[by_all].any(axis=0).all():
        if answers.shape[1] > 2:
            kappa = fleiss_kappa(counts[by_all])
        else:
            pairs = np.bincount((answers @ [2, 1]).astype(np.int64), minlength=4)
            kappa = cohens_kappa(pairs.reshape(2, 2), return_results=False)
    return np.array([_agreed(answers).mean(), positive, kappa, alpha])
