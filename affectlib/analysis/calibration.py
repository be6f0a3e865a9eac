"""Whether the classifier's probabilities can be trusted, by gold labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis._frames import (
    AnyFrame,
    Frame,
    TableError,
    check_confidence,
    labels_table,
    like,
    user_keys,
)
from affectlib.analysis._intervals import NONE
from affectlib.analysis.gold import gold_rows
from affectlib.analysis.prevalence import gold_share, grouped, hidden_among
from affectlib.errors import OptionError

__all__ = ["calibration"]


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
    check_confidence(confidence)
    if bins < 1:
        raise OptionError(f"bins must be at least 1, got {bins}")
    source = user_keys(labels_table(labels).labelled())
    source.require(["probability"])
    joined = gold_rows(source, gold).filter(pl.col("probability").is_not_null())
    if joined.is_empty():
        raise TableError(f"{source.name}, probability: no row with a gold label has one")
    joined = joined.with_columns(
        bin=(pl.col("probability") * bins).floor().clip(0, bins - 1).cast(pl.Int64)
    )
    few = hidden_among(joined.lazy(), ["bin"], min_users)
    rows = []
    for (place,), group in grouped(joined.sort("bin"), ["bin"]):
        of_few = few[place,]
        hidden = of_few or len(group) < min_gold
        estimate = NONE if hidden else gold_share(group, confidence)
        weight = group["weight"].to_numpy()
        centre = float(group["probability"].to_numpy() @ weight / weight.sum())
        rows.append(
            {"bin": place, "probability": None if of_few else centre}
            | asdict(estimate)
            | {"gold": None if of_few else len(group), "suppressed": hidden}
        )
    kinds: dict[str, Any] = dict.fromkeys(("probability", "estimate", "low", "high"), pl.Float64)
    kinds["gold"] = pl.Int64
    return like(labels, pl.DataFrame(rows, schema_overrides=kinds).fill_nan(None))
