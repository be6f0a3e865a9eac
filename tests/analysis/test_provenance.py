"""Labels that carry what the model that made them knows of itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
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
    TableError,
    measured_accuracy,
    prevalence,
    read_labels,
    report,
    users,
)
from affectlib.analysis._frames import labels_table
from affectlib.analysis._provenance import Provenance
from affectlib.analysis.report._translator import Translator
from affectlib.conversation import Conversation, Message
from affectlib.corpus.provenance import provenance, provenance_code
from affectlib.errors import OptionError
from affectlib.model.artifacts import Artifact, load_artifact, with_digest
from affectlib.model.calibration import sigmoid
from affectlib.model.recalibration import recalibrate, save_recalibrated
from affectlib.taxonomy import CUES
from tests.analysis.known import label_where
from tools.simulate import simulate

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
    save_recalibrated(
        tiny_artifact, recalibrate(tiny_artifact, given, truth, force=True), folder, name="ours"
    )
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
    assert labels_table(labels).provenance.name == "ours 0.0.1, balanced"
    assert labels_table(labels).accuracy() == accuracy
    with pytest.warns(AnalysisWarning, match="measured on the labels that its model"):
        found = prevalence(labels).to_dicts()
    with pytest.warns(AnalysisWarning, match="measured on the labels that its model"):
        assert found == prevalence(labels.collect(), measured=accuracy).to_dicts()
    assert [row["method"] for row in found] == ["naive", "rogan_gladen"]
    messages = read_labels(tmp_path / "labels.messages.parquet")
    assert labels_table(messages).accuracy() is None
    for table in (labels, messages):
        assert labels_table(table).provenance.cues == THRESHOLDS


def test_what_was_measured_on_the_gold_labels_does_not_count_beside_them(tmp_path: Path) -> None:
    for fitted, known in ((False, True), (True, False)):
        labels = written(tmp_path / "labels.parquet", fitted=fitted)
        found = labels_table(labels).accuracy(beside_gold=True)
        assert (found is not None) == known
        assert labels_table(labels).accuracy() is not None
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
    assert labels_table(labels).provenance.measured_themes == {"grief": Accuracy(*STUDIES)}
    assert labels_table(labels).provenance.themes == {"grief": 0.2}
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
    with pytest.raises(OptionError):
        report(labels, kind="studies", measured=Accuracy(*LOGS))


def test_a_kind_that_the_model_was_not_measured_on_is_refused(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.parquet", measured={})
    frames: tuple[Any, ...] = (labels, PEOPLE.conversations)
    for frame in frames:
        with pytest.raises(OptionError, match=r"kind='studies'`: nothing says.* conversations of"):
            prevalence(frame, kind="studies")
    table = labels_table(written(tmp_path / "labels.parquet"))
    with pytest.raises(OptionError, match=r"'studies'`: nothing says.* messages of personal study"):
        replace(table, level="message").accuracy(kind="studies")
    with pytest.raises(OptionError, match="unknown kind 'chats'; use logs or studies"):
        prevalence(labels, kind="chats")  # type: ignore[arg-type]
    with pytest.raises(OptionError):
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
    assert labels_table(labels).accuracy() is None
    assert labels_table(labels).provenance.cues == {}
    assert labels_table(labels).provenance.name == "ours 1, balanced"


def test_cues_count_from_the_thresholds_of_the_model_that_made_the_labels(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.parquet", cue_thresholds=dict.fromkeys(CUES, 0.999))
    strict = users(labels)
    assert_frame_equal(strict, users(PEOPLE.conversations, cue_threshold=0.999))
    with pytest.raises(AssertionError):
        assert_frame_equal(strict, users(PEOPLE.conversations))


BASE = load_artifact()


def made_by(point: str, *, artifact: Artifact = BASE, seed: int = 1) -> pl.DataFrame:
    """Labels that follow from the thresholds of an operating point, and carry its code."""
    found = simulate(200, seed=seed, prevalence=0.1).conversations
    called = pl.col("probability") >= artifact.operating_point(point).conversation
    return found.with_columns(
        conversation_id=pl.col("conversation_id") + f" {seed}",
        label=label_where(called),
        provenance=pl.lit(provenance_code(artifact, point)),
    )


KINDS_OF_FRAMES = {
    "pandas": lambda frame: frame.to_pandas(),
    "pyarrow": lambda frame: frame.to_arrow(),
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy().filter(pl.col("record") >= 0),
}


@pytest.mark.filterwarnings("ignore:sensitivity and specificity")
@pytest.mark.parametrize("kind", KINDS_OF_FRAMES)
def test_rows_keep_their_origin_in_every_kind_of_frame(kind: str) -> None:
    labels = made_by("balanced")
    expected = prevalence(labels, measured=measured_accuracy(BASE))
    found = pl.DataFrame(prevalence(KINDS_OF_FRAMES[kind](labels)))  # type: ignore[no-untyped-call]
    assert found["estimate"].to_list() == pytest.approx(expected["estimate"].to_list())
    assert found["method"].to_list() == ["naive", "rogan_gladen"]


def test_a_filtered_file_keeps_what_its_model_knows(fitted: Path, tmp_path: Path) -> None:
    artifact = load_artifact(fitted)
    labels = made_by("balanced", artifact=artifact)
    said = {"affectlib": json.dumps(provenance(artifact, "balanced"))}
    path = tmp_path / "labels.parquet"
    parquet.write_table(labels.to_arrow().replace_schema_metadata(said), path)
    whole = read_labels(path)
    some = whole.filter(pl.col("record") % 2 == 0)
    for frame in (whole, some, some.collect(), some.collect().to_pandas()):
        assert labels_table(frame).provenance == Provenance.of(provenance(artifact, "balanced"))


def test_an_origin_that_is_not_known_is_said() -> None:
    labels = made_by("balanced").with_columns(provenance=pl.lit("0123456789ab"))
    with pytest.warns(AnalysisWarning, match="nothing says any more which model"):
        assert prevalence(labels)["method"].to_list() == ["naive"]


def test_labels_of_several_origins_are_refused_in_every_order() -> None:
    one, other = made_by("balanced"), made_by("high_recall", seed=2)
    nameless = other.with_columns(provenance=pl.lit(None, pl.String))
    for parts in ([one, other], [other, one], [one, nameless]):
        mixed = pl.concat(parts)
        for frame in (mixed, mixed.to_pandas(), mixed.to_arrow(), mixed.lazy()):
            with pytest.raises(TableError, match="several models or operating points"):
                prevalence(frame)


def test_labels_that_do_not_follow_from_their_origin_are_refused() -> None:
    labels = made_by("balanced").with_columns(label=label_where(pl.col("probability") >= 0.6))
    with pytest.raises(TableError, match="do not follow from probability"):
        prevalence(labels)
    with pytest.warns(AnalysisWarning, match="no column 'provenance'"):
        assert prevalence(labels.drop("provenance"))["method"].to_list() == ["naive"]


def test_labels_that_lost_their_origin_are_said_to_be_uncorrected() -> None:
    bare = made_by("balanced").drop("provenance")
    for frame in (bare, bare.to_pandas(), bare.to_arrow(), bare.lazy()):
        with pytest.warns(AnalysisWarning, match="'provenance'.*read_labels"):
            prevalence(frame)
    for lang in ("en", "fr"):
        with pytest.warns(AnalysisWarning, match="'provenance'.*read_labels"):
            found = report(bare, lang=lang)
        assert Translator(lang)("overall.no_origin") in found.html()
    whole = simulate(200, seed=1, prevalence=0.1).conversations
    assert Translator("en")("overall.no_origin") not in report(whole).html()


def test_rows_that_are_there_twice_are_refused() -> None:
    labels = made_by("balanced")
    with pytest.raises(TableError, match="the same result"):
        prevalence(pl.concat([labels, labels.head(3).with_columns(batch=2)], how="diagonal"))
    for column in ("started_at", "user_id", "record", "probability"):
        copies = labels.head(3).drop(column)
        with pytest.raises(TableError, match="the same result"):
            prevalence(pl.concat([labels, copies], how="diagonal"))


def test_the_same_rows_of_files_that_overlap_are_refused() -> None:
    labels = made_by("balanced")
    other = labels.tail(3).with_columns(pl.col("record") + 1000)
    with pytest.raises(TableError, match="same conversation_id and the same result"):
        prevalence(pl.concat([labels, other]))
    files = [rows.drop("user_id", "started_at") for rows in (labels, other)]
    labels_table(pl.concat(files))  # files may number their conversations alike


def test_every_row_that_is_written_carries_its_origin(
    tiny_classifier: AffectClassifier, tmp_path: Path
) -> None:
    chats = [Conversation((Message("user", text),)) for text in ("so sad", "a csv file")]
    code = provenance_code(tiny_classifier.artifact, tiny_classifier.operating_point)
    for suffix in ("parquet", "csv", "jsonl"):
        path = tmp_path / f"labels.{suffix}"
        label_file(chats, path, classifier=tiny_classifier)
        assert read_labels(path).collect()["provenance"].to_list() == [code, code]
