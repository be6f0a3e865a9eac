from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel

from affectlib.finetuning.trainer import average_weights, window_logits
from affectlib.model.calibration import sigmoid
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import ASSISTANT_CUES, EMOTIONAL, OUTPUTS
from tests.conftest import assistant, user
from training.config import (
    AugmentSettings,
    EncoderSettings,
    Recipe,
    SourceSettings,
    TeacherSettings,
    TrainSettings,
)
from training.data import augment
from training.data.prepare import prepare
from training.model import train as module
from training.model.encoder import CONTROL_TOKENS, PACKAGE, build_foreign_encoder
from training.model.train import TAUGHT, teach, train, with_soft_targets

WORDS = ["i", "feel", "alone", "fix", "my", "code", "please", "today"]
CHATS = [
    ([user("fix my code please"), assistant("today"), user("i feel alone")], "emotional"),
    ([user("please fix my code today")], "task"),
] * 6


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
    for name in ("ALONE", "GREETING", "OTHER_CONTEXT", "TERSE"):
        monkeypatch.setattr(augment, name, 0.0)


def recipe(
    tmp_path: Path,
    teacher: TeacherSettings | None = None,
) -> Recipe:
    import json

    lines = (json.dumps({"messages": m, "label": label}) for m, label in CHATS)
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Recipe(
        name="toy",
        version="0",
        output=str(tmp_path / "runs"),
        encoder=EncoderSettings(path="tiny"),
        windows=WindowSettings(
            max_tokens=96, target_tokens=64, lead_tokens=8, assistant_target_tokens=48
        ),
        sources=(SourceSettings(name="file", path=str(tmp_path / "mine.jsonl")),),
        train=TrainSettings(max_steps=2, batch_size=4),
        teacher=teacher,
        real_dev=False,
    )


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


def test_windows_are_translated_piece_by_piece(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    prepare(made, None)
    build_foreign_encoder(write_foreign(tmp_path / "base"), None, tmp_path / "start")
    windows = module.load_from_disk(str(made.folder / "prepare" / "train"))
    rows = module._translated(windows["input_ids"], made, tmp_path / "start")
    translated = module._with_ids(windows, rows)
    tokenizer = Tokenizer.from_file(str(tmp_path / "start" / "tokenizer.json"))
    said = {
        " ".join(map(tokenizer.id_to_token, row["input_ids"])) for row in translated if row["user"]
    }
    assert said == {
        "[CLS] <|target|> fix my code please [SEP]",
        "[CLS] <|target|> please fix my code today [SEP]",
        "[CLS] <|user|> fix my code please <|assistant|> today <|target|> i feel alone [SEP]",
    }
    assert translated["length"][:] == [len(ids) for ids in translated["input_ids"]]
    assert translated["source"][:] == windows["source"][:]


def with_some_french(monkeypatch: pytest.MonkeyPatch, made: Recipe) -> list[bool]:
    """Make every third of the prepared windows French, and return which."""
    windows = module.load_from_disk(str(made.folder / "prepare" / "train"))
    french = [number % 3 == 0 for number in range(len(windows))]
    windows = windows.remove_columns("language").add_column(
        "language", ["fr" if is_french else "en" for is_french in french]
    )
    monkeypatch.setattr(module, "load_from_disk", lambda _: windows)
    return french


def test_a_teacher_judges_what_it_can_read_and_learns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_foreign(tmp_path / "base")
    made = recipe(tmp_path, TeacherSettings(path=base))
    prepare(made, None)
    french = with_some_french(monkeypatch, made)
    readable = len(french) - sum(french)
    assert teach(made, None) == {"learnt": readable, "judged": readable}
    soft = np.load(made.folder / "teach" / "soft.npy")
    assert np.isnan(soft).all(1).tolist() == french
    assert not np.isnan(soft[np.array(french) == 0]).any()

    def never(*_: Any) -> None:
        raise AssertionError("what was done is not done again")

    monkeypatch.setattr(module, "_learn_teacher", never)
    monkeypatch.setattr(module, "_judge", never)
    teach(made, None)
    assert np.load(made.folder / "teach" / "soft.npy") == pytest.approx(soft, nan_ok=True)


def test_answers_of_an_earlier_teacher_stand_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, TeacherSettings(path=write_foreign(tmp_path / "base")))
    prepare(made, None)
    french = np.array(with_some_french(monkeypatch, made))
    teach(made, None)
    answers = (made.folder / "teach" / "answers.npz").rename(tmp_path / "answers.npz")
    soft = np.load(made.folder / "teach" / "soft.npy")
    shutil.rmtree(made.folder / "teach")
    settings = made.teacher.model_copy(update={"path": "nowhere", "answers": str(answers)})
    later = made.model_copy(update={"teacher": settings})
    assert teach(later, None) == {"learnt": 0, "judged": (~french).sum()}
    found = np.load(made.folder / "teach" / "soft.npy")
    taught = [OUTPUTS.index(name) for name in TAUGHT]
    assert found[:, taught] == pytest.approx(soft[:, taught], abs=1e-3, nan_ok=True)
    assert np.isnan(np.delete(found, taught, axis=1)).all()


def test_windows_without_an_answer_have_none(tmp_path: Path) -> None:
    soft = np.full((2, len(OUTPUTS)), 0.25, np.float32)
    module.write_answers(tmp_path / "answers.npz", ["<|target|> a", "<|target|> b"], soft)
    found = module.read_answers(tmp_path / "answers.npz", ["<|target|> c", "<|target|> b"])
    assert np.isnan(found[0]).all()
    assert found[1, OUTPUTS.index(EMOTIONAL)] == 0.25
    with pytest.raises(FileNotFoundError, match="leave the setting out"):
        module.read_answers(tmp_path / "none.npz", [])


def test_a_teacher_can_learn_from_fewer_windows_than_it_judges(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base")
    made = recipe(tmp_path, TeacherSettings(path=base, windows=2))
    prepare(made, None)
    found = teach(made, None)
    assert found["learnt"] == 2 < found["judged"]


def test_frozen_layers_of_a_teacher_stay_as_they_were(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base")
    made = recipe(tmp_path, TeacherSettings(path=base, frozen=2))
    prepare(made, None)
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


def test_a_teacher_judges_the_text_before_it_was_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = AugmentSettings(impersonal=1)
    made = recipe(tmp_path, TeacherSettings(path=write_foreign(tmp_path / "base")))
    source = made.sources[0].model_copy(update={"copies": 2})
    made = made.model_copy(update={"augment": changes, "sources": (source,)})
    prepare(made, None)
    learnt: list[Any] = []
    judged: list[Any] = []
    monkeypatch.setattr(module, "_translated", lambda rows, *_: [*rows])
    monkeypatch.setattr(
        module, "_learn_teacher", lambda *given: learnt.extend(given[2]["input_ids"])
    )
    monkeypatch.setattr(
        module,
        "_judge",
        lambda _: lambda rows: judged.extend(rows) or np.zeros((len(rows), len(OUTPUTS))),
    )
    teach(made, None)
    windows = module.load_from_disk(str(made.folder / "prepare" / "train"))
    assert windows["input_ids"][:] != windows["plain_ids"][:]
    assert learnt == windows["input_ids"][:]
    assert judged == windows["plain_ids"][:]


def test_a_teacher_judges_in_int8_as_it_would_in_fp32(tmp_path: Path) -> None:
    made = recipe(tmp_path, TeacherSettings(path=write_foreign(tmp_path / "base")))
    prepare(made, None)
    teach(made, None)
    folder = made.folder / "teach" / "model"
    rows = [[1, 4, 5, 6, 2], [1, 7, 2], [1, 8, 9, 10, 11, 2]]
    expected = window_logits(module.load_model(folder), rows)
    found = module._judge(folder)(rows)
    assert found == pytest.approx(expected, abs=0.05 * float(expected.std()))


def test_windows_that_are_alike_have_the_same_probabilities(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    prepare(made, None)
    rows = module.load_from_disk(str(made.folder / "prepare" / "train"))["input_ids"][:]
    model = module.load_model(made.folder / "prepare" / "encoder")
    once, twice = (sigmoid(window_logits(model, x)) for x in (rows, [*rows, *rows[::-1]]))
    assert twice == pytest.approx(np.concatenate([once, once[::-1]]), abs=1e-6)
    assert len(np.unique(once, axis=0)) > 1


def test_student_learns_what_the_teacher_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOLD_SHARE", 1.0)
    made = recipe(tmp_path, TeacherSettings(path="unused"))
    prepare(made, None)
    windows = module.load_from_disk(str(made.folder / "prepare" / "train"))
    (made.folder / "teach").mkdir()
    bias = []
    for says in (0.0, 1.0):
        np.save(made.folder / "teach/soft.npy", np.full((len(windows), len(OUTPUTS)), says))
        train(made)
        folder = made.folder / "train"
        student = BertForSequenceClassification.from_pretrained(folder / "model")
        bias.append(student.classifier.bias[OUTPUTS.index(EMOTIONAL)].item())
        shutil.rmtree(folder)
    assert bias[0] < bias[1]


def test_recipe_without_a_teacher_has_nothing_to_teach(tmp_path: Path) -> None:
    assert teach(recipe(tmp_path), None) == {}
    assert not (tmp_path / "runs").exists()


def test_targets_are_mixed_with_what_the_teacher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GOLD_SHARE", 0.25)
    unknown = [np.nan] * len(OUTPUTS)
    windows = Dataset.from_dict(
        {
            "targets": [*[[1.0] * len(OUTPUTS)] * 2, unknown, unknown, [1.0] * len(OUTPUTS)],
            "silver": [False, True, True, True, False],
            "user": [True, True, True, False, True],
        }
    )
    soft = np.full((5, len(OUTPUTS)), 0.2, np.float32)
    soft[4] = np.nan
    mixed = np.array(with_soft_targets(windows, soft)["targets"][:])
    taught = np.array([name in TAUGHT for name in OUTPUTS])
    labels_only = np.array([name not in {*TAUGHT, *ASSISTANT_CUES} for name in OUTPUTS])
    assert mixed[0, taught] == pytest.approx(0.8)
    assert mixed[1, taught] == pytest.approx(0.28)
    assert mixed[2, taught] == pytest.approx(0.2)
    assert mixed[:2, labels_only] == pytest.approx(1.0)
    assert np.isnan(mixed[2, labels_only]).all()
    # A message of the assistant is not charged, and the cues it may show are not taught.
    assert np.isnan(mixed[3]).all()
    # The teacher does not read the last: its labels are all that there is.
    assert mixed[4, taught] == pytest.approx(1.0)


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
