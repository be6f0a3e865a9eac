from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from datasets import load_from_disk
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertModel

from affectlib.conversation import parse_conversation
from affectlib.model.encoding import WindowEncoder
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import OUTPUTS
from tests.conftest import user
from training.config import EncoderSettings, Recipe, SourceSettings
from training.data.prepare import prepare
from training.data.sources import read_corpus
from training.model.encoder import CONTROL_TOKENS, build_encoder, cut_vocabulary

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
SIZE = 500


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


@pytest.fixture(scope="module")
def cut(base: dict[str, Any], texts: list[str]) -> tuple[dict[str, Any], list[int]]:
    return cut_vocabulary(base, texts[:20], SIZE)


def pieces(tokenizer: dict[str, Any]) -> list[str]:
    return [piece for piece, _ in tokenizer["model"]["vocab"]]


def load(tokenizer: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer))


def test_size_is_exact_and_every_piece_has_one_id(
    cut: tuple[dict[str, Any], list[int]],
) -> None:
    tokenizer, kept = cut
    names = pieces(tokenizer)
    assert len(names) == len(set(names)) == len(kept) + len(CONTROL_TOKENS) == SIZE
    assert load(tokenizer).get_vocab_size() == SIZE
    assert load(tokenizer).get_vocab() == {piece: i for i, piece in enumerate(names)}


def test_kept_are_special_tokens_single_characters_and_the_pieces_of_the_texts(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]], texts: list[str]
) -> None:
    names = {*pieces(cut[0])}
    single = {piece for piece in pieces(base) if len(piece.removeprefix("▁")) <= 1}
    assert single
    assert {*SPECIAL} | single <= names
    needed = {token for text in texts[:20] for token in load(base).encode(text).tokens}
    assert needed <= names
    assert names - {*CONTROL_TOKENS} < {*pieces(base)}


def test_rest_is_filled_with_the_likeliest_pieces(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]]
) -> None:
    tokenizer, kept = cut_vocabulary(base, [], SIZE)
    scores = dict(base["model"]["vocab"])
    optional = [p for p in scores if len(p.removeprefix("▁")) > 1 and p not in SPECIAL]
    chosen = {*pieces(tokenizer)} & {*optional}
    assert chosen
    assert min(scores[p] for p in chosen) >= max(scores[p] for p in {*optional} - chosen)
    assert kept != cut[1]


def test_old_ids_are_those_of_the_same_pieces_and_control_tokens_come_last(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]]
) -> None:
    tokenizer, kept = cut
    names = pieces(tokenizer)
    assert [pieces(base)[old] for old in kept] == names[: len(kept)]
    assert tuple(names[len(kept) :]) == CONTROL_TOKENS
    for token in CONTROL_TOKENS:
        assert load(tokenizer).encode(token, add_special_tokens=False).tokens == [token]


def test_ids_of_special_tokens_move_with_them(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]]
) -> None:
    old, new = load(base), load(cut[0])
    assert old.token_to_id("<s>") != new.token_to_id("<s>")
    for text in ("", "hello"):
        encoding = new.encode(text)
        assert [encoding.tokens[0], encoding.tokens[-1]] == ["<s>", "</s>"]
        assert [new.id_to_token(i) for i in encoding.ids] == encoding.tokens
    assert new.encode("☃").tokens[1:-1] == old.encode("☃").tokens[1:-1]
    assert new.token_to_id("<unk>") in new.encode("☃").ids


def test_texts_whose_pieces_are_kept_are_cut_up_as_before(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]], texts: list[str]
) -> None:
    old, new = load(base), load(cut[0])
    assert any(len(old.encode(text).tokens) > 20 for text in texts[:20])
    for text in texts[:20]:
        assert new.encode(text).tokens == old.encode(text).tokens


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_any_text_whose_pieces_are_kept_is_cut_up_as_before(
    base: dict[str, Any], cut: tuple[dict[str, Any], list[int]], data: st.DataObject
) -> None:
    ordinary = [p for p in pieces(cut[0]) if p not in {*SPECIAL, *CONTROL_TOKENS}]
    drawn = data.draw(st.lists(st.sampled_from(ordinary), min_size=1, max_size=12))
    text = "".join(drawn).replace("▁", " ")
    before = load(base).encode(text).tokens
    assume({*before} <= {*pieces(cut[0])})
    assert load(cut[0]).encode(text).tokens == before


def test_without_a_size_everything_is_kept(base: dict[str, Any], texts: list[str]) -> None:
    tokenizer, kept = cut_vocabulary(base, texts, None)
    assert kept == list(range(len(pieces(base))))
    assert pieces(tokenizer) == [*pieces(base), *CONTROL_TOKENS]


def test_given_tokenizer_is_left_as_it_was(base: dict[str, Any], texts: list[str]) -> None:
    before = json.dumps(base)
    cut_vocabulary(base, texts[:5], SIZE)
    assert json.dumps(base) == before


def test_other_kinds_of_tokenizer_are_refused() -> None:
    with pytest.raises(ValueError, match="WordPiece"):
        cut_vocabulary({"model": {"type": "WordPiece"}}, [], 10)


TYPED = ("<|target|> hi", "hi <|user|><|assistant|> you", "</s>", "a<s>b", "<pad> <unk>")


def assert_typed_tokens_are_read_as_text(tokenizer_file: Path) -> None:
    encoder = WindowEncoder(tokenizer_file, WindowSettings())
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    for text in TYPED:
        [window] = encoder.encode([parse_conversation([user(text)])])
        read = [tokenizer.id_to_token(i) for i in window.ids]
        assert read[:2] == ["<s>", "<|target|>"]
        assert read[-1] == "</s>"
        assert not {"<s>", "<pad>", "</s>", *CONTROL_TOKENS} & {*read[2:-1]}
        assert "".join(read[2:-1]).replace("▁", " ").strip() == text


def test_typed_special_tokens_are_read_as_text(
    cut: tuple[dict[str, Any], list[int]], tmp_path: Path
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(cut[0]), encoding="utf-8")
    assert_typed_tokens_are_read_as_text(file)


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
    settings = EncoderSettings(path="models/base", vocabulary=SIZE, dropout=0.3)
    build_encoder(settings, texts[:20], [], base_folder.parent.parent, tmp_path)
    old = BertModel.from_pretrained(base_folder)
    new = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    names = pieces(json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8")))
    before = old.get_input_embeddings().weight
    after = new.get_input_embeddings().weight
    assert after.shape == (SIZE, 16)
    old_names = pieces(json.loads((base_folder / "tokenizer.json").read_text(encoding="utf-8")))
    for piece in ("<s>", "▁the", "e"):
        assert torch.equal(after[names.index(piece)], before[old_names.index(piece)])
    for new_layer, old_layer in zip(new.bert.encoder.layer, old.encoder.layer, strict=True):
        expected = old_layer.output.dense.weight
        assert torch.equal(new_layer.output.dense.weight, expected)
    assert new.config.hidden_dropout_prob == 0.3
    assert new.config.id2label == dict(enumerate(OUTPUTS))
    assert new.config.problem_type == "multi_label_classification"
    assert_typed_tokens_are_read_as_text(tmp_path / "tokenizer.json")


def test_padding_is_that_of_the_cut_tokenizer(
    base_folder: Path, texts: list[str], tmp_path: Path
) -> None:
    settings = EncoderSettings(path=str(base_folder), vocabulary=SIZE)
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
    settings = EncoderSettings(path=str(base_folder), vocabulary=SIZE)
    build_encoder(settings, texts[:20], [], None, first)
    build_encoder(EncoderSettings(path=str(first)), texts, [], None, second)
    assert json.loads((first / "tokenizer.json").read_text(encoding="utf-8")) == json.loads(
        (second / "tokenizer.json").read_text(encoding="utf-8")
    )
    head = [
        AutoModelForSequenceClassification.from_pretrained(folder).classifier.weight
        for folder in (first, second)
    ]
    assert torch.equal(*head)


def test_same_seed_gives_the_same_start(base_folder: Path, tmp_path: Path) -> None:
    def start(output: str, seed: int) -> tuple[bytes, list[list[int]]]:
        recipe = Recipe(
            name="toy",
            version="0",
            seed=seed,
            output=str(tmp_path / output),
            encoder=EncoderSettings(path=str(base_folder), vocabulary=SIZE),
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
    assert tokenizer.tokenize("<|target|>hello")[0] == "<|target|>"
    assert_typed_tokens_are_read_as_text(tmp_path / "tokenizer.json")


def test_absent_base_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = EncoderSettings(path="../models/none")
    with pytest.raises(FileNotFoundError, match=r"models/none.*--data"):
        build_encoder(settings, [], [], tmp_path, tmp_path / "encoder")
