"""An English encoder that gets the words of French texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import numpy as np
import torch
from tokenizers import (
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertModel

from affectlib.conversation import parse_conversation
from affectlib.model.encoding import WindowEncoder
from affectlib.model.windows import WindowSettings
from tests.conftest import user
from training.config import EncoderSettings
from training.model import encoder
from training.model.encoder import _centred, _gloss, add_words, build_encoder

ENGLISH = [
    text + end
    for end in ("", "!", "?", ",")  # a text that is there twice is read once
    for text in (
        "I feel so sad and alone tonight",
        "sort the list of names",
        "so sad 😭",
        "alone again",
    )
]
FRENCH = ["je me sens tellement seule ce soir 🥀", "trie la liste", "seule, encore"]
WIDTH = 8


@pytest.fixture(scope="module")
def wordpiece() -> dict[str, Any]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=[*"abcdefghijklmnopqrstuvwxyz,"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([*ENGLISH * 4, "zebra zebra zebra"] * 5, trainer)
    # As of the real one: emoji are unknown.
    values = json.loads(tokenizer.to_str())
    names = [t for t in values["model"]["vocab"] if "😭" not in t]
    values["model"]["vocab"] = {t: i for i, t in enumerate(names)}
    tokenizer = Tokenizer.from_str(json.dumps(values))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    result: dict[str, Any] = json.loads(tokenizer.to_str())
    return result


@pytest.fixture(scope="module")
def multilingual(wordpiece: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of twelve layers that reads letter by letter."""
    folder = tmp_path_factory.mktemp("multilingual")
    letters = sorted({*"".join(ENGLISH + FRENCH).lower()} - {" "})
    vocabulary = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters])}
    vocabulary |= {f"##{c}": len(vocabulary) + i for i, c in enumerate(letters)}
    values = json.loads(json.dumps(wordpiece))
    values["model"]["vocab"] = vocabulary
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=12,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return folder


def embeddings_of(tokenizer: dict[str, Any]) -> torch.Tensor:
    return torch.randn(
        len(tokenizer["model"]["vocab"]), WIDTH, generator=torch.Generator().manual_seed(1)
    )


def test_foreign_words_and_emoji_are_tokens_and_english_is_split_as_before(
    wordpiece: dict[str, Any], multilingual: Path
) -> None:
    old = embeddings_of(wordpiece)
    added, rows = add_words(wordpiece, old, ENGLISH * 4, FRENCH, multilingual)
    before, after = (Tokenizer.from_str(json.dumps(t)) for t in (wordpiece, added))
    assert "[UNK]" in before.encode("so sad😭").tokens
    assert after.encode("so sad😭").tokens == ["[CLS]", "so", "sad", "😭", "[SEP]"]
    assert after.encode("Seule ce soir").tokens == ["[CLS]", "seule", "ce", "soir", "[SEP]"]
    assert after.encode(ENGLISH[0]).tokens == before.encode(ENGLISH[0]).tokens
    assert "zebra" not in after.get_vocab()
    assert sorted(after.get_vocab().values()) == [*range(len(rows))]
    names = wordpiece["model"]["vocab"]
    for token in ("sad", "[CLS]", "##a"):
        assert torch.equal(rows[after.token_to_id(token)], old[names[token]])


def test_words_that_texts_need_least_are_read_in_pieces(
    wordpiece: dict[str, Any], multilingual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = add_words(wordpiece, embeddings_of(wordpiece), ENGLISH, FRENCH, multilingual)
    most = len(whole["model"]["vocab"]) - 12
    monkeypatch.setattr(encoder, "MOST", most)
    fewer, rows = add_words(wordpiece, embeddings_of(wordpiece), ENGLISH, FRENCH, multilingual)
    symbols = {"😭", "🥀"}
    assert most <= len(rows) <= most + len(symbols)
    assert symbols <= {*fewer["model"]["vocab"]}
    found = Tokenizer.from_str(json.dumps(fewer)).encode("trie la liste, seule").tokens
    assert "seule" in found  # twice in the texts
    assert "trie" not in found
    assert "[UNK]" not in found


def test_a_word_begins_as_its_nearest_english_words() -> None:
    far, near = np.float32([5, 0, 0, 1]), np.float32([0, 5, 0, 1])
    known = np.float32([[3, 0], [0, 3], [-3, 0], [0, -3]])
    anchors = {"sad": near, "list": far, "cat": -far, "dog": -near}
    words = {"triste": near, "liste": far, "chat": -far, "chien": -near}
    result = _gloss(_centred(words), np.stack([*_centred(anchors).values()]), known)
    assert result["triste"] == pytest.approx([3, 0], abs=0.01)
    assert result["liste"] == pytest.approx([0, 3], abs=0.01)


def test_other_tokenizers_are_refused(multilingual: Path) -> None:
    with pytest.raises(ValueError, match="Unigram"):
        add_words({"model": {"type": "Unigram"}}, torch.zeros(1, 1), [], [], multilingual)


def test_the_encoder_with_its_new_words_is_built_and_loads(
    wordpiece: dict[str, Any], multilingual: Path, tmp_path: Path
) -> None:
    base, built = tmp_path / "base", tmp_path / "built"
    config = BertConfig(
        vocab_size=len(wordpiece["model"]["vocab"]),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(base)
    (base / "tokenizer.json").write_text(json.dumps(wordpiece), encoding="utf-8")
    settings = EncoderSettings(path="base", words_from=str(multilingual))
    build_encoder(settings, ENGLISH * 4, FRENCH, tmp_path, built)
    tokenizer = AutoTokenizer.from_pretrained(built)
    model = AutoModelForSequenceClassification.from_pretrained(built)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    windows = WindowEncoder(built / "tokenizer.json", WindowSettings())
    [[window]] = windows.encode([parse_conversation([user("<|user|> [SEP] seule")])])
    typed = window.ids.tolist()
    control = {tokenizer.sep_token_id, tokenizer.convert_tokens_to_ids("<|user|>")}
    assert not control & {*typed[2:-1]}
    assert tokenizer.convert_tokens_to_ids("seule") in typed
