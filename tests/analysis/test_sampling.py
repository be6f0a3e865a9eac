"""Rows drawn to be labelled by hand, and what their weights promise."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.analysis import TableError
from affectlib.analysis.sampling import sample
from affectlib.errors import InputTypeError, OptionError
from tools.simulate import Population, simulate


@cache
def population() -> Population:
    return simulate(150, seed=3)


def labels(probabilities: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "conversation_id": [f"c{index}" for index in range(len(probabilities))],
            "label": [
                None if p is None else "emotional" if p > 0.5 else "task" for p in probabilities
            ],
            "probability": pl.Series(probabilities, dtype=pl.Float64),
        }
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(1, 60), st.integers(1, 12))
def test_weights_add_up_to_all_rows_and_no_row_comes_twice(probabilities, n, strata):
    drawn = sample(labels(probabilities), n, strata=strata)
    assert len(drawn) == min(n, len(probabilities))
    assert drawn["conversation_id"].is_unique().all()
    assert (drawn["weight"] >= 1).all()
    if n >= len(probabilities):
        assert (drawn["weight"] == 1).all()
    if n >= strata * 5:  # every stratum is drawn from, unless it is empty
        assert drawn["weight"].sum() == pytest.approx(len(probabilities))


def test_no_weight_is_much_more_than_twice_an_even_one():
    rows = population().conversations
    drawn = sample(rows, 200)
    assert drawn["weight"].sum() == pytest.approx(len(rows))
    assert drawn["weight"].max() < 2.1 * len(rows) / 200
    # The classifier's few hits, and what it is unsure of, are drawn more than in proportion.
    chosen = rows.join(drawn, on="record")
    assert (chosen["probability"] > 0.2).mean() > 2 * (rows["probability"] > 0.2).mean()


def test_the_weighted_share_is_right_and_sharper_than_an_even_draw():
    rows = population().conversations.join(population().gold_conversations, on="record")
    truth = (rows["gold"] == "emotional").to_numpy()
    rng = np.random.default_rng(0)
    weighted, even = [], []
    for seed in range(300):
        drawn = sample(rows, 150, seed=seed)
        hits = truth[drawn["record"].to_numpy()]
        weighted.append(np.average(hits, weights=drawn["weight"]))
        even.append(rng.choice(truth, 150, replace=False).mean())
    error = np.std(weighted) / np.sqrt(len(weighted))
    assert np.mean(weighted) == pytest.approx(truth.mean(), abs=4 * error)
    assert np.std(weighted) < 0.8 * np.std(even)


def test_it_tells_nothing_of_what_the_classifier_found():
    drawn = sample(population().messages, 50)
    names = "record conversation_id message weight design gold themes"
    assert drawn.columns == names.split()
    assert drawn["gold"].null_count() == 50
    of_users = population().messages.filter(pl.col("role") == "user")
    assert len(drawn.join(of_users, on=["record", "message"])) == 50
    assert drawn["weight"].to_list() != sorted(drawn["weight"])


def test_the_seed_decides():
    first, again, other = (sample(population().conversations, 40, seed=s) for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_frames_of_every_kind():
    rows = population().conversations.select("conversation_id", "label", "probability")
    assert sample(rows.to_pandas(), 10).conversation_id.tolist() == (
        sample(rows.lazy(), 10)["conversation_id"].to_list()
    )
    names = sample(rows.to_arrow(), 10).column_names
    assert names == ["conversation_id", "weight", "design", "gold"]


def test_rows_that_cannot_be_told_apart_are_refused():
    frame = pl.DataFrame(
        {"record": [0, 0], "conversation_id": ["a", "b"], "label": "task", "probability": 0.1}
    )
    assert len(sample(frame, 2)) == 2
    with pytest.raises(TableError, match="same conversation_id and record and the same result"):
        sample(frame.with_columns(conversation_id=pl.lit(None, pl.String)), 2)


def test_rows_without_a_label_are_not_drawn():
    assert sample(labels([0.1, None, 0.9]), 10)["conversation_id"].sort().to_list() == ["c0", "c2"]


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        (labels([0.1]), {"n": 0}, OptionError, "n must be at least 1"),
        (labels([0.1]), {"strata": 0}, OptionError, "strata must be at least 1"),
        (labels([0.1]).drop("probability"), {}, TableError, "no column 'probability'"),
        (labels([0.1]).drop("conversation_id"), {}, TableError, "no column 'conversation_id'"),
        (labels([0.1, 1.5]), {}, TableError, "labels, probability: .* between 0 and 1"),
        (labels([None]), {}, TableError, "no row has a label"),
        ([0.1], {}, InputTypeError, "expected a pandas or polars frame"),
    ],
)
def test_errors(frame, options, error, message):
    with pytest.raises(error, match=message):
        sample(frame, **options)
