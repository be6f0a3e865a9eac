"""``affectlib calibrate`` and what is behind it: a table of labels, a sheet, and a new model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyarrow import parquet

from affectlib import cli
from affectlib.analysis import (
    AnalysisWarning,
    TableError,
    calibrate,
    evaluate,
    measured_accuracy,
    read_labels,
    sample,
)
from affectlib.errors import OptionError, OutputExistsError
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.model.calibration import OperatingPoint, logit, sigmoid
from tests.analysis.known import filled_in, label_where
from tools.simulate import simulate

pytestmark = pytest.mark.filterwarnings("ignore:the model's screen:UserWarning")

PEOPLE = simulate(600, seed=4, prevalence=0.1)
BASE = load_artifact()
PROMISED = BASE.operating_points["balanced"].aim


def bent(shift: float) -> pl.DataFrame:
    """Labels of a model whose probabilities are off, at the bundled model's threshold."""
    given = sigmoid(logit(PEOPLE.conversations["probability"].to_numpy()) + shift)
    return labelled(PEOPLE.conversations, pl.Series(given), BASE)


def labelled(labels: pl.DataFrame, given: pl.Series, model: Artifact) -> pl.DataFrame:
    called = given >= model.operating_points["balanced"].conversation
    return labels.with_columns(probability=given, label=label_where(called))


def weak() -> pl.DataFrame:
    """Labels of a model that ranks other conversations above all emotional ones."""
    high = pl.Series(PEOPLE.gold_conversations["gold"] == "emotional")
    given = np.random.default_rng(0).random(len(high))
    given = np.where(high, 0.6 + given / 20, given**2)
    return PEOPLE.conversations.with_columns(probability=pl.Series(given))


def filled(labels: pl.DataFrame, n: int = 300) -> pl.DataFrame:
    return filled_in(PEOPLE, n, labels)


def write(folder: Path, labels: pl.DataFrame, fingerprint: str = BASE.fingerprint) -> list[str]:
    """Write labels as the bundled model does, and their sheet; return the command."""
    made = {"model": BASE.name, "model_version": BASE.version, "fingerprint": fingerprint}
    table = labels.to_arrow().replace_schema_metadata({"affectlib": json.dumps(made)})
    parquet.write_table(table, folder / "labels.parquet")
    filled(labels).write_csv(folder / "filled.csv")
    files = [str(folder / name) for name in ("labels.parquet", "filled.csv", "mine")]
    return ["calibrate", files[0], "--gold", files[1], "-o", files[2]]


def test_a_model_that_labels_nothing_labels_after(tmp_path: Path) -> None:
    labels = bent(-5.0)
    found = calibrate(labels, filled(labels), BASE, tmp_path / "mine")
    rows = {(row["operating_point"], row["measure"]): row for row in found.to_dicts()}
    recall = rows["balanced", "recall"]
    assert recall["before"] < 0.3
    assert recall["change_low"] > 0.1
    assert rows[None, "calibration error"]["after"] < rows[None, "calibration error"]["before"]
    mine = load_artifact(tmp_path / "mine")
    given = mine.recalibration.intercept + mine.recalibration.slope * logit(
        labels["probability"].to_numpy()
    )
    truth = (PEOPLE.gold_conversations["gold"] == "emotional").to_numpy()
    called = sigmoid(given) >= mine.operating_points["balanced"].conversation
    assert called[truth].mean() == pytest.approx(recall["after"], abs=0.12)
    assert called[~truth].mean() < 1 - PROMISED + 0.05
    assert abs(sigmoid(given).mean() - truth.mean()) < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_calibrating_a_calibrated_model_loses_nothing(tmp_path: Path, seed: int) -> None:
    """Label, sample, calibrate; label with the new model, draw a new sheet, calibrate again."""
    people = simulate(600, seed=seed, prevalence=0.08)
    truth = (people.gold_conversations["gold"] == "emotional").to_numpy()
    raw = people.conversations["probability"].to_numpy()
    model, recalls = BASE, []
    for step in ("first", "second"):
        labels = relabelled(people.conversations, raw, model)
        sheet = filled_in(people, 200, labels, seed)
        rows = calibrate(labels, sheet, model, tmp_path / step, force=True).to_dicts()
        model = load_artifact(tmp_path / step)
        called = relabelled(people.conversations, raw, model)["label"] == "emotional"
        recalls.append(called.to_numpy()[truth].mean())
        assert model.operating_points["balanced"].aim == PROMISED
    reach = next(row for row in rows if row["measure"] == "recall")
    assert recalls[1] >= min(recalls[0], reach["before_low"])


def relabelled(labels: pl.DataFrame, raw: Any, model: Artifact) -> pl.DataFrame:
    """The labels that a calibrated model gives."""
    line = model.recalibration
    given = pl.Series(sigmoid(line.intercept + line.slope * logit(raw)))
    return labelled(labels, given, model)


def test_a_sheet_that_is_inverted_is_refused(tmp_path: Path) -> None:
    labels = bent(0.0)
    other = pl.col("gold").replace({"emotional": "task", "task": "emotional"})
    with pytest.raises(OptionError, match="no better than chance"):
        calibrate(labels, filled(labels).with_columns(other), BASE, tmp_path / "mine", force=True)
    assert not (tmp_path / "mine").exists()


def test_prevalence_can_correct_by_what_was_measured(tmp_path: Path) -> None:
    labels = bent(0.0)
    calibrate(labels, filled(labels), BASE, tmp_path / "mine")
    accuracy = measured_accuracy(load_artifact(tmp_path / "mine"))
    assert accuracy is not None
    assert accuracy.true_positives / accuracy.positives >= 0.65
    assert accuracy.true_negatives / accuracy.negatives == pytest.approx(PROMISED, abs=0.04)
    assert measured_accuracy(load_artifact(tmp_path / "mine"), level="message") is None


def test_a_model_says_if_a_language_model_gave_its_labels(tmp_path: Path) -> None:
    labels = bent(0.0)
    sheet = filled(labels).with_columns(annotator=pl.lit("model:tiny"), prompt=pl.lit("v1"))
    with pytest.warns(AnalysisWarning, match="answers are from the model tiny"):
        calibrate(labels, sheet, BASE, tmp_path / "mine")
    made = load_artifact(tmp_path / "mine").description["calibrated"]
    assert made["labelled_by"] == ["the model tiny with prompt v1"]
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "Labels were given by the model tiny with prompt v1." in card
    calibrate(labels, filled(labels), BASE, tmp_path / "other")
    assert load_artifact(tmp_path / "other").description["calibrated"]["labelled_by"] == []


def test_rows_without_a_probability_are_left_out(tmp_path: Path) -> None:
    labels = bent(0.0)
    sheet = filled(labels)
    without = pl.when(pl.col("record").is_in(sheet["record"].head(7).implode()))
    some = labels.with_columns(probability=without.then(None).otherwise(pl.col("probability")))
    with pytest.warns(AnalysisWarning, match="7 of 300 rows with a gold label have no probability"):
        calibrate(some, sheet, BASE, tmp_path / "some")
    calibrate(labels, sheet.slice(7).drop("design"), BASE, tmp_path / "fewer")
    few, fewer = load_artifact(tmp_path / "some"), load_artifact(tmp_path / "fewer")
    assert few.recalibration == fewer.recalibration
    assert few.operating_points == fewer.operating_points


def filled_messages(labels: pl.DataFrame) -> pl.DataFrame:
    sheet: pl.DataFrame = sample(labels, 400, seed=1).drop("gold")
    gold = PEOPLE.gold_messages.select("record", "message", "gold")
    return sheet.join(gold, on=["record", "message"], maintain_order="left")


def test_messages_can_be_calibrated_on(tmp_path: Path) -> None:
    sheet = filled_messages(PEOPLE.messages)
    calibrate(PEOPLE.messages, sheet, BASE, tmp_path / "mine")
    mine = load_artifact(tmp_path / "mine")
    assert mine.description["calibrated"]["level"] == "message"
    assert [*mine.description["measured"]["balanced"]] == ["message"]
    assert mine.prevalence == BASE.prevalence


def test_messages_are_judged_as_label_judges_them(tmp_path: Path) -> None:
    point = OperatingPoint(message=0.05, conversation=0.6, sensitivity=0.8, specificity=0.95)
    apart = replace(BASE, operating_points={"balanced": point})
    first = pl.col("message") == pl.col("message").min().over("record")
    labels = PEOPLE.messages.filter(pl.col("label").is_not_null())
    labels = labels.filter(first | (pl.col("record") % 2 == 1))  # every other chat has one message
    several = pl.len().over("record") > 1
    least = pl.when(several).then(point.message).otherwise(point.conversation)
    labels = labels.with_columns(label=label_where(pl.col("probability") >= least))
    sheet = filled_messages(labels)
    as_labelled = evaluate(labels, sheet).drop("suppressed")
    assert as_labelled.equals(evaluate(labels, sheet, threshold=point).drop("suppressed"))
    assert not as_labelled.equals(
        evaluate(labels, sheet, threshold=point.message).drop("suppressed")
    )
    changed = calibrate(labels, sheet, apart, tmp_path / "mine").filter(operating_point="balanced")
    before = {row["measure"]: row["before"] for row in changed.to_dicts()}
    expected = {row["measure"]: row["estimate"] for row in as_labelled.to_dicts()}
    assert before["recall"] == pytest.approx(expected["recall"])
    assert before["specificity"] == pytest.approx(expected["specificity"])


def test_nothing_is_written_where_it_cannot_be_done(tmp_path: Path) -> None:
    labels = bent(0.0)
    sheet = filled(labels)
    calm = sheet.filter((pl.col("gold") == "task") | (pl.int_range(pl.len()).over("gold") < 3))
    calm = calm.drop("design")
    with pytest.raises(
        OptionError, match=r"gold: 3 of \d+ labels are emotional.* so 7 more:.*drawn with"
    ):
        calibrate(labels, calm, BASE, tmp_path / "mine")
    with pytest.raises(TableError, match="no column 'probability'"):
        calibrate(labels.drop("probability"), sheet, BASE, tmp_path / "mine")
    with pytest.raises(TableError, match="belong to no row"):
        calibrate(labels.head(50), sheet, BASE, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExistsError):
        calibrate(labels, sheet, BASE, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_promise_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    labels = weak()
    with pytest.warns(AnalysisWarning, match="was lowered"):
        calibrate(labels, filled(labels, 200), BASE, tmp_path / "mine", force=True)


def test_the_command_says_what_changed(tmp_path: Path, capsys: Any) -> None:
    command = write(tmp_path, bent(-2.0))
    assert cli.main([*command, "--name", "ours", "--specificity", "balanced=0.95"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("300 gold labels (")
    threshold = BASE.operating_points["balanced"].conversation
    assert f"balanced: threshold {threshold:.3f}, now 0." in captured.out
    assert captured.out.count("; change ") == 9
    assert f"ours, based on affect-small {BASE.version} -> " in captured.err
    assert cli.main(["info", "--model", command[-1]]) == 0
    out = capsys.readouterr().out
    assert "affect-small" in out
    assert "cross-fitted on the 300 conversations that it was calibrated on" in out
    assert "no weight was trained on" not in out
    assert re.search(
        r"balanced \* +conversation +0\.\d{3} +0\.\d{3} \(\d+(\.\d)?/\d+(\.\d)?\) ", out
    )
    assert cli.main(command) == 2
    assert "it exists; name another folder" in capsys.readouterr().err


def test_too_few_of_a_kind_are_said_with_the_file(tmp_path: Path, capsys: Any) -> None:
    command = write(tmp_path, bent(-2.0))
    sheet = pl.read_csv(tmp_path / "filled.csv").with_columns(gold=pl.lit("task"))
    sheet.write_csv(tmp_path / "filled.csv")
    assert cli.main(command) == 2
    err = capsys.readouterr().err
    assert "gold: 0 of 300 labels are emotional; calibration needs at least 10, so 10 more" in err
    assert err.rstrip().endswith(f"drawn with affectlib sample; gold is {tmp_path / 'filled.csv'}")


def test_notes_name_the_options_of_the_command(tmp_path: Path, capsys: Any) -> None:
    command = [*write(tmp_path, weak()), "--force"]
    assert cli.main(command) == 0
    assert "so it was lowered; see --specificity\n" in capsys.readouterr().out
    (tmp_path / "mine").rename(tmp_path / "other")
    assert cli.main([*command, "--specificity", "balanced=2"]) == 2
    assert "affectlib: --specificity, balanced: it must be" in capsys.readouterr().err


def test_the_command_loads_no_torch(tmp_path: Path) -> None:
    command = write(tmp_path, bent(-2.0))
    code = f"import sys; from affectlib import cli; print(cli.main({command!r}), *sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    status, *loaded = run.stdout.splitlines()[-1].split()
    assert status == "0"
    assert "scipy" in loaded
    assert not {"torch", "transformers", "onnxruntime"} & {*loaded}


def test_figures_as_json(tmp_path: Path, capsys: Any) -> None:
    assert cli.main([*write(tmp_path, bent(-2.0)), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 10
    assert {row["operating_point"] for row in rows} == {*BASE.operating_points, None}


def test_labels_of_another_model_are_refused(tmp_path: Path, capsys: Any) -> None:
    command = write(tmp_path, bent(0.0), "f00")
    assert cli.main(command) == 2
    assert "holds another model or version; label again" in capsys.readouterr().err
    labels = read_labels(tmp_path / "labels.parquet")
    with pytest.raises(OptionError, match="made by affect-small"):
        calibrate(labels, filled(bent(0.0)), BASE, tmp_path / "mine")
    bent(0.0).write_csv(tmp_path / "labels.csv")
    command[1] = str(tmp_path / "labels.csv")
    assert cli.main(command) == 2
    assert "does not say which model made the labels; give --model" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    assert cli.main([*command, "--model", "affect-small"]) == 0


@pytest.mark.parametrize("shares", ["balanced", "balanced=much", "a=0.9=b"])
def test_shares_that_are_none(tmp_path: Path, capsys: Any, shares: str) -> None:
    assert cli.main([*write(tmp_path, bent(0.0)), "--specificity", shares]) == 2
    assert "--specificity" in capsys.readouterr().err
