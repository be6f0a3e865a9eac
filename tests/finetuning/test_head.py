"""The exported head: what a pipeline of transformers says by default."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="training needs affectlib[train]")
pytest.importorskip("onnx", reason="training needs affectlib[train]")

import torch
import transformers
from scipy.special import logit

from affectlib.classifier import AffectClassifier
from affectlib.finetuning.export import export_onnx
from affectlib.finetuning.head import add_task
from affectlib.finetuning.trainer import load_model
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
from affectlib.model.engines.torch import LOWERED, drop_task
from affectlib.taxonomy import EMOTIONAL, OUTPUTS, TASK
from tests.conftest import SINGLE_MESSAGE, WORDS, write_manifest
from training.model.encoder import write_tokenizer_config


@pytest.fixture(scope="module")
def plain(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT that finds next to nothing in most texts."""
    folder = shutil.copytree(bert_folder, tmp_path_factory.mktemp("plain") / "model")
    model = load_model(folder).eval().half()
    with torch.no_grad():
        model.classifier.bias.sub_(3.0)
    model.save_pretrained(folder)
    return write_manifest(folder, name="plain")


@pytest.fixture(scope="module")
def exported(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as `affectlib.finetuning.export` writes it."""
    folder = shutil.copytree(plain, tmp_path_factory.mktemp("head") / "model")
    model = load_model(folder).eval().half()
    add_task(model)
    model.save_pretrained(folder)
    drop_task(model)
    export_onnx(model.float().eval(), folder / "model.int8.onnx")
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    return write_manifest(folder, name="exported")


@pytest.fixture(scope="module")
def classify(exported: Path):
    return transformers.pipeline(
        "text-classification", model=str(exported), device="cpu", dtype=torch.float32
    )


TEXTS = [" ".join(np.roll(WORDS, step)[:5]) for step in range(len(WORDS))]


def test_the_default_call_says_emotional_or_task(classify, plain: Path) -> None:
    model = load_model(plain).eval()
    others_likelier = []
    for text in TEXTS:
        (found,) = classify(text)
        ids = classify.tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            scores = torch.sigmoid(model(ids).logits[0])
        emotional = float(scores[OUTPUTS.index(EMOTIONAL)])
        label, score = (EMOTIONAL, emotional) if emotional >= 0.5 else (TASK, 1 - emotional)
        assert (found["label"], found["score"]) == (label, pytest.approx(score, abs=1e-3))
        others_likelier.append(label == EMOTIONAL and bool((scores > emotional).any()))
    assert any(others_likelier), "texts of which a cue is likelier than the label"
    assert {classify(text)[0]["label"] for text in TEXTS} == {EMOTIONAL, TASK}


def test_other_outputs_are_lowered(classify, plain: Path) -> None:
    model = load_model(plain).eval()
    for text in TEXTS[:4]:
        rows = classify(text, top_k=None)
        logits = {row["label"]: float(logit(row["score"])) for row in rows}
        assert {*logits} == {*OUTPUTS, TASK}
        with torch.inference_mode():
            expected = model(classify.tokenizer(text, return_tensors="pt").input_ids).logits[0]
        for name, value in zip(OUTPUTS, expected.tolist(), strict=True):
            lowered = 0.0 if name == EMOTIONAL else LOWERED
            assert logits[name] + lowered == pytest.approx(value, abs=0.03)


def test_affectlib_reads_what_it_did(exported: Path, plain: Path) -> None:
    before, after = (
        AffectClassifier(artifact, load_engine(artifact, engine="torch", device="cpu"))
        for artifact in map(load_artifact, (plain, exported))
    )
    for text in TEXTS[:4]:
        one, other = before.predict(text), after.predict(text)
        assert other.probability == pytest.approx(one.probability, abs=1e-5)
        assert dict(other.cues) == pytest.approx(dict(one.cues), abs=2e-3)  # biases, in half
    ids = np.array([[0, 5, 6, 2]])
    for engine in ("torch", "onnx"):
        loaded = load_engine(load_artifact(exported), engine=engine, device="cpu")
        assert loaded.logits(ids, np.ones_like(ids)).shape == (1, len(OUTPUTS))


def test_what_is_exported_can_be_trained_again(exported: Path, plain: Path) -> None:
    config = json.loads((exported / "config.json").read_text())
    assert config["id2label"][str(len(OUTPUTS))] == TASK
    again, first = load_model(exported), load_model(plain)
    assert TASK not in again.config.id2label.values()
    assert again.config.num_labels == again.classifier.out_features == len(OUTPUTS)
    assert torch.equal(again.classifier.weight, first.classifier.weight)
    assert torch.allclose(again.classifier.bias, first.classifier.bias, atol=0.01)
    with torch.inference_mode():
        ids = torch.tensor([[0, 5, 6, 2]])
        assert torch.allclose(again.eval()(ids).logits, first.eval()(ids).logits, atol=0.01)


def test_a_text_and_the_pipeline_agree(exported: Path, classify) -> None:
    classifier = AffectClassifier.from_pretrained(exported, engine="torch", device="cpu")
    (window,) = classifier.windows(SINGLE_MESSAGE)
    scores = {row["label"]: row["score"] for row in classify(window.text, top_k=None)}
    assert scores[EMOTIONAL] == pytest.approx(
        classifier.predict(SINGLE_MESSAGE).probability, abs=1e-4
    )
