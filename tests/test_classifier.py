"""The classifier, with the tiny artifact: logits are the bias plus what each word adds."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib import _default as one_liner
from affectlib._default import predict
from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.corpus import workers as _workers
from affectlib.errors import (
    ArtifactCorruptError,
    ConversationError,
    NoUserTextError,
    OptionError,
)
from affectlib.model.calibration import WindowCombination
from affectlib.predictions import ConversationFailure, ConversationPrediction, MessagePrediction
from affectlib.tables import AffectMapper, label_table
from affectlib.taxonomy import ASSISTANT_CUES, USER_CUES
from tests.conftest import BIAS, CHAT, SINGLE_MESSAGE, TASK, WORDS, assistant, user, write_manifest
from tests.test_concurrency import in_a_fork


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


# One kind of input has one kind of result.


def test_text(tiny_classifier):
    prediction = tiny_classifier.predict(SINGLE_MESSAGE)
    assert isinstance(prediction, MessagePrediction)
    assert (prediction.index, prediction.role, prediction.label) == (0, "user", "emotional")
    assert prediction.probability == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert tuple(prediction.cues) == USER_CUES
    assert prediction.cues["shares_feelings"] == pytest.approx(sigmoid(BIAS + 5), abs=1e-5)
    assert tiny_classifier.predict(TASK).label == "task"


@pytest.mark.parametrize("kind", [list, tuple])
def test_texts(tiny_classifier, kind):
    predictions = tiny_classifier.predict(kind([SINGLE_MESSAGE, TASK]))
    assert predictions == [tiny_classifier.predict(SINGLE_MESSAGE), tiny_classifier.predict(TASK)]


def test_conversation(tiny_classifier):
    prediction = tiny_classifier.predict(CHAT)
    assert isinstance(prediction, ConversationPrediction)
    assert [(turn.index, turn.role, turn.label) for turn in prediction.messages] == [
        (1, "user", "task"),
        (2, "assistant", None),
        (3, "user", "emotional"),
        (4, "assistant", None),
    ]
    assert prediction.messages[1].probability is None
    assert prediction.probability == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert prediction.label == "emotional"
    assert (prediction.any, prediction.adjusted, prediction.rate) == (True, 1.0, 0.5)


def test_cues_belong_to_their_role(tiny_classifier):
    prediction = tiny_classifier.predict(CHAT)
    for turn in prediction.messages:
        assert tuple(turn.cues) == (USER_CUES if turn.role == "user" else ASSISTANT_CUES)
    assert {*prediction.cues} == {*USER_CUES, *ASSISTANT_CUES}
    assert prediction.cues["shows_empathy"] == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert {*tiny_classifier.predict([user(SINGLE_MESSAGE)]).cues} == {*USER_CUES}


def test_conversation_as_objects_mappings_and_mixed(tiny_classifier):
    objects = tuple(Message(message["role"], message["content"]) for message in CHAT)
    expected = tiny_classifier.predict(CHAT)
    assert tiny_classifier.predict(objects) == expected
    assert tiny_classifier.predict([*CHAT[:2], *objects[2:]]) == expected
    assert tiny_classifier.predict(Conversation(objects, id="a")) == replace(expected, id="a")


def test_conversations(tiny_classifier):
    other = Conversation((Message("user", TASK),), id="b")
    predictions = tiny_classifier.predict([CHAT, other, [Message("user", SINGLE_MESSAGE)]])
    assert [prediction.id for prediction in predictions] == [None, "b", None]
    assert predictions[0] == tiny_classifier.predict(CHAT)
    assert predictions[1].label == "task"


def test_nothing(tiny_classifier):
    assert tiny_classifier.predict([]) == tiny_classifier.predict(()) == []
    assert tiny_classifier.predict_proba([]).shape == (0, 2)
    assert list(tiny_classifier.stream([])) == []


@pytest.mark.parametrize(
    ("x", "rows"),
    [
        (SINGLE_MESSAGE, 1),
        ([SINGLE_MESSAGE, TASK, SINGLE_MESSAGE], 3),
        (CHAT, 1),
        ([CHAT, [user(TASK)]], 2),
    ],
)
def test_predict_proba(tiny_classifier, x, rows):
    table = tiny_classifier.predict_proba(x)
    assert (table.shape, table.dtype) == ((rows, 2), np.float32)
    assert tiny_classifier.labels == ("emotional", "task")
    predictions = tiny_classifier.predict(x)
    if rows == 1:
        predictions = [predictions]
    expected = [[p.probability, 1 - p.probability] for p in predictions]
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_errors_in_a_long_list_come_before_any_work(counting):
    classifier, engine = counting
    with pytest.raises(ConversationError, match="conversation 600"):
        classifier.predict([[user(TASK)]] * 600 + [[user(None)]], on_error="raise")
    assert engine.windows == []


def test_text_of_which_the_tokenizer_leaves_nothing(tiny_classifier, tmp_path, tiny_folder):
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Replace("zz", "")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    artifact = replace(tiny_classifier.artifact, folder=tmp_path, _hashes=_hashes_of(tmp_path))
    classifier = AffectClassifier(artifact, tiny_classifier._engine)
    assert classifier.predict("zz hello").label == "task"
    with pytest.raises(NoUserTextError, match=r"^the tokenizer finds nothing"):
        classifier.predict("zz")
    with pytest.raises(NoUserTextError, match=r"^conversation 1: the tokenizer finds nothing"):
        classifier.predict([CHAT, [user("zz"), assistant("hello")]], on_error="raise")
    chats = [Conversation((Message("user", text),), id=text) for text in ("hello", "zz", "csv")]
    outcomes = list(classifier.stream(chats, on_error="record"))
    assert [outcome.id for outcome in outcomes] == ["hello", "zz", "csv"]
    assert isinstance(outcomes[1], ConversationFailure)
    assert outcomes[1].error.startswith("NoUserTextError: the tokenizer finds nothing")


def _hashes_of(folder):
    from affectlib.model.artifacts import load_artifact

    return load_artifact(write_manifest(folder))._hashes


# Hard text.


@pytest.mark.parametrize(
    "text", ["\ud800 alone", "alone\x00", "<|user|> alone </s>", "🙂 alone", "\u202ealone \u200b"]
)
def test_odd_characters(tiny_classifier, text):
    prediction = tiny_classifier.predict(text)
    assert 0 < prediction.probability < 1
    hand_made = Conversation((Message("user", text),))
    assert tiny_classifier.predict(hand_made).messages == (prediction,)


def test_very_long_message_is_read_and_what_is_cut_is_counted(tiny_classifier):
    prediction = tiny_classifier.predict([user("word " * 40_000), user(SINGLE_MESSAGE)])
    long, short = prediction.messages
    assert long.truncated_tokens == pytest.approx(40_000, rel=0.01)
    assert short.truncated_tokens == 0
    assert prediction.truncated_tokens == long.truncated_tokens


@pytest.mark.parametrize(
    "text", [f"{SINGLE_MESSAGE}{' word' * 20}", f"{'word ' * 20}{SINGLE_MESSAGE}"]
)
def test_a_long_message_is_read_at_its_beginning_and_end(tiny_classifier, text):
    prediction = tiny_classifier.predict(text)
    assert prediction.probability == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert prediction.truncated_tokens == 24 - 16


@pytest.mark.parametrize("log_windows", [0.0, -0.5])
def test_a_conversation_of_several_windows(tiny_classifier, log_windows):
    artifact = replace(tiny_classifier.artifact, conversation=WindowCombination(log_windows))
    classifier = AffectClassifier(artifact, tiny_classifier._engine)
    chat = [user(SINGLE_MESSAGE), *[user("word " * 8)] * 5]
    count = len(classifier.windows(chat))
    assert count > 2
    found = classifier.predict(chat)
    expected = sigmoid(BIAS + 6 + log_windows * math.log(count))
    assert found.probability == pytest.approx(expected, abs=1e-5)
    assert found.messages[0].probability == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert [turn.index for turn in found.messages] == [*range(6)]


# Options.


def test_operating_points(tiny_classifier):
    probability = tiny_classifier.predict("sad").probability
    assert 0.2 < probability < 0.5
    assert tiny_classifier.predict("sad").label == "task"
    careful = tiny_classifier.predict("sad", operating_point="high_recall")
    assert (careful.label, careful.probability) == ("emotional", probability)
    chat = tiny_classifier.predict([user("sad"), user(TASK)], operating_point="high_recall")
    assert (chat.any, chat.rate, chat.messages[0].label) == (True, 0.5, "emotional")
    strict = tiny_classifier.predict([user(SINGLE_MESSAGE)], operating_point="high_precision")
    assert (strict.label, strict.any, strict.messages[0].label) == ("task", False, "task")
    default = AffectClassifier(
        tiny_classifier.artifact, tiny_classifier._engine, operating_point="high_recall"
    )
    assert default.operating_point == "high_recall"
    assert default.predict("sad").label == "emotional"


def test_threshold_itself_is_emotional(tiny_classifier):
    artifact = tiny_classifier.artifact
    probability = tiny_classifier.predict([user("sad")])
    point = replace(
        artifact.operating_point("balanced"),
        message=probability.messages[0].probability,
        conversation=probability.probability,
    )
    exact = replace(artifact, operating_points={"balanced": point})
    prediction = AffectClassifier(exact, tiny_classifier._engine).predict([user("sad")])
    assert (prediction.label, prediction.messages[0].label) == ("emotional", "emotional")


@pytest.mark.parametrize("name", ["best", "", 0.5])
def test_unknown_operating_point(tiny_classifier, tiny_folder, name):
    with pytest.raises(OptionError, match="balanced, high_precision, high_recall"):
        tiny_classifier.predict(SINGLE_MESSAGE, operating_point=name)
    with pytest.raises(ValueError, match="balanced"):
        tiny_classifier.stream([], operating_point=name)
    with pytest.raises(OptionError, match="balanced"):
        AffectClassifier.from_pretrained(tiny_folder, operating_point=name)


def test_from_pretrained_and_save_pretrained(tiny_folder, tmp_path, tiny_classifier):
    classifier = AffectClassifier.from_pretrained(tiny_folder, device="cpu")
    assert repr(classifier) == "AffectClassifier('tiny', engine='onnx', device='cpu')"
    assert (classifier.engine, classifier.device) == ("onnx", "cpu")
    assert classifier.artifact.folder == tiny_folder
    classifier.save_pretrained(tmp_path / "copy")
    copy = AffectClassifier.from_pretrained(tmp_path / "copy", device="cpu")
    assert copy.predict(CHAT) == tiny_classifier.predict(CHAT)


def test_unusable_tokenizer(tiny_classifier, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    artifact = replace(tiny_classifier.artifact, folder=tmp_path, _hashes=_hashes_of(tmp_path))
    with pytest.raises(ArtifactCorruptError, match=r"tokenizer\.json"):
        AffectClassifier(artifact, tiny_classifier._engine)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chats=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["user", "assistant", "system"]),
                st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
            ),
            max_size=6,
        ).map(lambda messages: tuple(Message(role, text) for role, text in messages)),
        max_size=8,
    ),
    data=st.data(),
)
def test_neighbours_and_order_do_not_matter(tiny_classifier, chats, data):
    chats = [(*messages, Message("user", "hello")) for messages in chats]
    alone = [tiny_classifier.predict(Conversation(chat)) for chat in chats]
    order = data.draw(st.permutations(range(len(chats))))
    together = tiny_classifier.predict([chats[i] for i in order])
    for i, prediction in zip(order, together, strict=True):
        assert prediction.label == alone[i].label
        assert prediction.probability == pytest.approx(alone[i].probability, abs=1e-6)
        assert [turn.index for turn in prediction.messages] == [
            turn.index for turn in alone[i].messages
        ]
        assert prediction.truncated_tokens == alone[i].truncated_tokens


# Loading, once a process and in others.


@pytest.fixture
def loaded(tiny_classifier, monkeypatch):
    """The arguments of every loading, each of which takes a while and gives the tiny classifier."""
    calls = []

    @wraps(AffectClassifier.from_pretrained)
    def load(**options):
        calls.append(options)
        time.sleep(0.02)
        return tiny_classifier

    monkeypatch.setattr(AffectClassifier, "from_pretrained", staticmethod(load))
    one_liner._load.cache_clear()
    yield calls
    one_liner._load.cache_clear()


def test_default_classifier_is_loaded_once_by_many_threads(tiny_classifier, loaded):
    with ThreadPoolExecutor(8) as pool:
        predictions = list(pool.map(predict, [SINGLE_MESSAGE] * 32))
    assert predictions == [tiny_classifier.predict(SINGLE_MESSAGE)] * 32
    assert predict("sad", operating_point="high_recall").label == "emotional"
    assert len(loaded) == 1


def test_all_that_need_the_default_classifier_share_one(loaded):
    transformer = pytest.importorskip("affectlib.sklearn").AffectTransformer()
    chats = {"messages": [CHAT]}
    calls = [
        lambda: predict(SINGLE_MESSAGE),
        lambda: label_table(pa.table(chats)),
        lambda: AffectMapper()(chats),
        lambda: AffectMapper("affect-small")(chats),
        lambda: transformer.transform([SINGLE_MESSAGE]),
    ]
    with ThreadPoolExecutor(10) as pool:
        for found in [pool.submit(call) for call in calls * 2]:
            found.result()
    assert len(loaded) == 1


def test_a_model_that_replaced_another_in_its_folder_is_the_one_that_is_used(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "mine")
    mapper = AffectMapper(str(folder), device="cpu")
    before = mapper._classifier()
    assert mapper._classifier() is before
    write_manifest(folder, name="new")
    assert mapper._classifier().artifact.name == "new"


def test_a_relative_path_is_that_of_the_folder_one_is_in(tiny_folder, tmp_path, monkeypatch):
    for name in ("one", "other"):
        folder = shutil.copytree(tiny_folder, tmp_path / name / "mine")
        write_manifest(folder, name=name)
        monkeypatch.chdir(tmp_path / name)
        found = AffectMapper("mine", device="cpu")._classifier()
        assert found.artifact.name == name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_does_not_wait_for_a_thread_that_loads(tiny_classifier, loaded):
    with one_liner._loading:  # as if it were loading at this moment
        assert in_a_fork(lambda: predict(SINGLE_MESSAGE).label) == "emotional"


def test_a_copy_in_another_process_computes_with_as_many_threads(tiny_folder):
    classifier = AffectClassifier.from_pretrained(tiny_folder, device="cpu", threads=1)
    copy = pickle.loads(pickle.dumps(classifier))
    assert copy.options == classifier.options
    assert copy.options["threads"] == copy._engine._options.intra_op_num_threads == 1
    assert AffectClassifier.from_pretrained(**copy.options).options == classifier.options


def test_workers_share_the_cores_whatever_the_threads_of_the_classifier(tiny_folder, monkeypatch):
    @contextmanager
    def running(load, count):
        loads.append(load)
        yield SimpleNamespace(submit=None)

    loads = []
    monkeypatch.setattr(_workers, "running", running)
    monkeypatch.setattr(_workers, "count_cores", lambda: 6)
    classifier = AffectClassifier.from_pretrained(tiny_folder, device="cpu", threads=1)
    assert [*_workers.label_with_processes(classifier, 2)([])] == []
    label = loads[0]()
    assert label.__self__._classifier.options == classifier.options | {"threads": 3}
