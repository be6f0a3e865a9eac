"""Groups in which the classifier errs otherwise than overall, and labels that say nothing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from affectlib.analysis import Accuracy, AnalysisWarning, prevalence
from affectlib.analysis._correction import Apparent, Errors
from affectlib.analysis.prevalence import label_errors

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
    with pytest.warns(AnalysisWarning, match="in 2 of the groups, the gold labels contradict"):
        found = prevalence(labels, gold, by="site")
    ppi, by_hand = of_groups(found, "ppi"), of_groups(found, "gold")
    assert {key: ppi["a"][key] for key in ("estimate", "low", "high")} == {
        key: by_hand["a"][key] for key in ("estimate", "low", "high")
    }
    for site, count, _, right in SITES:
        assert ppi[site]["low"] <= right / count <= ppi[site]["high"]
    assert prevalence(labels, gold).filter(method="ppi")["estimate"].item() > 0.01


def test_fewer_labels_than_the_errors_explain_leave_the_share_open():
    errors = Errors.measured(Accuracy(900, 100, 9700, 300))
    few = errors.share(Apparent(0.0125, 2000, 500.0), 0.95)
    assert few.estimate == few.low == 0
    assert 0.0125 / 0.9 < few.high < 0.03
    none = errors.share(Apparent(0.0, 2000, 500.0), 0.95)
    assert 0 < none.high < few.high


def test_more_labels_than_would_be_found_leave_the_share_open():
    errors = Errors.measured(Accuracy(500, 500, 9900, 100))
    many = errors.share(Apparent(0.8, 2000, 2000.0), 0.95)
    assert many.estimate == many.high == 1
    assert 0.7 < many.low < 0.8


def test_a_difference_of_shares_is_none_of_more_than_the_whole():
    errors = Errors.measured(Accuracy(60, 40, 50, 50))
    found = errors.difference(0.4, 0.2, 0.95)
    assert found.estimate == found.high == 1
    assert found.low >= -1


def useless() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels by chance, and hand labels: many at two sites, and at the third of two users."""
    chance = np.random.default_rng(0)
    labels = pl.DataFrame(
        {
            "record": range(2000),
            "user_id": [f"u{place % 200}" for place in range(2000)],
            "site": ["abc"[place % 200 // 70] for place in range(2000)],
            "label": chance.choice(["emotional", "task"], 2000, p=[0.3, 0.7]),
        }
    )
    own = pl.col("user_id").is_in(["u140", "u141"])
    drawn = pl.concat(
        [
            labels.filter(site="a").head(150),
            labels.filter(site="b").head(100),
            labels.filter(own).head(6),
        ]
    )
    truth = chance.choice(["emotional", "task"], len(drawn), p=[0.3, 0.7])
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
