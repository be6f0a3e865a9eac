from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from datasets import load_from_disk
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from affectlib.conversation import parse_conversation
from affectlib.finetuning.head import with_outputs
from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models
from affectlib.model.encoding import WindowEncoder
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import OUTPUTS
from tests.conftest import user
from training.config import EncoderSettings, Recipe, SourceSettings
from training.data.prepare import prepare
from training.data.sources import read_corpus
from training.model.encoder import CONTROL_TOKENS, add_pooling_layer, build_encoder

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [m["content"] for row in read_corpus("train")[:120] for m in row["messages"]]


@pytest.fixture(scope="module")
def base(texts: list[str]) -> dict[str, Any]:
    """The ``tokenizer.json`` of a Unigram model whose special tokens are in the midst of others."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1500,
        special_tokens=[*SPECIAL],
        unk_token="<unk>",
        initial_alphabet=[*"<|>/"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    values = json.loads(tokenizer.to_str())
    pieces = values["model"]["vocab"]
    values["model"]["vocab"] = [*pieces[4:900], *pieces[:4], *pieces[900:]]
    for token in values["added_tokens"]:
        token["id"] += 896
    values["model"]["unk_id"] += 896
    tokenizer = Tokenizer.from_str(json.dumps(values))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return json.loads(tokenizer.to_str())


def pieces(tokenizer: dict[str, Any]) -> list[str]:
    return [piece for piece, _ in tokenizer["model"]["vocab"]]


def load(tokenizer: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer))


TYPED = ("<|assistant|> hi", "hi <|user|><|assistant|> you", "</s>", "a<s>b", "<pad> <unk>")


def assert_typed_tokens_are_read_as_text(tokenizer_file: Path) -> None:
    encoder = WindowEncoder(tokenizer_file, WindowSettings())
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    for text in TYPED:
        [[window]] = encoder.encode([parse_conversation([user(text)])])
        read = [tokenizer.id_to_token(i) for i in window.ids]
        assert read[:2] == ["<s>", "<|user|>"]
        assert read[-1] == "</s>"
        assert not {"<s>", "<pad>", "</s>", *CONTROL_TOKENS} & {*read[2:-1]}
        assert "".join(read[2:-1]).replace("▁", " ").strip() == text


@pytest.fixture(scope="module")
def base_folder(base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of three layers with the tokenizer `base`."""
    folder = tmp_path_factory.mktemp("data") / "models" / "base"
    config = BertConfig(
        vocab_size=len(pieces(base)),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=pieces(base).index("<pad>"),
    )
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(base), encoding="utf-8")
    return folder


def test_encoder_keeps_the_layers_and_embeddings_of_its_base(
    base_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    settings = EncoderSettings(path="models/base")
    build_encoder(settings, texts[:20], [], base_folder.parent.parent, tmp_path)
    old = BertModel.from_pretrained(base_folder)
    new = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    names = pieces(json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8")))
    before = old.get_input_embeddings().weight
    after = new.get_input_embeddings().weight
    assert after.shape == (len(names), 16)
    assert names[-len(CONTROL_TOKENS) :] == [*CONTROL_TOKENS]
    old_names = pieces(json.loads((base_folder / "tokenizer.json").read_text(encoding="utf-8")))
    for piece in ("<s>", "▁the", "e"):
        assert torch.equal(after[names.index(piece)], before[old_names.index(piece)])
    *kept, _ = new.bert.encoder.layer
    for new_layer, old_layer in zip(kept, old.encoder.layer, strict=True):
        expected = old_layer.output.dense.weight
        assert torch.equal(new_layer.output.dense.weight, expected)
    assert new.config.hidden_dropout_prob == new.config.attention_probs_dropout_prob == 0.0
    assert new.config.id2label == dict(enumerate(OUTPUTS))
    assert new.config.problem_type == "multi_label_classification"
    assert_typed_tokens_are_read_as_text(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_the_last_layer_begins_as_the_mean_over_all_tokens(kind: str) -> None:
    size = 32
    sizes = {
        "vocab_size": 50,
        "hidden_size": size,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    model = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**sizes)),
        "mpnet": lambda: MPNetForSequenceClassification(MPNetConfig(**sizes)),
    }[kind]().eval()
    ids, mask = torch.randint(1, 50, (4, 12)), torch.ones(4, 12, dtype=torch.long)
    mask[1, 7:] = 0
    with torch.inference_mode():
        before = model.base_model(ids, attention_mask=mask).last_hidden_state
        add_pooling_layer(model)
        after = model.base_model(ids, attention_mask=mask).last_hidden_state
    mean = (before * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    expected = torch.nn.functional.layer_norm(before[:, 0] + mean, (size,))
    assert model.config.num_hidden_layers == len(model.base_model.encoder.layer) == 3
    assert after[:, 0].numpy() == pytest.approx(expected.numpy(), abs=0.05)
    head = model.classifier.dense if kind == "mpnet" else model.base_model.pooler.dense
    assert torch.equal(head.weight, torch.eye(size))
    assert not head.bias.any()


def test_padding_is_that_of_the_tokenizer(
    base_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    settings = EncoderSettings(path=str(base_folder))
    build_encoder(settings, texts[:20], [], None, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert model.config.pad_token_id == tokenizer.pad_token_id
    short, long = "hello there", "hello there, how do you do this evening?"
    with torch.inference_mode():
        alone = model(**tokenizer(short, return_tensors="pt")).logits
        padded = model(**tokenizer([short, long], padding=True, return_tensors="pt")).logits
    assert padded[0] == pytest.approx(alone[0], abs=1e-5)


def test_encoder_that_has_the_control_tokens_keeps_its_tokenizer(
    base_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    settings = EncoderSettings(path=str(base_folder))
    build_encoder(settings, texts[:20], [], None, first)
    build_encoder(EncoderSettings(path=str(first)), texts, [], None, second)
    assert json.loads((first / "tokenizer.json").read_text(encoding="utf-8")) == json.loads(
        (second / "tokenizer.json").read_text(encoding="utf-8")
    )
    models = [
        AutoModelForSequenceClassification.from_pretrained(folder) for folder in (first, second)
    ]
    assert torch.equal(*(model.classifier.weight for model in models))
    assert [model.config.num_hidden_layers for model in models] == [4, 4]


def test_same_seed_gives_the_same_start(base_folder: Path, tmp_path: Path) -> None:
    def start(output: str, seed: int) -> tuple[bytes, list[list[int]]]:
        recipe = Recipe(
            name="toy",
            version="0",
            seed=seed,
            output=str(tmp_path / output),
            encoder=EncoderSettings(path=str(base_folder)),
            sources=(SourceSettings(name="corpus", conversations=20, copies=2),),
            real_dev=False,
        )
        prepare(recipe, None)
        folder = recipe.folder / "prepare"
        rows = load_from_disk(str(folder / "train"))
        weights = folder / "encoder" / "model.safetensors"
        return weights.read_bytes(), [list(ids) for ids in rows["input_ids"]]

    first, second, other = start("a", 1), start("b", 1), start("c", 2)
    assert first == second
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_tiny_encoder_is_small_and_loads(texts: list[str], tmp_path: Path) -> None:
    build_encoder(EncoderSettings(path="tiny"), texts, [], None, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.num_parameters() < 1_000_000
    assert model.config.id2label == dict(enumerate(OUTPUTS))
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.tokenize("<|user|>hello")[0] == "<|user|>"
    assert_typed_tokens_are_read_as_text(tmp_path / "tokenizer.json")


def test_absent_base_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = EncoderSettings(path="../models/none")
    with pytest.raises(FileNotFoundError, match=r"models/none.*--data"):
        build_encoder(settings, [], [], tmp_path, tmp_path / "encoder")


def test_an_artifact_with_fewer_outputs_keeps_those_it_has(tmp_path: Path) -> None:
    bundled = bundled_models()[DEFAULT_MODEL]
    old = AutoModelForSequenceClassification.from_pretrained(bundled, dtype=torch.float32)
    with_outputs(old, OUTPUTS[:12])
    old.save_pretrained(tmp_path / "old")
    shutil.copy(bundled / "tokenizer.json", tmp_path / "old")
    build_encoder(EncoderSettings(path=str(tmp_path / "old")), ["word"], [], None, tmp_path / "new")
    new = AutoModelForSequenceClassification.from_pretrained(tmp_path / "new")
    assert [new.config.id2label[i] for i in range(len(OUTPUTS))] == [*OUTPUTS]
    for place, name in old.config.id2label.items():
        weight = new.classifier.weight[OUTPUTS.index(name)]
        assert torch.equal(weight, old.classifier.weight[place])
