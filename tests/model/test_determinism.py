"""The same input, model and engine give the same output, however the work is cut and shared out.

With one engine, labels are the same and figures agree within 1e-6: floating-point sums taken in
another order differ in the last digits, and nothing else may.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib import _inputs
from affectlib.classifier import AffectClassifier
from affectlib.corpus.label_file import label_file
from affectlib.model import scoring
from tests.conftest import WORDS, assistant, user
from tests.transcript_files import chat, lines, write

ROOT = Path(__file__).parents[2]
SAME = 1e-6


def chats(count=24):
    """Conversations of different lengths, some of which need several windows."""
    return [
        [
            (assistant if turn % 2 else user)(
                " ".join(WORDS[(i * k + turn) % len(WORDS)] for k in range(1, 2 + (i * 5) % 31))
            )
            for turn in range(1 + i % 4)
        ]
        for i in range(count)
    ]


def figures(predictions):
    """Return the labels of predictions, and all their figures."""
    parts = [part for prediction in predictions for part in (prediction, *prediction.messages)]
    values = [v for part in parts for v in (part.probability, *part.cues.values())]
    return [part.label for part in parts], [value for value in values if value is not None]


def check(predictions, expected):
    """Compare predictions with the figures that they should have."""
    labels, values = figures(predictions)
    assert labels == expected[0]
    assert values == pytest.approx(expected[1], abs=SAME)


@pytest.fixture(scope="module")
def load(bert_folder):
    def load(**options):
        return AffectClassifier.from_pretrained(
            bert_folder, device="cpu", engine="onnx", **{"threads": 1} | options
        )

    return load


@pytest.fixture(scope="module")
def expected(load):
    return figures(load().predict(chats()))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("tokens", [1, 40, 1024, 4096])
def test_threads_and_batches(load, expected, monkeypatch, threads, tokens):
    monkeypatch.setattr(scoring, "CPU_BATCH_TOKENS", tokens)
    check(load(threads=threads).predict(chats()), expected)


@pytest.mark.parametrize("conversations", [1, 2, 7, 256])
def test_buffers(load, expected, monkeypatch, conversations):
    monkeypatch.setattr(_inputs, "_BUFFER_CONVERSATIONS", conversations)
    check(load().stream(chats()), expected)


def test_what_was_read_before_makes_no_difference(load, expected):
    classifier = load()
    classifier.predict(chats(5)[::-1])
    check(classifier.predict(chats()), expected)
    check(classifier.predict(chats()), expected)


@given(order=st.permutations(range(24)))
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_orders(load, expected, order):
    found = load().predict([chats()[place] for place in order])
    check([found[order.index(place)] for place in range(24)], expected)


def test_processes(expected, bert_folder):
    code = (
        "import json, sys; from affectlib.classifier import AffectClassifier;"
        "from tests.model.test_determinism import chats, figures;"
        "model = AffectClassifier.from_pretrained(sys.argv[1], device='cpu', engine='onnx');"
        "print(json.dumps(figures(model.predict(chats()))))"
    )
    for seed in ("0", "1"):  # of the hashes that sets go by
        done = subprocess.run(
            [sys.executable, "-c", code, str(bert_folder)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": ""},
        )
        assert done.returncode == 0, done.stderr
        labels, values = json.loads(done.stdout)
        assert labels == expected[0]
        assert values == pytest.approx(expected[1], abs=SAME)


def test_workers_write_the_same_file(tiny_folder, tmp_path):
    records = [chat(*(m["content"] for m in c), id=str(i)) for i, c in enumerate(chats(60))]
    src = write(tmp_path, lines(*records))
    written = []
    for workers in (1, 2):
        classifier = AffectClassifier.from_pretrained(tiny_folder, device="cpu", engine="onnx")
        dst = tmp_path / f"{workers}.jsonl"
        label_file(src, dst, classifier=classifier, level="both", workers=workers)
        written.append([dst.read_text(), dst.with_suffix(".messages.jsonl").read_text()])
    assert written[0] == written[1]
