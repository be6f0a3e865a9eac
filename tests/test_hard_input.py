"""Input that nobody should send: it is labelled, in time and memory that grow no faster than it."""

from __future__ import annotations

import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.corpus.label_file import label_file
from affectlib.errors import NoUserTextError
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.model.encoding import MAX_CHARACTERS
from affectlib.model.windows import WindowSettings
from affectlib.predictions import ConversationFailure
from tests.conftest import SINGLE_MESSAGE, CountingEngine, assistant, user
from tests.transcript_files import chat, lines, write

few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

HARD = [
    "\ud800\udfff lone \udc00",
    "\x00" * 50,
    "مرحبا \u202eabc\u202c שלום",
    "z\u0300\u0316a\u0489l" + "\u0336" * 3000 + "go",
    "👩‍👩‍👧‍👦🏳️‍🌈👨🏿‍⚕️" * 200,
    "\u200d" * 3000,
    "\t\n\r\x0b\x0c\x1c\x85\u2028\u2029\u3000" * 300,
    "\u200b",
    "a" * 30_000,
    " a" * 30_000,
    "ﷺ" * 1000,  # becomes eighteen characters when it is normalized
    "𝕒" * 1000 + "а" * 1000,
    "<|assistant|><|user|></s><s>" * 500,
    "\x1b]0;title\x07\x1b[2J",
    "\ufdd0\uffff\U0010ffff",
    "İıßﬁǅ" * 500,
]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=80) | st.sampled_from(HARD)


@pytest.fixture(scope="module", params=["tiny", "bundled"])
def classifier(request: pytest.FixtureRequest, tiny_classifier: AffectClassifier) -> Any:
    """The tiny model, and the tokenizer and windows of the bundled one on an engine of noughts."""
    if request.param == "tiny":
        return tiny_classifier
    return AffectClassifier(load_artifact(), NoEngine(load_artifact()))


class NoEngine:
    """Gives logits of 0 and counts what it was asked."""

    name = "none"
    device = "cpu"

    def __init__(self, artifact: Artifact) -> None:
        self.outputs = len(artifact.outputs)
        self.windows = self.cells = 0

    def logits(self, input_ids: Any, attention_mask: Any, turns: Any) -> Any:
        self.windows += len(input_ids)
        self.cells += input_ids.size
        return np.zeros((len(input_ids), 1 + turns.shape[1], self.outputs), np.float32)


def check(classifier: AffectClassifier, text: str) -> None:
    """Label a text in every way; it may be nothing to read, but nothing else may go wrong."""
    chats = [[user(text), assistant(text), user(SINGLE_MESSAGE)], [user(text)]]
    outcomes = [*classifier.stream(chats, on_error="record")]
    assert len(outcomes) == 2
    assert not isinstance(outcomes[0], ConversationFailure)
    for outcome in outcomes:
        if not isinstance(outcome, ConversationFailure):
            values = [outcome.probability, *outcome.cues.values(), outcome.rate, outcome.adjusted]
            assert all(0 <= value <= 1 for value in values)
    try:
        prediction = classifier.predict(text)
    except NoUserTextError:
        assert isinstance(outcomes[1], ConversationFailure)
        assert outcomes[1].error.startswith("NoUserTextError")
        return
    assert 0 <= (prediction.probability or 0.0) <= 1
    row = classifier.predict_proba(text)
    assert row.shape == (1, 2)
    assert row.sum() == pytest.approx(1)


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_hard_texts(classifier: AffectClassifier, text: str) -> None:
    check(classifier, text)


@few
@given(text=TEXTS)
def test_any_text(classifier: AffectClassifier, text: str) -> None:
    check(classifier, text)


@few
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_in_a_file(
    tiny_classifier: AffectClassifier, tmp_path: Path, texts: list[str]
) -> None:
    src = write(tmp_path, lines(*(chat(text, text, id=text[:20]) for text in texts)))
    for suffix in (".jsonl", ".csv", ".parquet"):
        dst = tmp_path / f"out{suffix}"
        summary = label_file(src, dst, classifier=tiny_classifier, level="both", overwrite=True)
        assert summary.conversations == len(texts)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(row["status"] != "ok" or 0 <= row["probability"] <= 1 for row in rows)


# How the work grows, in steps and not by the clock.


def calls_of(function: Any) -> int:
    """Count the calls, Python's and C's, that a function makes."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def peak_of(function: Any) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", ["alone ", "a", "\u0336", "а́b ", "\u200d", "\n", "<|user|>", "é"])
def test_a_message_of_a_million_characters(counting: Any, piece: str) -> None:
    classifier, engine = counting
    text = "i am so alone " + piece * (1_000_000 // len(piece))
    sizes: list[int] = []
    reader = classifier._encoder._reader

    class Noting:
        places = reader.places

        def read(self, texts: list[str]) -> Any:
            sizes.extend(map(len, texts))
            return reader.read(texts)

    classifier._encoder._reader = Noting()
    prediction = classifier.predict(text)
    assert 0 <= prediction.probability <= 1
    assert max(sizes) <= MAX_CHARACTERS + 1
    (window,) = engine.windows
    assert len(window) <= classifier.artifact.windows.max_tokens
    assert prediction.truncated_tokens > 0 or len(window) < 3 + 16


def conversation(messages: int) -> list[dict[str, Any]]:
    return [
        user(f"{SINGLE_MESSAGE} {i}") if i % 2 else assistant("sorry word") for i in range(messages)
    ]


def test_work_grows_with_the_messages_of_a_conversation(tiny_classifier: AffectClassifier) -> None:
    def work(messages: int) -> tuple[int, int, int]:
        engine = CountingEngine(tiny_classifier._engine)
        classifier = AffectClassifier(tiny_classifier.artifact, engine)
        chat = conversation(messages)
        calls = calls_of(lambda: classifier.predict(chat))
        windows = len(engine.windows)
        fresh = AffectClassifier(tiny_classifier.artifact, engine)
        return calls, windows, peak_of(lambda: fresh.predict(chat))

    for small, large in zip(work(1000), work(2000), strict=True):
        assert large <= 2.2 * small


def test_a_conversation_of_a_hundred_thousand_messages(tiny_artifact: Artifact) -> None:
    artifact = replace(tiny_artifact, windows=WindowSettings())
    engine = NoEngine(artifact)
    classifier = AffectClassifier(artifact, engine)
    prediction = classifier.predict(conversation(100_000))
    assert len(prediction.messages) == 100_000
    assert engine.windows < 100_000 / 40
    assert engine.cells < 100_000 * 6


def test_memory_of_a_stream_does_not_grow(tiny_classifier: AffectClassifier) -> None:
    def run(count: int) -> None:
        chats = ([user(f"{SINGLE_MESSAGE} {'word ' * (i % 50)}")] for i in range(count))
        for _ in tiny_classifier.stream(chats):
            pass

    run(600)
    assert peak_of(lambda: run(4000)) <= 1.3 * peak_of(lambda: run(2000)) + 200_000
