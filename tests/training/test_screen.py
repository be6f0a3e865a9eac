"""A screen is taught by an artifact's encoder, and loads with that artifact only."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.errors import ArtifactCorruptError
from affectlib.model.artifacts import load_artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import load_engine
from affectlib.model.screen import Screen, lowest_limits
from tests.conftest import WORDS, assistant, user, write_manifest
from training.model import screen as making
from training.model import student


@pytest.fixture
def texts():
    draw = np.random.default_rng(0)
    return [
        (
            "goemotions",
            {
                "id": str(number),
                "messages": [
                    user(" ".join(draw.choice(WORDS, size=6))),
                    assistant(" ".join(draw.choice(WORDS, size=6))),
                ],
            },
        )
        for number in range(60)
    ]


@pytest.fixture
def made(bert_folder, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(student, "EPOCHS", 1)
    monkeypatch.setattr(student, "BUCKETS", 64)
    monkeypatch.setattr(student, "SIZES", {"tokens": 4, "pairs": 2, "context": 2})
    monkeypatch.setattr(making, "SOURCES", {"goemotions": (60, 1, 1)})
    folder = tmp_path / "screened"
    folder.mkdir()
    report = making.train_screen(bert_folder, texts, folder / "screen.safetensors")
    making.add_screen(load_artifact(bert_folder), folder)
    return folder, report


def test_it_is_taught_listed_and_used(made):
    folder, report = made
    assert AffectClassifier.from_pretrained(str(folder), device="cpu").screen
    for role in ("user", "assistant"):
        assert report[role]["windows"] > 0
        assert report[role]["lost"] <= making.LOST * report[role]["windows"]


def test_the_bounds_let_no_window_through_that_reaches_a_limit(made, texts):
    folder, _ = made
    artifact = load_artifact(folder)
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    taught = making.teach(texts, encoder, engine)
    order = np.array([lowest_limits(artifact)[name] for name in artifact.outputs])
    applies = making._applies(artifact.outputs)[taught.sides]
    reach = ((taught.logits >= order) & applies).any(axis=1)
    kept = np.flatnonzero(taught.kept)
    windows = Screen.load(artifact).settle(
        [taught.windows[place] for place in kept], [not taught.sides[place] for place in kept]
    )
    assert not any(w.logits is not None and r for w, r in zip(windows, reach[kept], strict=True))


def test_other_weights_refuse_it(made):
    folder, _ = made
    values = json.loads((folder / "affect.json").read_text())
    (folder / "model.safetensors").write_bytes(b"others")
    write_manifest(folder, outputs=values["outputs"])
    with pytest.raises(ArtifactCorruptError, match="made for other weights"):
        Screen.load(load_artifact(folder))


def test_an_artifact_that_is_not_there_is_named(tmp_path, capsys):
    arguments = ["--artifact", str(tmp_path / "none"), "-o", str(tmp_path / "out")]
    assert making.main(arguments) == 2
    assert "none" in capsys.readouterr().err
