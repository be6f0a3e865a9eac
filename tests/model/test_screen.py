"""The screen settles plain tasks, the same whatever they are given by, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.cli import main
from affectlib.corpus.label_file import label_file
from affectlib.errors import ArtifactCorruptError
from affectlib.model.artifacts import load_artifact
from affectlib.model.calibration import logit
from affectlib.model.engines import load_engine
from affectlib.model.screen import Screen, lowest_limits, pooled_features
from affectlib.taxonomy import OUTPUTS
from tests.conftest import (
    ALONE,
    CHAT,
    TASK,
    WORD_LOGITS,
    CountingEngine,
    assistant,
    build_tokenizer,
    user,
    write_manifest,
)

CHARGED = [word for word in WORD_LOGITS if word != "csv"]
LIMITS = dict.fromkeys(OUTPUTS, -2.0)
PLAIN = -4.0


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    """A screen that is sure of every window without a charged word in its target."""
    tokenizer = build_tokenizer()
    size = tokenizer.get_vocab_size()
    tokens = np.zeros((size, 1), np.int8)
    tokens[[tokenizer.token_to_id(word) for word in CHARGED]] = 100
    made: dict[str, np.ndarray[Any, Any]] = {
        "tokens": tokens,
        "pairs": np.zeros((8, 1), np.int8),
        "context": np.zeros((size, 1), np.int8),
        "hidden.weight": np.array([[1], [0], [0], [0], [0]], np.float32),
        "hidden.bias": np.zeros(1, np.float32),
        "out.weight": np.array([[0] * len(OUTPUTS) + [1, 1]], np.float32),
        "out.bias": np.array([PLAIN] * len(OUTPUTS) + [0, 0], np.float32),
    }
    for name in ("tokens", "pairs", "context"):
        made[f"{name}.scale"] = np.full(len(made[name]), 0.01, np.float16)
        made[f"{name}.weight"] = np.ones(len(made[name]), np.float16)
    return made


def write_screen(folder: Path, **changes: Any) -> None:
    """Write a screen for an artifact as safetensors has it, and list it."""
    write_manifest(folder)
    facts = {
        "weights": load_artifact(folder).sha256("model.safetensors"),
        "text_rules": "1",
        "limits": json.dumps(LIMITS),
        "bounds": json.dumps({"user": 0.01, "assistant": 0.01}),
        **changes,
    }
    header: dict[str, Any] = {"__metadata__": facts}
    body = b""
    kinds = {"int8": "I8", "float16": "F16", "float32": "F32"}
    for name, values in tensors().items():
        place = [len(body), len(body) + values.nbytes]
        kind = kinds[str(values.dtype)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": place}
        body += values.tobytes()
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + body
    (folder / "screen.safetensors").write_bytes(content)
    write_manifest(folder)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_folder, copy)
    (copy / "model.safetensors").write_bytes(b"weights")
    write_screen(copy)
    return copy


@pytest.fixture
def engine(folder: Path) -> CountingEngine:
    return CountingEngine(load_engine(load_artifact(folder), device="cpu"))


@pytest.fixture
def screened(folder: Path, engine: CountingEngine) -> AffectClassifier:
    return AffectClassifier(load_artifact(folder), engine)


@pytest.fixture
def whole(folder: Path) -> AffectClassifier:
    artifact = load_artifact(folder)
    return AffectClassifier(artifact, load_engine(artifact, device="cpu"), screen=False)


def test_the_encoder_reads_what_the_screen_is_not_sure_of(screened, engine, whole):
    found = screened.predict(CHAT)
    assert [message.screened for message in found.messages] == [True, False, False, True]
    assert len(engine.windows) == 2
    expected = whole.predict(CHAT)
    assert not any(message.screened for message in expected.messages)
    assert found.label == expected.label
    for message, other in zip(found.messages, expected.messages, strict=True):
        assert message.label == other.label
        if not message.screened:
            assert message == other


def test_a_settled_message_has_the_screens_probability_and_no_cue(screened):
    message = screened.predict(TASK)
    assert message.screened
    assert message.label == "task"
    assert logit(message.probability) == pytest.approx(PLAIN)
    assert all(logit(value) == pytest.approx(PLAIN) for value in message.cues.values())


def test_no_settled_logit_reaches_a_limit(folder):
    loaded = Screen.load(load_artifact(folder))
    loaded._out = (loaded._out[0], np.array([5.0] * len(OUTPUTS) + [0, 0], np.float32))
    classifier = AffectClassifier(load_artifact(folder), None)
    classifier._screen = loaded
    assert classifier.predict(TASK).label == "task"
    (windows,) = classifier._screened([classifier_input(TASK)])
    assert (windows[0].logits < LIMITS["emotional"]).all()


def classifier_input(text):
    from affectlib.conversation import Conversation, Message

    return Conversation((Message("user", text),))


def test_without_a_screen_the_encoder_reads_everything(tiny_classifier, whole):
    assert not tiny_classifier.screen
    assert not whole.screen
    assert tiny_classifier.predict(CHAT) == whole.predict(CHAT)


def test_it_is_the_same_whatever_it_is_given_by(screened, tmp_path):
    expected = screened.predict(CHAT)
    assert screened.predict([CHAT, [user(TASK)]])[0] == expected
    assert [*screened.stream([CHAT] * 3)] == [expected] * 3
    assert screened.predict([TASK, ALONE]) == [screened.predict(TASK), screened.predict(ALONE)]
    source = tmp_path / "chats.jsonl"
    source.write_text(json.dumps({"messages": CHAT}) + "\n")
    summary = label_file(source, tmp_path / "out.jsonl", classifier=screened, level="message")
    assert summary.screened == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    by_index = {message.index: message for message in expected.messages}
    for row in rows:
        message = by_index.get(row["message"])
        if message is not None:
            assert row["screened"] == message.screened
            assert row["probability"] == message.probability


def test_the_command_line_has_both_ways(folder, tmp_path, capsys):
    source = tmp_path / "chats.jsonl"
    source.write_text(json.dumps({"messages": CHAT}) + "\n")
    figures = {}
    for name, options in (("with", []), ("without", ["--no-screen"])):
        command = ["label", str(source), "-o", str(tmp_path / f"{name}.jsonl"), "--device", "cpu"]
        command += ["--model", str(folder), "--summary", str(tmp_path / name), *options]
        assert main(command) == 0
        figures[name] = json.loads((tmp_path / name).read_text())["screened"]
    assert figures == {"with": 2, "without": 0}
    assert "screened   2 of 5" in capsys.readouterr().err


def test_explanations_do_not_use_it(screened, engine):
    screened.explain([user(TASK), user("a file")])
    assert len(engine.windows) == 2


def test_it_is_pickled_as_an_option(screened, whole):
    assert screened.options["screen"]
    assert not whole.options["screen"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights": "0" * 64}, "made for other weights"),
        ({"text_rules": "0"}, "made for other weights"),
        ({"bounds": "{}"}, "no screen that can be read"),
        ({"limits": "nothing"}, "no screen that can be read"),
    ],
)
def test_a_screen_of_another_model_is_refused(folder, changes, problem):
    write_screen(folder, **changes)
    with pytest.raises(ArtifactCorruptError, match=problem):
        AffectClassifier.from_pretrained(str(folder), device="cpu")
    assert not AffectClassifier.from_pretrained(str(folder), device="cpu", screen=False).screen


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_file_that_is_no_screen_is_refused(folder, content):
    (folder / "screen.safetensors").write_bytes(content)
    write_manifest(folder)
    with pytest.raises(ArtifactCorruptError, match="no screen that can be read"):
        Screen.load(load_artifact(folder))


def test_a_screen_for_higher_thresholds_is_not_used(folder):
    write_screen(folder, limits=json.dumps(LIMITS | {"emotional": 0.0}))
    assert Screen.load(load_artifact(folder)) is None


def test_limits_are_the_lowest_of_all_operating_points(tiny_artifact):
    limits = lowest_limits(tiny_artifact)
    assert limits["emotional"] == pytest.approx(logit(0.2))
    assert limits["shares_feelings"] == pytest.approx(0.0)


def test_the_bundled_screen_is_that_of_the_bundled_weights():
    artifact = load_artifact()
    assert artifact.has_file("screen.safetensors") == (Screen.load(artifact) is not None)


ROWS = st.lists(st.lists(st.integers(0, 14), min_size=3, max_size=12), min_size=1, max_size=9)


@settings(deadline=None)
@given(ROWS)
def test_rows_are_those_of_each_window_by_itself(rows):
    ids = [np.array(row, np.int32) for row in rows]
    targets = [len(row) // 2 for row in rows]
    together = pooled_features(ids, targets, 50)
    for place, (window, target) in enumerate(zip(ids, targets, strict=True)):
        for name, (values, starts) in pooled_features([window], [target], 50).items():
            found, begins = together[name]
            end = [*begins, len(found)][place + 1]
            assert found[begins[place] : end].tolist() == values.tolist()
            assert starts.tolist() == [0]


@pytest.mark.parametrize("count", [1, 7, 63, 64, 65, 300])
def test_neighbours_do_not_change_outputs(folder, count):
    loaded = Screen.load(load_artifact(folder))
    draw = np.random.default_rng(0)
    loaded._hidden = (draw.normal(size=(5, 16)).astype(np.float32), np.zeros(16, np.float32))
    loaded._out = (draw.normal(size=(16, 14)).astype(np.float32), np.zeros(14, np.float32))
    ids = [draw.integers(0, 15, size=draw.integers(3, 40)).astype(np.int32) for _ in range(count)]
    targets = [1] * count
    sides = draw.integers(0, 2, size=count)
    together = loaded.outputs(ids, targets, sides)
    alone = [
        loaded.outputs([window], [1], sides[place : place + 1])[0]
        for place, window in enumerate(ids)
    ]
    assert together.tolist() == [row.tolist() for row in alone]


def test_assistants_are_settled_by_their_own_bound(folder, engine):
    write_screen(folder, bounds=json.dumps({"user": 0.01, "assistant": -1.0}))
    classifier = AffectClassifier(load_artifact(folder), engine)
    found = classifier.predict([user(TASK), assistant("hello")])
    assert [message.screened for message in found.messages] == [True, False]
