from __future__ import annotations

import krippendorff
import numpy as np
import polars as pl
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from affectlib.analysis import AnalysisWarning, TableError, agreement, cue_pairs, onset, trajectory
from affectlib.errors import OptionError
from tools.simulate import simulate

PEOPLE = simulate(300, seed=3, prevalence=0.2)


def chat(user: str, name: str, labels: str) -> list[dict[str, object]]:
    """A conversation from a word: an ``e`` is a charged turn, another letter a task."""
    rows: list[dict[str, object]] = []
    for place, letter in enumerate(labels):
        label = "emotional" if letter == "e" else "task"
        rows.append({"message": 2 * place, "role": "user", "label": label, "in_crisis": 0.1})
        empathy = 0.9 if letter == "e" else 0.1
        rows.append({"message": 2 * place + 1, "role": "assistant", "shows_empathy": empathy})
    return [{"user_id": user, "conversation_id": name, **row} for row in rows]


def test_parts_are_thirds_counted_by_hand():
    rows = chat("a", "x", "ttteee") + chat("b", "y", "ttttte") + chat("c", "z", "ee")
    found = trajectory(pl.DataFrame(rows), min_users=0)
    charged = found.filter(pl.col("measure") == "charged")
    assert charged["part"].to_list() == ["start", "middle", "end"]
    assert charged["estimate"].to_list() == [0, 0.25, 0.75]
    assert charged["units"].to_list() == [4, 4, 4]  # the chat of two turns has no thirds
    empathy = found.filter(pl.col("measure") == "shows_empathy")
    assert empathy["role"].unique().to_list() == ["assistant"]
    assert empathy["estimate"].to_list() == [0, 0.25, 0.75]
    assert found.filter(
        (pl.col("role") == "assistant") & (pl.col("measure") == "charged")
    ).is_empty()


def test_order_of_rows_does_not_matter():
    shuffled = PEOPLE.messages.sample(fraction=1, shuffle=True, seed=0)
    assert trajectory(shuffled).equals(trajectory(PEOPLE.messages))
    assert onset(shuffled).equals(onset(PEOPLE.messages))


def test_planted_rise_is_found():
    charged = trajectory(PEOPLE.messages).filter(pl.col("measure") == "charged")
    assert charged["low"][2] > charged["high"][0]


def test_onset_counted_by_hand():
    rows = chat("a", "v", "et") + chat("a", "w", "te") + chat("b", "x", "tt") + chat("b", "y", "t")
    rows += chat("c", "z", "t" * 11 + "e")
    found = dict(onset(pl.DataFrame(rows), min_users=0).select("measure", "estimate").iter_rows())
    assert found["charged"] == pytest.approx(3 / 5)
    assert found["first at turn 1"] == found["first at turn 2"] == pytest.approx(1 / 3)
    assert found["first after turn 10"] == pytest.approx(1 / 3)
    assert found["turns personal"] == pytest.approx(2 / 3)


def test_files_that_were_put_together_number_their_conversations_anew():
    rows = [
        {**row, "conversation_id": None, "record": 0}
        for row in chat("a", "x", "tt") + chat("b", "x", "te")
    ]
    found = dict(onset(pl.DataFrame(rows), min_users=0).select("measure", "estimate").iter_rows())
    assert found["charged"] == found["turns personal"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("analysis", [onset, trajectory])
def test_conversations_that_cannot_be_told_apart_are_refused(analysis):
    nameless = pl.DataFrame(chat("a", "x", "tte")).with_columns(conversation_id=None)
    first = nameless.with_columns(record=0)
    # The second chat begins with the assistant: no message of its user has the place of another.
    second = first.with_columns(pl.col("message") + 1)
    with pytest.raises(TableError, match="same conversation_id and record and user_id and message"):
        analysis(pl.concat([first, second]))
    with pytest.raises(TableError, match="rows without conversation_id, so conversations cannot"):
        analysis(nameless)
    analysis(pl.concat([first, second.with_columns(record=1)]))


def test_places_of_onset_add_up():
    found = onset(PEOPLE.messages)
    first = found.filter(pl.col("measure").str.starts_with("first"))
    assert first["estimate"].sum() == pytest.approx(1)


def test_few_users_are_suppressed():
    few = pl.DataFrame(chat("a", "x", "tte") + chat("b", "y", "tee"))
    for found in (trajectory(few), onset(few)):
        assert found["suppressed"].all()
        assert found["estimate"].null_count() == found["users"].null_count() == found.height


def test_pairs_of_cues_that_go_together_stand_out():
    found = cue_pairs(PEOPLE.conversations)
    assert found.height == 55
    assert found["lift"].min() > 1
    by_message = cue_pairs(PEOPLE.messages)
    assert by_message.height == 36 + 1  # nine of the user, two of the assistant
    row = by_message.row(0, named=True)
    both = PEOPLE.messages.filter(pl.col("role") == "user").select(
        (pl.col(row["cue"]) >= 0.5) & (pl.col(row["other"]) >= 0.5)
    )
    assert row["estimate"] == pytest.approx(both.to_series().mean())


def test_a_pair_that_few_users_show_is_hidden():
    users = range(100)
    labels = pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "label": ["task"] * 100,
            "seeks_support": [float(user < 20) for user in users],
            "in_crisis": [float(19 <= user < 40) for user in users],
        }
    )
    (pair,) = cue_pairs(labels).to_dicts()
    assert pair["suppressed"]
    assert pair["lift"] is pair["estimate"] is pair["users"] is None
    (pair,) = cue_pairs(labels.filter(pl.col("user_id") != "u19")).to_dicts()
    assert (pair["suppressed"], pair["estimate"], pair["lift"]) == (False, 0, 0)
    (pair,) = cue_pairs(labels, min_users=0).to_dicts()
    assert pair["estimate"] == 0.01


def test_lift_is_of_the_rows_in_which_both_cues_are_known():
    rng = np.random.default_rng(0)
    known = pl.int_range(pl.len()) < 200
    frame = pl.DataFrame(
        {
            "user_id": [f"u{place}" for place in range(1000)],
            "label": "task",
            "in_crisis": rng.random(1000),
            "shows_empathy": rng.random(1000),
        }
    ).with_columns(
        pl.when(known).then("in_crisis").otherwise(0.0), pl.when(known).then("shows_empathy")
    )
    found = cue_pairs(frame).row(0, named=True)
    assert found["lift"] == cue_pairs(frame.head(200))["lift"][0]
    assert found["lift"] == pytest.approx(1, abs=0.2)
    flags = frame.head(200).select(pl.col("in_crisis", "shows_empathy") >= 0.5)
    expected = (flags["in_crisis"] & flags["shows_empathy"]).mean() / (
        flags["in_crisis"].mean() * flags["shows_empathy"].mean()
    )
    assert found["lift"] == pytest.approx(expected)


def test_each_cue_has_its_threshold():
    rows = pl.DataFrame(chat("a", "x", "tte"))
    found = trajectory(rows, cue_threshold={"in_crisis": 0.1}, min_users=0)
    shares = dict(found.filter(part="start").select("measure", "estimate").iter_rows())
    assert shares == {"charged": 0, "in_crisis": 1, "shows_empathy": 0}
    labels = PEOPLE.conversations.with_columns(in_crisis=0.2, seeks_support=0.2, seeks_company=0.2)
    pairs = cue_pairs(labels, cue_threshold={"in_crisis": 0.1, "seeks_support": 0.1})
    both = {(row["cue"], row["other"]): row["estimate"] for row in pairs.to_dicts()}
    assert both["seeks_support", "in_crisis"] == 1
    assert both["seeks_support", "seeks_company"] == 0


def test_what_is_needed_is_named():
    with pytest.raises(TableError, match="labels of messages are needed"):
        trajectory(PEOPLE.conversations)
    with pytest.raises(TableError, match="no conversation has three messages"):
        trajectory(pl.DataFrame(chat("a", "x", "te")))
    with pytest.raises(TableError, match="two columns of cues are needed"):
        cue_pairs(PEOPLE.conversations.select("user_id", "label", "in_crisis"))
    one_each = PEOPLE.messages.select("user_id", "message", "label", "in_crisis", "shows_empathy")
    with pytest.raises(TableError, match="two columns of cues of one role are needed"):
        cue_pairs(one_each)
    with pytest.raises(OptionError, match="cue_threshold"):
        trajectory(PEOPLE.messages, cue_threshold=2)
    with pytest.raises(TableError, match="no column 'role'"):
        onset(PEOPLE.messages.drop("role"))


def sheets(both: int, first: int, second: int, neither: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    one = ["emotional"] * (both + first) + ["task"] * (second + neither)
    other = ["emotional"] * both + ["task"] * first + ["emotional"] * second + ["task"] * neither
    ids = [f"c{place}" for place in range(len(one))]
    return tuple(pl.DataFrame({"conversation_id": ids, "gold": gold}) for gold in (one, other))


def measures(frame: pl.DataFrame) -> dict[str, float]:
    return dict(frame.select("measure", "estimate").iter_rows())


def test_agreement_is_that_of_the_libraries():
    one, other = sheets(12, 5, 3, 80)
    found = agreement(one, other)
    values = measures(found)
    assert values["observed agreement"] == 0.92
    assert values["agreement on emotional"] == pytest.approx(24 / 32)
    kappa = cohens_kappa(np.array([[12, 5], [3, 80]]))
    assert values["Cohen's kappa"] == pytest.approx(kappa.kappa)
    coded = [(sheet["gold"] == "emotional").cast(int).to_list() for sheet in (one, other)]
    alpha = krippendorff.alpha(coded, level_of_measurement="nominal")
    assert values["Krippendorff's alpha"] == pytest.approx(alpha)
    row = found.row(by_predicate=pl.col("measure") == "Cohen's kappa", named=True)
    assert row["low"] == pytest.approx(kappa.kappa_low, abs=0.05)
    assert row["high"] == pytest.approx(kappa.kappa_upp, abs=0.05)


def test_agreement_does_not_depend_on_order_or_kind():
    one, other = sheets(12, 5, 3, 30)
    mixed = other.sample(fraction=1, shuffle=True, seed=1).to_pandas()
    assert measures(agreement(one, mixed)) == pytest.approx(measures(agreement(other, one)))


def test_agreement_where_nobody_finds_anything_is_not_defined():
    found = measures(agreement(*sheets(0, 0, 0, 40)))
    assert found["observed agreement"] == 1
    assert found["Cohen's kappa"] is found["Krippendorff's alpha"] is None


@pytest.mark.parametrize("rows", [2, 40])
def test_where_nobody_disagrees_only_observed_agreement_has_an_interval(rows):
    one, other = sheets(rows // 2, 0, 0, rows // 2)
    found = {row["measure"]: row for row in agreement(one, other).to_dicts()}
    assert {row["estimate"] for row in found.values()} == {1.0}
    observed = found.pop("observed agreement")
    exact = 0.025 ** (1 / rows)  # Clopper and Pearson for all of them
    assert (observed["low"], observed["high"]) == (pytest.approx(exact), 1.0)
    assert {(row["low"], row["high"]) for row in found.values()} == {(None, None)}


def test_where_all_disagree_it_is_the_other_way_round():
    found = agreement(*sheets(0, 20, 20, 0)).row(0, named=True)
    assert found["estimate"] == found["low"] == 0
    assert found["high"] == pytest.approx(1 - 0.025 ** (1 / 40))


def test_messages_of_one_conversation_say_as_much_of_agreement_as_one_row():
    one, other = (
        sheet.with_columns(conversation_id=pl.lit("c"), message=pl.int_range(pl.len()))
        for sheet in sheets(12, 5, 3, 80)
    )
    observed, *rest = agreement(one, other).to_dicts()
    assert observed["estimate"] == 0.92
    assert observed["low"] < 0.1
    assert {row["low"] for row in rest} == {None}


def test_rows_of_one_sheet_alone_are_said():
    one, other = sheets(10, 2, 2, 20)
    with pytest.warns(AnalysisWarning, match="4 rows have an answer in one sheet only"):
        assert agreement(one.head(30), other)["units"][0] == 30
    with pytest.raises(TableError, match="no row has an answer in both"):
        agreement(one, other.with_columns(pl.col("conversation_id") + "x"))
    numbered = [sheet.with_row_index("record") for sheet in (one, other)]
    with pytest.raises(TableError, match="rows are matched by record and conversation_id"):
        agreement(numbered[0], numbered[1].with_columns(pl.col("conversation_id") + "x"))
    with pytest.raises(TableError, match="second sheet: rows with the same conversation_id"):
        agreement(one, pl.concat([other, other]))
    of_messages = other.with_columns(message=0)
    for sheets_given, name in (((of_messages, one), "first"), ((one, of_messages), "second")):
        with pytest.raises(TableError, match=f"{name} sheet: its answers are for messages"):
            agreement(*sheets_given)
    with pytest.raises(TableError, match="second sheet: no column 'gold'"):
        agreement(one, other.drop("gold"))
