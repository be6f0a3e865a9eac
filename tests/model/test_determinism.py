"""The same input, model and engine give the same bytes, however the work is cut and shared out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib import _batching
from affectlib.classifier import AffectClassifier
from affectlib.corpus.label_file import label_file
from affectlib.formats import read_conversations
from affectlib.model import scoring
from tests.conftest import WORDS, assistant, user
from tests.transcript_files import chat, lines, write
from tools.golden import EXAMPLES

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize(("threads", "tokens"), [(1, 1), (2, 40), (3, 1024), (2, 4096)])
def test_threads_and_batches(load, expected, monkeypatch, threads, tokens):
    monkeypatch.setattr(scoring, "CPU_BATCH_TOKENS", tokens)
    assert figures(load(threads=threads).predict(chats())) == expected


@pytest.mark.parametrize("conversations", [1, 2, 7, 256])
def test_buffers(load, expected, monkeypatch, conversations):
    monkeypatch.setattr(_batching, "_CONVERSATIONS", conversations)
    assert figures(load().stream(chats())) == expected


def test_what_was_read_before_makes_no_difference(load, expected):
    classifier = load()
    classifier.predict(chats(5)[::-1])
    assert figures(classifier.predict(chats())) == expected
    assert figures(classifier.predict(chats())) == expected


@given(order=st.permutations(range(24)))
@settings(
    max_examples=10,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_orders(load, expected, order):
    found = load().predict([chats()[place] for place in order])
    assert figures([found[order.index(place)] for place in range(24)]) == expected


def test_processes(expected, bert_folder):
    code = (
        "import json, sys; from affectlib.classifier import AffectClassifier;"
        "from tests.model.test_determinism import chats, figures;"
        "model = AffectClassifier.from_pretrained(sys.argv[1], device='cpu', engine='onnx');"
        "print(json.dumps(figures(model.predict(chats()))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bert_folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        # Not the seed of the hashes that sets go by here.
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert tuple(json.loads(done.stdout)) == expected


def test_every_way_writes_the_same_bytes(tmp_path, monkeypatch):
    words = " ".join(m.content for c in read_conversations(EXAMPLES) for m in c.messages).split()
    rng = random.Random(1)
    texts = [" ".join(rng.choices(words, k=1 + int(rng.expovariate(0.05)))) for _ in range(300)]
    src = write(tmp_path, lines(*(chat(text, id=str(i)) for i, text in enumerate(texts))))
    written = []

    def run(name, **options):
        dst = tmp_path / name
        dst.mkdir(exist_ok=True)
        classifier = AffectClassifier.from_pretrained(engine="onnx", device="cpu", screen=False)
        label_file(src, dst / "out.parquet", classifier=classifier, level="both", **options)
        written.append([path.read_bytes() for path in sorted(dst.glob("*.parquet"))])

    def stop(summary):
        if summary.conversations == 270:
            raise KeyboardInterrupt

    run("one")
    run("two", workers=2)
    with pytest.raises(KeyboardInterrupt):
        run("resumed", progress=stop)
    run("resumed", resume=True)
    monkeypatch.setattr(_batching, "_CONVERSATIONS", 7)
    monkeypatch.setattr(scoring, "CPU_BATCH_TOKENS", 300)
    run("small")
    assert len(written[0]) == 2
    assert [files == written[0] for files in written] == [True] * 4
