"""Statistics against scipy, statsmodels, scikit-learn, and published formulas."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.multitest import multipletests

from affectlib.analysis import agreement, concentration
from affectlib.analysis._intervals import (
    Spread,
    adjusted_p,
    clustered_mean,
    exact_share,
    spread,
    wilson_share,
)
from affectlib.analysis._measures import Measured, _auroc

SIMPLE = Spread(0.0, np.inf)
"""That of rows that are all independent: an interval then rests on their number alone."""


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "size"), [(0, 40), (1, 400), (13, 50), (50, 50)])
def test_intervals_of_shares_are_those_of_scipy(hits, size, confidence):
    test = binomtest(hits, size)
    found = wilson_share(hits / size, SIMPLE, size, confidence)
    expected = test.proportion_ci(confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)
    found = exact_share(hits / size, SIMPLE, size, size, confidence)
    expected = test.proportion_ci(confidence, method="exact")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_adjusted_p_values_are_those_of_statsmodels():
    p = np.random.default_rng(0).uniform(size=60) ** 3
    assert np.allclose(adjusted_p(pl.Series(p)), multipletests(p, method="fdr_bh")[1])


def test_the_error_of_a_clustered_mean_is_that_of_a_regression_with_clustered_errors():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 30, 400)
    user = np.repeat(np.arange(400), counts)
    charged = rng.uniform(size=len(user)) < rng.beta(1, 9, 400)[user]
    mean, spread = clustered_mean(np.bincount(user, charged), counts.astype(float))
    fit = sm.OLS(charged.astype(float), np.ones(len(user))).fit(
        cov_type="cluster", cov_kwds={"groups": user}
    )
    assert mean == pytest.approx(fit.params[0])
    assert spread.variance**0.5 == pytest.approx(fit.bse[0], rel=0.01)


def test_the_spread_of_few_clusters_is_that_of_a_regression_with_clustered_errors():
    rng = np.random.default_rng(6)
    user = np.repeat(np.arange(9), 5)
    values = rng.normal(user, 4)
    beyond = np.bincount(user, values - values.mean()) / len(values)
    fit = sm.OLS(values, np.ones(45)).fit(cov_type="cluster", cov_kwds={"groups": user})
    assert spread(beyond).variance ** 0.5 == pytest.approx(fit.bse[0])


def test_gini_is_the_mean_difference_by_twice_the_mean():
    values = np.random.default_rng(2).poisson(np.random.default_rng(3).gamma(0.4, 5, 300))
    people = pl.DataFrame({"user_id": [*map(str, range(300))], "charged_turns": values})
    found = concentration(people).row(0, named=True)
    expected = np.abs(np.subtract.outer(values, values)).mean() / (2 * values.mean())
    assert found["measure"] == "gini"
    assert found["estimate"] == pytest.approx(expected)


def test_the_error_of_auroc_is_that_of_delong():
    rng = np.random.default_rng(4)
    truth = rng.uniform(size=700) < 0.3
    score = np.round(rng.normal(truth * 1.2, 1), 1)  # with ties
    rows = Measured(truth, score > 1, score, np.ones(700), np.arange(700))
    area, influence = _auroc(rows)
    above = np.subtract.outer(score[truth], score[~truth])
    wins = (above > 0) + 0.5 * (above == 0)
    hits, rest = wins.mean(axis=1), wins.mean(axis=0)
    delong = hits.var(ddof=1) / len(hits) + rest.var(ddof=1) / len(rest)
    assert area == pytest.approx(wins.mean())
    assert (influence**2).sum() == pytest.approx(delong, rel=0.02)


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(5)
    first = rng.uniform(size=300) < 0.3
    second = np.where(rng.uniform(size=300) < 0.85, first, ~first)
    sheets = [
        pl.DataFrame({"record": range(300), "gold": np.where(answers, "emotional", "task")})
        for answers in (first, second)
    ]
    found = dict(agreement(*sheets).select("measure", "estimate").iter_rows())
    assert found["Cohen's kappa"] == pytest.approx(cohen_kappa_score(first, second))
