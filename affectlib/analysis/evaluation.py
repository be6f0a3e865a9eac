"""How well labels and probabilities agree with what people say, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis import _frames
from affectlib.analysis._frames import AnyFrame, Frame, Labels, TableError
from affectlib.analysis._intervals import NONE
from affectlib.analysis._measures import Measured, measures
from affectlib.analysis.gold import gold_rows
from affectlib.analysis.prevalence import gold_share, grouped, hidden_among, with_groups
from affectlib.corpus.rows import RowLevel
from affectlib.errors import OptionError
from affectlib.model.calibration import OperatingPoint
from affectlib.taxonomy import EMOTIONAL, TASK

__all__ = ["calibration", "disagreements", "evaluate"]

SINGLE_MESSAGE = "_single_message"
RANKING = ("average precision", "AUROC", "calibration error")
"""The measures that need probabilities."""

_FIGURES: dict[str, pl.DataType] = {
    "measure": pl.String(),
    **dict.fromkeys(("estimate", "low", "high"), pl.Float64()),
    **dict.fromkeys(("gold", "emotional", "users"), pl.Int64()),
    "suppressed": pl.Boolean(),
}


def evaluate(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame,
    *,
    threshold: float | OperatingPoint | None = None,
    by: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Measure labels, of any model, against those that people gave.

    The weights of `affectlib.analysis.sample` are used, so that the figures are estimates for the
    corpus. The intervals allow for users with several rows.

    - ``recall``: the share of emotional rows that are called emotional.
    - ``specificity``: the share of the others that are called task.
    - ``precision``: the share of rows called emotional that are. It falls where emotional rows are
      rarer, and so does ``average precision``, the area under the precision-recall curve.
    - ``AUROC``: how often an emotional row has a higher probability than one that is not.
    - ``calibration error``: by how much probabilities and shares of emotional rows differ on
      average, in ten bins, less sampling noise.

    The last three are of the rows that have a probability.

    Args:
        labels: Labels, of conversations or messages: ``label``, and if there are any
            ``probability`` (without, the last three are null) and ``user_id``.
        gold: Labels that people gave.
        threshold: The probability from which a row is called emotional; the labels as they are if
            None. An operating point of a model (`Artifact.operating_point`) judges as in labelling:
            each message by its threshold of messages, a single message by that of conversations.
        by: Columns to group by; ``day``, ``week`` and ``month`` are made from the time.
        confidence: Level of the intervals.
        min_users: Groups with gold labels of fewer users are suppressed, and those that would show
            them by subtraction; 0 shows all.

    Returns:
        A frame: the columns of `by`, ``measure, estimate, low, high, gold`` (how many rows),
        ``emotional`` (how many of them), ``users, suppressed``. A figure that is not defined is
        null. The counts are of all rows with a gold label, with a probability or without.

    Raises:
        OptionError: `by` names no column or one whose name the result uses, or `threshold` is not a
            probability.
        TableError: The gold labels do not belong to the labels, or all are of one kind, or there is
            a `threshold` and no probability.

    Example:
        >>> from tools.simulate import simulate
        >>> people = simulate(300, seed=1)
        >>> found = evaluate(people.conversations, people.gold_conversations.sample(600, seed=1))
        >>> found["measure"].to_list()[:3]
        ['recall', 'specificity', 'precision']
    """
    _frames.check_confidence(confidence)
    names = _frames.group_columns(by)
    if taken := [name for name in names if name in _FIGURES]:
        raise OptionError(f"by: the result has a column {taken[0]!r} of its own; rename yours")
    source = with_groups(_called(labels, threshold), names)
    rows = gold_rows(_frames.user_keys(source), gold)
    _refuse_one_kind(rows)
    _warn_of_probabilities(source, rows, threshold)
    figures: list[dict[str, Any]] = []
    few = hidden_among(rows.lazy(), names, min_users)
    for values, group in grouped(rows.sort(names) if names else rows, names):
        users = group["_user"].n_unique()
        hidden = few[values]
        counts = {"gold": len(group), "emotional": int(group["gold"].sum()), "users": users}
        by_probability = ranked(group)["_user"].n_unique()
        for measure, estimate in measures(measured_rows(group), confidence):
            gone = hidden or (measure in RANKING and 0 < by_probability < min_users)
            figures.append(
                dict(zip(names, values, strict=True))
                | {"measure": measure}
                | asdict(NONE if gone else estimate)
                | (dict.fromkeys(counts) if gone else counts)
                | {"suppressed": gone}
            )
    schema = {name: rows.schema[name] for name in names} | _FIGURES
    return _frames.like(labels, pl.DataFrame(figures, schema=schema, orient="row").fill_nan(None))


def disagreements(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame,
    n: int = 20,
    *,
    threshold: float | OperatingPoint | None = None,
) -> IntoDataFrameT:
    """Return the rows in which labels and people differ most, of those with a probability.

    Args:
        labels: Labels with ``probability``.
        gold: Labels that people gave.
        n: How many, at most.
        threshold: What judges, as in `evaluate`.

    Returns:
        A frame without text: ``record, conversation_id`` and ``message`` as far as they are there,
        ``gold``, ``label``, ``probability`` and ``weight``, the row that is most wrong first: an
        emotional one with a low probability, or another one with a high one.

    Raises:
        OptionError: `n` is below 1, or `threshold` is not a probability.
        TableError: The gold labels do not belong to the labels.

    Example:
        >>> from tools.simulate import simulate
        >>> people = simulate(300, seed=1)
        >>> worst = disagreements(people.conversations, people.gold_conversations, n=3)
        >>> worst.columns
        ['record', 'conversation_id', 'gold', 'label', 'probability', 'weight']
    """
    if n < 1:
        raise OptionError(f"n must be at least 1, got {n}")
    source = _called(labels, threshold)
    source.require(["probability"])
    rows = gold_rows(source, gold).filter(pl.col("gold") != pl.col("charged"))
    rows = with_probability(rows, source.name, "rows in which labels and people differ")
    keys = [name for name in ("record", "conversation_id", "message") if name in rows.columns]
    by_size = (pl.col("probability") - pl.col("gold").cast(pl.Float64)).abs()
    found = rows.sort(by_size, *keys, descending=[True, *[False] * len(keys)]).head(n)
    names = pl.col("gold", "charged").replace_strict(
        {True: EMOTIONAL, False: TASK}, return_dtype=pl.String
    )
    named = found.with_columns(names).drop("label").rename({"charged": "label"})
    return _frames.like(labels, named.select(*keys, "gold", "label", "probability", "weight"))


def calibration(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame,
    *,
    bins: int = 10,
    confidence: float = 0.95,
    min_gold: int = 10,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Compare the classifier's probabilities with gold labels; rows without one are left out.

    Args:
        labels: Labels with ``probability``.
        gold: Labels that people gave.
        bins: How many bins of equal width from 0 to 1.
        confidence: Level of the intervals.
        min_gold: Bins with fewer gold labels are suppressed; 0 shows all.
        min_users: Bins with gold labels of fewer users are suppressed; 0 shows all.

    Returns:
        A frame: ``bin`` (from 0), ``probability`` (weighted mean), ``estimate, low, high`` (share
        that is emotional), ``gold`` (how many labels), ``suppressed``. Empty bins are left out;
        of bins of too few users, mean and number are null as well.

    Raises:
        OptionError: `bins` is below 1.
        TableError: No row with a gold label has a probability.
    """
    _frames.check_confidence(confidence)
    if bins < 1:
        raise OptionError(f"bins must be at least 1, got {bins}")
    source = _frames.user_keys(_frames.labels_table(labels).labelled())
    source.require(["probability"])
    joined = ranked(gold_rows(source, gold))
    if joined.is_empty():
        raise TableError(f"{source.name}, probability: no row with a gold label has one")
    place = (pl.col("probability") * bins).floor().clip(0, bins - 1).cast(pl.Int64)
    joined = joined.with_columns(bin=place).sort("bin")
    few = hidden_among(joined.lazy(), ["bin"], min_users)
    found: list[dict[str, Any]] = []
    for (number,), rows in grouped(joined, ["bin"]):
        of_few = few[number,]
        hidden = of_few or len(rows) < min_gold
        middle = np.average(rows["probability"].to_numpy(), weights=rows["weight"].to_numpy())
        found.append(
            {"bin": number, "probability": None if of_few else float(middle)}
            | asdict(NONE if hidden else gold_share(rows, confidence))
            | {"gold": None if of_few else len(rows), "suppressed": hidden}
        )
    kinds = {name: kind for name, kind in _FIGURES.items() if name in found[0]}
    kinds["probability"] = pl.Float64()
    return _frames.like(labels, pl.DataFrame(found, schema_overrides=kinds).fill_nan(None))


def ranked(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that have a probability."""
    if "probability" not in rows.columns:
        return rows.clear()
    return rows.filter(pl.col("probability").is_not_null())


def with_probability(rows: pl.DataFrame, name: str, which: str) -> pl.DataFrame:
    """Leave out rows without a probability, and warn of them; `which` says what rows they are."""
    kept = ranked(rows)
    if missing := len(rows) - len(kept):
        _frames.warn(
            f"{name}: {missing:,} of {len(rows):,} {which} have no probability and are left out"
        )
    return kept


def _warn_of_probabilities(
    source: Labels, rows: pl.DataFrame, threshold: float | OperatingPoint | None
) -> None:
    """Warn of rows without a probability, and if none reaches the threshold."""
    missing = len(rows) - len(ranked(rows))
    if threshold is not None and missing == len(rows):
        raise TableError(
            f"{source.name}, probability: no row with a gold label has one, so no threshold judges "
            "them; leave it out"
        )
    if 0 < missing < len(rows):
        _frames.warn(
            f"{source.name}: {missing:,} of {len(rows):,} rows with a gold label have no "
            f"probability and are left out of {', '.join(RANKING)}"
        )
    if threshold is None or rows["charged"].any():
        return
    highest = float(ranked(rows)["probability"].cast(pl.Float64).to_numpy().max())
    named = f"{threshold:g}" if isinstance(threshold, int | float) else "of the operating point"
    _frames.warn(
        f"no row with a gold label reaches the threshold {named}, so there is no "
        f"precision; their highest probability is {highest:.3f}"
    )


def measured_rows(rows: pl.DataFrame) -> Measured:
    """Return gold labels joined to labels (``gold, charged, weight, _user``) as arrays."""
    _, user = np.unique(rows["_user"].to_numpy(), return_inverse=True)
    probability = np.full(len(rows), np.nan)
    if "probability" in rows.columns:
        probability = rows["probability"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Measured(
        truth=rows["gold"].to_numpy(),
        called=rows["charged"].to_numpy(),
        probability=probability,
        weight=rows["weight"].to_numpy(),
        user=user,
    )


def with_single_messages(source: Labels) -> Labels:
    """Say in `SINGLE_MESSAGE` whether a row is its conversation's only message with a label."""
    single = pl.lit(False)
    if source.level == "message":
        single = pl.len().over(source.conversation_keys()) == 1
    return source.having(source.rows.with_columns(single.alias(SINGLE_MESSAGE)))


def threshold_of(point: OperatingPoint, level: RowLevel) -> pl.Expr:
    """Return the threshold of each row of `with_single_messages`."""
    return pl.when(SINGLE_MESSAGE).then(point.conversation).otherwise(getattr(point, level))


def _called(labels: AnyFrame, threshold: float | OperatingPoint | None) -> Labels:
    """Take labels, judged by the threshold if one is given."""
    source = _frames.labels_table(labels).labelled()
    if "probability" in source.columns:
        kind = source.rows.collect_schema()["probability"]
        if kind == pl.Null:  # no row has one
            source = source.having(source.rows.with_columns(pl.col("probability").cast(pl.Float64)))
        elif not kind.is_numeric():
            raise TableError(f"{source.name}, probability: expected numbers, got {kind}")
        odd = pl.col("probability").is_between(0, 1).not_().any()
        if source.rows.select(odd).collect(engine="streaming").item():
            raise TableError(f"{source.name}, probability: values must be between 0 and 1")
    if threshold is None:
        return source
    source.require(["probability"])
    if isinstance(threshold, OperatingPoint):
        source = with_single_messages(source)
        least = threshold_of(threshold, source.level)
    elif 0 < threshold <= 1:
        least = pl.lit(threshold)
    else:
        raise OptionError(f"threshold must be more than 0 and at most 1, got {threshold}")
    reached = (pl.col("probability") >= least).fill_null(False)
    return source.having(source.rows.with_columns(charged=reached))


def _refuse_one_kind(rows: pl.DataFrame) -> None:
    if rows["gold"].n_unique() > 1:
        return
    kind, other = (EMOTIONAL, TASK) if rows["gold"][0] else (TASK, EMOTIONAL)
    raise TableError(
        f"gold: all {len(rows):,} answers are {kind}, which says nothing about the other kind; "
        f"label rows that are {other} too, or draw more with affectlib sample"
    )
