"""Labels measured against gold labels: right figures, honest intervals, clear refusals."""

from __future__ import annotations

import json
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from affectlib import cli
from affectlib.analysis import AnalysisWarning, TableError, disagreements, evaluate
from affectlib.analysis._measures import Measured, measures
from affectlib.analysis.evaluation import RANKING
from affectlib.corpus.manifest import Manifest
from affectlib.errors import OptionError
from affectlib.model.artifacts import load_artifact
from tests.analysis.known import filled_in
from tools.simulate import simulate

PEOPLE = simulate(400, seed=4, prevalence=0.1)


def filled(n: int = 500, seed: int = 1) -> pl.DataFrame:
    """A sheet that does not say how it was drawn."""
    return filled_in(PEOPLE, n, seed=seed).drop("design")


def figures(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in frame.to_dicts()}


def of_corpus() -> dict[str, float]:
    """What the measures are in the whole population."""
    gold = (PEOPLE.gold_conversations["gold"] == "emotional").to_numpy()
    called = (PEOPLE.conversations["label"] == "emotional").to_numpy()
    probability = PEOPLE.conversations["probability"].to_numpy()
    return {
        "recall": called[gold].mean(),
        "specificity": (~called)[~gold].mean(),
        "precision": gold[called].mean(),
        "AUROC": roc_auc_score(gold, probability),
        "average precision": average_precision_score(gold, probability),
    }


def test_all_rows_labelled_give_the_corpus_figures() -> None:
    found = figures(evaluate(PEOPLE.conversations, PEOPLE.gold_conversations))
    for name, value in of_corpus().items():
        assert found[name]["estimate"] == pytest.approx(value), name


def test_the_uneven_draw_is_undone() -> None:
    truth = of_corpus()
    found = [figures(evaluate(PEOPLE.conversations, filled(400, seed))) for seed in range(12)]
    for name, value in truth.items():
        estimates = [each[name]["estimate"] for each in found]
        reach = np.std(estimates) / np.sqrt(len(found)) * 4
        assert abs(np.mean(estimates) - value) < reach, name
        assert sum(e[name]["low"] <= value <= e[name]["high"] for e in found) >= 9, name


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 4), st.integers(0, 5)),
        min_size=4,
        max_size=40,
    ).filter(lambda rows: len({row[0] for row in rows}) == 2)
)
@settings(max_examples=25, deadline=None)
def test_a_weight_of_n_counts_as_n_rows_and_order_does_not(rows: list[Any]) -> None:
    truth, level, weight, _ = (np.array(column) for column in zip(*rows, strict=True))
    probability = level / 4

    def found(order: Any, weights: Any) -> dict[str, float]:
        rows = Measured(
            truth[order].astype(bool), probability[order] >= 0.5, probability[order], weights, order
        )
        return {name: estimate.estimate for name, estimate in measures(rows, 0.95)}

    places = np.arange(len(truth))
    once = found(places, weight.astype(float))
    copied = np.repeat(places, weight)
    several = found(copied, np.ones(len(copied)))
    turned = found(places[::-1], weight[::-1].astype(float))
    for name in ("recall", "specificity", "precision", "AUROC", "average precision"):
        assert once[name] == pytest.approx(several[name], nan_ok=True)
        assert once[name] == pytest.approx(turned[name], nan_ok=True)
    assert once["AUROC"] == pytest.approx(roc_auc_score(truth, probability, sample_weight=weight))
    assert once["average precision"] == pytest.approx(
        average_precision_score(truth, probability, sample_weight=weight)
    )


def test_influence_is_the_derivative_by_the_weight() -> None:
    from affectlib.analysis import _measures

    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.3
    probability = np.round(rng.random(80) * 0.6 + 0.4 * truth, 1)
    weight = rng.random(80) + 0.2
    for area in (_measures._auroc, _measures._average_precision):
        rows = Measured(truth, truth, probability, weight, np.arange(80))
        value, influence = area(rows)
        assert influence.sum() == pytest.approx(0, abs=1e-9)
        for place in range(0, 80, 7):
            moved = weight.copy()
            moved[place] *= 1 + 1e-6
            other, _ = area(Measured(truth, truth, probability, moved, np.arange(80)))
            assert (other - value) / 1e-6 == pytest.approx(influence[place], abs=1e-6)


@pytest.mark.parametrize(("users", "bend"), [*product((40, 200), ((0.0, 1.0), (1.0, 1.0)))])
def test_intervals_hold_the_truth(users: int, bend: tuple[float, float]) -> None:
    def draw(count: int, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(count), rng.integers(1, 6, count))
        logit = rng.normal(size=len(user)) * 1.5 + rng.normal(size=count)[user] - 2.5
        probability, true = (1 / (1 + np.exp(-z)) for z in (logit, bend[0] + bend[1] * logit))
        truth = rng.random(len(user)) < true
        return Measured(truth, probability >= 0.3, probability, np.ones(len(user)), user)

    truth = {name: each.estimate for name, each in measures(draw(200_000, 99), 0.95)}
    draws, held = 60, dict.fromkeys(truth, 0)
    for seed in range(draws):
        for name, each in measures(draw(users, seed), 0.95):
            held[name] += each.low - 0.002 <= truth[name] <= each.high + 0.002
    # With 60 draws of 95 % each, 50 or fewer are seen in one of 2,000 tests; AP of rare rows is
    # known to be a little short with 40 users.
    assert min(held.values()) >= 50


def test_a_calibrated_classifier_is_not_called_miscalibrated() -> None:
    rows = figures(evaluate(PEOPLE.conversations, PEOPLE.gold_conversations))["calibration error"]
    assert rows["low"] < 0.01
    bent = PEOPLE.conversations.with_columns(pl.col("probability") * 0.5)
    assert figures(evaluate(bent, PEOPLE.gold_conversations))["calibration error"]["low"] > 0.02


def test_perfect_labels_still_have_an_interval() -> None:
    truth = PEOPLE.gold_conversations["gold"]
    exact = PEOPLE.conversations.with_columns(
        label=truth, probability=(truth == "emotional").cast(pl.Float64)
    )
    found = figures(evaluate(exact, PEOPLE.gold_conversations.sample(60, seed=1)))
    for name in ("recall", "specificity", "precision", "AUROC", "average precision"):
        assert found[name]["estimate"] == 1.0
        assert 0.3 < found[name]["low"] < 1.0, name


def test_a_threshold_takes_the_place_of_the_labels() -> None:
    at = {t: figures(evaluate(PEOPLE.conversations, filled(), threshold=t)) for t in (0.1, 0.6)}
    assert at[0.1]["recall"]["estimate"] > at[0.6]["recall"]["estimate"]
    assert at[0.1]["specificity"]["estimate"] < at[0.6]["specificity"]["estimate"]
    assert at[0.1]["AUROC"] == at[0.6]["AUROC"]
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(OptionError, match="threshold"):
            evaluate(PEOPLE.conversations, filled(), threshold=wrong)


def test_a_threshold_that_nothing_reaches_is_said() -> None:
    calm = PEOPLE.conversations.with_columns(pl.col("probability") * 0.5)
    with pytest.warns(
        AnalysisWarning, match=r"reaches the threshold 0.9.*their highest probability is 0\.500"
    ):
        found = figures(evaluate(calm, filled(), threshold=0.9))
    assert found["precision"]["estimate"] is None
    assert found["recall"]["estimate"] == 0


def test_groups_and_those_too_small() -> None:
    found = evaluate(PEOPLE.conversations, filled(), by="model")
    assert found.columns[0] == "model"
    assert not found["suppressed"].any()
    one = PEOPLE.conversations.with_columns(
        group=pl.when(pl.col("user_id") == pl.col("user_id").first()).then(pl.lit("one"))
        .otherwise(pl.lit("others"))
    )  # fmt: skip
    hidden = evaluate(one, PEOPLE.gold_conversations, by="group").filter(pl.col("group") == "one")
    assert hidden["suppressed"].all()
    for column in ("estimate", "low", "high", "gold", "emotional", "users"):
        assert hidden[column].null_count() == len(hidden) == 6
    with pytest.raises(OptionError, match="the result has a column 'measure'"):
        evaluate(PEOPLE.conversations, filled(), by="measure")


def with_gaps(records: list[int]) -> pl.DataFrame:
    """Labels without the probabilities of some rows."""
    gap = pl.when(pl.col("record").is_in(records).not_()).then(pl.col("probability"))
    return PEOPLE.conversations.with_columns(probability=gap)


def test_rows_without_a_probability_are_left_out_of_rankings_and_counted() -> None:
    sheet = filled()
    gone = sheet["record"].head(20).to_list()
    with pytest.warns(AnalysisWarning, match=r"20 of 500 rows .* have no probability"):
        found = figures(evaluate(with_gaps(gone), sheet))
    with pytest.warns(AnalysisWarning, match=r"20 of 500 rows .* have no probability"):
        assert figures(evaluate(with_gaps(gone), sheet, threshold=0.5))["recall"]["estimate"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", AnalysisWarning)
        rest = figures(
            evaluate(PEOPLE.conversations, sheet.filter(pl.col("record").is_in(gone).not_()))
        )
        whole = figures(evaluate(PEOPLE.conversations, sheet))
    for name in RANKING:
        assert found[name]["estimate"] == pytest.approx(rest[name]["estimate"])
    for name in ("recall", "specificity", "precision"):
        assert found[name] == whole[name]


def test_rankings_of_few_users_are_suppressed() -> None:
    owners = PEOPLE.conversations.select("record", "user_id")
    sheet = filled().join(owners, on="record", maintain_order="left")
    few = sheet["user_id"].unique().sort().head(4).to_list()
    gone = sheet.filter(pl.col("user_id").is_in(few).not_())["record"].to_list()
    with pytest.warns(AnalysisWarning, match="have no probability"):
        found = figures(evaluate(with_gaps(gone), sheet.drop("user_id")))
    assert found["recall"]["estimate"] is not None
    for name in RANKING:
        assert found[name]["suppressed"]
        assert found[name]["gold"] is None


def test_without_probabilities_three_measures_are_missing_and_no_threshold_judges() -> None:
    none = PEOPLE.conversations.with_columns(probability=pl.lit(None))
    for labels in (none, none.drop("probability")):
        found = figures(evaluate(labels, filled()))
        assert {name for name, row in found.items() if row["estimate"] is None} == {*RANKING}
        problem = (
            "no row with a gold label has one" if labels is none else "no column 'probability'"
        )
        with pytest.raises(TableError, match=problem):
            evaluate(labels, filled(), threshold=0.5)


def test_disagreements_without_a_probability_are_left_out_and_counted() -> None:
    sheet = filled()
    worst = disagreements(PEOPLE.conversations, sheet, 5)
    gone = worst["record"].head(2).to_list()
    with pytest.warns(AnalysisWarning, match=r"2 of \d+ rows in which labels and people differ"):
        found = disagreements(with_gaps(gone), sheet, 3)
    assert found["record"].to_list() == worst["record"].tail(3).to_list()


def test_one_kind_of_gold_is_refused() -> None:
    calm = filled().filter(pl.col("gold") == "task")
    with pytest.raises(
        TableError, match=r"all \d+ answers are task.*label rows that are emotional"
    ):
        evaluate(PEOPLE.conversations, calm)


def test_disagreements_are_ids_with_the_worst_first() -> None:
    found = disagreements(PEOPLE.conversations, filled(), 5)
    assert len(found) == 5
    assert (found["gold"] != found["label"]).all()
    wrong = (found["probability"] - (found["gold"] == "emotional").cast(pl.Float64)).abs()
    assert wrong.to_list() == sorted(wrong, reverse=True)
    with pytest.raises(OptionError, match="at least 1"):
        disagreements(PEOPLE.conversations, filled(), 0)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    PEOPLE.conversations.write_parquet(tmp_path / "labels.parquet")
    filled().write_csv(tmp_path / "filled.csv")
    return tmp_path


def run(files: Path, *options: str) -> int:
    arguments = ["evaluate", str(files / "labels.parquet"), "--gold", str(files / "filled.csv")]
    return cli.main([*arguments, *options])


def test_the_command_says_it_in_words_and_as_json(files: Path, capsys: Any) -> None:
    assert run(files, "--worst", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("all: 500 gold labels (")
    assert lines[1].startswith("  recall             0.")
    assert sum("but probability" in line for line in lines) == 2
    assert run(files, "--json", "--by", "model") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["measure"] for row in rows if "measure" in row} == {
        "recall", "specificity", "precision", "average precision", "AUROC", "calibration error"
    }  # fmt: skip
    worst = [row["disagreement"] for row in rows if "measure" not in row]
    assert worst == disagreements(PEOPLE.conversations, filled(), 10).to_dicts()
    assert run(files, "--json", "--worst", "0") == 0
    assert "disagreement" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("annotator", "answers"), [("ada", "hand labels"), ("model:llama", "language-model answers")]
)
def test_the_plot_names_whose_answers_they_are(
    files: Path, annotator: str, answers: str, capsys: Any
) -> None:
    filled().with_columns(annotator=pl.lit(annotator)).write_csv(files / "filled.csv")
    plot = files / "plot.svg"
    assert run(files, "--plot", str(plot.with_suffix(".pdf"))) == 2
    assert "the plot is an SVG file" in capsys.readouterr().err
    plot.write_text("mine", encoding="utf-8")
    assert run(files, "--plot", str(plot)) == 2
    assert "name another output or give --overwrite" in capsys.readouterr().err
    assert plot.read_text(encoding="utf-8") == "mine"
    assert run(files, "--plot", str(plot), "--overwrite") == 0
    written = plot.read_text(encoding="utf-8")
    assert written.startswith("<svg")
    assert f"Charged by {answers}" in written


def test_text_is_shown_only_where_it_is_asked_for(files: Path, capsys: Any) -> None:
    chats = files / "chats.jsonl"
    rows = [
        {"id": row["conversation_id"], "messages": [{"role": "user", "content": f"secret {place}"}]}
        for place, row in enumerate(PEOPLE.conversations.sort("record").to_dicts())
    ]
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(files) == 0
    assert "secret" not in capsys.readouterr().out
    assert run(files, "--worst", "3", "--show-text", str(chats)) == 0
    assert capsys.readouterr().out.count("    secret ") == 3
    assert run(files, "--json", "--worst", "3", "--show-text", str(chats)) == 0
    assert capsys.readouterr().out.count('"text": "secret ') == 3


def test_an_operating_point_is_that_of_the_model_that_made_the_labels(
    files: Path, capsys: Any
) -> None:
    from pyarrow import parquet

    assert run(files, "--operating-point", "balanced") == 2
    assert "does not say which model made the labels; give --model" in capsys.readouterr().err
    artifact = load_artifact()
    made = {"model": artifact.name, "model_version": artifact.version}
    for fingerprint, status in ((artifact.fingerprint, 0), ("f00", 2)):
        metadata = {"affectlib": json.dumps(made | {"fingerprint": fingerprint})}
        table = PEOPLE.conversations.to_arrow().replace_schema_metadata(metadata)
        parquet.write_table(table, files / "labels.parquet")
        assert run(files, "--operating-point", "high_precision") == status
        captured = capsys.readouterr()
    assert "holds another model or version" in captured.err
    assert run(files, "--operating-point", "none") == 2


def test_warnings_name_the_file(files: Path, capsys: Any) -> None:
    filled().drop("weight").write_csv(files / "filled.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(files) == 0
    assert "note: gold: there is no column 'weight'" in capsys.readouterr().out
    filled().filter(pl.col("gold") == "task").write_csv(files / "filled.csv")
    assert run(files) == 2
    assert f"gold is {files / 'filled.csv'}" in capsys.readouterr().err


def test_text_is_read_as_the_labels_were_made(files: Path, capsys: Any) -> None:
    ids = PEOPLE.conversations.sort("record")["conversation_id"]
    rows = [f"{name},user,secret {place}" for place, name in enumerate(ids)]
    chats = files / "chats.csv"
    chats.write_text("\n".join(["chat,who,words", *rows]), encoding="utf-8")
    assert run(files, "--show-text", str(chats)) == 2  # nothing says what the columns are
    columns = {"conversation_id": "chat", "role": "who", "content": "words"}
    options = {"format": "table", "columns": columns, "branches": "active"}
    Manifest(files / "labels.parquet.manifest", {"options": options}).write()
    capsys.readouterr()
    assert run(files, "--worst", "3", "--show-text", str(chats)) == 0
    assert capsys.readouterr().out.count("    secret ") == 3


def test_true_and_false_are_no_probabilities() -> None:
    labels = PEOPLE.conversations.with_columns(probability=pl.col("label") == "emotional")
    with pytest.raises(TableError, match="probability: expected numbers, got Boolean"):
        evaluate(labels, filled())
