"""What every test gets: no network, and tiny artifacts to classify with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from tokenizers import Tokenizer, models, pre_tokenizers, processors

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, so before any test

from affectlib.classifier import AffectClassifier
from affectlib.model.artifacts import FORMAT, Artifact, load_artifact, with_digest
from affectlib.model.encoding import ROLE_TOKENS
from affectlib.model.engines import load_engine
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import CUES, OUTPUTS

WORD_LOGITS: Mapping[str, Mapping[str, float]] = {
    "alone": {
        "emotional": 6.0,
        "charge_1_or_more": 7.0,
        "charge_3": 4.0,
        "shares_feelings": 5.0,
        "seeks_company": 3.0,
        "loneliness": 5.0,
        "love": 4.0,
    },
    "sad": {"emotional": 2.0, "charge_1_or_more": 5.0, "shares_feelings": 4.0, "grief": 6.0},
    "csv": {"emotional": -4.0, "charge_1_or_more": -3.0},
    "sorry": {"shows_empathy": 6.0},
}
"""What each word of a message adds to its logits by the tiny artifact; those of a window are the
highest of its messages."""

BIAS = -3.0
"""What the logits of the tiny artifact start from."""

WORDS = (*WORD_LOGITS, "i", "am", "so", "a", "the", "file", "hello", "word")

WINDOWS = {
    "max_tokens": 24,
    "budgets": ((16, 12), (9, 4)),
    "overlap": 1,
}


SINGLE_MESSAGE = "i am so alone"
TASK = "the csv file"


def user(text: Any) -> dict[str, Any]:
    """Return a message of a user."""
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    """Return a message of an assistant."""
    return {"role": "assistant", "content": text}


CHAT = [
    {"role": "system", "content": "a word"},
    user(TASK),
    assistant("sorry"),
    user(SINGLE_MESSAGE),
    assistant("hello"),
    user(""),
]


settings.register_profile("calm", settings.default, deadline=None)  # no test is timed
settings.load_profile("calm")


def refuse_network(patch: pytest.MonkeyPatch, *, loopback: bool) -> None:
    """Make every attempt to reach another machine an error, or this one too."""

    def is_local(host: Any) -> bool:
        return loopback and str(host) in {"localhost", "127.0.0.1", "::1", socket.gethostname()}

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a test tried to use the network")

    def guard(name: str) -> Any:
        original = getattr(socket.socket, name)

        def reach(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]  # of `sendto`, after what is sent
            local = self.family == getattr(socket, "AF_UNIX", None) or is_local(address[0])
            return (original if local else refuse)(self, *arguments)

        return reach

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        return (resolve if is_local(host) else refuse)(host, *arguments, **options)

    for name in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, name, guard(name))
    patch.setattr(socket, "getaddrinfo", getaddrinfo)


refuse_network(pytest.MonkeyPatch(), loopback=True)  # for fixtures that many tests share


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make every attempt to reach another machine an error; with `loopback`, reach this one."""
    loopback = request.node.get_closest_marker("loopback") is not None
    with pytest.MonkeyPatch.context() as patch:
        refuse_network(patch, loopback=loopback)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield


@pytest.fixture
def beside_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own to work in, where `examples` is at hand."""
    shutil.copytree(Path(__file__).parents[1] / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build_tokenizer() -> Tokenizer:
    """Build a tokenizer of whole lower-case words with the role tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>", *ROLE_TOKENS.values()]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def describe(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return what ``affect.json`` says of the files in a folder."""
    names = (
        *("config.json", "model.safetensors", "model.int8.onnx", "tokenizer.json"),
        "screen.safetensors",
    )
    files = [folder / name for name in names if (folder / name).exists()]
    point = {"sensitivity": 0.8, "specificity": 0.99}
    values = {
        "format": FORMAT,
        "text_rules": TEXT_RULES,
        "name": "tiny",
        "version": "0.0.1",
        "languages": ["en"],
        "base_model": "none",
        "outputs": [*OUTPUTS],
        "windows": WINDOWS,
        "conversation": {"log_windows": 0.0},
        "messages": {},
        "prevalence": 0.1,
        "operating_points": {
            "balanced": {"message": 0.5, "conversation": 0.5, **point},
            "high_precision": {"message": 0.97, "conversation": 0.97, **point},
            "high_recall": {"message": 0.2, "conversation": 0.2, **point},
        },
        "cue_thresholds": dict.fromkeys(CUES, 0.5),
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
    }
    return with_digest(values | changes)


def write_manifest(folder: Path, **changes: Any) -> Path:
    """Write ``affect.json`` for the files that are in a folder, with some values changed."""
    (folder / "affect.json").write_text(json.dumps(describe(folder, **changes)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an artifact whose logits are the bias plus what each word of a message adds."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.zeros((tokenizer.get_vocab_size(), len(OUTPUTS)), dtype=np.float32)
    for word, logits in WORD_LOGITS.items():
        for name, value in logits.items():
            table[tokenizer.token_to_id(word), OUTPUTS.index(name)] = value
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["words"]),
            helper.make_node("Sign", ["turns"], ["of_message"]),
            helper.make_node("MatMul", ["of_message", "words"], ["messages"]),
            helper.make_node("ReduceMax", ["of_message"], ["there"], axes=[2], keepdims=1),
            helper.make_node("Sub", ["there", "one"], ["away"]),
            helper.make_node("Mul", ["away", "far"], ["below"]),
            helper.make_node("Add", ["messages", "below"], ["compared"]),
            helper.make_node("ReduceMax", ["compared"], ["whole"], axes=[1], keepdims=1),
            helper.make_node("Concat", ["whole", "messages"], ["sums"], axis=1),
            helper.make_node("Add", ["sums", "bias"], ["logits"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in (
                ("input_ids", TensorProto.INT64, ["batch", "sequence"]),
                ("attention_mask", TensorProto.INT64, ["batch", "sequence"]),
                ("turns", TensorProto.FLOAT, ["batch", "messages", "sequence"]),
            )
        ],
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch", "rows", len(OUTPUTS)]
            )
        ],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.float32(1), "one"),
            numpy_helper.from_array(np.float32(1e6), "far"),
            numpy_helper.from_array(np.full(len(OUTPUTS), BIAS, np.float32), "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.int8.onnx")
    (folder / "README.md").write_text("# tiny\n", encoding="utf-8")
    return write_manifest(folder)


@pytest.fixture(scope="session")
def tiny_artifact(tiny_folder: Path) -> Artifact:
    """The artifact in `tiny_folder`."""
    return load_artifact(tiny_folder)


@pytest.fixture(scope="session")
def tiny_classifier(tiny_artifact: Artifact) -> AffectClassifier:
    """A classifier on the CPU with the tiny artifact."""
    return AffectClassifier(tiny_artifact, load_engine(tiny_artifact, device="cpu"))


class FewerOutputs:
    """An engine that gives some of what another one does."""

    name = "fewer"
    device = "cpu"

    def __init__(self, engine, places):
        self.engine = engine
        self.places = places

    def logits(self, input_ids, attention_mask, turns):
        return self.engine.logits(input_ids, attention_mask, turns)[..., self.places]


@pytest.fixture(scope="session")
def older_classifier(tiny_classifier: AffectClassifier) -> AffectClassifier:
    """The tiny classifier as it was before models knew charges and themes."""
    names = ("emotional", *CUES)
    engine = FewerOutputs(tiny_classifier._engine, [OUTPUTS.index(name) for name in names])
    return AffectClassifier(replace(tiny_classifier.artifact, outputs=names), engine)


class CountingEngine:
    """An engine that keeps what it was asked."""

    name = "counting"
    device = "cpu"

    def __init__(self, engine):
        self.engine = engine
        self.windows = []

    def logits(self, input_ids, attention_mask, turns):
        lengths = attention_mask.sum(1)
        self.windows += [tuple(row[:n].tolist()) for row, n in zip(input_ids, lengths, strict=True)]
        return self.engine.logits(input_ids, attention_mask, turns)


@pytest.fixture
def counting(tiny_classifier):
    """The tiny classifier on an engine that keeps what it was asked."""
    engine = CountingEngine(tiny_classifier._engine)
    return AffectClassifier(tiny_classifier.artifact, engine), engine


def tiny_bert(**changes: Any) -> Any:
    """Build a BERT with random weights, always the same, and the outputs of affectlib."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from affectlib.model.engines.torch import name_outputs

    usual = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "pad_token_id": 1,
    }
    config = BertConfig(**usual | changes)
    name_outputs(config, OUTPUTS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForSequenceClassification(config).eval()


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an artifact with one random BERT, as safetensors and as ONNX in fp32."""
    pytest.importorskip("torch", reason="the torch engine needs affectlib[torch]")
    from affectlib.finetuning.export import export_float

    folder = tmp_path_factory.mktemp("bert")
    tokenizer = build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    model = tiny_bert(vocab_size=size, hidden_size=32, intermediate_size=64, initializer_range=0.5)
    model.half().save_pretrained(folder)
    export_float(model.float(), folder / "model.int8.onnx")
    return write_manifest(folder, name="tiny-bert")
