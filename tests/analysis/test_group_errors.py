"""Groups in which the classifier errs otherwise than overall, and labels that say nothing."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest

from affectlib.analysis import Accuracy, AnalysisWarning, prevalence
from affectlib.analysis._correction import Apparent, ErrorRates
from affectlib.analysis.prevalence import label_errors
from tests.analysis.known import label_where

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

SITES = (("a", 2000, 25, 25), ("b", 2000, 167, 42))
"""A site's rows, how many are labelled emotional, and how many of these are: in one all of them."""


def rows_of_sites() -> pl.DataFrame:
    rows = []
    for site, count, called, right in SITES:
        order = np.random.default_rng(len(site) + count + called).permutation(count)
        for place, number in enumerate(order.tolist()):
            rows.append(
                {
                    "record": len(rows),
                    "user_id": f"{site}{place % 200}",
                    "site": site,
                    "label": "emotional" if number < called else "task",
                    "gold": "emotional" if number < right else "task",
                }
            )
    return pl.DataFrame(rows)


def of_groups(frame: pl.DataFrame, method: str) -> dict[str, dict[str, object]]:
    return {row["site"]: row for row in frame.filter(pl.col("method") == method).to_dicts()}


def test_where_hand_labels_contradict_the_common_errors_they_count_themselves():
    rows = rows_of_sites()
    gold = rows.select("record", "gold").gather_every(2).with_columns(weight=pl.lit(2.0))
    labels = rows.drop("gold")
    with pytest.warns(
        AnalysisWarning, match=r"in 2 of the groups \(a, b\), the gold labels contradict"
    ):
        found = prevalence(labels, gold, by="site")
    ppi, by_hand = of_groups(found, "ppi"), of_groups(found, "gold")
    assert {key: ppi["a"][key] for key in ("estimate", "low", "high")} == {
        key: by_hand["a"][key] for key in ("estimate", "low", "high")
    }
    for site, count, _, right in SITES:
        assert ppi[site]["low"] <= right / count <= ppi[site]["high"]
    assert prevalence(labels, gold).filter(method="ppi")["estimate"].item() > 0.01


def test_fewer_labels_than_the_errors_explain_leave_the_share_open():
    errors = ErrorRates.measured(Accuracy(900, 100, 9700, 300))
    few = errors.share(Apparent(0.0125, 2000, 500.0), 0.95)
    assert few.estimate == few.low == 0
    assert 0.0125 / 0.9 < few.high < 0.03
    none = errors.share(Apparent(0.0, 2000, 500.0), 0.95)
    assert 0 < none.high < few.high


@pytest.mark.parametrize(
    ("accuracy", "share", "units", "low"),
    [
        (Accuracy(500, 500, 9900, 100), 0.8, 2000, 0.8),
        (Accuracy(800, 200, 980, 20), 0.815, 20_000, 0.98),
    ],
)
def test_as_many_labels_as_would_be_found_or_more_leave_the_share_open(accuracy, share, units, low):
    many = ErrorRates.measured(accuracy).share(Apparent(share, units, 2000.0), 0.95)
    assert many.estimate == many.high == 1
    assert 0.7 < many.low < low


def test_a_difference_of_shares_is_none_of_more_than_the_whole():
    errors = ErrorRates.measured(Accuracy(60, 40, 50, 50))
    found = errors.difference(0.4, 0.2, 0.95)
    assert found.estimate == found.high == 1
    assert found.low >= -1


def useless() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels by chance, and hand labels: many at two sites, and at the third of two users."""
    rng = np.random.default_rng(0)
    labels = pl.DataFrame(
        {
            "record": range(2000),
            "user_id": [f"u{place % 200}" for place in range(2000)],
            "site": ["abc"[place % 200 // 70] for place in range(2000)],
            "label": rng.choice(["emotional", "task"], 2000, p=[0.3, 0.7]),
        }
    )
    own = pl.col("user_id").is_in(["u140", "u141"])
    sites = (pl.col("site") == "a", 150), (pl.col("site") == "b", 100), (own, 6)
    drawn = pl.concat([labels.filter(which).head(n) for which, n in sites])
    truth = rng.choice(["emotional", "task"], len(drawn), p=[0.3, 0.7])
    return labels, drawn.select("record", gold=pl.Series(truth), weight=pl.lit(8.0))


def test_where_labels_say_nothing_the_share_of_few_hand_labels_stays_hidden():
    labels, gold = useless()
    found = prevalence(labels, gold, by="site")
    for method in ("gold", "ppi"):
        hidden = of_groups(found, method)
        assert hidden["c"]["suppressed"]
        assert hidden["c"]["estimate"] is None
        # One of the others as well, or all minus the two would be the third.
        assert sorted(hidden[site]["suppressed"] for site in "ab") == [False, True]


def test_labels_that_say_nothing_correct_no_difference():
    labels, gold = useless()
    assert label_errors(labels, gold, None) is None
    assert label_errors(labels, None, Accuracy(52, 48, 500, 500)) is None
    assert label_errors(labels, None, Accuracy(90, 10, 500, 5)) is not None


def of_two_sites(gold_of_b: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels with false alarms at one site, hardly any at the other; hand labels of both."""
    called = {"a": 200, "b": 10}
    labels = pl.DataFrame(
        {
            "record": range(4000),
            "user_id": [f"u{place % 400}" for place in range(4000)],
            "site": ["ab"[place % 400 // 200] for place in range(4000)],
        }
    )
    place = pl.int_range(pl.len()).over("site")
    cut = pl.col("site").replace_strict(called)
    labels = labels.with_columns(label=label_where(place < cut))
    calls = ("emotional", 100), ("task", 300)
    of_a = pl.concat([labels.filter(site="a", label=label).head(n) for label, n in calls])
    of_b = labels.filter(site="b", label="task").gather_every(7).head(len(gold_of_b))
    answers = ["emotional"] * 20 + ["task"] * 380 + gold_of_b
    drawn = pl.concat([of_a, of_b])
    return labels, drawn.select("record", gold=pl.Series(answers), weight=pl.lit(5.0))


def contradicted(gold_of_b: list[str]) -> tuple[bool, dict[str, object], list[str]]:
    """Tell whether the hand labels of the second site decide its share, that, and what is said."""
    found, said = by_site(*of_two_sites(gold_of_b))
    ppi, by_hand = (of_groups(found, method)["b"] for method in ("ppi", "gold"))
    same = (ppi["low"], ppi["high"]) == (by_hand["low"], by_hand["high"])
    return same, ppi, said


def by_site(labels: pl.DataFrame, gold: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AnalysisWarning)
        found = prevalence(labels, gold, by="site", min_users=2)
    return found, [str(each.message) for each in caught]


def test_few_hand_labels_without_an_emotional_one_contradict_nothing():
    decide, share, said = contradicted(["task"] * 14)
    assert not decide
    assert share["low"] == 0
    assert share["high"] < 0.05
    assert not any("contradict" in text for text in said)


@pytest.mark.parametrize("others", [0, 13, 200])
def test_one_hand_label_decides_no_group(others: int):
    assert not contradicted(["emotional", *["task"] * others])[0]


def test_nine_hand_labels_decide_no_group_and_ten_may():
    assert not contradicted(["emotional"] * 9)[0]
    assert contradicted(["emotional"] * 10)[0]


def test_one_user_decides_no_group():
    labels, gold = of_two_sites(["emotional"] * 4 + ["task"] * 16)
    own = gold.filter(gold="emotional").tail(4)["record"].implode()
    labels = labels.with_columns(
        user_id=pl.when(pl.col("record").is_in(own)).then(pl.lit("u399")).otherwise("user_id")
    )
    assert not any("contradict" in text for text in by_site(labels, gold)[1])


@pytest.mark.parametrize("share", [0.0201, 0.02, 0.019, 0.017, 0.015])
def test_about_as_many_labels_as_false_alarms_leave_a_width(share: float):
    """The likeliest share is 0 or next to it, and chance decides on which side."""
    errors = ErrorRates.measured(Accuracy(800, 200, 9800, 200))
    found = errors.share(Apparent(share, 20_000, 2000.0), 0.95)
    at_0 = errors.share(Apparent(0.0201, 20_000, 2000.0), 0.95)
    assert found.low == 0
    assert found.high > 0.8 * at_0.high > 0.005
    ordinary = errors.share(Apparent(0.1, 20_000, 2000.0), 0.95)
    assert ordinary.high - ordinary.low == pytest.approx(
        2 * 1.96 * (0.09 / 2000) ** 0.5 / 0.78, rel=0.1
    )


def test_how_often_a_task_becomes_charged_keeps_a_width_at_0():
    errors = ErrorRates.measured(Accuracy(800, 200, 9800, 200))
    whole, first = Apparent(0.02, 20_000, 2000.0), Apparent(0.026, 20_000, 2000.0)
    found = errors.onset_share(whole, first, errors, 0.95)
    assert found.low == found.estimate == 0
    assert found.high > 0.005
