"""The head: outputs that a model has keep their weights, and are exported at their true scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="training needs affectlib[train]")
pytest.importorskip("onnx", reason="training needs affectlib[train]")

import torch
from transformers import AutoModelForSequenceClassification

from affectlib.finetuning.export import write_weights
from affectlib.finetuning.head import with_outputs
from affectlib.finetuning.trainer import load_model
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
from affectlib.model.engines.torch import outputs_of
from affectlib.taxonomy import CHARGES, CUES, EMOTIONAL, OUTPUTS
from tests.conftest import build_tokenizer, write_manifest


def test_outputs_that_a_model_has_keep_their_weights_and_a_charge_begins_as_the_label(
    bert_folder: Path,
) -> None:
    model = load_model(bert_folder, (EMOTIONAL, *CUES))
    assert outputs_of(model) == (EMOTIONAL, *CUES)
    head = model.classifier.weight.detach().clone()
    with_outputs(model)
    assert outputs_of(model) == OUTPUTS
    assert model.num_labels == model.classifier.out_features == len(OUTPUTS)
    for place, name in enumerate((EMOTIONAL, *CUES)):
        assert torch.equal(model.classifier.weight[OUTPUTS.index(name)], head[place])
    for name in CHARGES:
        assert torch.equal(model.classifier.weight[OUTPUTS.index(name)], head[0])
    before = model.classifier
    with_outputs(model)
    assert model.classifier is before


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::torch.jit.TracerWarning")
def test_what_is_exported_has_all_logits_at_their_true_scale(
    bert_folder: Path, tmp_path: Path
) -> None:
    write_weights(load_model(bert_folder), tmp_path)
    build_tokenizer().save(str(tmp_path / "tokenizer.json"))
    artifact = load_artifact(write_manifest(tmp_path))
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32)
    assert tuple(plain.config.id2label.values()) == OUTPUTS
    ids = np.array([[0, 4, 6, 7, 2]])
    with torch.inference_mode():
        expected = plain.eval()(torch.from_numpy(ids)).logits.numpy()
    turns = np.array([[[0, 1, 1, 1, 0]]], np.float32) / 3
    for engine, apart in (("torch", 1e-4), ("onnx", 0.06 * np.ptp(expected))):
        found = load_engine(artifact, engine=engine, device="cpu").logits(
            ids, np.ones_like(ids), turns
        )
        assert found.shape == (1, 2, len(OUTPUTS))
        np.testing.assert_allclose(found[:, 0], expected, atol=apart)
