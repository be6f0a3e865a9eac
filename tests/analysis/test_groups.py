from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from affectlib.analysis import AnalysisWarning, TableError, associate, compare, users
from affectlib.errors import OptionError
from tools.simulate import simulate

PEOPLE = simulate(1000, seed=1, prevalence=0.1, conversations_per_user=4)
JOINED = users(PEOPLE.messages).join(PEOPLE.participants, on="user_id")


def term(frame: pl.DataFrame, name: str) -> dict[str, float]:
    return frame.row(by_predicate=pl.col("term") == name, named=True)


def test_planted_difference_is_found():
    found = compare(JOINED, "modality", reference="text")
    assert found["outcome"].to_list() == [
        "turn_rate", "any_rate", "mean_rate", "messages", "active_days"
    ]  # fmt: skip
    found = compare(JOINED, "modality", outcomes=["dependence", "age"], reference="text")
    dependence, age = found.rows(named=True)
    planted = PEOPLE.truth["dependence_of_voice"]
    assert dependence["low"] <= planted <= dependence["high"]
    assert dependence["effect_low"] <= planted / 3 <= dependence["effect_high"]
    assert dependence["q"] < 0.001
    assert age["q"] > 0.01
    assert dependence["users"] + dependence["reference_users"] == 1000


def test_comparison_is_welchs():
    groups = JOINED.partition_by("modality", as_dict=True)
    voice, text = (groups[(name,)]["dependence"].to_numpy() for name in ("voice", "text"))
    expected = stats.ttest_ind(voice, text, equal_var=False)
    found = compare(JOINED, "modality", outcomes=["dependence"], reference="text").row(
        0, named=True
    )
    assert found["p"] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_small_groups_are_not_compared_unless_asked_for():
    few = JOINED.with_columns(
        group=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("few")).otherwise(pl.lit("many"))
    )
    found = compare(few, "group", outcomes=["age"]).row(0, named=True)
    assert found["reference"] == "many"
    assert found["suppressed"]
    assert found["estimate"] is found["mean"] is found["p"] is found["q"] is found["users"] is None
    assert compare(few, "group", outcomes=["age"], min_users=0)["estimate"].null_count() == 0


def test_a_difference_without_spread_has_no_interval():
    same = JOINED.with_columns(constant=pl.lit(1.0))
    found = compare(same, "modality", outcomes=["constant"]).row(0, named=True)
    assert found["estimate"] == 0
    assert found["low"] is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"by": "country"}, "no column 'country'"),
        ({"by": "modality", "outcomes": ["sadness"]}, "no column 'sadness'"),
        ({"by": "modality", "reference": "smoke"}, "reference: no group 'smoke'"),
        ({"by": "constant"}, "'constant' has 1 groups"),
    ],
)
def test_bad_comparisons_are_named(options, problem):
    with pytest.raises(OptionError, match=problem):
        compare(JOINED.with_columns(constant=pl.lit("x")), **options)
    with pytest.raises(OptionError, match=r"outcomes: name .* one of turn_rate, any_rate"):
        compare(JOINED.select("user_id", "modality", "age"), "modality")
    with pytest.raises(TableError, match="users, gender: expected numbers"):
        compare(JOINED, "modality", outcomes=["gender"])


def test_planted_coefficients_are_found():
    found = associate(
        JOINED,
        outcome="loneliness_end",
        predictors=["usage_decile", "gender"],
        controls=["loneliness_start", "modality"],
    )
    decile = term(found, "usage_decile")
    assert decile["low"] <= PEOPLE.truth["loneliness_per_decile"] <= decile["high"]
    start = term(found, "loneliness_start")
    assert start["low"] <= PEOPLE.truth["loneliness_per_start"] <= start["high"]
    assert start["role"] == "control"
    assert start["q"] is None
    assert decile["q"] < 0.001
    assert found.filter(pl.col("term").str.starts_with("gender"))["q"][0] > 0.01
    assert decile["standardized"] == pytest.approx(
        decile["estimate"] * JOINED["usage_decile"].std() / JOINED["loneliness_end"].std(), rel=0.01
    )


def test_errors_are_robust_to_uneven_spread():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    frame = pl.DataFrame({"x": x, "y": x + np.abs(x) ** 1.5 * rng.normal(size=2000)})
    found = associate(frame, outcome="y", predictors=["x"]).row(0, named=True)
    design = np.column_stack([np.ones(2000), x])
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ frame["y"].to_numpy()
    lever = np.einsum("ij,jk,ik->i", design, inverse, design)
    scaled = ((frame["y"].to_numpy() - design @ fitted) / (1 - lever)) ** 2
    error = np.sqrt((inverse @ (design.T * scaled) @ design @ inverse)[1, 1])
    carried = (inverse @ design.T)[1] ** 2
    freedom = carried.sum() ** 2 / (carried**2).sum()
    assert 100 < freedom < 1998
    width = 2 * stats.t.ppf(0.975, freedom) * error
    assert found["high"] - found["low"] == pytest.approx(width)


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    site = np.repeat(np.arange(40), 25)
    frame = pl.DataFrame({"site": site, "x": rng.normal(size=40)[site]}).with_columns(
        y=pl.Series(rng.normal(size=40)[site] + rng.normal(size=1000))
    )
    alone, together = (
        associate(frame, outcome="y", predictors=["x"], **options).row(0, named=True)
        for options in ({}, {"clusters": "site"})
    )
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_deciles_and_splines_bend():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, 1500)
    frame = pl.DataFrame(
        {"x": x, "z": rng.normal(size=1500), "y": (x - 5) ** 2 + rng.normal(size=1500)}
    )
    tenths = associate(frame, outcome="y", predictors=["x"], deciles=["x"])
    assert tenths["term"].to_list() == [f"x: decile {tenth}" for tenth in range(2, 11)]
    assert tenths["estimate"][3] < -15  # the fifth tenth lies in the hollow
    assert abs(tenths["estimate"][8]) < 3
    curve = associate(frame, outcome="y", predictors=["x", "z"], splines=["x"])
    joint = curve.row(by_predicate=pl.col("role") == "joint", named=True)
    assert joint["p"] < 1e-10
    assert curve["r_squared"][0] > 0.95
    line = associate(frame, outcome="y", predictors=["x"])
    assert line["r_squared"][0] < 0.05


def test_tenths_of_few_users_are_refused():
    frame = pl.DataFrame({"x": range(60), "y": [float(n % 7) for n in range(60)]})
    with pytest.raises(TableError, match="x: a tenth of fewer than 10 users cannot be shown"):
        associate(frame, outcome="y", predictors=["x"], deciles=["x"])
    assert len(associate(frame, outcome="y", predictors=["x"], deciles=["x"], min_users=6)) == 9


def test_users_without_a_value_are_counted():
    some = JOINED.with_columns(
        loneliness_end=pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.col("loneliness_end"))
    )
    with pytest.warns(AnalysisWarning, match="250 of 1,000 users lack a value"):
        found = associate(some, outcome="loneliness_end", predictors=["usage_decile"])
    assert found["users"][0] == 750


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"predictors": ["nothing"]}, OptionError, "no column 'nothing'"),
        ({"predictors": []}, OptionError, "name at least one column"),
        ({"predictors": ["age"], "controls": ["age"]}, OptionError, "named twice"),
        ({"predictors": ["age"], "splines": ["hours"]}, OptionError, "'hours' is neither"),
        (
            {"predictors": ["messages"], "controls": ["twice"]},
            TableError,
            "only repeats what the others say",
        ),
        ({"predictors": ["constant"]}, TableError, "all users have the same value"),
        ({"predictors": ["rare"]}, TableError, "fewer than 10 users cannot be shown"),
        ({"predictors": ["turns"], "splines": ["turns"]}, TableError, "too many equal values"),
        (
            {"predictors": ["age"], "clusters": "constant"},
            TableError,
            "1 clusters are too few .* at least 5",
        ),
        ({"predictors": ["age"], "min_users": 2000}, TableError, "too few to show"),
    ],
)
def test_bad_regressions_are_named(options, error, problem):
    frame = JOINED.with_columns(
        constant=pl.lit("x"),
        twice=pl.col("messages") * 2,
        turns=pl.lit(3),
        rare=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("a")).otherwise(pl.lit("b")),
    )
    with pytest.raises(error, match=problem):
        associate(frame, outcome="loneliness_end", **options)


@pytest.mark.parametrize("column", ["dependence", "loneliness_start"])
def test_numbers_too_large_to_square_are_refused(column: str) -> None:
    huge = JOINED.with_columns(pl.col(column) * 1e300)
    message = rf"users, {column}: there are values beyond 1e\+100, .* give them in another unit"
    with pytest.raises(TableError, match=message):
        associate(huge, outcome="dependence", predictors=["loneliness_start"])
    large = JOINED.with_columns(pl.col(column) * 1e90)
    found = associate(large, outcome="dependence", predictors=["loneliness_start"])
    usual = associate(JOINED, outcome="dependence", predictors=["loneliness_start"])
    assert found["p"].to_list() == pytest.approx(usual["p"].to_list())
    with pytest.raises(TableError, match="values beyond"):
        compare(huge, "modality", outcomes=[column])
