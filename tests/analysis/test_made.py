"""Labels that carry what the model that made them knows of itself."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow import parquet

from affectlib import AffectClassifier, cli, label_file
from affectlib.analysis import (
    Accuracy,
    AnalysisWarning,
    measured_accuracy,
    prevalence,
    read_labels,
    report,
    simulate,
    users,
)
from affectlib.analysis._made import (
    known_accuracy,
    known_accuracy_of_themes,
    known_theme_thresholds,
    known_thresholds,
    model_name,
)
from affectlib.conversation import Conversation, Message
from affectlib.errors import OptionError
from affectlib.model.artifacts import Artifact, load_artifact, with_digest
from affectlib.model.calibration import sigmoid
from affectlib.model.recalibration import recalibrate, save_recalibrated
from affectlib.taxonomy import CUES

PEOPLE = simulate(60, seed=1)
NAMES = ("true_positives", "false_negatives", "true_negatives", "false_positives")
LOGS, STUDIES = (17.3, 4.0, 386.0, 1.5), (30, 6, 90, 4)
THRESHOLDS = dict.fromkeys(CUES, 0.3)


@pytest.fixture
def fitted(tiny_artifact: Artifact, tmp_path: Path) -> Path:
    """A model in a folder of its own, calibrated, under another name."""
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    given = sigmoid(rng.normal(size=400) - 2 + 2.0 * truth)
    folder = tmp_path / "mine"
    save_recalibrated(tiny_artifact, recalibrate(tiny_artifact, given, truth), folder, name="ours")
    manifest = folder / "affect.json"
    values = json.loads(manifest.read_bytes()) | {"cue_thresholds": THRESHOLDS}
    manifest.write_text(json.dumps(with_digest(values)), encoding="utf-8")
    return folder


def test_labels_of_a_calibrated_model_are_corrected_by_what_it_says(
    fitted: Path, tmp_path: Path
) -> None:
    model = load_artifact(fitted)
    chats = [
        Conversation((Message("user", text),), user_id=f"u{place}")
        for place, text in enumerate(("i am so sad", "a csv file", "hello word") * 8)
    ]
    classifier = AffectClassifier.from_pretrained(fitted, device="cpu")
    label_file(chats, tmp_path / "labels.parquet", classifier=classifier, level="both")
    shutil.rmtree(fitted)
    labels = read_labels(tmp_path / "labels.parquet")
    accuracy = measured_accuracy(model)
    assert accuracy is not None
    assert model_name(labels) == "ours 0.0.1, balanced"
    assert known_accuracy(labels, "conversation") == accuracy
    with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
        found = prevalence(labels).to_dicts()
    with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
        assert found == prevalence(labels.collect(), measured=accuracy).to_dicts()
    assert [row["method"] for row in found] == ["naive", "rogan_gladen"]
    messages = read_labels(tmp_path / "labels.messages.parquet")
    assert known_accuracy(messages, "message") is None
    for table in (labels, messages):
        assert known_thresholds(table) == THRESHOLDS


def test_what_was_measured_on_the_gold_labels_does_not_count_beside_them(
    tmp_path: Path,
) -> None:
    for fitted, known in ((False, True), (True, False)):
        labels = written(tmp_path / "labels.parquet", fitted=fitted)
        found = known_accuracy(labels, "conversation", gold=PEOPLE.gold_conversations)
        assert (found is not None) == known
        assert known_accuracy(labels, "conversation") is not None
        expected = prevalence(PEOPLE.conversations, PEOPLE.gold_conversations, measured=found)
        assert prevalence(labels, PEOPLE.gold_conversations).equals(expected)


def written(path: Path, **changes: Any) -> pl.LazyFrame:
    """Labels that say what their model knows."""
    made = {"model": "ours", "model_version": "1", "fingerprint": "f00"}
    made |= {"operating_point": "balanced"}
    known: dict[str, Any] = {
        "measured": {
            "conversation": dict(zip(NAMES, LOGS, strict=True)),
            "studies": dict(zip(NAMES, STUDIES, strict=True)),
            "themes": {"grief": dict(zip(NAMES, STUDIES, strict=True))},
        },
        "cue_thresholds": THRESHOLDS,
        "theme_thresholds": {"grief": 0.2},
        "fitted": False,
    }
    metadata = {"affectlib": json.dumps(made | known | changes)}
    parquet.write_table(PEOPLE.conversations.to_arrow().replace_schema_metadata(metadata), path)
    return read_labels(path)


@pytest.mark.filterwarnings("ignore:sensitivity and specificity were measured")
def test_personal_chats_are_corrected_by_what_was_measured_on_such(
    tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "labels.parquet"
    labels = written(path)
    assert known_accuracy_of_themes(labels) == {"grief": Accuracy(*STUDIES)}
    assert known_theme_thresholds(labels) == {"grief": 0.2}
    logs, studies = prevalence(labels), prevalence(labels, kind="studies")
    assert logs.equals(prevalence(PEOPLE.conversations, measured=Accuracy(*LOGS)))
    assert studies.equals(prevalence(PEOPLE.conversations, measured=Accuracy(*STUDIES)))
    assert not logs.equals(studies)
    assert cli.main(["prevalence", str(path), "--measured-on", "studies"]) == 0
    assert "(36 emotional, 94 others)" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:sensitivity and specificity were measured")
def test_the_report_corrects_as_prevalence_does(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    labels = written(path)
    for kind, measured in (("logs", LOGS), ("studies", STUDIES)):
        page = tmp_path / f"{kind}.html"
        assert cli.main(["report", str(path), "-o", str(page), "--measured-on", kind]) == 0
        found = report(labels, kind=kind, made_on=date(2025, 6, 1))
        meant = report(labels, measured=Accuracy(*measured), made_on=date(2025, 6, 1))
        assert found.figures().equals(meant.figures())
    texts = [(tmp_path / f"{kind}.html").read_text("utf-8") for kind in ("logs", "studies")]
    assert texts[0] != texts[1]
    with pytest.raises(OptionError, match="measured and kind contradict each other"):
        report(labels, kind="studies", measured=Accuracy(*LOGS))


def test_a_kind_that_the_model_was_not_measured_on_is_refused(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.parquet", measured={})
    frames: tuple[Any, ...] = (labels, PEOPLE.conversations)
    for frame in frames:
        with pytest.raises(OptionError, match=r"kind='studies': nothing says.* conversations of"):
            prevalence(frame, kind="studies")
    with pytest.raises(OptionError, match=r"'studies': nothing says.* messages of personal study"):
        known_accuracy(written(tmp_path / "labels.parquet"), "message", "studies")
    with pytest.raises(OptionError, match="unknown kind 'chats'; use logs or studies"):
        prevalence(labels, kind="chats")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="measured and kind contradict each other"):
        prevalence(labels, kind="studies", measured=Accuracy(*LOGS))


@pytest.mark.parametrize(
    "damage",
    [
        {"measured": [1]},
        {"measured": {"conversation": {"true_positives": 3}}},
        {"measured": {"conversation": 3}},
        {"cue_thresholds": "all"},
        {"theme_thresholds": {"grief": "high"}},
    ],
)
def test_what_cannot_be_read_is_not_known(tmp_path: Path, damage: dict[str, Any]) -> None:
    labels = written(tmp_path / "labels.parquet", **damage)
    assert known_accuracy(labels, "conversation") is None
    assert known_thresholds(labels) == {}
    assert model_name(labels) == "ours 1, balanced"


def test_cues_count_from_the_thresholds_of_the_model_that_made_the_labels(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.parquet", cue_thresholds=dict.fromkeys(CUES, 0.999))
    strict = users(labels)
    assert_frame_equal(strict, users(PEOPLE.conversations, cue_threshold=0.999))
    with pytest.raises(AssertionError):
        assert_frame_equal(strict, users(PEOPLE.conversations))
