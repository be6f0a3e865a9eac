"""Any number of people who labelled the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import AnalysisWarning, agreement, majority, prevalence, read_labels
from affectlib.analysis.report import answers_of
from affectlib.corpus.output import write_rows
from affectlib.errors import OptionError
from tests.analysis.known import label_where
from tools.simulate import simulate

PEOPLE = simulate(60, seed=1, prevalence=0.3)
TRUTH = PEOPLE.gold_conversations.head(120)


def sheet(seed: int, mistakes: float = 0.1) -> pl.DataFrame:
    """The truth with some answers turned round."""
    turned = np.random.default_rng(seed).random(len(TRUTH)) < mistakes
    other = label_where(pl.col("gold") == "task")
    return TRUTH.with_columns(
        gold=pl.when(pl.Series(turned)).then(other).otherwise("gold"), annotator=pl.lit(f"p{seed}")
    )


def test_three_people_against_the_formulas() -> None:
    sheets = [sheet(seed) for seed in range(3)]
    found = {row["measure"]: row for row in agreement(*sheets).to_dicts()}
    assert [*found] == [
        "observed agreement",
        "agreement on emotional",
        "Fleiss' kappa",
        "Krippendorff's alpha",
    ]
    votes = np.array([(each["gold"] == "emotional").to_numpy() for each in sheets]).sum(axis=0)
    agreed = (votes * (votes - 1) + (3 - votes) * (2 - votes)) / 6
    assert found["observed agreement"]["estimate"] == pytest.approx(agreed.mean())
    share = votes.mean() / 3
    expected = share**2 + (1 - share) ** 2
    kappa = (agreed.mean() - expected) / (1 - expected)
    assert found["Fleiss' kappa"]["estimate"] == pytest.approx(kappa)
    size = 3 * len(votes)  # alpha is kappa, but for the small-sample correction of chance
    alpha = 1 - (1 - agreed.mean()) / ((1 - expected) * size / (size - 1))
    assert found["Krippendorff's alpha"]["estimate"] == pytest.approx(alpha)
    for row in found.values():
        assert row["low"] < row["estimate"] < row["high"]


def test_rows_that_not_all_answered_count_for_alpha_and_not_for_fleiss() -> None:
    sheets = [sheet(0), sheet(1), sheet(2).head(60)]
    every = {row["measure"]: row["estimate"] for row in agreement(*sheets).to_dicts()}
    short = [each.head(60) for each in sheets]
    half = {row["measure"]: row["estimate"] for row in agreement(*short).to_dicts()}
    assert every["Fleiss' kappa"] == pytest.approx(half["Fleiss' kappa"])
    assert every["Krippendorff's alpha"] != pytest.approx(half["Krippendorff's alpha"])


def test_three_people_who_agree_on_every_row_have_the_exact_interval_of_two() -> None:
    two, three = agreement(TRUTH, TRUTH), agreement(TRUTH, TRUTH, TRUTH)
    (observed,) = three.filter(measure="observed agreement").to_dicts()
    assert observed["low"] == pytest.approx(0.025 ** (1 / len(TRUTH)))
    assert observed["high"] == 1
    assert [observed] == two.filter(measure="observed agreement").to_dicts()
    assert three.filter(pl.col("measure") != "observed agreement")["low"].null_count() == 3


def test_one_sheet_is_too_few() -> None:
    with pytest.raises(OptionError, match="two sheets or more, got 1"):
        agreement(TRUTH)


def test_the_majority_is_nearer_the_truth_and_keeps_the_votes() -> None:
    sheets = [sheet(seed) for seed in range(3)]
    found = majority(*sheets)
    assert found.columns == [
        "record", "conversation_id", "weight", "gold", "answers", "emotional", "themes"
    ]  # fmt: skip
    both = TRUTH.join(found, on="record", suffix="_voted")
    wrong = (both["gold"] != both["gold_voted"]).mean()
    assert wrong < min((TRUTH["gold"] != each["gold"]).mean() for each in sheets)
    votes = found["emotional"].to_numpy()
    assert ((votes >= 2) == (found["gold"] == "emotional").to_numpy()).all()
    with pytest.warns(AnalysisWarning, match="as many answers of one kind as of the other"):
        assert majority(*sheets[:2])["gold"].null_count() > 0


@pytest.mark.filterwarnings(r"ignore:\d+ of \d+ gold labels:affectlib.analysis.AnalysisWarning")
def test_a_gold_sheet_of_several_people_counts_as_most_of_them_say() -> None:
    sheets = [sheet(seed) for seed in range(3)]
    long = pl.concat(sheets)
    expected = prevalence(PEOPLE.conversations, majority(*sheets), min_users=0)
    assert prevalence(PEOPLE.conversations, long, min_users=0).equals(expected)
    with pytest.warns(AnalysisWarning, match=r"gold: \d+ of 120 rows have as many answers"):
        prevalence(PEOPLE.conversations, pl.concat(sheets[:2]), min_users=0)


def test_the_command_writes_what_most_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for seed in range(3):
        paths.append(str(tmp_path / f"filled-{seed}.csv"))
        sheet(seed).write_csv(paths[-1])
    output = tmp_path / "gold.csv"
    assert cli.main(["evaluate", "--agreement", *paths, "-o", str(output)]) == 0
    out = capsys.readouterr().out
    assert "120 rows answered by two or more" in out
    assert "Fleiss' kappa" in out
    assert pl.read_csv(output)["answers"].to_list() == [3] * 120
    assert cli.main(["evaluate", "--agreement", *paths, "-o", str(output)]) == 2


def by_model(seed: int, prompt: str | None = "abc123") -> pl.DataFrame:
    """A sheet that a language model filled in."""
    return sheet(seed).with_columns(annotator=pl.lit("model:tiny-llm"), prompt=pl.lit(prompt))


@pytest.mark.filterwarnings(
    "ignore:.*answers are from the model:affectlib.analysis.AnalysisWarning"
)
def test_the_majority_of_language_models_still_says_that_they_answered() -> None:
    other = by_model(2).with_columns(annotator=pl.lit("model:big-llm"), prompt=None)
    found = majority(by_model(0), by_model(1), other)
    assert {*found["annotator"]} == {"model:tiny-llm prompt:abc123; model:big-llm"}
    assert answers_of(found) == ("model", [("big-llm", None), ("tiny-llm", "abc123")])
    with pytest.warns(AnalysisWarning) as caught:
        prevalence(PEOPLE.conversations, found, min_users=0)
    named = "gold: answers are from the model big-llm and the model tiny-llm with prompt abc123"
    assert any(named in str(warning.message) for warning in caught)


@pytest.mark.filterwarnings(
    "ignore:.*answers are from the model:affectlib.analysis.AnalysisWarning"
)
def test_the_majority_of_people_and_a_language_model_is_of_both() -> None:
    nameless = sheet(0).drop("annotator")
    found = majority(sheet(0), nameless, by_model(2).head(60))
    assert [*found["annotator"][[0, -1]]] == [
        "p0; person; model:tiny-llm prompt:abc123",
        "p0; person",
    ]
    assert answers_of(found) == ("mixed", [("tiny-llm", "abc123")])
    again = majority(found, by_model(2), sheet(3))
    assert answers_of(again) == ("mixed", [("tiny-llm", "abc123")])
    assert again["annotator"][0] == "p0; person; model:tiny-llm prompt:abc123; p3"


def test_the_majority_keeps_the_themes_that_at_least_half_named() -> None:
    rows = pl.DataFrame({"record": range(4), "gold": ["emotional"] * 3 + ["task"]})
    named = (
        ["Grief; love", "none", None, None],
        ["grief,work,work", "family", None, None],
        ["grief", "none", None, "love"],
    )
    sheets = [rows.with_columns(themes=pl.Series(themes, dtype=pl.String)) for themes in named]
    assert majority(*sheets)["themes"].to_list() == ["grief", "none", None, None]
    assert majority(sheets[0], rows)["themes"].to_list() == ["grief,love", "none", None, None]
    assert "themes" not in majority(rows, rows).columns


def test_ids_of_the_majority_are_no_formulas_and_are_read_back(tmp_path: Path) -> None:
    ids = ["=SUM(A1)", "'=x", "-12", "plain"]
    filled = pl.DataFrame({"conversation_id": ids, "gold": ["task", "emotional"] * 2})
    paths = [str(tmp_path / f"{name}.csv") for name in ("one", "two", "gold")]
    for path in paths[:2]:
        write_rows(Path(path), filled.to_dicts(), filled.to_arrow().schema)
    assert cli.main(["evaluate", "--agreement", *paths[:2], "-o", paths[2]]) == 0
    written = pl.read_csv(paths[2])["conversation_id"]
    assert not any(name.startswith(("=", "-")) for name in written)
    assert sorted(read_labels(paths[2]).collect()["conversation_id"]) == sorted(ids)


def test_the_majority_names_no_annotator_where_only_people_answered() -> None:
    assert "annotator" not in majority(sheet(0), sheet(1), sheet(2)).columns
