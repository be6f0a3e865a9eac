"""Groups of users side by side. Differences are associations, not causes."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT
from numpy.typing import NDArray
from scipy import stats

from affectlib._extras import requires_extra
from affectlib.analysis._frames import (
    Frame,
    check_confidence,
    like,
    numbers,
    require_numbers,
    require_options,
    table,
)
from affectlib.analysis._intervals import adjusted_p
from affectlib.analysis._privacy import hidden_crossed
from affectlib.errors import OptionError

__all__ = ["compare"]

_OUTCOMES = ("turn_rate", "any_rate", "mean_rate", "messages", "active_days")
_COMPARED = ("estimate", "low", "high", "effect", "effect_low", "effect_high", "p")


def compare(
    users: Frame[IntoDataFrameT],
    by: str,
    *,
    outcomes: Sequence[str] | None = None,
    reference: str | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Compare the means of groups of users with that of a reference group.

    The difference has Welch's interval and p-value, which allow for unequal spread. The effect
    size is Hedges' g (Journal of Educational Statistics 6, 1981), with the interval of its normal
    approximation. A difference between groups is an association, not an effect of the group.

    Args:
        users: A frame of `affectlib.analysis.users` joined with what is known about the users.
        by: The column of groups; users without one are left out.
        outcomes: Columns of numbers to compare; the rates and the usage that there are, if None.
        reference: The group to compare with; the largest if None.
        confidence: Level of the intervals.
        min_users: A comparison with a group of fewer users is suppressed, and so is what would
            show such a group by subtraction; 0 shows all.

    Returns:
        A frame: ``outcome, group, reference, mean, reference_mean, estimate`` (the difference),
        ``low, high, effect, effect_low, effect_high, p, q`` (adjusted for all rows, Benjamini and
        Hochberg 1995), ``users, reference_users, suppressed``.

    Raises:
        OptionError: A column or the reference is missing, or there is one group only.
        TableError: An outcome holds no numbers.

    Example:
        >>> from affectlib.analysis import compare
        >>> from tools.simulate import simulate
        >>> people = simulate(500).participants
        >>> found = compare(people, "modality", outcomes=["dependence"], reference="text")
        >>> found.select("outcome", "group", "reference").row(0)
        ('dependence', 'voice', 'text')
    """
    check_confidence(confidence)
    source = table(users, "users")
    names = [name for name in _OUTCOMES if name in source.columns] if outcomes is None else outcomes
    if not names:
        raise OptionError(
            "outcomes: name at least one column of numbers; without them, users must have one of "
            f"{', '.join(_OUTCOMES)}"
        )
    require_options(source, [by, *names])
    rows = source.collect(*dict.fromkeys([by, *names])).filter(pl.col(by).is_not_null())
    rows = rows.with_columns(pl.col(by).cast(pl.String))
    sizes = rows[by].value_counts().sort(["count", by], descending=[True, False])
    groups = sizes[by].to_list()
    if len(groups) < 2:
        raise OptionError(f"by: {by!r} has {len(groups)} groups; at least 2 are needed to compare")
    if reference is None:
        reference = groups[0]
    elif reference not in groups:
        raise OptionError(f"reference: no group {reference!r} in {by!r}")
    require_numbers(source, names)
    found = []
    for name in names:
        values = {group: numbers(rows.filter(pl.col(by) == group)[name]) for group in groups}
        each = [group for group in groups for _ in values[group]]
        people = pl.DataFrame({by: each}).with_row_index("_user").with_columns(units=1)
        few = hidden_crossed(people, [by], min_users)
        small = {group for group in groups if few.get((group,), False)}
        base = values[reference]
        for group in sorted({*groups} - {reference}):
            other = values[group]
            hidden = bool({group, reference} & small) or min(len(base), len(other)) < 2
            found.append(
                {"outcome": name, "group": group, "reference": reference}
                | (
                    dict.fromkeys(("mean", "reference_mean", *_COMPARED))
                    if hidden
                    else difference(other, base, confidence)
                )
                | {
                    "users": None if group in small else len(other),
                    "reference_users": None if reference in small else len(base),
                    "suppressed": hidden,
                }
            )
    floats = dict.fromkeys(("mean", "reference_mean", *_COMPARED), pl.Float64)
    result = pl.DataFrame(found, schema_overrides=floats)
    result = result.insert_column(result.columns.index("p") + 1, adjusted_p(result["p"]))
    return like(users, result)


def difference(
    values: NDArray[np.float64], base: NDArray[np.float64], confidence: float
) -> dict[str, float | None]:
    count, base_count = len(values), len(base)
    variance, base_variance = values.var(ddof=1), base.var(ddof=1)
    gap = float(values.mean() - base.mean())
    found: dict[str, float | None] = {
        "mean": float(values.mean()),
        "reference_mean": float(base.mean()),
        "estimate": gap,
    }
    if variance == base_variance == 0:
        return found | dict.fromkeys(_COMPARED[1:])
    with requires_extra("analysis"):
        from statsmodels.stats.weightstats import CompareMeans
    welch = CompareMeans.from_data(values, base)
    low, high = welch.tconfint_diff(1 - confidence, usevar="unequal")
    both = count + base_count - 2
    pooled = sqrt(((count - 1) * variance + (base_count - 1) * base_variance) / both)
    g = (1 - 3 / (4 * both - 1)) * gap / pooled
    spread = sqrt((count + base_count) / (count * base_count) + g**2 / (2 * (both + 2)))
    around = float(stats.norm.ppf((1 + confidence) / 2)) * spread
    return found | {
        "low": float(low),
        "high": float(high),
        "effect": g,
        "effect_low": g - around,
        "effect_high": g + around,
        "p": float(welch.ttest_ind(usevar="unequal")[1]),
    }
