from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from affectlib.analysis import (
    Accuracy,
    AnalysisWarning,
    TableError,
    calibration,
    measured_accuracy,
    prevalence,
)
from affectlib.analysis._correction import Apparent, ErrorRates
from affectlib.analysis.prevalence import headline_method
from affectlib.errors import OptionError
from affectlib.model.artifacts import load_artifact
from tests.analysis.known import gold_of, label_where
from tools.simulate import simulate

PEOPLE = simulate(600, seed=5, prevalence=0.03)
MEASURED = Accuracy(80, 20, 980, 20)


def figures(frame: pl.DataFrame) -> dict[str, dict[str, object]]:
    return {row["method"]: row for row in frame.to_dicts()}


def test_gold_sample_finds_what_counting_misses():
    gold = PEOPLE.gold_conversations.sample(800, seed=1)
    found = figures(prevalence(PEOPLE.conversations, gold))
    truth = PEOPLE.truth["prevalence"]
    assert list(found) == ["naive", "gold", "ppi"]
    for method in ("gold", "ppi"):
        assert found[method]["low"] <= truth <= found[method]["high"]
    assert found["naive"]["low"] > truth
    width = {name: row["high"] - row["low"] for name, row in found.items()}
    assert width["ppi"] < width["gold"]
    assert found["ppi"]["units"] == PEOPLE.conversations.height
    assert found["ppi"]["users"] == 600
    assert found["ppi"]["gold"] == 800


def test_measured_accuracy_corrects_with_a_warning():
    with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
        found = figures(prevalence(PEOPLE.conversations, measured=MEASURED))
    truth = PEOPLE.truth["prevalence"]
    assert found["rogan_gladen"]["low"] <= truth <= found["rogan_gladen"]["high"]
    with pytest.warns(AnalysisWarning):
        wide = figures(prevalence(PEOPLE.conversations, measured=Accuracy(8, 2, 98, 2)))
    for name in ("low", "high"):
        away = abs(wide["rogan_gladen"][name] - truth)
        assert away >= abs(found["rogan_gladen"][name] - truth)
    assert found["naive"]["gold"] is None


def test_weights_make_an_uneven_draw_even():
    likely = PEOPLE.conversations.with_columns(
        chance=pl.when(pl.col("probability") > 0.2).then(1.0).otherwise(0.05)
    )
    rng = np.random.default_rng(0)
    drawn = likely.filter(pl.Series(rng.random(likely.height)) < pl.col("chance"))
    gold = drawn.select("record", weight=1 / pl.col("chance")).join(
        PEOPLE.gold_conversations, on="record"
    )
    truth = PEOPLE.truth["prevalence"]
    found = figures(prevalence(PEOPLE.conversations, gold))["ppi"]
    assert found["low"] <= truth <= found["high"]
    with pytest.warns(AnalysisWarning, match="taken as an even draw"):
        unweighted = figures(prevalence(PEOPLE.conversations, gold.drop("weight")))["gold"]
    assert unweighted["low"] > truth


def test_labels_of_messages_join_by_message():
    gold = PEOPLE.gold_messages.sample(2000, seed=1).drop("record")
    found = figures(prevalence(PEOPLE.messages, gold))
    truth = PEOPLE.truth["message_prevalence"]
    assert found["ppi"]["low"] <= truth <= found["ppi"]["high"]
    assert found["ppi"]["units"] == PEOPLE.gold_messages.height


def test_groups_and_periods():
    found = prevalence(PEOPLE.conversations, by=["model", "month"])
    assert found.columns[:3] == ["model", "month", "method"]
    assert found.height == 6
    assert found["units"].sum() == PEOPLE.conversations.height
    weeks = prevalence(PEOPLE.conversations, by="week")
    assert weeks["week"].is_sorted()
    assert weeks["estimate"].tail(3).mean() > weeks["estimate"].head(3).mean()


def test_small_groups_are_suppressed_unless_asked_for():
    few = PEOPLE.conversations.with_columns(
        group=pl.when(pl.col("user_id") < "u00005").then(pl.lit("few")).otherwise(pl.lit("many"))
    )
    found = prevalence(few, by="group")
    # The other group is not shown either, since the total minus it is that of the few.
    for row in found.rows(named=True):
        assert row["suppressed"]
        assert [row[name] for name in ("estimate", "low", "high", "units", "users")] == [None] * 5
    assert not prevalence(few, by="group", min_users=0)["suppressed"].any()


@pytest.mark.filterwarnings("ignore:5 of 55 gold labels:affectlib.analysis.AnalysisWarning")
def test_gold_labels_of_few_users_are_suppressed_where_all_labels_are_not():
    labels = PEOPLE.conversations.with_columns(
        half=pl.when(pl.col("record") % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    few = pl.col("user_id").is_in(sorted({*labels["user_id"]})[:5])
    mine = labels.filter((pl.col("half") == "b") | few).select("record")
    gold = PEOPLE.gold_conversations.join(mine, on="record")
    found = prevalence(labels, gold, by="half")
    hidden, shown = (figures(found.filter(half=half)) for half in "ab")
    assert [name for name, row in hidden.items() if row["suppressed"]] == ["gold"]
    assert hidden["gold"]["estimate"] is hidden["gold"]["users"] is None
    assert hidden["naive"]["users"] > 10
    assert {row["gold"] for row in hidden.values()} == {None}
    # The gold labels of the others, taken from all, would show those of the few.
    assert [name for name, row in shown.items() if row["suppressed"]] == ["gold"]
    of_few = PEOPLE.gold_conversations.join(labels.filter(few).select("record"), on="record")
    of_few = of_few.with_columns(gold=label_where(pl.int_range(pl.len()) < 5))
    every = prevalence(labels, of_few)
    assert every["suppressed"].to_list() == [False, True, True]
    assert not prevalence(labels, of_few, min_users=0)["suppressed"].any()


def test_clusters_widen_the_interval():
    alone = PEOPLE.conversations.with_columns(user_id=pl.col("conversation_id"))
    narrow, wide = (prevalence(frame).row(0, named=True) for frame in (alone, PEOPLE.conversations))
    assert wide["estimate"] == narrow["estimate"]
    assert wide["high"] - wide["low"] > 1.2 * (narrow["high"] - narrow["low"])


def test_missing_user_ids_are_a_stated_fallback():
    expected = prevalence(PEOPLE.conversations.with_columns(user_id=pl.col("conversation_id")))
    for frame in (
        PEOPLE.conversations.drop("user_id"),
        PEOPLE.conversations.with_columns(user_id=pl.lit(None, pl.String)),
    ):
        with pytest.warns(AnalysisWarning, match="100% of the rows have no user id"):
            found = prevalence(frame)
        assert found["high"][0] == pytest.approx(expected["high"][0])


def test_gold_labels_without_emotional_ones_leave_a_wide_interval_and_say_so():
    owners = PEOPLE.conversations.select("record", "user_id")
    calm = PEOPLE.gold_conversations.filter(gold="task").join(owners, on="record")
    gold = calm.unique("user_id", keep="first", maintain_order=True).drop("user_id").head(100)
    with pytest.warns(AnalysisWarning, match=r"0 of 100 gold .* label about [\d,]+ more rows"):
        found = figures(prevalence(PEOPLE.conversations, gold))
    assert found["ppi"]["low"] == 0
    assert found["ppi"]["high"] > 0.02
    with pytest.warns(AnalysisWarning):
        known = figures(prevalence(PEOPLE.conversations, gold, measured=MEASURED))
    assert known["ppi"]["high"] < found["ppi"]["high"]
    assert found["gold"]["estimate"] == 0
    assert 0.03 < found["gold"]["high"] < 0.05  # the rule of three


def test_all_labels_equal_is_no_error():
    same = PEOPLE.conversations.with_columns(label=pl.lit("task"))
    found = prevalence(same).row(0, named=True)
    assert found["estimate"] == found["low"] == 0
    assert 0 < found["high"] < 0.05


def test_one_user_alone():
    alone = PEOPLE.conversations.with_columns(user_id=pl.lit("me"))
    assert prevalence(alone)["suppressed"].to_list() == [True]
    found = prevalence(alone, min_users=0).row(0, named=True)
    assert found["low"] < 0.01
    assert found["high"] > 0.5  # one user says next to nothing of others


def of_equal_users(
    users: int, rows: int, emotional: Callable[[int, int], bool]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels of users with as many rows each, and a gold label of every row."""
    labels = pl.DataFrame(
        [
            {"conversation_id": f"c{user}-{row}", "user_id": f"u{user}", "label": "task"}
            | {"probability": 0.1, "weight": 1.0}
            | {"gold": "emotional" if emotional(user, row) else "task"}
            for user in range(users)
            for row in range(rows)
        ]
    )
    gold = labels.select("conversation_id", "weight", "gold")
    return labels.drop("weight", "gold"), gold


@pytest.mark.filterwarnings("ignore:0 of 600 gold labels:affectlib.analysis.AnalysisWarning")
def test_equal_gold_labels_of_few_users_say_as_much_as_the_users():
    labels, gold = of_equal_users(12, 50, lambda user, row: False)
    exact = 1 - 0.025 ** (1 / 12)  # Clopper and Pearson for 0 of 12
    assert figures(prevalence(labels, gold))["gold"]["high"] == pytest.approx(exact)
    assert calibration(labels, gold)["high"].to_list() == pytest.approx([exact])
    uneven = gold.with_columns(weight=pl.int_range(pl.len()) // 50 + 1.0)
    worth = 78**2 / 650  # users of weights 1 to 12
    found = figures(prevalence(labels, uneven))["gold"]["high"]
    assert found == pytest.approx(1 - 0.025 ** (1 / worth))


@pytest.mark.filterwarnings("ignore:5 of 50 gold labels:affectlib.analysis.AnalysisWarning")
def test_gold_labels_of_one_user_say_as_much_as_one_row():
    labels, gold = of_equal_users(30, 50, lambda user, row: row < 5 + user % 5)
    found = figures(prevalence(labels, gold.head(50), min_users=0))
    assert found["gold"]["estimate"] == pytest.approx(0.1)
    for method in ("gold", "ppi"):
        assert found[method]["high"] > 0.7
    every = figures(prevalence(labels, gold, min_users=0))
    assert every["gold"]["high"] < 0.2


@pytest.mark.filterwarnings("ignore:24 of 600 gold labels:affectlib.analysis.AnalysisWarning")
def test_accuracy_without_errors_on_few_users_is_not_certain():
    labels, gold = of_equal_users(300, 50, lambda user, row: (row + user) % 25 == 0)
    labels = labels.with_columns(label=gold["gold"])
    of_few, of_many = gold.head(600), gold.gather_every(25)
    high = [figures(prevalence(labels, sheet))["ppi"]["high"] for sheet in (of_few, of_many)]
    assert high[0] > 1.2 * high[1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda gold: gold.drop("gold"), "gold: no column 'gold'"),
        (lambda gold: gold.drop("record", "conversation_id"), "no column 'conversation_id'"),
        (lambda gold: gold.with_columns(gold=pl.lit("sad")), "gold, gold: 1 unknown answers"),
        (lambda gold: gold.with_columns(gold=pl.lit("")), "no row has an answer yet"),
        (lambda gold: gold.with_columns(weight=pl.lit(0)), "gold, weight: every weight"),
        (lambda gold: gold.with_columns(weight=pl.lit("x")), "gold, weight: every weight"),
        (lambda gold: gold.with_columns(pl.col("record") + 10**6), "50 of 50 rows belong to no"),
        (lambda gold: gold.with_columns(pl.col("record").reverse()), "belong to no row"),
        (lambda gold: gold.with_columns(pl.col("conversation_id") + "x"), "50 of 50 rows belong"),
        (lambda gold: gold.with_columns(message=pl.lit(0)), "hand labels of messages"),
    ],
)
def test_bad_gold_is_named(change, problem):
    gold = PEOPLE.gold_conversations.head(50)
    with pytest.raises(TableError, match=problem):
        prevalence(PEOPLE.conversations, change(gold))


def test_gold_and_weight_are_those_of_the_sheet():
    gold = gold_of(PEOPLE)
    own = PEOPLE.conversations.with_columns(gold=pl.lit("task"), weight=pl.lit(1.0), place=1)
    assert_frame_equal(prevalence(own, gold), prevalence(PEOPLE.conversations, gold))
    assert_frame_equal(calibration(own, gold), calibration(PEOPLE.conversations, gold))


def test_rows_without_users_stay_the_same_each_time_a_lazy_frame_is_read():
    some = PEOPLE.conversations.with_columns(
        user_id=pl.when(pl.col("record") % 7 > 0).then("user_id")
    )
    shuffled = some.lazy().map_batches(lambda rows: rows.sample(fraction=1, shuffle=True))
    gold = PEOPLE.gold_conversations.sample(800, seed=1)
    for by in (None, "model"):
        with pytest.warns(AnalysisWarning, match="have no user id"):
            found, expected = (prevalence(frame, gold, by=by) for frame in (shuffled, some))
        assert_frame_equal(found, expected)


def test_ids_that_are_there_twice_cannot_be_joined():
    twice = pl.concat([PEOPLE.conversations, PEOPLE.conversations]).drop("record")
    with pytest.raises(TableError, match="give each conversation its own id"):
        prevalence(twice, PEOPLE.gold_conversations.head(50))


def test_gold_of_labels_without_ids_is_told_from_that_with_ids():
    nameless = PEOPLE.conversations.with_columns(conversation_id=pl.lit(None, pl.String))
    gold = PEOPLE.gold_conversations.head(200)
    with pytest.raises(TableError, match="200 of 200 rows belong to no row"):
        prevalence(nameless, gold)
    without = gold.with_columns(conversation_id=pl.lit(None, pl.String))
    with pytest.warns(AnalysisWarning, match="3 of 200 gold labels"):
        assert figures(prevalence(nameless, without, min_users=0))["gold"]["gold"] == 200


def test_numbers_that_are_there_twice_are_told_apart_by_ids():
    half = PEOPLE.conversations.head(300)
    twice = pl.concat([half, half.with_columns(pl.col("conversation_id") + "b")])
    gold = twice.select("record", "conversation_id", weight=1.0, gold=pl.lit("task"))
    assert figures(prevalence(twice, gold, min_users=0))["gold"]["gold"] == 600


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"by": "country"}, "by: no column 'country'; there are conversation_id"),
        *(
            ({"by": ["language", name]}, f"by: the name '{name}' is needed")
            for name in ("method", "gold", "called", "weight")
        ),
        ({"confidence": 95}, "confidence must be more than 0 and less than 1"),
        ({"target": "users"}, "unknown target 'users'; use corpus or population"),
    ],
)
def test_bad_options_are_named(options, problem):
    with pytest.raises(OptionError, match=problem):
        prevalence(PEOPLE.conversations, **options)


def test_period_without_times_is_named():
    with pytest.raises(TableError, match="no row has a time to make week from"):
        prevalence(PEOPLE.conversations.with_columns(started_at=None), by="week")


@pytest.mark.parametrize("counts", [(0, 0, 5, 5), (5, 5, 0, 0), (-1, 5, 5, 5)])
def test_accuracy_refuses_what_cannot_be(counts):
    with pytest.raises(OptionError):
        Accuracy(*counts)


def test_artifact_says_what_it_was_measured_to_do():
    artifact = load_artifact()
    counts = asdict(Accuracy(15, 7, 739, 15))
    described = SimpleNamespace(
        operating_point=artifact.operating_point,
        description={"measured": {"balanced": {"conversation": counts}}},
    )
    assert measured_accuracy(described) == Accuracy(15, 7, 739, 15)
    assert measured_accuracy(described, level="message") is None
    assert measured_accuracy(described, "high_recall") is None
    with pytest.raises(OptionError, match="unknown operating point"):
        measured_accuracy(described, "best")


def test_calibration_follows_calibrated_probabilities():
    found = calibration(PEOPLE.conversations, PEOPLE.gold_conversations, bins=5)
    assert found["gold"].sum() == PEOPLE.conversations.height
    inside = found.filter(pl.col("probability").is_between(pl.col("low"), pl.col("high")))
    assert inside.height >= 4
    with pytest.raises(OptionError, match="bins"):
        calibration(PEOPLE.conversations, PEOPLE.gold_conversations, bins=0)


def test_calibration_hides_bins_of_few_users():
    one = PEOPLE.conversations.group_by("user_id").len().sort("len")["user_id"][-1]
    mine = PEOPLE.conversations.filter(user_id=one).select("record")
    gold = PEOPLE.gold_conversations.join(mine, on="record")
    found = calibration(PEOPLE.conversations, gold, bins=1)
    assert found.height == 1
    hidden = found.row(0, named=True)
    assert hidden["suppressed"]
    assert [hidden[name] for name in ("probability", "estimate", "low", "gold")] == [None] * 4
    shown = calibration(PEOPLE.conversations, gold, bins=1, min_users=0).row(0, named=True)
    assert shown["gold"] == gold.height > 10
    assert shown["estimate"] is not None


def test_the_share_of_a_corpus_is_surer_than_that_of_its_population():
    gold = gold_of(PEOPLE)
    of = {
        target: figures(prevalence(PEOPLE.conversations, gold, target=target))
        for target in ("corpus", "population")
    }
    width = {target: found["ppi"]["high"] - found["ppi"]["low"] for target, found in of.items()}
    assert width["corpus"] < 0.9 * width["population"]
    assert of["corpus"]["naive"]["low"] == of["corpus"]["naive"]["high"]
    assert of["corpus"]["ppi"]["estimate"] == pytest.approx(
        of["population"]["ppi"]["estimate"], abs=1e-9
    )


def test_nothing_is_estimated_from_a_classifier_no_better_than_chance():
    with pytest.warns(AnalysisWarning):
        found = figures(prevalence(PEOPLE.conversations, measured=Accuracy(1, 9, 5, 5)))
    assert found["rogan_gladen"]["estimate"] is None


def test_only_what_rests_on_hand_labels_may_be_the_headline():
    with pytest.warns(AnalysisWarning):
        without = prevalence(PEOPLE.conversations, measured=MEASURED).to_dicts()
    assert headline_method(without) is None
    shown = [{"method": name, "estimate": 0.1, "suppressed": False} for name in ("gold", "ppi")]
    assert headline_method(without + shown) == "ppi"
    assert headline_method([*shown[:1], shown[1] | {"suppressed": True}]) == "gold"
    assert headline_method([shown[0] | {"estimate": None}]) is None


@pytest.mark.filterwarnings("ignore:gold, gold. 1 is read as:affectlib.analysis.AnalysisWarning")
@pytest.mark.parametrize("answers", [["yes", "no"], ["TRUE", "false"], [1, 0], [True, False]])
def test_answers_have_synonyms_and_gaps(answers):
    sheet = pl.DataFrame({"record": [*range(40)], "gold": answers * 20}, strict=False)
    sheet = sheet.with_columns(weight=1.0)
    first = prevalence(PEOPLE.conversations, sheet, min_users=0)
    assert figures(first)["gold"]["estimate"] == 0.5
    gaps = sheet.with_columns(pl.col("gold").cast(pl.String)).vstack(
        pl.DataFrame({"record": [90, 91, 92], "gold": ["unsure", "", None], "weight": 1.0})
    )
    with pytest.warns(AnalysisWarning, match="3 of 43 rows have no answer"):
        assert figures(prevalence(PEOPLE.conversations, gaps, min_users=0))["gold"]["gold"] == 40


def test_with_a_perfect_classifier_nothing_is_left_to_correct():
    errors = ErrorRates.measured(Accuracy(10**6, 0, 10**6, 0))
    perfect = errors.share(Apparent(0.1, 1000, 1000), 0.95)
    assert perfect.estimate == pytest.approx(0.1)
    assert perfect.low == pytest.approx(0.0829, abs=0.001)
    assert perfect.high == pytest.approx(0.1202, abs=0.001)
