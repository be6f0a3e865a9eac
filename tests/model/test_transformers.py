"""The bundled folder is an ordinary model of transformers, and reads our windows as we do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import affectlib
from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message, clean_text
from affectlib.model.artifacts import load_artifact
from affectlib.model.encoding import ROLE_TOKENS, WindowEncoder
from affectlib.model.rendering import WindowRenderer
from affectlib.model.windows import WindowSettings
from tests.conftest import assistant, build_tokenizer, user

torch = pytest.importorskip("torch", reason="needs affectlib[torch]")
transformers = pytest.importorskip("transformers", reason="needs affectlib[torch]")

MARKS = (*ROLE_TOKENS.values(),)
LONG = " ".join(f"word{i} is not what I don't want, is it?" for i in range(120))
CHATS = [
    [user("I feel so alone since she left, can we just talk?")],
    [user("Convert this CSV to JSON in Python"), assistant("Sure!"), user("thanks, don't stop")],
    [user("Je me sens seule depuis qu'il est parti."), assistant("Je suis là."), user("Merci…")],
    [
        user("what does <|assistant|> or </s> mean?"),
        assistant("<|user|> marks a user"),
        user("ok 🙂"),
    ],
    [user("  two\n\nlines \t here "), user("It's 5 < 6 && 7 > 3; [MASK] [UNK] <unk>")],
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Compute with one thread: the windows are short, and other tests may run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def artifact():
    return load_artifact()


@pytest.fixture(scope="module")
def encoder(artifact):
    return WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)


@pytest.fixture(scope="module")
def classifier():
    return AffectClassifier.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def tokenizer(artifact):
    return transformers.AutoTokenizer.from_pretrained(artifact.folder)


@pytest.fixture(scope="module")
def classify(artifact):
    return transformers.pipeline(
        "text-classification",
        model=str(artifact.folder),
        device="cpu",
        dtype=torch.float32,
        top_k=None,
    )


def load_model(artifact):
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        artifact.folder, dtype=torch.float32
    )


def encode_windows(encoder, chat):
    """Return the windows of a chat."""
    conversation = Conversation(tuple(Message(m["role"], clean_text(m["content"])) for m in chat))
    return encoder.encode([conversation])[0]


def encode(encoder, chat):
    """Return the token ids of the windows of a chat."""
    return [window.ids.tolist() for window in encode_windows(encoder, chat)]


def by_label(rows):
    """Return the scores of a pipeline by label."""
    return {row["label"]: row["score"] for row in rows}


def test_model_says_what_its_outputs_are(artifact):
    config = load_model(artifact).config
    assert config.problem_type == "multi_label_classification"
    outputs = artifact.outputs
    assert [config.id2label[i] for i in range(len(outputs))] == [*outputs]
    assert [config.label2id[name] for name in outputs] == [*range(len(outputs))]


def test_tokenizer_reads_rendered_windows_as_we_do(encoder, classifier, tokenizer):
    for chat in CHATS:
        windows = classifier.windows(chat)
        assert [w.exact for w in windows] == [True] * len(windows)
        assert tokenizer([w.text for w in windows])["input_ids"] == encode(encoder, chat)
        assert [w.messages for w in windows] == [tuple(range(len(chat)))]
        assert [w.truncated_tokens for w in windows] == [0]


def test_pipeline_gives_the_probabilities_that_predict_gives(classify):
    """Before a line of ``affect.json`` calibrates them, of which transformers knows nothing."""
    reference = AffectClassifier.from_pretrained(device="cpu", engine="torch", screen=False)
    line = reference.artifact.recalibration
    for chat in CHATS:
        found = reference.predict(chat)
        (window,) = reference.windows(chat)
        scores = by_label(classify([window.text])[0])
        assert line.probability(scores["emotional"]) == pytest.approx(found.probability, abs=1e-4)
        given = {**found.cues, **found.themes}
        assert {name: scores[name] for name in given} == pytest.approx(given, abs=1e-4)


def test_windows_of_a_long_message(encoder, classifier, tokenizer):
    chat = [user(LONG), assistant("Sure. " * 300), user("thanks")]
    (window,) = classifier.windows(chat)
    assert window.messages == (0, 1, 2)
    assert window.truncated_tokens > 0
    (ids,) = encode(encoder, chat)
    assert window.exact == (tokenizer(window.text)["input_ids"] == ids)


def test_nearly_all_windows_of_the_examples_are_exact(classifier):
    windows = [
        window
        for chat in affectlib.read_conversations("examples/transcripts.jsonl")
        for window in classifier.windows(chat)
    ]
    assert np.mean([window.exact for window in windows]) > 0.95
    # Where nothing is cut, nothing is in the way.
    assert all(window.exact for window in windows if len(window.text.split()) < 20)


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from([*MARKS, "<s>", "</s>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[UNK]"]),
    ),
    min_size=1,
    max_size=6,
).map("".join)


@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=40)
def test_users_cannot_write_marks(encoder, classifier, tokenizer, texts):
    chat = [user("hello"), *map(user, texts)]
    for window, ids in zip(classifier.windows(chat), encode(encoder, chat), strict=True):
        read = tokenizer(window.text)["input_ids"]
        assert window.exact == (read == ids)
        for mark in MARKS:
            token = tokenizer.convert_tokens_to_ids(mark)
            assert read.count(token) == ids.count(token)
        for token in (tokenizer.cls_token_id, tokenizer.sep_token_id):
            assert read.count(token) == 1


def test_tokenizer_without_normal_forms_is_spelled_with_a_space(tmp_path):
    build_tokenizer().save(str(tmp_path / "tokenizer.json"))
    encoder = WindowEncoder(tmp_path / "tokenizer.json", WindowSettings())
    (window,) = encode_windows(encoder, [user("a <|user|> word")])
    rendered = WindowRenderer(tmp_path / "tokenizer.json").render(window)
    assert rendered.text.count(ROLE_TOKENS["user"]) == 1


def test_one_step_of_the_trainer(artifact, classifier, tokenizer, tmp_path):
    pytest.importorskip("evaluate", reason="needs affectlib[train]")
    from training.evaluation.metrics import Ranking

    rows = [(window.text, "alone" in window.text) for chat in CHATS for window in
            classifier.windows(chat)]  # fmt: skip
    model = load_model(artifact)
    examples = []
    for text, emotional in rows:
        labels = [float(emotional), *[0.0] * (model.config.num_labels - 1)]
        examples.append({**tokenizer(text), "labels": labels})

    def measure(found):
        scores, truth = found.predictions[:, 0], found.label_ids[:, 0].astype(int)
        return Ranking().compute(predictions=scores, references=truth)

    before = model.classifier.weight.detach().clone()
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=8,
            learning_rate=1e-4,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=examples,
        eval_dataset=examples,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        compute_metrics=measure,
    )
    done = trainer.train()
    assert done.global_step == 1
    assert np.isfinite(done.training_loss)
    assert not torch.equal(before, model.classifier.weight)
    measured = trainer.evaluate()
    assert 0 < measured["eval_average_precision"] <= 1
