"""What goes with an outcome: regression over users. Associations, not causes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlib._extras import requires_extra
from affectlib.analysis._frames import (
    AnalysisWarning,
    Table,
    TableError,
    check_confidence,
    decile,
    numbers,
    require_numbers,
    require_options,
    table,
)
from affectlib.analysis._intervals import adjusted_p
from affectlib.errors import OptionError

__all__ = ["associate"]

_KNOTS = (0.05, 0.35, 0.65, 0.95)

_Floats = NDArray[np.float64]


def associate(
    users: Any,
    *,
    outcome: str,
    predictors: Sequence[str],
    controls: Sequence[str] = (),
    deciles: Sequence[str] = (),
    splines: Sequence[str] = (),
    clusters: str | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> Any:
    """Regress an outcome on predictors, by least squares with robust errors.

    Coefficients say how the outcome differs between users who differ in a predictor and are alike
    in the others. They are associations: nothing here shows that one changes the other. Errors
    are heteroscedasticity-consistent (HC3; MacKinnon and White 1985), or clustered.

    Args:
        users: A frame with one row a user: `affectlib.analysis.users` joined with survey scores.
        outcome: The column to explain, of numbers.
        predictors: Columns of interest. Text and booleans become one indicator for each value
            but the most frequent.
        controls: Columns to hold constant, such as the outcome at the start.
        deciles: Those of the columns that enter as tenths, 2 to 10 against 1.
        splines: Those that enter as restricted cubic splines with 4 knots (Harrell 2015), for
            relations that are not straight lines; a row ``joint`` has the p-value of the whole.
        clusters: A column of groups in which errors go together, such as a class or site.
        confidence: Of the intervals.
        min_users: The fewest users; also for each indicator. 0 allows any number.

    Returns:
        A frame: ``outcome, term, role`` (predictor, control, joint), ``estimate, low, high,
        standardized`` (in standard deviations of both), ``p, q`` (adjusted for the rows of
        predictors, Benjamini and Hochberg 1995), ``users, r_squared, suppressed``.

    Raises:
        InputTypeError: `users` is no frame.
        OptionError: A column is not there, or is named twice, or `deciles` or `splines` name one
            that is neither predictor nor control.
        TableError: A column has no numbers, or the same value for all, or says what others say
            already, or fewer than `min_users` users have all values.

    Warns:
        AnalysisWarning: Users are left out because they lack a value.

    Example:
        >>> from affectlib.analysis import associate, simulate
        >>> found = associate(simulate(500).participants, outcome="loneliness_end",
        ...     predictors=["modality"], controls=["loneliness_start"])
        >>> found["term"].to_list()
        ['modality: voice', 'loneliness_start']
    """
    with requires_extra("analysis"):
        import statsmodels.api as sm
    check_confidence(confidence)
    source = table(users, "users")
    terms = [*predictors, *controls]
    if len({outcome, *terms}) < len(terms) + 1:
        raise OptionError("outcome, predictors, controls: a column is named twice")
    if not predictors:
        raise OptionError("predictors: name at least one column")
    if strangers := {*deciles, *splines} - {*terms}:
        raise OptionError(f"{sorted(strangers)[0]!r} is neither among predictors nor controls")
    columns = [outcome, *terms, *([clusters] if clusters else [])]
    require_options(source, columns)
    require_numbers(source, [outcome, *splines])
    rows = _complete(source, columns, min_users)
    y = numbers(rows[outcome])
    design = [
        part
        for name in terms
        for part in _terms(rows, name, source.name, name in deciles, name in splines, min_users)
    ]
    x = np.column_stack([part.values for part in design])
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), x])) <= x.shape[1]:
        raise TableError(
            "users: a predictor or control says what the others say already; leave one out"
        )
    if len(y) <= x.shape[1] + 1:
        raise TableError(f"users: {len(y)} users are too few for {x.shape[1]} terms")
    kind: dict[str, Any] = {"cov_type": "HC3", "use_t": True}
    if clusters:
        codes = rows[clusters].rank("dense").to_numpy()
        if len(np.unique(codes)) < 2:
            raise TableError(f"users, {clusters}: there is one cluster only")
        kind = {"cov_type": "cluster", "cov_kwds": {"groups": codes}, "use_t": True}
    fit = sm.OLS(y, sm.add_constant(x)).fit(**kind)
    bounds = np.asarray(fit.conf_int(1 - confidence))
    found = []
    for place, part in enumerate(design, start=1):
        found.append(
            {
                "outcome": outcome,
                "term": part.name,
                "role": "predictor" if part.column in predictors else "control",
                "estimate": float(fit.params[place]),
                "low": float(bounds[place, 0]),
                "high": float(bounds[place, 1]),
                "standardized": float(fit.params[place] * part.values.std() / y.std()),
                "p": float(fit.pvalues[place]),
                "users": len(y),
                "r_squared": float(fit.rsquared),
                "suppressed": False,
            }
        )
    for name in splines:
        places = [place for place, part in enumerate(design, start=1) if part.column == name]
        joint = fit.wald_test(np.eye(x.shape[1] + 1)[places], use_f=True, scalar=True)
        found.append(
            {
                "outcome": outcome,
                "term": name,
                "role": "joint",
                "p": float(joint.pvalue),
                "users": len(y),
                "r_squared": float(fit.rsquared),
                "suppressed": False,
            }
        )
    result = pl.DataFrame(found)
    of_interest = result.select(pl.when(pl.col("role") == "predictor").then("p").alias("p"))["p"]
    result = result.insert_column(result.columns.index("p") + 1, adjusted_p(of_interest))
    return source.restore(result)


@dataclass(frozen=True, slots=True)
class _Term:
    """A column of the design.

    Attributes:
        column: Which column of the frame it comes from.
        name: Its name.
        values: Its values.
    """

    column: str
    name: str
    values: _Floats


def _terms(
    rows: pl.DataFrame, name: str, frame: str, in_deciles: bool, spline: bool, min_users: int
) -> Iterator[_Term]:
    """Yield what a column adds to the design."""
    kind = rows[name].dtype
    if in_deciles:
        tenths = rows.select(decile(pl.col(name)))[name].to_numpy()
        present = sorted({*tenths.tolist()})
        for tenth in present[1:]:
            yield _Term(name, f"{name}: decile {tenth:.0f}", (tenths == tenth).astype(float))
    elif spline:
        yield from _spline(name, numbers(rows[name]))
    elif kind.is_numeric():
        yield _Term(name, name, numbers(rows[name]))
    else:
        texts = rows[name].cast(pl.String)
        sizes = texts.value_counts().sort(["count", name], descending=[True, False])
        if len(sizes) < 2:
            raise TableError(f"{frame}, {name}: all users have the same value")
        for value, count in sizes.rows()[1:]:
            if count < min_users:
                raise TableError(
                    f"{frame}, {name}: a group of fewer than {min_users} users cannot be shown "
                    "(min_users); merge it with another"
                )
            yield _Term(name, f"{name}: {value}", (texts == value).cast(pl.Float64).to_numpy())


def _spline(name: str, values: _Floats) -> Iterator[_Term]:
    """Yield a restricted cubic spline: linear beyond the outer knots."""
    knots = np.quantile(values, _KNOTS)
    if len(np.unique(knots)) < len(knots):
        raise TableError(f"users, {name}: too many equal values for a spline; use deciles")
    last, before = knots[-1], knots[-2]
    yield _Term(name, f"{name}: spline 1", values)

    def cube(knot: float) -> _Floats:
        return np.maximum(values - knot, 0.0) ** 3

    for place, knot in enumerate(knots[:-2], start=2):
        curve = (
            cube(knot)
            - cube(before) * (last - knot) / (last - before)
            + cube(last) * (before - knot) / (last - before)
        )
        yield _Term(name, f"{name}: spline {place}", curve / (last - knots[0]) ** 2)


def _complete(source: Table, columns: Sequence[str], min_users: int) -> pl.DataFrame:
    rows = source.collect(*columns)
    kept = rows.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None)).drop_nulls()
    if len(kept) < max(min_users, 3):
        raise TableError(
            f"{source.name}: {len(kept)} users have a value in every column, too few to show; "
            "min_users= says how many are needed"
        )
    if len(kept) < len(rows):
        warnings.warn(
            f"{source.name}: {len(rows) - len(kept):,} of {len(rows):,} users lack a value and "
            "are left out; if that goes with the outcome, the figures are biased",
            AnalysisWarning,
            stacklevel=3,
        )
    return kept
