from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel

from affectlib.conversation import parse_conversation
from affectlib.finetuning.trainer import ModelEngine, average_weights, load_model
from affectlib.model.encoding import WindowEncoder
from affectlib.model.scoring import score
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from tests.conftest import assistant, user
from training.config import (
    AugmentSettings,
    EncoderSettings,
    FinishSettings,
    Recipe,
    SourceSettings,
    TeacherSettings,
    TrainSettings,
)
from training.data import augment
from training.data.prepare import answer_keys, prepare, take, window_rows
from training.model import train as module
from training.model.encoder import CONTROL_TOKENS, PACKAGE, build_foreign_encoder
from training.model.train import TAUGHT, teach, train, with_answers

WORDS = ["i", "feel", "alone", "fix", "my", "code", "please", "today"]
LONELY = [user("fix my code please"), assistant("today"), user("i feel alone")]
PLAIN = [user("please fix my code today")]
CHATS = [(LONELY, "emotional"), (PLAIN, "task")] * 6


def write_foreign(folder: Path) -> str:
    """A small WordLevel BERT, as a package or folder of another project would hold it."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def nothing_is_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a recipe wants it."""
    monkeypatch.setattr(augment, "TERSE", 0.0)


def source(path: Path, chats: Any = CHATS, lang: str = "en", **settings: Any) -> SourceSettings:
    lines = (json.dumps({"messages": m, "label": label, "lang": lang}) for m, label in chats)
    path.write_text("\n".join(lines), encoding="utf-8")
    return SourceSettings(name="file", path=str(path), **settings)


def recipe(folder: Path, *sources: SourceSettings, **settings: Any) -> Recipe:
    return Recipe(
        name="toy",
        version="0",
        output=str(folder / "runs"),
        encoder=EncoderSettings(path="tiny"),
        windows=WindowSettings(max_tokens=96, budgets=((40, 20), (16, 8))),
        sources=sources or (source(folder / "mine.jsonl"),),
        train=TrainSettings(max_steps=2, batch_size=4),
        real_dev=False,
        **settings,
    )


def taught(folder: Path, *sources: SourceSettings, **settings: Any) -> Recipe:
    """A recipe with a small teacher."""
    teacher = TeacherSettings(path=write_foreign(folder / "base"), **settings)
    return recipe(folder, *sources, teacher=teacher)


def test_foreign_encoder_gets_the_control_tokens_and_our_head(tmp_path: Path) -> None:
    build_foreign_encoder(write_foreign(tmp_path / "base"), None, tmp_path / "start")
    tokenizer = Tokenizer.from_file(str(tmp_path / "start" / "tokenizer.json"))
    ids = [tokenizer.token_to_id(token) for token in CONTROL_TOKENS]
    assert ids == [len(WORDS) + 4 + i for i in range(len(CONTROL_TOKENS))]
    model = BertForSequenceClassification.from_pretrained(tmp_path / "start")
    assert model.config.vocab_size == len(WORDS) + 4 + len(CONTROL_TOKENS)
    assert [model.config.id2label[i] for i in range(len(OUTPUTS))] == list(OUTPUTS)


def test_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere_to_be_found"):
        build_foreign_encoder(f"{PACKAGE}nowhere_to_be_found/model", None, tmp_path)


def test_a_teacher_reads_the_conversations_with_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    build_foreign_encoder(write_foreign(tmp_path / "base"), None, tmp_path / "start")
    file = tmp_path / "start" / "tokenizer.json"
    rows = window_rows(made, take(made, None)[0], WindowEncoder(file, made.windows))
    tokenizer = Tokenizer.from_file(str(file))
    said = {" ".join(map(tokenizer.id_to_token, row["input_ids"])) for row in rows}
    assert said == {
        "[CLS] <|user|> please fix my code today [SEP]",
        "[CLS] <|user|> fix my code please <|assistant|> today <|user|> i feel alone [SEP]",
    }


def answers_of(made: Recipe) -> dict[int, list[float]]:
    with np.load(made.folder / "teach" / "answers.npz") as stored:
        return dict(zip(stored["keys"].tolist(), stored["probabilities"].tolist(), strict=True))


def keys_of(*chats: Any) -> set[int]:
    return {key for chat in chats for key in answer_keys(parse_conversation(chat))}


def test_a_teacher_judges_what_it_can_read_and_learns_what_is_labelled_of_it(
    tmp_path: Path,
) -> None:
    french, unlabelled = [user("my code")], [user("i feel my code today"), assistant("please")]
    made = taught(
        tmp_path,
        source(tmp_path / "mine.jsonl"),
        source(tmp_path / "french.jsonl", [(french, "task")], lang="fr"),
        source(tmp_path / "more.jsonl", [(unlabelled, "task")] * 2, kind="unlabelled"),
    )
    assert teach(made, None) == {"learnt": len(CHATS), "judged": len(CHATS) + 2}
    found = answers_of(made)
    assert {*found} == keys_of(LONELY, PLAIN, unlabelled)
    probabilities = np.array([*found.values()])
    assert probabilities.shape[1] == len(TAUGHT)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_teacher_judges_no_whole_of_what_it_reads_in_parts(tmp_path: Path) -> None:
    long = [user(f"{'please fix my code ' * 3}{word}") for word in WORDS] * 3
    made = taught(tmp_path, source(tmp_path / "mine.jsonl", [(long, "task")] * 4))
    assert teach(made, None)["learnt"] > 4
    assert {*answers_of(made)} == {*answer_keys(parse_conversation(long))[1:]}


def test_a_teacher_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, calls = taught(tmp_path), []

    def scoring(chats: Any, *how: Any) -> Any:
        calls.append(len(chats))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(chats, *how)

    monkeypatch.setattr(module, "CHUNK", 5)
    monkeypatch.setattr(module, "score", scoring)
    with pytest.raises(KeyboardInterrupt):
        teach(made, None)

    def never(*_: Any) -> None:
        raise AssertionError("what was done is not done again")

    monkeypatch.setattr(module, "_learn_teacher", never)
    teach(made, None)
    assert calls == [5, 5, 5, 2]
    found = answers_of(made)
    assert {*found} == keys_of(LONELY, PLAIN)
    monkeypatch.setattr(module, "score", never)
    teach(made, None)
    assert answers_of(made) == found


def test_frozen_layers_of_a_teacher_stay_as_they_were(tmp_path: Path) -> None:
    made = taught(tmp_path, frozen=2)
    teach(made, None)
    home = made.folder / "teach"
    before, after = (
        BertForSequenceClassification.from_pretrained(home / name).state_dict()
        for name in ("start", "model")
    )
    changed = {name for name, weights in after.items() if not torch.equal(weights, before[name])}
    body = {name for name in changed if name.startswith("bert.") and "pooler" not in name}
    # The last of its own layers, and the one that was added.
    assert {name.split(".")[3] for name in body} == {"2", "3"}


def test_a_teacher_learns_the_rewritten_text_and_judges_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = taught(tmp_path, source(tmp_path / "mine.jsonl", copies=2))
    made = made.model_copy(update={"augment": AugmentSettings(impersonal=1)})
    learnt: list[Any] = []
    learn = module._learn_teacher
    monkeypatch.setattr(
        module, "_learn_teacher", lambda *given: learnt.append(given[2]) or learn(*given)
    )
    assert teach(made, None) == {"learnt": 2 * len(CHATS), "judged": len(CHATS)}
    tokenizer = Tokenizer.from_file(str(made.folder / "teach" / "start" / "tokenizer.json"))
    said = {tokenizer.id_to_token(i) for ids in learnt[0]["input_ids"] for i in ids}
    assert "alone" in said
    assert not {"i", "my"} & said
    assert {*answers_of(made)} == keys_of(LONELY, PLAIN)


def test_a_teacher_judges_in_int8_as_it_would_in_fp32(tmp_path: Path) -> None:
    made = taught(tmp_path)
    teach(made, None)
    folder = made.folder / "teach"
    encoder = WindowEncoder(folder / "start" / "tokenizer.json", made.windows)
    chats = [parse_conversation(chat) for chat in (LONELY, PLAIN, [user("i feel"), user("code")])]
    engines = ModelEngine(load_model(folder / "model")), module._engine(folder / "model")
    expected, found = (
        np.concatenate([row for each in score(chats, encoder, e) for row in _rows(each)])
        for e in engines
    )
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    assert found == pytest.approx(expected, abs=0.2 * float(expected.std()))


def _rows(scores: Any) -> list[Any]:
    return [*scores.windows, *scores.messages.values()]


def write_answers(path: Path, answers: dict[int, float]) -> Path:
    says = np.tile(np.array([*answers.values()], np.float16)[:, None], (1, len(TAUGHT)))
    np.savez(path, keys=np.array([*answers]), probabilities=says)
    return path


def test_student_learns_what_an_earlier_teacher_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOLD_SHARE", 1.0)
    monkeypatch.setattr(module, "_ranking", lambda *_: {})
    bias = []
    for says in (0.0, 1.0):
        folder = tmp_path / str(says)
        folder.mkdir()
        answers = write_answers(
            folder / "mine.npz", dict.fromkeys(sorted(keys_of(LONELY, PLAIN)), says)
        )
        made = recipe(folder, teacher=TeacherSettings(path="nowhere", answers=str(answers)))
        assert teach(made, None) == {}
        prepare(made, None)
        train(made)
        student = BertForSequenceClassification.from_pretrained(made.folder / "train" / "model")
        bias.append(student.classifier.bias[OUTPUTS.index(EMOTIONAL)].item())
    assert bias[0] < bias[1]


def test_words_of_the_encoder_stay_as_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ranking", lambda *_: {})
    made = recipe(tmp_path)
    prepare(made, None)
    train(made)
    before, after = (
        BertForSequenceClassification.from_pretrained(made.folder / name).state_dict()
        for name in ("prepare/encoder", "train/model")
    )
    same = {name for name, weights in after.items() if torch.equal(weights, before[name])}
    assert {name for name in after if ".embeddings." in name} <= same
    assert "classifier.weight" not in same


def test_recipe_without_a_teacher_has_nothing_to_teach(tmp_path: Path) -> None:
    assert teach(recipe(tmp_path), None) == {}
    assert not (tmp_path / "runs").exists()


def test_training_ends_on_what_the_recipe_keeps_for_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(
        tmp_path,
        source(tmp_path / "mine.jsonl"),
        source(tmp_path / "last.jsonl", [(LONELY, "emotional")] * 3, last=True),
        source(tmp_path / "more.jsonl", [(PLAIN, "task")] * 2, kind="unlabelled", last=True),
    )
    prepare(made, None)
    fitted: list[Any] = []

    def fit(model: Any, tokenizer: Any, rows: Any, folder: Path, settings: Any, **_: Any) -> Any:
        fitted.append((folder.name, len(rows), settings))
        return SimpleNamespace(model=model)

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module, "_ranking", lambda *_: {})
    train(made)
    # What has neither a label nor an answer teaches nothing.
    assert fitted == [("first", 15, made.train)]
    fitted.clear()
    finish = FinishSettings(epochs=0.5, learning_rate=1e-5)
    train(made.model_copy(update={"finish": finish}))
    assert [found[:2] for found in fitted] == [("first", 15), ("last", 3)]
    end = fitted[1][2]
    assert (end.epochs, end.learning_rate, end.batch_size) == (0.5, 1e-5, made.train.batch_size)


def test_targets_are_mixed_with_what_the_teacher_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOLD_SHARE", 0.25)
    known, unknown = [1.0] * len(OUTPUTS), [np.nan] * len(OUTPUTS)
    rows = Dataset.from_dict(
        {
            "targets": [[known, unknown], [known, unknown], [known]],
            "keys": [[5, 9], [5, 0], [7]],
            "silver": [False, True, False],
        }
    )
    mixed = with_answers(rows, write_answers(tmp_path / "mine.npz", {5: 0.2, 9: 0.2}))["targets"]
    gold, silver, unanswered = (np.array(targets) for targets in mixed)
    columns = np.isin(OUTPUTS, TAUGHT)
    assert gold[0, columns] == pytest.approx(0.8, abs=1e-3)
    assert silver[0, columns] == pytest.approx(0.28, abs=1e-3)
    assert (gold[0, ~columns] == 1).all()
    assert (silver[0, ~columns] == 1).all()
    # Without a label only the teacher counts; without an answer only the label.
    assert gold[1, columns] == pytest.approx(0.2, abs=1e-3)
    assert np.isnan(gold[1, ~columns]).all()
    assert np.isnan(silver[1]).all()
    assert (unanswered == 1).all()


def test_answers_that_are_not_there_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz; leave the setting out"):
        with_answers(Dataset.from_dict({}), tmp_path / "none.npz")


def test_trained_weights_are_averaged_with_those_they_started_from() -> None:
    start, trained = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before, after = (
        {name: values.clone() for name, values in model.state_dict().items()}
        for model in (start, trained)
    )
    average_weights(trained, before, 0.25)
    for name, averaged in trained.state_dict().items():
        torch.testing.assert_close(averaged, 0.75 * before[name] + 0.25 * after[name])
    trained.load_state_dict(after)
    average_weights(trained, before, 1.0)
    assert all(torch.equal(values, after[name]) for name, values in trained.state_dict().items())
