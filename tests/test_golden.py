"""The bundled model gives through every entry point what the golden file holds.

Golden values were made on one kind of processor; another may round a little differently.
"""

from __future__ import annotations

import json

import pyarrow
import pytest

from affectlib.classifier import AffectClassifier
from affectlib.cli import main
from affectlib.corpus.label_file import label_file
from affectlib.formats import read_conversations
from affectlib.tables import AffectMapper, label_table
from tests.golden import EXAMPLES, GOLDEN, summarize

TOLERANCE = 0.005
SAME = 1e-4


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def classifier():
    return AffectClassifier.from_pretrained(device="cpu", engine="onnx")


@pytest.fixture(scope="module")
def streamed(classifier):
    return summarize(classifier.stream(read_conversations(EXAMPLES)))


def test_golden_file_is_of_the_bundled_model(classifier, golden):
    assert golden["fingerprint"] == classifier.artifact.fingerprint, (
        "the bundled model was changed: run python -m tests.golden and look at the difference"
    )


def test_stream(streamed, golden):
    assert {*streamed} == {*golden["conversations"]}
    for identifier, expected in golden["conversations"].items():
        found = streamed[identifier]
        assert found["label"] == expected["label"]
        assert found["probability"] == pytest.approx(expected["probability"], abs=TOLERANCE)
        for turn, value in zip(found["turns"], expected["turns"], strict=True):
            assert turn == (None if value is None else pytest.approx(value, abs=TOLERANCE))
        assert found["cues"] == pytest.approx(expected["cues"], abs=TOLERANCE)


def test_one_by_one_is_the_same(classifier, streamed):
    for chat in read_conversations(EXAMPLES):
        (found,) = summarize([classifier.predict(chat)]).values()
        assert found["probability"] == pytest.approx(streamed[chat.id]["probability"], abs=SAME)
        assert found["label"] == streamed[chat.id]["label"]


@pytest.mark.parametrize("way", ["label_file", "command line"])
def test_files_are_the_same(classifier, streamed, tmp_path, way):
    output = tmp_path / "labels.jsonl"
    if way == "label_file":
        label_file(EXAMPLES, output, classifier=classifier)
    else:
        assert main(["label", str(EXAMPLES), "-o", str(output), "--device", "cpu", "--quiet"]) == 0
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row["conversation_id"] for row in rows] == [*streamed]
    for row in rows:
        expected = streamed[row["conversation_id"]]
        assert row["status"] == "ok"
        assert row["label"] == expected["label"]
        assert row["probability"] == pytest.approx(expected["probability"], abs=SAME)
        for cue, value in expected["cues"].items():
            assert row[cue] == pytest.approx(value, abs=SAME)


def check(rows, streamed):
    """Compare labels and probabilities, in order, with those of the stream."""
    assert len(rows) == len(streamed)
    for (label, probability), expected in zip(rows, streamed.values(), strict=True):
        assert label == expected["label"]
        assert probability == pytest.approx(expected["probability"], abs=SAME)


def test_lists_are_the_same(classifier, streamed):
    chats = [*read_conversations(EXAMPLES)]
    messages = [[{"role": m.role, "content": m.content} for m in chat.messages] for chat in chats]
    for listed in (chats, messages):
        check([(p.label, p.probability) for p in classifier.predict(listed)], streamed)


def test_texts_are_as_first_messages(classifier, streamed):
    chats = [chat for chat in read_conversations(EXAMPLES) if chat.messages[0].role == "user"]
    texts = [chat.messages[0].content for chat in chats]
    assert len(texts) >= 20
    for text, found, chat in zip(texts, classifier.predict(texts), chats, strict=True):
        expected = pytest.approx(streamed[chat.id]["turns"][0], abs=SAME)
        assert found.probability == expected
        assert classifier.predict(text).probability == expected


def test_tables_are_the_same(classifier, streamed):
    chats = [
        [{"role": m.role, "content": m.content} for m in chat.messages]
        for chat in read_conversations(EXAMPLES)
    ]
    table = pyarrow.table({"messages": chats})
    mapper = AffectMapper(device="cpu", engine="onnx")
    for labelled in (label_table(table, classifier=classifier), mapper(table)):
        check([(row["label"], row["probability"]) for row in labelled.to_pylist()], streamed)
