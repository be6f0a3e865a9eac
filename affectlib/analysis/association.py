"""What goes with an outcome: regression over users. Associations, not causes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT
from numpy.typing import NDArray
from scipy import stats

from affectlib._extras import requires_extra
from affectlib.analysis._frames import (
    AnalysisWarning,
    Frame,
    Table,
    TableError,
    check_confidence,
    decile,
    like,
    numbers,
    require_numbers,
    require_options,
    table,
)
from affectlib.analysis._intervals import Floats, adjusted_p
from affectlib.analysis._privacy import check_min_users
from affectlib.errors import OptionError

__all__ = ["associate"]

_FEWEST_CLUSTERS = 5
_KNOTS = (0.05, 0.35, 0.65, 0.95)


def associate(
    users: Frame[IntoDataFrameT],
    *,
    outcome: str,
    predictors: Sequence[str],
    controls: Sequence[str] = (),
    deciles: Sequence[str] = (),
    splines: Sequence[str] = (),
    clusters: str | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Regress an outcome on predictors, by least squares with robust errors.

    Coefficients say how the outcome differs between users who differ in a predictor and are alike
    in the others. They are associations, not causes. Errors are heteroscedasticity-consistent (HC3;
    MacKinnon and White 1985), with fewer degrees of freedom where few users carry a coefficient, or
    clustered (CR2 with Satterthwaite's degrees of freedom; Bell and McCaffrey 2002).

    Args:
        users: A frame with one row per user: `affectlib.analysis.users` joined with survey scores.
        outcome: The column to explain, of numbers.
        predictors: Columns of interest. Text and booleans become one indicator for each value
            but the most frequent.
        controls: Columns to hold constant, such as the outcome at the start.
        deciles: Those of the columns that enter as tenths, 2 to 10 against 1.
        splines: Those that enter as restricted cubic splines with 4 knots (Harrell 2015); a row
            ``joint`` has the p-value of the whole.
        clusters: A column of groups in which errors are correlated, such as a class or site; at
            least 5 of them.
        confidence: Level of the intervals.
        min_users: The fewest users; also for each indicator. 0 allows any number.

    Returns:
        A frame: ``outcome, term, role`` (predictor, control, joint), ``estimate, low, high,
        standardized`` (in standard deviations of both), ``p, q`` (adjusted for the rows of
        predictors, Benjamini and Hochberg 1995), ``users, r_squared, suppressed``.

    Raises:
        OptionError: A column is missing or named twice, or `deciles` or `splines` name another one.
        TableError: A column has no numbers or is collinear, or there are too few users or clusters.

    Example:
        >>> from affectlib.analysis import associate
        >>> from tools.simulate import simulate
        >>> found = associate(simulate(500).participants, outcome="loneliness_end",
        ...     predictors=["modality"], controls=["loneliness_start"])
        >>> found["term"].to_list()
        ['modality: voice', 'loneliness_start']
    """
    source = table(users, "users")
    terms = [*predictors, *controls]
    columns = [outcome, *terms, *([clusters] if clusters else [])]
    _check(source, columns, predictors, [*deciles, *splines], confidence)
    kinds = source.rows.collect_schema()
    require_numbers(source, [outcome, *splines, *(n for n in terms if kinds[n].is_numeric())])
    check_min_users(min_users)
    rows = complete(source, columns, min_users)
    design = [
        part
        for name in terms
        for part in terms_of(rows, name, source.name, name in deciles, name in splines, min_users)
    ]
    fit = fitted(numbers(rows[outcome]), design, None if clusters is None else rows[clusters])
    low, high = fit.interval(confidence)
    common = {"users": len(rows), "r_squared": fit.explained, "suppressed": False}
    found: list[dict[str, Any]] = [
        {
            "outcome": outcome,
            "term": part.name,
            "role": "predictor" if part.column in predictors else "control",
            "estimate": float(fit.coefficients[place]),
            "low": float(low[place]),
            "high": float(high[place]),
            "standardized": float(fit.coefficients[place] * part.values.std() / fit.deviation),
            "p": float(fit.p[place]),
        }
        | common
        for place, part in enumerate(design, start=1)
    ]
    for name in splines:
        places = [place for place, part in enumerate(design, start=1) if part.column == name]
        row = {"outcome": outcome, "term": name, "role": "joint", "p": fit.joint_p(places)}
        found.append(row | common)
    result = pl.DataFrame(found)
    of_interest = result.select(pl.when(pl.col("role") == "predictor").then("p").alias("p"))["p"]
    result = result.insert_column(result.columns.index("p") + 1, adjusted_p(of_interest))
    return like(users, result)


def _check(
    source: Table,
    columns: Sequence[str],
    predictors: Sequence[str],
    shaped: Sequence[str],
    confidence: float,
) -> None:
    """Refuse options that do not go together; the first column is the outcome."""
    check_confidence(confidence)
    if len({*columns}) < len(columns):
        raise OptionError("outcome, predictors, controls, clusters: a column is named twice")
    if not predictors:
        raise OptionError("predictors: name at least one column")
    if strangers := {*shaped} - {*columns[1:]}:
        raise OptionError(f"{sorted(strangers)[0]!r} is neither among predictors nor controls")
    require_options(source, columns)


@dataclass(frozen=True, slots=True)
class Term:
    """A column of the design: the frame's column, its own name, and its values."""

    column: str
    name: str
    values: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """A regression; the intercept comes first.

    Attributes:
        coefficients: The coefficients, shape ``[terms + 1]``.
        covariance: Their robust covariance.
        freedom: Degrees of freedom of each one's t-test.
        explained: Share of the outcome's variance that is explained.
        deviation: The outcome's standard deviation.
    """

    coefficients: Floats
    covariance: Floats
    freedom: Floats
    explained: float
    deviation: float

    @property
    def errors(self) -> Floats:
        """Standard errors."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def p(self) -> Floats:
        """Two-sided p-values."""
        return np.asarray(2 * stats.t.sf(np.abs(self.coefficients) / self.errors, self.freedom))

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the ends of the intervals."""
        reach = stats.t.ppf((1 + confidence) / 2, self.freedom) * self.errors
        return self.coefficients - reach, self.coefficients + reach

    def joint_p(self, places: Sequence[int]) -> float:
        """Return the p-value of several coefficients together, by a Wald test."""
        inside = np.ix_(places, places)
        own = self.coefficients[list(places)]
        ratio = own @ np.linalg.solve(self.covariance[inside], own) / len(places)
        return float(stats.f.sf(ratio, len(places), self.freedom[list(places)].min()))


def fitted(outcome: Floats, design: Sequence[Term], clusters: pl.Series | None) -> Fit:
    """Fit by least squares; `TableError` if terms are collinear, or users or clusters too few."""
    with requires_extra("analysis"):
        import statsmodels.api as sm
    x = np.column_stack([np.ones(len(outcome)), *(part.values for part in design)])
    # Scaled, so that no unit of measurement spoils the numerics.
    scale = np.abs(x).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    x = x / scale
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise TableError(
            "users: a predictor or control only repeats what the others say; leave one out"
        )
    if len(outcome) <= x.shape[1]:
        raise TableError(f"users: {len(outcome)} users are too few for {len(design)} terms")
    fit = sm.OLS(outcome, x).fit(cov_type="HC3", use_t=True)
    covariance = np.asarray(fit.cov_params())
    # Where few users carry a coefficient, its degrees of freedom are their effective number.
    carried = np.linalg.pinv(x) ** 2
    worth = carried.sum(axis=1) ** 2 / (carried**2).sum(axis=1)
    freedom = np.minimum(float(fit.df_resid), worth)
    if clusters is not None:
        codes = clusters.rank("dense").to_numpy()
        if len(np.unique(codes)) < _FEWEST_CLUSTERS:
            raise TableError(
                f"users, {clusters.name}: {len(np.unique(codes))} clusters are too few to tell how "
                f"far errors are related; at least {_FEWEST_CLUSTERS} are needed"
            )
        covariance, freedom = _of_clusters(x, np.asarray(fit.resid), codes)
    return Fit(
        np.asarray(fit.params) / scale,
        covariance / np.outer(scale, scale),
        freedom,
        float(fit.rsquared),
        float(outcome.std()),
    )


def _of_clusters(x: Floats, residuals: Floats, codes: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the covariance of coefficients by clusters, and their degrees of freedom.

    Bias-reduced linearization with Satterthwaite's degrees of freedom (Bell and McCaffrey, Survey
    Methodology 28, 2002, pp. 169-181; Pustejovsky and Tipton, Journal of Business and Economic
    Statistics 36, 2018, pp. 672-683).
    """
    bread = np.linalg.inv(x.T @ x)
    root = np.linalg.cholesky(bread)
    groups = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    weighted = []
    for rows in groups:
        left, values, right = np.linalg.svd(x[rows] @ root, full_matrices=False)
        # (I - H)^(-1/2) times the rows: the hat matrix of a cluster has the squared values.
        rest = 1 - values**2
        stretch = np.where(rest > 1e-9, 1 / np.sqrt(np.maximum(rest, 1e-9)), 0.0)
        weighted.append((left * (stretch * values)) @ right @ np.linalg.inv(root))
    scores = np.stack([own.T @ residuals[rows] for own, rows in zip(weighted, groups, strict=True)])
    covariance = bread @ (scores.T @ scores) @ bread
    freedom = np.empty(x.shape[1])
    for place in range(x.shape[1]):
        # How the residuals of independent errors make up this variance.
        parts = np.zeros((len(x), len(groups)))
        for column, (own, rows) in enumerate(zip(weighted, groups, strict=True)):
            share = own @ bread[:, place]
            parts[rows, column] += share
            parts[:, column] -= x @ (bread @ (x[rows].T @ share))
        products = parts.T @ parts
        freedom[place] = np.trace(products) ** 2 / (products**2).sum()
    return covariance, freedom


def terms_of(
    rows: pl.DataFrame, name: str, frame: str, in_deciles: bool, spline: bool, min_users: int
) -> Iterator[Term]:
    """Yield the terms of a column."""
    kind = rows[name].dtype
    if in_deciles:
        tenths = rows.select(decile(pl.col(name)))[name].to_numpy()
        present, counts = np.unique(tenths, return_counts=True)
        if counts.min() < min_users:
            raise TableError(
                f"{frame}, {name}: a tenth of fewer than {min_users} users cannot be shown "
                "(min_users); leave it out of deciles"
            )
        for tenth in present[1:]:
            yield Term(name, f"{name}: decile {tenth:.0f}", (tenths == tenth).astype(float))
    elif spline:
        yield from _spline(name, numbers(rows[name]))
    elif kind.is_numeric():
        yield Term(name, name, numbers(rows[name]))
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
            yield Term(name, f"{name}: {value}", (texts == value).cast(pl.Float64).to_numpy())


def _spline(name: str, values: Floats) -> Iterator[Term]:
    """Yield a restricted cubic spline: linear beyond the outer knots."""
    knots = np.quantile(values, _KNOTS)
    if len(np.unique(knots)) < len(knots):
        raise TableError(f"users, {name}: too many equal values for a spline; use deciles")
    last, before = knots[-1], knots[-2]
    yield Term(name, f"{name}: spline 1", values)

    def cube(knot: float) -> Floats:
        return np.maximum(values - knot, 0.0) ** 3

    for place, knot in enumerate(knots[:-2], start=2):
        curve = (
            cube(knot)
            - cube(before) * (last - knot) / (last - before)
            + cube(last) * (before - knot) / (last - before)
        )
        yield Term(name, f"{name}: spline {place}", curve / (last - knots[0]) ** 2)


def complete(source: Table, columns: Sequence[str], min_users: int) -> pl.DataFrame:
    rows = source.collect(*columns)
    kept = rows.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None)).drop_nulls()
    if len(kept) < max(min_users, 3):
        raise TableError(
            f"{source.name}: {len(kept)} users have a value in every column, too few to show; "
            "`min_users` says how many are needed"
        )
    if len(kept) < len(rows):
        warnings.warn(
            f"{source.name}: {len(rows) - len(kept):,} of {len(rows):,} users lack a value and "
            "are left out; if that goes with the outcome, the figures are biased",
            AnalysisWarning,
            stacklevel=3,
        )
    return kept
