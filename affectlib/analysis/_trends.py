"""Whether the rate of charged turns changes, of one user or of all."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy import stats

from affectlib.analysis._intervals import Floats, kish

__all__ = ["share_change", "slope_of_sums", "user_trends"]

_FEWEST_WEEKS = 4
_WEEK_SECONDS = 604_800
_WORTH_SHUFFLING = 2.5
_SHUFFLES = (2_000, 20_000)
_WORTH_MORE = 0.005


def user_trends(conversations: pl.DataFrame, rate: float) -> pl.DataFrame:
    """Fit a line through each user's weekly turn rates, and test it by permutation.

    The slope is that of weighted least squares. The test asks how often a slope as steep comes
    about if the user's conversations are assigned to their weeks at random: exact for a constant
    rate, also where the turns of a conversation are correlated. Most p-values are from the normal
    approximation of the permutation distribution; only steep slopes are permuted.

    `conversations` have ``user_id, first`` (the start), ``turns, charged``; `rate` is the false
    discovery rate below which a trend counts. Users of too few weeks are left out.
    """
    age = (pl.col("first") - pl.col("first").min()).dt.total_seconds()
    dated = (
        conversations.filter(pl.col("first").is_not_null() & (pl.col("turns") > 0))
        .select(
            "user_id",
            week=(age // _WEEK_SECONDS).cast(pl.Float64),
            turns=pl.col("turns").cast(pl.Float64),
            charged=pl.col("charged").cast(pl.Float64),
        )
        .filter(pl.col("week").n_unique().over("user_id") >= _FEWEST_WEEKS)
    )
    user = pl.col("user_id")
    turns, week, charged = pl.col("turns"), pl.col("week"), pl.col("charged")
    beyond = (charged - turns * (charged.sum().over(user) / turns.sum().over(user))).alias("beyond")
    rows = dated.with_columns(
        beyond, middle=(turns * week).sum().over(user) / turns.sum().over(user)
    )
    away = pl.col("week") - pl.col("middle")
    fitted = (
        rows.group_by("user_id", maintain_order=True)
        .agg(
            (pl.col("beyond") * pl.col("week")).sum().alias("moved"),
            (turns * away**2).sum().alias("xx"),
            (pl.col("beyond") ** 2).sum().alias("squares"),
            ((pl.col("week") - pl.col("week").mean()) ** 2).sum().alias("weeks"),
            pl.len().alias("count"),
        )
        .with_columns(
            deviation=(pl.col("squares") * pl.col("weeks") / (pl.col("count") - 1)).sqrt()
        )
    )
    moved, deviation = fitted["moved"].to_numpy(), fitted["deviation"].to_numpy()
    changes = deviation > 1e-9
    z = np.where(changes, np.abs(moved) / np.where(changes, deviation, 1.0), 0.0)
    p = _shuffled(rows, fitted["user_id"], 2 * stats.norm.sf(z), z)
    q = stats.false_discovery_control(p) if len(p) else p
    direction = np.where(q >= rate, "flat", np.where(moved > 0, "rising", "falling"))
    return fitted.select(
        "user_id",
        trend=pl.col("moved") / pl.col("xx"),
        trend_p=pl.Series(p, dtype=pl.Float64),
        trend_q=pl.Series(q, dtype=pl.Float64),
        direction=pl.Series(direction.tolist(), dtype=pl.String),
    )


def _shuffled(rows: pl.DataFrame, users: pl.Series, p: Floats, z: Floats) -> Floats:
    """Return the p-values, those of steep slopes by permutation."""
    steep = np.flatnonzero(z > _WORTH_SHUFFLING)
    names = users.gather(steep)
    chosen = rows.filter(pl.col("user_id").is_in(names.implode()))
    parts = chosen.partition_by("user_id", as_dict=True)
    rng = np.random.default_rng(0)
    found = p.copy()
    for place, name in zip(steep, names, strict=True):
        own = parts[(name,)]
        found[place] = _permutation_p(own["beyond"].to_numpy(), own["week"].to_numpy(), rng)
    return found


def _permutation_p(beyond: Floats, week: Floats, rng: np.random.Generator) -> float:
    """Return the share of permutations that move as much charge to one end."""
    week = week - week.mean()
    seen = abs(float(beyond @ week)) * (1 - 1e-9)
    value = 1.0
    for times in _SHUFFLES:
        moved = rng.permuted(np.tile(beyond, (times, 1)), axis=1) @ week
        value = (1 + int(np.count_nonzero(np.abs(moved) >= seen))) / (times + 1)
        if value >= _WORTH_MORE:
            break
    return value


def share_change(rows: pl.DataFrame) -> tuple[float, float]:
    """Fit a line through labels over time; return its rise from first to last, and the error.

    The standard error is that of the jackknife over users, widened for few or very unequal ones.
    `rows` have ``_user``, ``place`` (in time, from 0 to 1) and ``charged``.
    """
    place, charged = pl.col("place"), pl.col("charged").cast(pl.Float64)
    sums = (
        rows.group_by("_user")
        .agg(
            pl.len().cast(pl.Float64),
            place.sum(),
            (place**2).sum().alias("square"),
            charged.sum(),
            (place * charged).sum().alias("product"),
        )
        .sort("_user")
    )
    names = ("len", "place", "square", "charged", "product")
    return slope_of_sums(*(sums[name].to_numpy() for name in names))


def slope_of_sums(
    count: Floats, place: Floats, square: Floats, charged: Floats, product: Floats
) -> tuple[float, float]:
    """Return what `share_change` does, from the sums over each user's rows, shape ``[users]``.

    `product` is the sum of the places of what is charged.
    """
    total = count.sum()
    if not total:
        return np.nan, np.nan
    middle, mean = place.sum() / total, charged.sum() / total
    away = square - 2 * middle * place + middle**2 * count
    spread = away.sum()
    if spread <= 0:
        return np.nan, np.nan
    slope = float((product.sum() - middle * charged.sum()) / spread)
    own = away / spread
    if len(own) < 3 or (own >= 1).any():
        return slope, np.nan
    added = product - middle * charged - mean * (place - middle * count) - slope * away
    variance = float(((added / spread / (1 - own)) ** 2).sum())
    freedom = kish(own) - 1
    widened = stats.t.ppf(0.975, max(freedom, 1.0)) / stats.norm.ppf(0.975)
    return slope, float(np.sqrt(variance) * widened)
