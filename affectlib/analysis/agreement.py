"""How well people who labelled the same rows agree, and what most of them say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib._extras import requires_extra
from affectlib.analysis import _frames, gold
from affectlib.analysis._design import DESIGN
from affectlib.analysis._frames import AnyFrame, Frame, Table, TableError
from affectlib.analysis._intervals import NONE, Codes, Floats, clustered_mean, exact_share, kish
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
    alike, as when nobody disagrees, observed agreement has an exact interval, and the others none.

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
        TableError: A row occurs twice, sheets are of messages and of conversations, or no row has
            answers in two sheets.

    Example:
        >>> from affectlib.analysis import agreement
        >>> from tools.simulate import simulate
        >>> sheet = simulate(50).gold_conversations
        >>> agreement(sheet, sheet)["estimate"].to_list()
        [1.0, 1.0, 1.0, 1.0]
    """
    _frames.check_confidence(confidence)
    answers, keys, _ = _answers((sheet, *others), column)
    every = _votes(answers, keys)
    unit = [name for name in keys if name != "message"]
    rows = every.filter(pl.col("answers") > 1).sort(unit)
    if rows.is_empty():
        raise TableError(
            f"no row has an answer in both sheets; rows are matched by {' and '.join(keys)}"
        )
    if alone := len(every) - len(rows):
        _frames.warn(f"{alone:,} rows have an answer in one sheet only and are left out", level=2)
    people = len(others) + 1
    votes = rows.select("emotional", pl.col("answers") - pl.col("emotional"), "by_first").to_numpy()
    conversation = rows.select(pl.struct(unit).rle_id()).to_series().to_numpy()
    size = int(conversation[-1]) + 1
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(_RESAMPLES):
        times = np.bincount(rng.integers(0, size, size), minlength=size)
        draws.append(_measures(votes.repeat(times[conversation], axis=0), people))
    found = []
    kappa = "Fleiss' kappa" if people > 2 else "Cohen's kappa"
    names = ("observed agreement", "agreement on emotional", kappa, "Krippendorff's alpha")
    for name, estimate, drawn in zip(
        names, _measures(votes, people), np.transpose(draws), strict=True
    ):
        low, high = NONE.low, NONE.high
        defined = drawn[np.isfinite(drawn)]
        if len(defined) and np.ptp(defined) > _ALIKE:
            low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
        elif name == "observed agreement":
            counts = np.bincount(conversation).astype(np.float64)
            agreed = np.bincount(conversation, _agreed(votes)).astype(np.float64)
            share, spread = clustered_mean(agreed, counts)
            exact = exact_share(share, spread, kish(counts), len(rows), confidence)
            low, high = exact.low, exact.high
        found.append(
            {"measure": name, "estimate": estimate, "low": low, "high": high, "units": len(rows)}
        )
    return _frames.like(sheet, pl.DataFrame(found).fill_nan(None))


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
    answers, keys, first = _answers((sheet, *others), column)
    emotional, task = pl.col("emotional"), pl.col("answers") - pl.col("emotional")
    more = pl.when(emotional > task).then(pl.lit(EMOTIONAL)).when(emotional < task)
    counted = _votes(answers, keys).with_columns(gold=more.then(pl.lit(TASK)))
    if open_rows := counted["gold"].null_count():
        _frames.warn(
            f"{open_rows:,} of {len(counted):,} rows have as many answers of one kind as of the "
            "other; gold is empty there: let another person decide",
            level=2,
        )
    drawn = [name for name in ("weight", DESIGN) if name in first.columns]
    names = [*keys, *drawn, "gold", "answers", "emotional"]
    beside = [first.rows.select(*gold.key_columns(first, keys), *drawn).collect()]
    if "themes" in answers.columns:
        named = pl.col("themes").list.set_difference([gold.NO_THEME]).list.join(",")
        beside.append(gold.most_named(answers, keys).with_columns(named.replace("", gold.NO_THEME)))
        names.append("themes")
    for columns in beside:
        counted = counted.join(
            columns, on=keys, how="left", nulls_equal=True, maintain_order="left"
        )
    if "themes" in answers.columns:
        counted = counted.with_columns(pl.when(pl.col("gold").ne_missing(TASK)).then("themes"))
    names += ["annotator"] if gold.annotating_models(Table(counted.lazy(), "majority")) else []
    return _frames.like(sheet, counted.select(names))


def _answers(sheets: Sequence[AnyFrame], column: str) -> tuple[pl.DataFrame, list[str], Table]:
    """Return a row for each answer, what tells rows apart, and the first sheet."""
    if len(sheets) < 2:
        raise OptionError(f"give two sheets or more, got {len(sheets)}")
    names = ["first sheet", "second sheet", *(f"sheet {n + 1}" for n in range(2, len(sheets)))]
    tables = [
        Table(gold.whole_sheet(_frames.table(sheet, name)).lazy(), name)
        for sheet, name in zip(sheets, names, strict=True)
    ]
    shared = set.intersection(*({*sheet.columns} for sheet in tables))
    for sheet in tables:
        if "message" in sheet.columns and "message" not in shared:
            raise TableError(
                f"{sheet.name}: its answers are for messages (there is a column 'message'), but "
                "those of another sheet are for conversations; give sheets of the same sample"
            )
    keys = gold.row_columns(shared)
    found = []
    for sheet in tables:
        parts = {"gold": pl.col(column), "annotator": gold.answered_by(sheet)}
        if "themes" in sheet.columns:
            parts["themes"] = gold.theme_names()
        rows = (
            gold.gold_flags(sheet, column).select(*gold.key_columns(sheet, keys), **parts).collect()
        )
        if _frames.alike(rows, keys):
            raise TableError(f"{sheet.name}: rows with the same {' and '.join(keys)}")
        found.append(rows.with_columns(first=pl.lit(sheet is tables[0])))
    return pl.concat(found, how="diagonal"), keys, tables[0]


def _votes(answers: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return each row once, with how many answered it, how, and who."""
    return (
        answers.group_by(keys, maintain_order=True)
        .agg(
            answers=pl.len().cast(pl.Int64),
            emotional=pl.col("gold").sum().cast(pl.Int64),
            by_first=(pl.col("gold") & pl.col("first")).sum().cast(pl.Int64),
            annotator=pl.col("annotator")
            .str.split(gold.PARTED)
            .explode()
            .unique(maintain_order=True),
        )
        .with_columns(pl.col("annotator").list.join(gold.PARTED))
    )


def _agreed(votes: Codes) -> Floats:
    """Return the share of pairs of answers to each row that are the same."""
    counts = votes[:, :2]
    given = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (given * (given - 1)))


def _measures(votes: Codes, people: int) -> Floats:
    """Return the measures of votes: emotional, task, and whether the first sheet says emotional."""
    with requires_extra("analysis"):
        import krippendorff
        from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa
    counts = votes[:, :2]
    emotional, given = counts[:, 0], counts.sum(axis=1)
    positive = kappa = alpha = np.nan
    if emotional.any():
        positive = (emotional * (emotional - 1) / (given - 1)).sum() / emotional.sum()
        if counts[:, 1].any():
            alpha = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    by_all = counts[given == people]
    if by_all.any(axis=0).all():
        if people > 2:
            kappa = fleiss_kappa(by_all)
        else:
            # 0 if both said task, 1 or 2 if one said emotional, the second or the first, 3 if both.
            pairs = np.bincount(emotional + votes[:, 2], minlength=4).reshape(2, 2)
            kappa = cohens_kappa(pairs, return_results=False)
    return np.array([_agreed(votes).mean(), positive, kappa, alpha])
