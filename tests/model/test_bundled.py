"""The model that comes with affectlib."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import affectlib
from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation
from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models, load_artifact
from affectlib.model.engines import load_engine
from affectlib.taxonomy import OUTPUTS

EMOTIONAL = (
    "I feel so alone since she left, can we just talk?",
    "Je me sens tellement seule depuis qu'il est parti, on peut juste parler ?",
)
TASK = (
    "Convert this CSV to JSON in Python",
    "Convertis ce fichier CSV en JSON avec Python",
)
CHAT = [
    {"role": "user", "content": TASK[0]},
    {"role": "assistant", "content": "Sure, here is a script that reads it with the csv module."},
    {"role": "user", "content": EMOTIONAL[0]},
]


@pytest.fixture(scope="module")
def folder():
    """The bundled model's folder; that it is there is part of what is tested."""
    if DEFAULT_MODEL not in bundled_models():
        pytest.fail(f"the bundled model {DEFAULT_MODEL} is missing from affectlib/models")
    return bundled_models()[DEFAULT_MODEL]


@pytest.fixture(scope="module")
def classifier(folder):
    return AffectClassifier.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def unscreened(folder):
    return AffectClassifier.from_pretrained(device="cpu", screen=False)


@pytest.fixture(scope="module")
def reference(folder):
    pytest.importorskip("torch", reason="the torch engine needs affectlib[torch]")
    return AffectClassifier.from_pretrained(device="cpu", engine="torch", screen=False)


def example_conversations() -> Iterator[Conversation]:
    """Yield the conversations that lie in the repository as examples."""
    for item in affectlib.read_conversations("examples/transcripts.jsonl"):
        assert isinstance(item, Conversation), item
        yield item


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("label", "texts"), [("emotional", EMOTIONAL), ("task", TASK)])
def test_labels(classifier, label, texts):
    for text in texts:
        assert classifier.predict([{"role": "user", "content": text}]).label == label
    assert [turn.label for turn in affectlib.predict([*texts])] == [label] * 2


def test_emotional_turn_is_the_one_that_is_found(classifier):
    prediction = classifier.predict(CHAT)
    assert [turn.label for turn in prediction.messages] == ["task", None, "emotional"]


def test_every_file_is_unaltered_and_listed(folder):
    artifact = load_artifact()
    listed = json.loads((folder / "affect.json").read_text(encoding="utf-8"))["files"]
    weights = {"model.safetensors", "model.int8.onnx", "screen.safetensors"}
    assert {*listed} == {"config.json", "tokenizer.json", *weights}
    for name in listed:
        assert artifact.file(name).is_file()
    assert artifact.name == DEFAULT_MODEL
    assert artifact.outputs == tuple(name for name in OUTPUTS if name in artifact.outputs)
    assert {*artifact.operating_points} == {"balanced", "high_precision", "high_recall"}
    assert {"en", "fr"} <= {*artifact.description["languages"]}
    assert (folder / "README.md").stat().st_size > 1000


def test_no_operating_point_is_dominated():
    """Each finds more, or flags less, than every other on some set that it was measured on."""
    measured = load_artifact().description["measured"]
    rates = {point: rates_of(counts) for point, counts in measured.items()}
    for (name, own), (other, theirs) in itertools.permutations(rates.items(), 2):
        better = [mine > their for mine, their in zip(own, theirs, strict=True)]
        assert any(better), f"{name} is dominated by {other}: {own}, {theirs}"


def rates_of(counts):
    """Recall and specificity on shared logs and on studies."""
    rates = []
    for found in (counts["conversation"], counts["studies"]):
        for right, wrong in (
            ("true_positives", "false_negatives"),
            ("true_negatives", "false_positives"),
        ):
            rates.append(found[right] / (found[right] + found[wrong]))
    return rates


def test_card_is_that_of_these_weights(folder):
    """A card whose figures were measured on other weights, thresholds or windows is an error."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^`([0-9a-f]{64})`$", card, re.MULTILINE) == [load_artifact().fingerprint]
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", card):
        assert (folder / image).stat().st_size > 1000


def test_entry_points_agree(classifier):
    chats = [*example_conversations()]
    together = classifier.predict(chats)
    streamed = [*classifier.stream(iter(chats))]
    alone = [classifier.predict(chat) for chat in chats]
    assert streamed == together
    gaps = [abs(a.probability - b.probability) for a, b in zip(alone, together, strict=True)]
    assert max(gaps) < 1e-4


def test_the_screen_is_that_of_these_weights_and_changes_no_label(classifier, unscreened):
    """A screen of other weights would be refused; one of higher thresholds left out."""
    assert classifier.screen
    chats = [*example_conversations()]
    screened, whole = classifier.predict(chats), unscreened.predict(chats)
    assert [p.label for p in screened] == [p.label for p in whole]
    assert [p.shown_cues for p in screened] == [p.shown_cues for p in whole]
    settled = [message.screened for p in screened for message in p.messages]
    assert 0.1 < np.mean(settled) < 0.9
    assert not any(message.screened for p in whole for message in p.messages)


def test_engines_give_the_same_label(unscreened, reference):
    rows = Path("training/evaluation/robustness.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(row)["text"] for row in rows[::4]]
    chats = [*[*example_conversations()][::2], *[[{"role": "user", "content": t}] for t in texts]]
    labels = [
        [
            turn.label
            for prediction in c.predict(chats)
            for turn in prediction.messages
            if turn.label
        ]
        for c in (unscreened, reference)
    ]
    agreement = np.mean([a == b for a, b in zip(*labels, strict=True)])
    assert len(labels[0]) >= 140
    assert agreement >= 0.98


def test_loads_without_the_torch_weights(folder, tmp_path):
    """The fp16 weights are not read by the CPU engine."""
    artifact = load_artifact()
    for name in ("model.int8.onnx", "tokenizer.json", "affect.json"):
        (tmp_path / name).symlink_to(folder / name)
    other = load_artifact(tmp_path)
    assert other.fingerprint == artifact.fingerprint
    assert load_engine(other, device="cpu").name == "onnx"
