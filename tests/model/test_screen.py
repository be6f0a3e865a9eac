"""The screen settles plain tasks, the same whatever they are given by, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.classifier import AffectClassifier
from affectlib.cli import main
from affectlib.conversation import Conversation, Message
from affectlib.corpus.label_file import label_file
from affectlib.errors import ArtifactCorruptError
from affectlib.model.artifacts import load_artifact
from affectlib.model.calibration import logit
from affectlib.model.encoding import NO_TURN, EncodedWindow, pad
from affectlib.model.engines import load_engine
from affectlib.model.screen import Screen, lowest_limits, rows_of_windows
from affectlib.sklearn import AffectTransformer
from affectlib.tables import AffectMapper, labels_of_table
from affectlib.taxonomy import CUES, EMOTIONAL, OUTPUTS
from tests.conftest import (
    CHAT,
    SINGLE_MESSAGE,
    TASK,
    WORDS,
    CountingEngine,
    assistant,
    user,
    write_manifest,
)
from tests.tiny_screen import LIMITS, PLAIN, tensors, write_screen

CALM = [user(TASK), assistant("hello"), user("a word")]


@pytest.fixture
def folder(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "tiny")
    (copy / "model.safetensors").write_bytes(b"weights")
    write_screen(copy)
    return copy


@pytest.fixture(scope="module")
def shared(tiny_folder, tmp_path_factory):
    """A screened artifact and its engine."""
    copy = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("screened") / "tiny")
    write_screen(copy)
    artifact = load_artifact(copy)
    return artifact, load_engine(artifact, device="cpu")


@pytest.fixture
def engine(folder):
    return CountingEngine(load_engine(load_artifact(folder), device="cpu"))


@pytest.fixture
def screened(folder, engine):
    return AffectClassifier(load_artifact(folder), engine)


@pytest.fixture
def whole(folder):
    artifact = load_artifact(folder)
    return AffectClassifier(artifact, load_engine(artifact, device="cpu"), screen=False)


def test_the_encoder_reads_what_the_screen_is_not_sure_of(screened, engine, whole):
    found = screened.predict(CHAT)
    assert not any(message.screened for message in found.messages)
    assert len(engine.windows) == 1
    assert found == whole.predict(CHAT)
    calm = screened.predict(CALM)
    assert all(message.screened for message in calm.messages)
    assert len(engine.windows) == 1, "the encoder has not read it"
    expected = whole.predict(CALM)
    assert not any(message.screened for message in expected.messages)
    assert as_decided(calm) == as_decided(expected)


def test_a_settled_message_has_the_screens_probability_and_no_cue(screened):
    message = screened.predict(TASK)
    assert message.screened
    assert message.label == "task"
    assert logit(message.probability) == pytest.approx(PLAIN, abs=1e-3)
    assert all(logit(value) == pytest.approx(PLAIN, abs=1e-3) for value in message.cues.values())


def test_no_settled_logit_reaches_a_limit(folder):
    loaded = Screen.load(load_artifact(folder))
    loaded._values["out.bias"] = np.array([5.0] * len(OUTPUTS) + [0], np.float32)
    engine = SimpleNamespace(device="cpu")  # it cannot be run
    classifier = AffectClassifier(load_artifact(folder), engine)
    classifier._screen = loaded
    assert classifier.predict(TASK).label == "task"
    windows = classifier._encoder.encode([Conversation((Message("user", TASK),))])
    (rows,) = loaded.prefilter(windows)[0]
    capped = [OUTPUTS.index(name) for name in LIMITS]
    assert rows.shape == (2, len(OUTPUTS))
    assert (rows[:, capped] < LIMITS["emotional"]).all()


def test_it_is_the_same_whatever_it_is_given_by(screened, tmp_path):
    expected = screened.predict(CALM)
    assert screened.predict([CALM, [user(SINGLE_MESSAGE)]])[0] == expected
    assert [*screened.stream([CALM] * 3)] == [expected] * 3
    assert screened.predict([TASK, SINGLE_MESSAGE]) == [
        screened.predict(TASK),
        screened.predict(SINGLE_MESSAGE),
    ]
    source = tmp_path / "chats.jsonl"
    source.write_text(json.dumps({"messages": CALM}) + "\n")
    summary = label_file(source, tmp_path / "out.jsonl", classifier=screened, level="message")
    assert summary.screened == 3
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    by_index = {message.index: message for message in expected.messages}
    for row in rows:
        message = by_index.get(row["message"])
        if message is not None:
            assert row["screened"] == message.screened
            assert row["probability"] == message.probability


def test_one_charged_window_of_a_long_conversation_sends_all_to_the_encoder(screened, engine):
    calm = [user(TASK), assistant("sorry"), user("a word"), assistant("hello")] * 20
    assert {message.screened for message in screened.predict(calm).messages} == {True}
    assert not engine.windows
    found = screened.predict([*calm, user(SINGLE_MESSAGE)])
    assert {message.screened for message in found.messages} == {False}
    assert len(engine.windows) > 1


def test_tables_mappers_and_sklearn_have_the_same_answers(folder, screened):
    pyarrow = pytest.importorskip("pyarrow")
    expected = screened.predict(CALM)
    table = pyarrow.table({"messages": [CALM]})
    options = {"device": "cpu", "engine": "onnx"}
    rows = labels_of_table(table, classifier=screened, level="message").to_pylist()
    found = [(row["probability"], row["screened"]) for row in rows if row["label"]]
    users = [m for m in expected.messages if m.role == "user"]
    assert found == [(message.probability, message.screened) for message in users]
    probabilities = [
        AffectMapper(folder, **options)(table)["probability"].to_pylist(),
        AffectTransformer(model=folder, **options).transform([CALM])[:, 0].tolist(),
    ]
    assert probabilities == [[expected.probability]] * 2
    without = AffectTransformer(model=folder, screen=False, **options)
    assert without.transform([[user(TASK)]])[0, 0] != screened.predict(TASK).probability


def test_workers_use_it_as_the_classifier_does(folder, tmp_path):
    source = tmp_path / "chats.jsonl"
    source.write_text((json.dumps({"messages": CALM}) + "\n") * 3)
    counts = []
    for screen in (True, False):
        classifier = AffectClassifier.from_pretrained(
            folder, device="cpu", engine="onnx", screen=screen
        )
        target = tmp_path / f"{screen}.jsonl"
        counts.append(label_file(source, target, classifier=classifier, workers=2).screened)
    assert counts == [9, 0]


def test_the_command_line_has_both_ways(folder, tmp_path, capsys):
    source = tmp_path / "chats.jsonl"
    source.write_text(json.dumps({"messages": CALM}) + "\n")
    figures = {}
    for name, options in (("with", []), ("without", ["--no-screen"])):
        command = ["label", str(source), "-o", str(tmp_path / f"{name}.jsonl"), "--device", "cpu"]
        command += ["--model", str(folder), "--summary", str(tmp_path / name), *options]
        assert main(command) == 0
        figures[name] = json.loads((tmp_path / name).read_text())["screened"]
    assert figures == {"with": 3, "without": 0}
    assert "screened   3 of 3" in capsys.readouterr().err


def test_explanations_do_not_use_it(screened, engine):
    screened.explain([user(TASK), user("a file")])
    assert len(engine.windows) == 3, "the chat, and each of its turns by itself"


def test_it_is_pickled_as_an_option(screened, whole):
    assert screened.options["screen"]
    assert not whole.options["screen"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"made_from": {}}, "made for other weights"),
        ({"made_from": {"text_rules": 0}}, "made for other weights"),
        ({"bound": "none"}, "cannot be read as a screen"),
        ({"limits": "nothing"}, "cannot be read as a screen"),
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
    with pytest.raises(ArtifactCorruptError, match=r"screen\.safetensors"):
        Screen.load(load_artifact(folder))


def test_a_screen_for_higher_thresholds_is_not_used(folder):
    write_screen(folder, limits=LIMITS | {"emotional": 0.0})
    assert Screen.load(load_artifact(folder)) is None


def test_a_screen_made_on_another_processor_is_used(folder):
    # Logarithms there may differ in the last digit.
    write_screen(folder, limits={name: limit + 1e-9 for name, limit in LIMITS.items()})
    assert Screen.load(load_artifact(folder)) is not None


def test_limits_are_the_lowest_of_all_operating_points(tiny_artifact):
    limits = lowest_limits(tiny_artifact)
    assert limits["emotional"] == pytest.approx(logit(0.2))
    assert limits["shares_feelings"] == pytest.approx(0.0)
    assert {*limits} == {EMOTIONAL, *CUES}
    roomy = lowest_limits(tiny_artifact, room=0.5)
    assert roomy == limits | {"emotional": pytest.approx(logit(0.2) - 0.5)}


def window(ids, of_user):
    """A window of these tokens, of which some are the user's."""
    ids = np.asarray(ids, np.int32)
    inner = np.asarray(of_user, bool)[: len(ids)].copy()
    inner[[0, -1]] = False
    return EncodedWindow(ids, np.full(len(ids), NO_TURN, np.int32), (0,), (0,), inner)


ROWS = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=3, max_size=12),
    min_size=1,
    max_size=9,
)


@given(ROWS)
def test_rows_are_those_of_each_window_by_itself(rows):
    windows = [window(*zip(*row, strict=True)) for row in rows]
    together = rows_of_windows(windows, 50)
    of_context = together["context_starts"], together["context_lengths"]
    of_user = together["starts"], together["lengths"]
    for place, one in enumerate(windows):
        by_itself = rows_of_windows([one], 50)
        for name in ("before", "here", "after", "pairs", "context"):
            starts, lengths = of_context if name == "context" else of_user
            found = together[name][starts[place] : starts[place] + lengths[place]]
            assert found.tolist() == by_itself[name].tolist()
        said = np.flatnonzero(one.of_user) if one.of_user.any() else np.array([1])
        assert by_itself["here"].tolist() == one.ids[said].tolist()
        assert by_itself["before"].tolist() == one.ids[said - 1].tolist()
        assert by_itself["after"].tolist() == one.ids[said + 1].tolist()
        others = one.ids[:-1][~one.of_user[:-1]]
        assert by_itself["context"].tolist() == others.tolist()


@pytest.mark.parametrize("count", [1, 7, 63, 64, 65, 300])
def test_neighbours_do_not_change_outputs(folder, count):
    loaded = Screen.load(load_artifact(folder))
    draw = np.random.default_rng(0)
    loaded._values |= {
        "hidden.weight": draw.normal(size=(5, 16)).astype(np.float32),
        "hidden.bias": np.zeros(16, np.float32),
        "out.weight": draw.normal(size=(16, len(OUTPUTS) + 1)).astype(np.float32),
    }
    windows = [
        window(draw.integers(0, 13, size=draw.integers(3, 40)), draw.integers(0, 2, size=40))
        for _ in range(count)
    ]
    logits, reach = loaded.outputs(windows)
    for place, one in enumerate(windows):
        alone = loaded.outputs([one])
        assert alone[0].tolist() == logits[place : place + 1].tolist()
        assert alone[1].tolist() == reach[place : place + 1].tolist()


CHATS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([user, assistant]),
            st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join),
        ),
        max_size=4,
    ).map(lambda said: [*(say(text) for say, text in said), user("a file")]),
    min_size=1,
    max_size=4,
)


def as_decided(prediction):
    """Return what thresholds decide of a conversation."""
    messages = [(m.index, m.label, m.shown_cues) for m in prediction.messages]
    return prediction.label, prediction.shown_cues, messages


@given(CHATS)
def test_a_screen_that_settles_nothing_changes_nothing(shared, chats):
    artifact, engine = shared
    with_screen = AffectClassifier(artifact, engine)
    with_screen._screen._bound = -1e6
    whole = AffectClassifier(artifact, engine, screen=False)
    assert with_screen.predict(chats) == whole.predict(chats)


@given(CHATS, st.sampled_from(["balanced", "high_precision", "high_recall"]))
def test_a_screen_that_knows_what_the_encoder_says_decides_the_same(shared, chats, point):
    artifact, engine = shared
    perfect = AffectClassifier(artifact, engine)
    perfect._screen = Perfect(artifact, engine)
    found = perfect.predict(chats, operating_point=point)
    whole = AffectClassifier(artifact, engine, screen=False).predict(chats, operating_point=point)
    assert [*map(as_decided, found)] == [*map(as_decided, whole)]


@given(CHATS)
def test_batches_do_not_change_what_is_screened(shared, chats):
    artifact, engine = shared
    together = AffectClassifier(artifact, engine).predict(chats)
    assert together == [AffectClassifier(artifact, engine).predict(chat) for chat in chats]


def test_threads_have_the_same_answers(folder):
    artifact = load_artifact(folder)
    classifier = AffectClassifier(artifact, load_engine(artifact, device="cpu"))
    chats = [CHAT, [user(TASK)], [user(SINGLE_MESSAGE), assistant("sorry")]] * 20
    expected = classifier.predict(chats)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(classifier.predict, [chats] * 8))


class Perfect(Screen):
    """Settles what the encoder puts below all limits, and says of it what the encoder does."""

    def __init__(self, artifact, engine):
        limits = lowest_limits(artifact)
        order = [limits.get(name, np.inf) for name in artifact.outputs]
        super().__init__(tensors(), order, 0.0)
        self._engine = engine

    def outputs(self, windows):
        batches = [pad([window], [0], 1) for window in windows]
        rows = [self._engine.logits(b.ids, b.mask, b.turns)[0].max(axis=0) for b in batches]
        logits = np.array(rows)
        return np.minimum(logits, self._highest), (logits - self._highest).max(axis=1)
