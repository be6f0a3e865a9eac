"""Choosing and running engines."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from affectlib.errors import ArtifactCorruptError, OptionError
from affectlib.model import engines
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
from affectlib.model.engines.cores import count_cores
from affectlib.taxonomy import OUTPUTS
from tests.conftest import BIAS, WORD_LOGITS, build_tokenizer, write_manifest

IDS = np.array([[0, 6, 7, 11, 2], [0, 6, 8, 2, 1]], dtype=np.int64)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=np.int64)
TURNS = np.array(
    [[[0, 0.5, 0.5, 0, 0], [0, 0, 0, 1, 0]], [[0, 0.5, 0.5, 0, 0], [0] * 5]], dtype=np.float32
)


@pytest.fixture(scope="module")
def bert(bert_folder):
    return load_artifact(bert_folder)


def test_onnx_computes_the_graph(tiny_artifact):
    engine = load_engine(tiny_artifact, device="cpu")
    assert (engine.name, engine.device) == ("onnx", "cpu")
    word = build_tokenizer().token_to_id("alone")
    turns = np.array([[[0, 1, 0]]], np.float32)
    logits = engine.logits(np.array([[0, word, word]]), np.array([[1, 1, 0]]), turns)
    assert logits.dtype == np.float32
    expected = [BIAS + WORD_LOGITS["alone"].get(name, 0.0) for name in OUTPUTS]
    assert logits.tolist() == [[expected] * 2], "the padding must not count"


def test_engines_agree(bert):
    onnx = load_engine(bert, engine="onnx").logits(IDS, MASK, TURNS)
    torch = load_engine(bert, engine="torch", device="cpu").logits(IDS, MASK, TURNS)
    assert torch.dtype == onnx.dtype == np.float32
    assert torch.shape == onnx.shape == (2, 3, len(OUTPUTS))
    assert np.ptp(torch) > 0.5, "a constant would agree with anything"
    np.testing.assert_allclose(onnx, torch, atol=1e-4)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_padding_does_not_matter(bert, name):
    engine = load_engine(bert, engine=name, device="cpu")
    np.testing.assert_allclose(
        engine.logits(IDS[1:, :4], MASK[1:, :4], TURNS[1:, :, :4]),
        engine.logits(IDS, MASK, TURNS)[1:],
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_threads_share_an_engine(bert, name):
    engine = load_engine(bert, engine=name, device="cpu")
    expected = engine.logits(IDS, MASK, TURNS)
    with ThreadPoolExecutor(4) as pool:
        for logits in pool.map(lambda _: engine.logits(IDS, MASK, TURNS), range(16)):
            np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_loading_torch_has_no_global_side_effects(bert, capfd):
    import torch
    from transformers.utils import logging

    shown, threads = logging.is_progress_bar_enabled(), torch.get_num_threads()
    state = torch.get_rng_state()
    load_engine(bert, engine="torch", device="cpu")
    assert logging.is_progress_bar_enabled() == shown
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


def test_torch_computes_with_the_threads_that_were_asked_for_and_leaves_its_setting(bert):
    import torch

    def of_a_new_thread():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    def first_use(_):
        number = torch.get_num_threads()
        together.wait()
        return number

    def spied(*arguments):
        seen.append(torch.get_num_threads())
        if len(seen) == 1:  # nothing else computes then
            elsewhere.append(of_a_new_thread())
        return model(*arguments)

    seen, elsewhere = [], []
    together = Barrier(4)
    before = torch.get_num_threads()
    engine = load_engine(bert, engine="torch", device="cpu", threads=before + 2)
    model, engine._model = engine._model, spied
    engine.logits(IDS, MASK, TURNS)
    assert (torch.get_num_threads(), of_a_new_thread()) == (before, before)
    with ThreadPoolExecutor(4) as pool:
        # A thread whose first use of torch falls into another's computing may keep its number.
        assert [*pool.map(first_use, range(4))] == [before] * 4
        deque(pool.map(lambda _: engine.logits(IDS, MASK, TURNS), range(12)))
        left = {*pool.map(lambda _: torch.get_num_threads(), range(12))}
    assert seen == [before + 2] * 13
    assert elsewhere == [before]
    assert left == {before}
    assert (torch.get_num_threads(), of_a_new_thread()) == (before, before)


def test_auto_without_a_gpu_is_onnx_and_leaves_torch_alone(tiny_folder):
    code = f"""
import sys
from affectlib.model import engines
from affectlib.model.artifacts import load_artifact
engines._gpu_likely = lambda: False
assert engines.load_engine(load_artifact({str(tiny_folder)!r})).name == "onnx"
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_takes_a_gpu_that_torch_can_use(bert, monkeypatch):
    from affectlib.model.engines import torch as torch_engine

    monkeypatch.setattr(engines, "_gpu_likely", lambda: True)
    for gpu, name in ((None, "onnx"), ("cpu", "torch")):  # the CPU stands in for a GPU
        monkeypatch.setattr(torch_engine, "find_gpu", lambda gpu=gpu: gpu)
        assert load_engine(bert).name == name


def test_auto_on_the_cpu_is_onnx_even_where_a_gpu_is(tiny_artifact, monkeypatch):
    monkeypatch.setattr(engines, "_gpu_likely", lambda: pytest.fail("must not look"))
    assert load_engine(tiny_artifact, device="cpu").name == "onnx"


def test_torch_on_auto_without_a_gpu_runs_on_the_cpu(bert, monkeypatch):
    from affectlib.model.engines import torch as torch_engine

    monkeypatch.setattr(torch_engine, "find_gpu", lambda: None)
    assert load_engine(bert, engine="torch").device == "cpu"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"engine": "jax"}, "auto, onnx, openvino, torch"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"device": "cuda:x"}, "auto, cpu, cuda"),
        ({"engine": "onnx", "device": "cuda"}, "engine='torch'"),
        ({"engine": "openvino", "device": "cuda"}, "openvino engine runs only on the CPU"),
        ({"threads": 0}, "at least 1"),
        ({"engine": "torch", "device": "cuda:99"}, "finds no device 'cuda:99'"),
        ({"device": "cuda:99"}, "finds no device 'cuda:99'"),
    ],
)
def test_options_that_cannot_be(bert, options, named):
    with pytest.raises(OptionError, match=named):
        load_engine(bert, **options)


def test_openvino_agrees(bert):
    pytest.importorskip("openvino", reason="needs affectlib[openvino]")
    exact = load_engine(bert, engine="torch", device="cpu").logits(IDS, MASK, TURNS)
    engine = load_engine(bert, engine="openvino", threads=1)
    assert (engine.name, engine.device) == ("openvino", "cpu")
    # It computes in bf16 where the processor can.
    np.testing.assert_allclose(engine.logits(IDS, MASK, TURNS), exact, atol=0.05 * np.ptp(exact))
    with ThreadPoolExecutor(4) as pool:
        for logits in pool.map(lambda _: engine.logits(IDS, MASK, TURNS), range(16)):
            np.testing.assert_allclose(logits, engine.logits(IDS, MASK, TURNS), atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "missing"),
    [
        ("openvino", "openvino"),
        ("openvino", "torch"),
        ("torch", "torch"),
        ("torch", "transformers"),
    ],
)
def test_an_engine_names_its_extra(tiny_folder, engine, missing):
    pytest.importorskip("torch", reason="needs affectlib[torch]")  # it is looked for first
    code = f"""
import sys
sys.modules[{missing!r}] = None
from affectlib.errors import MissingExtraError
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
artifact = load_artifact({str(tiny_folder)!r})
try:
    load_engine(artifact, engine={engine!r})
except MissingExtraError as error:
    assert "affectlib[{engine}]" in str(error), error
else:
    raise SystemExit("no error")
assert load_engine(artifact, device="cpu").name == "onnx"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_onnx_with_another_number_of_outputs(tiny_folder, tmp_path):
    (tmp_path / "model.int8.onnx").write_bytes((tiny_folder / "model.int8.onnx").read_bytes())
    write_manifest(tmp_path, outputs=["emotional"])
    with pytest.raises(ArtifactCorruptError, match="width 1"):
        load_engine(load_artifact(tmp_path), device="cpu")


def test_cores_are_those_this_process_may_use(monkeypatch):
    assert count_cores() >= 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 4}, raising=False)
    assert count_cores() == 3
