"""Regression on users' rates of charged turns, corrected for label error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from affectlib.analysis._correction import ErrorRates
from affectlib.analysis._frames import numbers
from affectlib.analysis._intervals import Floats, adjusted_p
from affectlib.analysis.association import Fit, Term, associate, fitted, terms_of

__all__ = ["CHARGED_RATE", "associate_rates", "calibrated_rates", "spanned"]

CHARGED_RATE = "charged_rate"
"""The predictor that is added to those of the users."""

_ALTERNATIVES = 12
_PLACES = 200
_CONFIDENCE = 0.95
_LEAST_KNOWN, _LEAST_EVER = 0.5, 0.3
_FEWEST = 3


def associate_rates(
    users: pl.DataFrame,
    errors: ErrorRates | None,
    *,
    outcome: str,
    predictors: Sequence[str],
    controls: Sequence[str] = (),
    min_users: int = 10,
) -> tuple[list[dict[str, Any]], bool]:
    """Regress an outcome on users' rates of charged turns (`CHARGED_RATE`) and other predictors.

    Rates are calibrated (see `ErrorRates.calibrated`) if little of their variance is label error.
    The regression is then repeated with several sensitivities and specificities from their
    distribution, and intervals and p-values are pooled. `users` has ``turn_rate`` and ``turns``;
    `errors` are those of the labels of turns.

    Returns the rows of `associate`, and whether the rates were calibrated.
    """
    rates = users["turn_rate"].cast(pl.Float64).fill_null(nan).to_numpy()
    turns = users["turns"].cast(pl.Float64).fill_null(0).to_numpy()
    several = calibrated_rates(rates, turns, errors)
    values = rates if several is None else several[0]
    frame = users.with_columns(pl.Series(CHARGED_RATE, values).fill_nan(None))
    names = [*predictors, CHARGED_RATE]
    rows = associate(
        frame, outcome=outcome, predictors=names, controls=controls, min_users=min_users
    ).to_dicts()
    if several is None:
        return rows, False
    names += controls
    own = {f"_rate {place}": pl.Series(rate) for place, rate in enumerate(several[1:])}
    kept = frame.with_columns(**own).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))
    kept = kept.drop_nulls([outcome, *names])
    design = [
        part
        for name in names
        for part in terms_of(kept, name, "users", in_deciles=False, spline=False, min_users=0)
    ]
    fits = []
    for name in own:
        rate = Term(CHARGED_RATE, CHARGED_RATE, kept[name].to_numpy())
        terms = [rate if part.column == CHARGED_RATE else part for part in design]
        fits.append(fitted(numbers(kept[outcome]), terms, None))
    for row, (low, high), p in zip(rows, spanned(fits), _spanned_p(fits), strict=True):
        row |= {"low": low, "high": high, "p": p}
    tested = [row["p"] if row["role"] == "predictor" else None for row in rows]
    for row, q in zip(rows, adjusted_p(pl.Series(tested, dtype=pl.Float64)), strict=True):
        row["q"] = q
    return rows, True


def calibrated_rates(
    rates: Floats, turns: Floats, errors: ErrorRates | None
) -> list[Floats] | None:
    """Return users' likeliest true rates, then those at other sensitivities and specificities.

    None if nothing is known of the errors, or if too much of the variance is label error. `rates`
    are shares of each user's `turns`, NaN where there are none.
    """
    if errors is None or np.isfinite(rates).sum() < _FEWEST:
        return None
    likeliest, known = errors.calibrated(rates, turns)
    others = [errors.calibrated(rates, turns, at) for at in errors.alternatives(_ALTERNATIVES)]
    if known < _LEAST_KNOWN or min(least for _, least in others) < _LEAST_EVER:
        return None
    return [likeliest, *(values for values, _ in others)]


def spanned(fits: Sequence[Fit]) -> Iterator[tuple[float, float]]:
    """Yield the pooled intervals of coefficients of several regressions, without the intercept."""
    places = (np.arange(_PLACES) + 0.5) / _PLACES
    ends = [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]
    for place in range(1, len(fits[0].coefficients)):
        draws = [
            fit.coefficients[place] + fit.errors[place] * stats.t.ppf(places, fit.freedom[place])
            for fit in fits
        ]
        low, high = np.quantile(draws, ends)
        yield float(low), float(high)


def _spanned_p(fits: Sequence[Fit]) -> Iterator[float]:
    """Yield the pooled p-values that match `spanned`."""
    for place in range(1, len(fits[0].coefficients)):
        t = [-fit.coefficients[place] / fit.errors[place] for fit in fits]
        below = np.mean(stats.t.cdf(t, [fit.freedom[place] for fit in fits]))
        yield float(2 * min(below, 1 - below))
