from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from affectlib.analysis import AnalysisWarning, TableError, concentration, lorenz, users
from affectlib.analysis._trends import user_trends
from affectlib.errors import OptionError
from affectlib.model.aggregation import adjusted
from tools.simulate import simulate

PEOPLE = simulate(300, seed=7, prevalence=0.15, weeks=16)
START = datetime(2025, 3, 3, 9, tzinfo=UTC)


def message(user, conversation, index, minutes, label="task", role="user", **cues):
    return {
        "user_id": user,
        "conversation_id": conversation,
        "message": index,
        "role": role,
        "timestamp": START + timedelta(minutes=minutes),
        "label": label if role == "user" else None,
    } | cues


def test_figures_of_a_user_counted_by_hand():
    rows = [
        message("a", "x", 0, 0, "emotional", in_crisis=0.9),
        message("a", "x", 1, 2, role="assistant", shows_empathy=0.7),
        message("a", "x", 2, 62, in_crisis=0.1),
        message("a", "y", 0, 60 * 24 * 3, in_crisis=0.2),
        message("a", "y", 1, 60 * 24 * 3 + 1, role="assistant", shows_empathy=0.2),
        message("b", "z", 0, 5, in_crisis=0.5),
    ]
    found = users(pl.DataFrame(rows)).row(0, named=True)
    assert found["conversations"] == 2
    assert found["messages"] == 5
    assert found["user_messages"] == found["turns"] == 3
    assert found["charged_turns"] == 1
    assert found["active_days"] == 2
    assert found["hours"] == pytest.approx((2 + 10 + 1) / 60)  # the pause of an hour counts 10 min
    assert found["first"] == START
    assert found["last"] == START + timedelta(days=3, minutes=1)
    assert found["turn_rate"] == pytest.approx(1 / 3)
    assert found["any_rate"] == found["adjusted_rate"] == 0.5
    assert found["mean_rate"] == 0.25
    assert found["in_crisis"] == pytest.approx(1 / 3)
    assert found["shows_empathy"] == 0.5
    assert found["trend"] is None
    assert found["emotional_rate"] is None


def test_days_begin_where_the_users_are():
    rows = [message("a", "x", place, 60 * 13 + 60 * place) for place in range(2)]  # 22 and 23 h UTC
    rows += [message("b", "y", 0, 0, "emotional")]
    assert users(pl.DataFrame(rows))["active_days"][0] == 1
    assert users(pl.DataFrame(rows), time_zone="Europe/Paris")["active_days"][0] == 2


def test_labels_of_both_levels_agree():
    by_message, by_conversation = users(PEOPLE.messages), users(PEOPLE.conversations)
    same = ["user_id", "conversations", "messages", "turns", "charged_turns", "usage_decile"]
    assert by_message.select(same).equals(by_conversation.select(same))
    for name in ("turn_rate", "any_rate", "adjusted_rate", "mean_rate", "mean_rate_shrunken"):
        assert np.allclose(by_message[name], by_conversation[name]), name
    assert by_conversation["hours"].null_count() == 300
    assert by_conversation["emotional_rate"].null_count() == 0
    assert by_message.columns == by_conversation.columns


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=45))
def test_adjusted_is_that_of_the_library(flags):
    rows = [
        message("a", "x", place, place, "emotional" if flag else "task")
        for place, flag in enumerate(flags)
    ]
    found = users(
        pl.DataFrame([*rows, message("b", "y", 0, 0), message("b", "z", 0, 0, "emotional")])
    )
    assert found["adjusted_rate"][0] == pytest.approx(adjusted(flags))


def test_shrinking_moves_users_with_little_data_most():
    found = users(PEOPLE.messages)
    centre = found["any_rate_shrunken"].median()
    certain = found.filter((pl.col("conversations") == 1) & (pl.col("any_rate") == 1))
    assert certain.height > 3
    assert certain["any_rate_shrunken"].max() < 0.6
    heavy = found.filter(pl.col("conversations") > 60)
    moved = (heavy["any_rate_shrunken"] - heavy["any_rate"]).abs()
    assert moved.max() < 0.5 * (heavy["any_rate"] - centre).abs().max()
    assert found["any_rate_shrunken"].is_between(0, 1).all()


def test_shrunken_rates_are_nearer_to_the_truth():
    gold = (
        PEOPLE.gold_conversations.with_columns(truth=(pl.col("gold") == "emotional").cast(float))
        .join(PEOPLE.conversations.select("record", "user_id"), on="record")
        .with_columns(odd=pl.int_range(pl.len()).over("user_id") % 2 == 1)
    )
    # One half of the conversations predicts the other.
    halves = [
        PEOPLE.conversations.join(gold.filter(pl.col("odd") == odd).select("record"), on="record")
        for odd in (False, True)
    ]
    first, second = users(halves[0]), users(halves[1]).select("user_id", later="any_rate")
    both = first.join(second, on="user_id")
    error = {
        name: ((both[name] - both["later"]) ** 2).mean()
        for name in ("any_rate", "any_rate_shrunken")
    }
    assert error["any_rate_shrunken"] < error["any_rate"]


def growing(user: str, weeks: int, slope: float) -> list[dict[str, object]]:
    rng = np.random.default_rng(len(user))
    rows = []
    for week in range(weeks):
        for turn in range(30):
            label = "emotional" if rng.random() < 0.1 + slope * week else "task"
            rows.append(message(user, f"{user}{week}", turn, week * 10_080 + turn, label))
    return rows


def test_trends_are_found_and_held_to_the_number_of_users():
    rows = growing("rises", 12, 0.07) + growing("stays", 12, 0.0) + growing("brief", 3, 0.2)
    found = users(pl.DataFrame(rows)).sort("user_id")
    assert found["direction"].to_list() == [None, "rising", "flat"]
    assert found["trend"][1] == pytest.approx(0.07, abs=0.02)
    assert (found["trend_q"] >= found["trend_p"]).drop_nulls().all()


def test_trends_of_chance_alone_are_as_rare_as_they_should_be():
    flat = simulate(2000, seed=4, prevalence=0.3, growth=0.0, weeks=12)
    steady = flat.participants.filter(~pl.col("growing")).select("user_id")
    p = users(flat.messages).join(steady, on="user_id")["trend_p"].drop_nulls()
    assert len(p) > 800
    assert 0.01 < (p < 0.05).mean() < 0.055


def test_rows_without_user_or_time_are_said():
    some = PEOPLE.messages.with_columns(
        user_id=pl.when(pl.col("record") % 4 > 0).then(pl.col("user_id"))
    )
    with pytest.warns(AnalysisWarning, match=r"2\d\.\d% of the rows have no user id and are left"):
        assert users(some).height < 300
    with pytest.warns(AnalysisWarning, match="labels, timestamp: no row has a time"):
        found = users(PEOPLE.messages.drop("timestamp"))
    assert found["active_days"].null_count() == found["hours"].null_count() == 300
    for frame in (
        PEOPLE.messages.with_columns(user_id=pl.lit(None, pl.String)),
        PEOPLE.messages.with_columns(user_id=pl.lit("")),
    ):
        with pytest.raises(TableError, match="labels, user_id: no row has one"):
            users(frame)
    with pytest.raises(TableError, match="no column 'user_id'"):
        users(PEOPLE.messages.drop("user_id"))


def put_together() -> pl.DataFrame:
    """Two exports of one user, each numbered from 0, and one of another."""
    rows = [
        message("a", None, 0, 0, "emotional"),
        message("a", None, 1, 1),
        message("a", None, 0, 600),
        message("b", None, 0, 0),
    ]
    return pl.DataFrame(rows).with_columns(record=0)


def test_conversations_that_cannot_be_told_apart_are_refused():
    files = put_together()
    for frame, problem in (
        (files, "rows with the same conversation_id and record and user_id and message, so conv"),
        (files.drop("record"), "rows without conversation_id, so conversations cannot be told"),
        (files.with_columns(record=None), "rows without conversation_id and record, so conv"),
        (files.drop("record", "conversation_id"), "no column 'conversation_id'"),
    ):
        with pytest.raises(TableError, match=f"labels: {problem}"):
            users(frame)
    numbered = files.with_columns(record=pl.Series([0, 0, 1, 0]))
    assert users(numbered)["conversations"].to_list() == [2, 1]
    unknown = files.with_columns(user_id=pl.when(pl.col("user_id") == "b").then("user_id"))
    with pytest.warns(AnalysisWarning):  # rows without a user are left out before
        assert users(unknown)["conversations"].to_list() == [1]


def test_conversations_that_are_there_twice_are_refused():
    twice = pl.concat([PEOPLE.conversations, PEOPLE.conversations.head(1)])
    with pytest.raises(TableError, match="same conversation_id and record and the same result"):
        users(twice)
    first = pl.col("record") == 0
    nameless = PEOPLE.conversations.with_columns(
        conversation_id=pl.when(~first).then("conversation_id")
    )
    with pytest.raises(TableError, match="rows without conversation_id, so"):
        users(nameless.drop("record"))
    assert users(PEOPLE.conversations.drop("record", "conversation_id")).height == 300


def test_turns_from_labels_of_conversations_are_an_upper_bound():
    rows = [message("a", "x", place, place) for place in range(4)]
    rows[1]["label"] = rows[2]["label"] = None  # messages without text
    rows[0]["label"] = "emotional"
    exact = users(pl.DataFrame([*rows, message("b", "y", 0, 0)]))
    assert exact.select("user_messages", "turns", "charged_turns").row(0) == (4, 2, 1)
    conversation = {"conversation_id": "x", "user_id": "a", "label": "emotional", "any": True}
    conversation |= {"adjusted": 1.0, "rate": 0.5, "user_messages": 4, "assistant_messages": 0}
    other = conversation | {"conversation_id": "y", "user_id": "b", "label": "task", "rate": 0.0}
    with pytest.warns(AnalysisWarning, match="no row has a time"):
        bound = users(pl.DataFrame([conversation, other]))
    assert bound.select("user_messages", "turns", "charged_turns").row(0) == (4, 4, 2)
    assert bound["turn_rate"][0] == exact["turn_rate"][0]


def test_one_user_and_equal_labels_are_said():
    with pytest.warns(AnalysisWarning, match="there is one user only"):
        found = users(PEOPLE.messages.filter(pl.col("user_id") == "u00001"))
    assert found["any_rate_shrunken"].equals(found["any_rate"].alias("any_rate_shrunken"))
    with pytest.warns(AnalysisWarning, match="all turns have the same label"):
        users(
            PEOPLE.messages.with_columns(
                label=pl.when(pl.col("role") == "user").then(pl.lit("task"))
            )
        )


def test_each_cue_has_its_threshold():
    rows = [
        message("a", "x", 0, 0, "emotional", in_crisis=0.3, seeks_support=0.3),
        message("a", "x", 1, 1, in_crisis=0.1, seeks_support=0.1),
        message("b", "y", 0, 0, in_crisis=0.6, seeks_support=0.6),
    ]
    by_message = pl.DataFrame(rows)
    by_conversation = PEOPLE.conversations.with_columns(in_crisis=0.3, seeks_support=0.3)
    for frame, shares in ((by_message, (0.5, 0)), (by_conversation, (1, 0))):
        found = users(frame, cue_threshold={"in_crisis": 0.25})
        assert (found["in_crisis"][0], found["seeks_support"][0]) == shares


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"usage": "words"}, "unknown usage 'words'"),
        ({"time_zone": "Mars/Base"}, "unknown time_zone 'Mars/Base'"),
        ({"cue_threshold": 0}, "cue_threshold must be more than 0 and at most 1, got 0"),
        ({"cue_threshold": {"in_crisis": 2}}, "cue_threshold, in_crisis: must be more than 0"),
        ({"cue_threshold": {"sad": 0.5}}, "cue_threshold: no cue 'sad'; there are shares_feelings"),
        ({"false_discovery_rate": 1}, "false_discovery_rate"),
    ],
)
def test_bad_options_are_named(options, problem):
    with pytest.raises(OptionError, match=problem):
        users(PEOPLE.messages, **options)


def test_the_order_of_messages_changes_nothing():
    found = users(PEOPLE.messages)
    assert found["trend_p"].is_not_null().any()
    mixed = PEOPLE.messages.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(users(mixed), found)


def test_hours_need_messages():
    with pytest.raises(OptionError, match="labels of messages"):
        users(PEOPLE.conversations, usage="hours")
    assert users(PEOPLE.messages, usage="hours")["usage_decile"].max() == 10


def test_deciles_are_tenths():
    sizes = users(PEOPLE.messages)["usage_decile"].value_counts()["count"]
    assert len(sizes) == 10
    assert sizes.is_between(20, 40).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=60).filter(any))
def test_gini_and_top_shares_by_their_definitions(values):
    frame = pl.DataFrame({"charged_turns": values})
    found = concentration(frame, top=[0.5], min_users=0)
    numbers = np.array(values, float)
    differences = np.abs(numbers[:, None] - numbers).sum()
    gini = differences / (2 * len(numbers) ** 2 * numbers.mean())
    assert found["estimate"][0] == pytest.approx(gini, abs=1e-9)
    if len(values) % 2 == 0:
        top = np.sort(numbers)[len(numbers) // 2 :].sum() / numbers.sum()
        assert found["estimate"][1] == pytest.approx(top)


def test_concentration_has_intervals_and_hides_few_users():
    people = users(PEOPLE.messages)
    found = concentration(people)
    assert found["suppressed"].to_list() == [False, True, False, False]  # 1 % of 300 are 3
    assert found["users"].to_list() == [300, None, 15, 30]
    shown = found.filter(~pl.col("suppressed"))
    assert (shown["low"] < shown["estimate"]).all()
    assert (shown["estimate"] < shown["high"]).all()
    assert concentration(people, min_users=0)["estimate"].null_count() == 0
    curve = lorenz(people)
    assert curve.row(0) == (0, 0)
    assert curve.row(-1) == (1, 1)
    assert curve["share"].is_sorted()
    assert (curve["share"] <= curve["share_of_users"] + 1e-9).all()
    inner = curve["share_of_users"][1:-1]
    assert inner.min() * 300 >= 10
    assert (1 - inner.max()) * 300 >= 10


@pytest.mark.parametrize("count", [1000, 1100, 1300, 2300])
def test_rounding_loses_no_point_of_the_curve(count: int):
    """Points are a hundredth of the users apart, at least ten of them."""
    frame = pl.DataFrame({"charged_turns": range(count)})
    curve = lorenz(frame, min_users=count // 100)
    assert len(curve) == 101
    steps = np.diff(curve["share_of_users"].to_numpy())
    assert steps == pytest.approx(np.full(100, 0.01))
    assert len(lorenz(frame, min_users=count // 100 + 1)) < 101
    top = [place / 100 for place in range(1, 100)]
    found = concentration(frame, top=top, min_users=count // 100)
    assert not found["suppressed"].any()


@pytest.mark.parametrize(
    ("values", "problem"),
    [([0, 0], "all values are 0"), ([1, -1], "negative"), (["a", "b"], "expected numbers")],
)
def test_what_cannot_be_shared_out_is_named(values, problem):
    with pytest.raises(TableError, match=problem):
        concentration(pl.DataFrame({"charged_turns": values}))
    with pytest.raises(OptionError):
        concentration(pl.DataFrame({"charged_turns": [1, 2]}), top=[1.5])
    with pytest.raises(OptionError):
        lorenz(pl.DataFrame({"charged_turns": [1, 2]}), points=1)
    with pytest.raises(OptionError):
        lorenz(pl.DataFrame({"charged_turns": [1, 2]}), min_users=-1)


def test_a_line_over_four_weeks_of_few_turns_is_no_trend():
    """2, 3, 4 and 5 charged of 10: the test of Cochran and Armitage gives p = 0.14."""
    found = user_trends(conversations_of([(week, 10, week + 2) for week in range(4)]), 0.05)
    assert found["trend"].to_list() == pytest.approx([0.1])
    assert found["trend_p"][0] == pytest.approx(0.14, abs=0.01)
    assert found["direction"].to_list() == ["flat"]


def test_a_trend_over_many_turns_is_found_and_turns_of_one_conversation_count_as_one():
    weeks = [(week, 40, 4 * week) for week in range(8)]
    assert user_trends(conversations_of(weeks), 0.05)["direction"].to_list() == ["rising"]
    lumps = [(week, 1, int(week > 5)) for week in range(8)]
    found = user_trends(conversations_of(lumps, turns=40), 0.05)
    assert found["trend_p"][0] > 0.02  # two of eight conversations, at the end


def conversations_of(weeks: list[tuple[int, int, int]], turns: int = 1) -> pl.DataFrame:
    """Conversations of one user: of each week so many, and so many of them charged."""
    start = datetime(2025, 3, 3, tzinfo=UTC)
    return pl.DataFrame(
        [
            {"user_id": "a", "first": start + timedelta(weeks=week), "turns": turns}
            | {"charged": turns * (place < charged)}
            for week, count, charged in weeks
            for place in range(count)
        ]
    )
