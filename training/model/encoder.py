"""The encoder that training starts from, with role tokens and words of other languages added."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from string import printable
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
)

from affectlib.finetuning.head import name_outputs, with_outputs
from affectlib.model.artifacts import bundled_models
from affectlib.model.encoding import ROLE_TOKENS, TARGET_TOKEN
from affectlib.taxonomy import EMOTIONAL
from training.config import EncoderSettings

CONTROL_TOKENS = (*ROLE_TOKENS.values(), TARGET_TOKEN)
SPECIAL_TOKENS = (("<s>", "</s>", "<pad>", "<unk>"), ("[CLS]", "[SEP]", "[PAD]", "[UNK]"))
"""Before and after a text, padding, unknown: of Unigram encoders and of WordPiece ones."""
PACKAGE = "package:"
"""Begins the path of an encoder that an installed Python package carries."""
UNREACHABLE = -10_000.0
"""Score of special tokens. They are pieces like others to a Unigram model, which would read them
out of a text in which somebody typed them; at this score it takes ordinary pieces instead."""


def build_encoder(
    settings: EncoderSettings,
    english: Sequence[str],
    foreign: Sequence[str],
    data: Path | None,
    folder: Path,
) -> None:
    """Write the encoder and tokenizer that training starts from.

    Args:
        settings: Which encoder, and what is kept of it.
        english: English training texts; from both, the vocabulary is chosen.
        foreign: Training texts in other languages.
        data: The data folder, to which a relative path of the encoder refers.
        folder: Where ``config.json``, ``model.safetensors`` and ``tokenizer.json`` are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if settings.path == "tiny":
        _build_tiny([*english, *foreign], folder)
        return
    source = _locate(settings.path, data)
    tokenizer = json.loads((Path(source) / "tokenizer.json").read_text(encoding="utf-8"))
    model = _load(source, settings.dropout)
    ours = {*CONTROL_TOKENS} <= {token["content"] for token in tokenizer["added_tokens"]}
    old = model.get_input_embeddings().weight.data
    if settings.words_from is not None:
        from training.model.words import add_words

        multilingual = Path(_locate(settings.words_from, data))
        tokenizer, rows = add_words(tokenizer, old, english, foreign, multilingual)
        if not ours:
            tokenizer, rows = _append_control_tokens(tokenizer), _with_control_tokens(rows)
        _set_embeddings(model, rows, tokenizer["model"]["vocab"]["[PAD]"])
    elif not ours:
        tokenizer = _append_control_tokens(tokenizer)
        _set_embeddings(model, _with_control_tokens(old), model.config.pad_token_id)
    _write_tokenizer(tokenizer, folder)
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    model.save_pretrained(folder)


def build_foreign_encoder(path: str, data: Path | None, dropout: float, folder: Path) -> None:
    """Write an encoder that keeps its own tokenizer, of any kind, with the control tokens added.

    Args:
        path: The encoder, as `EncoderSettings.path`.
        data: The data folder.
        dropout: Dropout of hidden layers and of the head.
        folder: Where it is written.
    """
    source = _locate(path, data)
    tokenizer = Tokenizer.from_file(str(Path(source) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([*CONTROL_TOKENS])
    model = _load(source, dropout)
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def _load(source: str | Path, dropout: float) -> PreTrainedModel:
    """Load an encoder with a head of ours, in fp32."""
    config = AutoConfig.from_pretrained(source)
    config.attention_probs_dropout_prob = 0.0
    config.hidden_dropout_prob = dropout
    config.classifier_dropout = dropout
    known = EMOTIONAL in config.id2label.values()
    if not known:
        name_outputs(config)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        source, config=config, dtype=torch.float32, attn_implementation="eager"
    )
    if known:
        with_outputs(model)
    return model


def write_tokenizer_config(folder: Path, max_length: int) -> None:
    """Write the ``tokenizer_config.json`` with which `AutoTokenizer` loads the folder."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    start, end, pad, unknown = special_tokens(tokenizer)
    values = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "bos_token": start,
        "cls_token": start,
        "eos_token": end,
        "sep_token": end,
        "pad_token": pad,
        "unk_token": unknown,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


def special_tokens(tokenizer: Tokenizer) -> tuple[str, str, str, str]:
    """Return a tokenizer's tokens before and after a text, for padding, and for the unknown."""
    return next(names for names in SPECIAL_TOKENS if tokenizer.token_to_id(names[0]) is not None)


def _locate(path: str, data: Path | None) -> Path | str:
    if path in bundled_models():
        return bundled_models()[path]
    if path.startswith(PACKAGE):
        return _locate_in_package(path.removeprefix(PACKAGE))
    if data is not None and (data / path).is_dir():
        return data / path
    if Path(path).is_dir():
        return Path(path)
    if path.startswith("."):
        raise FileNotFoundError(
            f"base encoder {path!r} is neither a folder under the data folder ({data}) nor here; "
            "give --data, or set encoder.path to a folder or a hub id"
        )
    from huggingface_hub import snapshot_download

    return str(snapshot_download(path, allow_patterns=["*.json", "*.safetensors"]))


def _locate_in_package(path: str) -> Path:
    package, _, inside = path.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"base encoder {PACKAGE}{path}: the package {package} is not installed; "
            "install affectlib[train]"
        )
    return Path(spec.origin).parent / inside


def _write_tokenizer(tokenizer: dict[str, Any], folder: Path) -> None:
    text = json.dumps(tokenizer, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")


def _hide_special_tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return the tokenizer with special tokens that no text is read as."""
    special = {token["id"] for token in tokenizer["added_tokens"]}
    vocabulary = [
        [piece, UNREACHABLE if i in special else score]
        for i, (piece, score) in enumerate(tokenizer["model"]["vocab"])
    ]
    return {**tokenizer, "model": {**tokenizer["model"], "vocab": vocabulary}}


def _append_control_tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return a WordPiece or Unigram tokenizer with the control tokens at its end."""
    model = tokenizer["model"]
    added = _control_tokens(len(model["vocab"]))
    with_tokens = {**tokenizer, "added_tokens": tokenizer["added_tokens"] + added}
    if model["type"] == "Unigram":
        pieces = [*model["vocab"], *([token, 0.0] for token in CONTROL_TOKENS)]
        return _hide_special_tokens({**with_tokens, "model": {**model, "vocab": pieces}})
    if model["type"] != "WordPiece":
        raise ValueError(f"cannot add control tokens to a {model['type']} tokenizer")
    vocabulary = model["vocab"] | {token["content"]: token["id"] for token in added}
    return {**with_tokens, "model": {**model, "vocab": vocabulary}}


def _control_tokens(first: int) -> list[dict[str, Any]]:
    return [
        {
            "id": first + i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, token in enumerate(CONTROL_TOKENS)
    ]


def _with_control_tokens(rows: torch.Tensor) -> torch.Tensor:
    """Return embeddings with those of the control tokens at their end."""
    noise = 0.02 * torch.randn(len(CONTROL_TOKENS), rows.shape[1])
    return torch.cat([rows, rows.mean(0) + noise])


def _set_embeddings(model: PreTrainedModel, rows: torch.Tensor, pad_id: int) -> None:
    model.config.pad_token_id = pad_id
    new = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=pad_id)
    new.weight.data[:] = rows
    model.set_input_embeddings(new)
    model.config.vocab_size = len(new.weight)


def _build_tiny(texts: Iterable[str], folder: Path) -> None:
    """Write a random encoder of two layers, with a vocabulary made from the texts."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", *CONTROL_TOKENS]
    trainer = trainers.UnigramTrainer(
        vocab_size=4000,
        special_tokens=special,
        unk_token="<unk>",
        initial_alphabet=[*printable],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    _write_tokenizer(_hide_special_tokens(json.loads(tokenizer.to_str())), folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=0.1,  # wide enough for so small a model to learn in a few steps
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.token_to_id("<pad>"),
    )
    name_outputs(config)
    write_tokenizer_config(folder, config.max_position_embeddings)
    BertForSequenceClassification(config).save_pretrained(folder)
