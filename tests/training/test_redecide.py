"""The same weights with other decisions give what was fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")

from affectlib import AffectClassifier
from affectlib.model.artifacts import Artifact, load_artifact, save_artifact
from affectlib.model.calibration import ConversationCalibration, OperatingPoint
from affectlib.model.reference import reference_of
from affectlib.taxonomy import CUES, OUTPUTS
from tests.conftest import assistant, user
from training.data.sources import from_gold
from training.evaluation.judged import Reader, judge_as_shipped, judge_by
from training.model.calibrate import Calibration
from training.model.redecide import main, redecide

CHATS = [
    [user("I feel so alone since she left")],
    [user("fix my code please"), assistant("Sure."), user("thanks")],
    [user("fix my code"), assistant("Done."), user("I can't stop crying"), user("ok")],
]
CALIBRATION = Calibration(
    np.full(len(OUTPUTS), 1.5),
    np.full(len(OUTPUTS), -0.5),
    ConversationCalibration(0.0, 0.6, 0.4, -0.3),
    {"balanced": OperatingPoint(0.3, 0.4, 0.8, 0.9)},
    dict.fromkeys(CUES, 0.2),
)


def bundled() -> Artifact:
    artifact = load_artifact()
    if "charge_1_or_more" in artifact.outputs or "screen" in artifact.description:
        pytest.skip("the bundled model gives charges, or has a screen")
    return artifact


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    artifact = bundled()
    chats = [from_gold({"id": str(n), "messages": m, "labels": LABELS}, "x")
             for n, m in enumerate(CHATS)]  # fmt: skip
    reference = reference_of(("x", chat.conversation, 0.5) for chat in chats)
    text = redecide(artifact, CALIBRATION, {"balanced": {}}, reference, version="9", prevalence=0.2)
    save_artifact(artifact, tmp_path / "made", manifest=text, card="")
    return load_artifact(tmp_path / "made")


LABELS = {"charge": 0, "turns": [], "cues": [], "decoy": None}


def test_labels_are_those_of_the_calibration(made: Artifact) -> None:
    chats = [from_gold({"id": str(n), "messages": m, "labels": LABELS}, "x")
             for n, m in enumerate(CHATS)]  # fmt: skip
    reader = Reader(bundled())
    wanted = [judge_by(scored, CALIBRATION) for scored in reader.score(chats)]
    classifier = AffectClassifier(made, reader.engine)
    found = [classifier.predict(chat.conversation) for chat in chats]
    shipped = judge_as_shipped(made, reader, chats)
    for prediction, expected, ours in zip(found, wanted, shipped, strict=True):
        assert prediction.probability == pytest.approx(expected.probability, abs=1e-5)
        assert ours.probability == pytest.approx(expected.probability, abs=1e-5)
        turns = [m.probability for m in prediction.messages if m.role == "user"]
        assert turns == pytest.approx([*expected.turns], abs=1e-5)
        for cue in made.cue_thresholds:
            p = expected.calibration.cue_probability(expected.scored, cue)
            assert (cue in prediction.shown_cues) == (p is not None and p >= 0.2)
    assert (made.version, made.prevalence) == ("9", 0.2)
    for name in ("model.safetensors", "model.int8.onnx"):
        assert made.sha256(name) == bundled().sha256(name)


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--model", str(tmp_path), "--version", "1", "-o", str(tmp_path / "made")]
    assert main(where) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
