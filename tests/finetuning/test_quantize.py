"""The int8 graph: near to what it was made from, and the same whatever is in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="needs affectlib[train]")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch", reason="needs affectlib[train]")

from affectlib.finetuning.export import export_onnx  # noqa: E402
from affectlib.model.engines.torch import WindowReader  # noqa: E402
from tests.conftest import tiny_bert  # noqa: E402

VOCABULARY = 50
PADDING = 1


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_bert(
        vocab_size=VOCABULARY,
        hidden_size=48,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        initializer_range=0.2,
    )


@pytest.fixture(scope="module")
def exported(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    export_onnx(model, path)
    return path


@pytest.fixture(scope="module")
def session(exported: Path) -> Any:
    return onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])


def batch_of(windows: list[list[int]], padding: int = 0) -> dict[str, Any]:
    length = max(map(len, windows)) + padding
    ids = np.full((len(windows), length), PADDING)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return {"input_ids": ids, "attention_mask": mask, "turns": halves(windows, length)}


def halves(windows: list[list[int]], length: int) -> Any:
    """Two messages of each window: its first and its second half."""
    turns = np.zeros((len(windows), 2, length), np.float32)
    for row, window in enumerate(windows):
        middle = (len(window) + 1) // 2
        turns[row, 0, :middle] = 1 / middle
        turns[row, 1, middle : len(window)] = 1 / max(len(window) - middle, 1)
    return turns


def logits_of(session: Any, windows: list[list[int]], padding: int = 0) -> Any:
    return session.run(["logits"], batch_of(windows, padding))[0]


def test_logits_are_near_those_of_the_weights(model: Any, session: Any) -> None:
    rng = np.random.default_rng(0)
    windows = [rng.integers(2, VOCABULARY, length).tolist() for length in (3, 9, 20, 40)]
    feed = {name: torch.from_numpy(value) for name, value in batch_of(windows).items()}
    with torch.inference_mode():
        exact = WindowReader(model)(**feed).numpy()
    assert np.ptp(exact) > 0.5, "a constant would agree with anything"
    assert np.abs(logits_of(session, windows) - exact).max() < 0.03 * np.ptp(exact)


def test_every_product_of_tokens_is_one_of_integers(exported: Path) -> None:
    nodes = onnx.load(exported).graph.node
    # Six in each layer; the head, and what the attention multiplies, stay as they are.
    assert sum(node.op_type == "MatMulIntegerToFloat" for node in nodes) == 12


window = st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=40)


@given(mates=st.lists(window, min_size=1, max_size=6), padding=st.integers(0, 9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_window_depends_on_its_batch_mates(session: Any, mates: Any, padding: int) -> None:
    together = logits_of(session, mates, padding)
    for row, lone in enumerate(mates):
        np.testing.assert_allclose(together[row], logits_of(session, [lone])[0], atol=2e-5)


def test_equal_weights_which_the_exporter_stores_once(model: Any, tmp_path: Path) -> None:
    from copy import deepcopy

    alike = deepcopy(model)
    with torch.no_grad():
        layer = alike.bert.encoder.layer[0].attention
        for place in (layer.self.value, layer.output.dense, alike.bert.pooler.dense):
            place.weight.copy_(torch.eye(48))
    export_onnx(alike, tmp_path / "model.int8.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.int8.onnx")
    batch = batch_of([[5, 9, 30, 7], [11, 3]])
    (found,) = session.run(None, batch)
    with torch.no_grad():
        feed = {k: torch.from_numpy(v) for k, v in batch.items()}
        expected = WindowReader(alike)(**feed).numpy()
    assert np.abs(found - expected).max() < 0.03 * np.ptp(expected)
