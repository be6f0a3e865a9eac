"""What takes label error out of shares, differences and rates of users."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from affectlib.analysis import Accuracy, associate, users
from affectlib.analysis._correction import Apparent, ErrorRates, GoldUnits
from affectlib.analysis._rate_regression import CHARGED_RATE, associate_rates
from tools.simulate import simulate
from tools.simulation.figures import Corpus, figures
from tools.simulation.population import Setting, draw, measured

EXACT = Accuracy(8_000_000, 2_000_000, 98_000_000, 2_000_000)


def known() -> ErrorRates:
    errors = ErrorRates.measured(EXACT)
    assert errors is not None
    return errors


def test_a_share_of_labels_goes_back_to_what_made_it() -> None:
    for true in (0.0, 0.01, 0.3, 1.0):
        labelled = true * 0.8 + (1 - true) * 0.02
        found = known().share(Apparent(labelled, 1e9), 0.95)
        assert found.estimate == pytest.approx(true, abs=1e-4)
        assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize("true", [0.005, 0.03, 0.2])
def test_a_share_may_be_of_another_kind_of_chat(true: float) -> None:
    """Sensitivity 0.95 and specificity 0.999 were measured on many; 0.77 and 0.985 are true."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        believed = ErrorRates.measured(measured(rng, (200, 4000), (0.95, 0.999)))
        assert believed is not None
        labelled = rng.binomial(4000, true * 0.77 + (1 - true) * 0.015) / 4000
        plain = believed.share(Apparent(labelled, 4000), 0.95)
        found = believed.with_domain_shift().share(Apparent(labelled, 4000), 0.95)
        covered += found.low <= true <= found.high
        assert found.estimate == plain.estimate
        assert found.low <= plain.low <= plain.high <= found.high
    assert covered >= 54


def test_a_difference_is_stretched_by_what_labels_take_from_it() -> None:
    found = known().difference(0.078, 0.0078, 0.95)
    assert found.estimate == pytest.approx(0.1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.01, rel=0.01)


def gold(hits: int, size: int, called: bool, weight: float = 1.0) -> GoldUnits:
    truth = np.arange(size) < hits
    return GoldUnits(
        user=np.arange(size, dtype=np.uint64),
        truth=truth.astype(float),
        called=np.full(size, called),
        predicted=np.full(size, 0.5),
        weight=np.full(size, weight),
    )


def together(*parts: GoldUnits) -> GoldUnits:
    names = ("user", "truth", "called", "predicted", "weight")
    return GoldUnits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def test_many_gold_labels_decide_and_few_lean_on_what_was_measured() -> None:
    called = Apparent(0.03, 20_000)
    wrong = Accuracy(90, 10, 900, 100)
    many = together(gold(600, 1000, True), gold(10, 4000, False))
    precise = ErrorRates.updated(many, called, (0.5, 0.5), wrong).share(called, 0.95, whole=True)
    assert precise.estimate == pytest.approx(0.03 * 0.6 + 0.97 * 0.0025, rel=0.1)
    few = together(gold(3, 5, True), gold(0, 60, False))
    widths = {}
    for name, prior in (("none", None), ("measured", Accuracy(80, 20, 980, 20))):
        found = ErrorRates.updated(few, called, (0.5, 0.5), prior).share(called, 0.95, whole=True)
        widths[name] = found.high - found.low
    assert widths["measured"] < 0.6 * widths["none"]


def test_gold_labels_that_contradict_what_was_measured_decide() -> None:
    called = Apparent(0.5, 200)
    logs = Accuracy(17, 5, 747, 7)
    here = together(gold(25, 30, True), gold(0, 30, False))  # a sixth of those called so are not
    found = ErrorRates.updated(here, called, (0.5, 0.5), logs).share(called, 0.95, whole=True)
    alone = ErrorRates.updated(here, called, (0.5, 0.5), None).share(called, 0.95, whole=True)
    assert found.estimate == pytest.approx(alone.estimate, abs=0.01)
    assert found.low == pytest.approx(alone.low, abs=0.02)
    assert found.high == pytest.approx(alone.high, abs=0.02)


def test_no_gold_label_that_is_emotional_leaves_0_possible() -> None:
    called = Apparent(0.02, 5000)
    none = together(gold(0, 10, True), gold(0, 90, False))
    found = ErrorRates.updated(none, called, (0.5, 0.5), None).share(called, 0.95, whole=True)
    assert found.low == 0
    assert 0 < found.high < 0.06


@pytest.mark.parametrize("elsewhere", [None, (0.8, 0.98)])
def test_a_rare_share_is_not_too_high_on_average(elsewhere: tuple[float, float] | None) -> None:
    """Most samples of 200 hold none of the charged rows that the classifier missed."""
    rng, true = np.random.default_rng(7), 0.005
    errors, covered = [], 0
    for _ in range(400):
        corpus = Corpus.of(rng, draw(rng, Setting(150, 30.0, 1.0, true)), 200, elsewhere)
        assert corpus is not None
        found = next(figures(corpus, rng))
        errors.append(found.estimate - found.truth)
        covered += found.low <= found.truth <= found.high
    assert abs(np.mean(errors)) < 0.08 * true
    assert covered >= 0.95 * len(errors)


def test_a_coefficient_of_calibrated_rates_is_not_drawn_towards_0() -> None:
    """The planted one is 0.5; that of rates of labels is lower, also if they are stretched."""
    found: dict[str, list[float]] = {"calibrated": [], "stretched": []}
    for seed in range(4):
        people = simulate(400, seed=seed, prevalence=0.3)
        joined = users(people.messages).join(people.participants, on="user_id")
        rates, turns = (joined[name].cast(pl.Float64).to_numpy() for name in ("turn_rate", "turns"))
        ways = {"calibrated": known().calibrated(rates, turns)[0], "stretched": rates / 0.78}
        for name, values in ways.items():
            row = associate(
                joined.with_columns(pl.Series("rate", values)),
                outcome="loneliness_end",
                predictors=["rate"],
                controls=["loneliness_start", "usage_decile"],
            ).row(0, named=True)
            found[name].append(row["estimate"])
    assert np.mean(found["stretched"]) < 0.47
    assert np.mean(found["calibrated"]) == pytest.approx(0.5, abs=0.1)


def test_the_interval_of_a_coefficient_allows_for_what_is_not_known_of_errors() -> None:
    people = simulate(300, seed=1, prevalence=0.3)
    joined = users(people.messages).join(people.participants, on="user_id")
    widths, middles = {}, {}
    for name, accuracy in {"exact": EXACT, "rough": Accuracy(8, 2, 98, 2)}.items():
        errors = ErrorRates.measured(accuracy)
        rows, corrected = associate_rates(
            joined, errors, outcome="loneliness_end", predictors=["usage_decile"]
        )
        assert corrected
        row = next(row for row in rows if row["term"] == CHARGED_RATE)
        widths[name], middles[name] = row["high"] - row["low"], row["estimate"]
        assert row["low"] < row["estimate"] < row["high"]
        # p-values are of the same as intervals.
        for each in rows:
            assert (each["p"] < 0.05) == (each["low"] > 0 or each["high"] < 0)
            assert each["q"] >= each["p"]
    assert middles["rough"] == pytest.approx(middles["exact"])
    assert widths["rough"] > 1.02 * widths["exact"]


def test_rates_that_are_mostly_label_error_are_not_calibrated() -> None:
    people = simulate(200, seed=1, prevalence=0.003)
    joined = users(people.messages).join(people.participants, on="user_id")
    options = {"outcome": "loneliness_end", "predictors": ["usage_decile"]}
    rows, corrected = associate_rates(joined, known(), **options)
    assert not corrected
    assert rows == associate_rates(joined, None, **options)[0]


def test_what_becomes_emotional_is_what_is_so_less_what_began_so() -> None:
    whole, first = 0.2, 0.05
    labelled = [Apparent(true * 0.8 + (1 - true) * 0.02, 1e9) for true in (whole, first)]
    found = known().onset_share(labelled[0], labelled[1], known(), 0.95)
    assert found.estimate == pytest.approx((whole - first) / (1 - first), abs=1e-3)
    assert found.low <= found.estimate <= found.high
    nothing = known().onset_share(labelled[1], labelled[0], known(), 0.95)
    assert nothing.low == nothing.estimate == 0
