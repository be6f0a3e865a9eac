"""The encoder that training starts from, with role tokens and words of other languages added.

Each new word, and each emoji, begins as what it means in English: its embedding is an average of
those of the nearest English words. Which are nearest, a multilingual encoder says, which reads the
training texts and gives every word the mean of its states over the places where it stands. A
sentence then reads like an English gloss, word by word, and training does the rest; English text is
split as it was before. The idea of such a start is that of WECHSEL (Minixhofer, Paischer and
Rekabsaz 2022, https://arxiv.org/abs/2112.06598), which compares static word vectors instead.
"""

from __future__ import annotations

import copy
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from string import printable
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from affectlib.finetuning.head import with_outputs
from affectlib.model.artifacts import bundled_models
from affectlib.model.encoding import ROLE_TOKENS
from affectlib.model.engines.torch import name_outputs
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.config import EncoderSettings

Floats = NDArray[Any]

CONTROL_TOKENS = (*ROLE_TOKENS.values(),)
SPECIAL_TOKENS = (("<s>", "</s>", "<pad>", "<unk>"), ("[CLS]", "[SEP]", "[PAD]", "[UNK]"))
"""Before and after a text, padding, unknown: of Unigram encoders and of WordPiece ones."""
PACKAGE = "package:"
"""Begins the path of an encoder that an installed Python package carries."""
UNREACHABLE = -10_000.0
"""Score of special tokens. They are pieces like others to a Unigram model, which would read them
out of a text in which somebody typed them; at this score it takes ordinary pieces instead."""

SYMBOLS = {"type": "Split", "pattern": {"Regex": r"\p{S}"}, "behavior": "Isolated", "invert": False}
"""Symbols stand alone: an emoji at the end of a word would make all of it an unknown token."""
FOREIGN = 10.0
"""A known word that is so many times as frequent outside English is glossed as well."""
FEWEST = 3
"""Places where a word must stand to be an English word that others are made of, and where a known
one must stand outside English to be glossed."""
MOST = 34_000
"""Tokens at most, symbols aside: those that the texts need most. Words without one are read in
pieces, and training sees how that looks."""
NEAREST = 3
SHARPNESS = 10.0
LAYERS = (9, 12)
"""States of the multilingual encoder that a word's meaning is the mean of."""
PLACES = 20
"""Places of a word that are read."""
ENGLISH_TEXTS = 3000
SYMBOL_TEXTS = 500
READ_TOKENS = 48
BATCH = 64
CHUNK = 2000

_RARE = re.compile(r"[^\w\s!-~]")
_WORD = re.compile(r"[^\W\d_]+|[^\w\s]")


def build_encoder(
    settings: EncoderSettings,
    english: Sequence[str],
    foreign: Sequence[str],
    data: Path | None,
    folder: Path,
) -> None:
    """Write the encoder that training starts from, with a vocabulary chosen by training texts."""
    folder.mkdir(parents=True, exist_ok=True)
    if settings.path == "tiny":
        _build_tiny([*english, *foreign], folder)
        return
    source = _locate(settings.path, data)
    tokenizer = json.loads((Path(source) / "tokenizer.json").read_text(encoding="utf-8"))
    model = _load(source)
    ours = {*CONTROL_TOKENS} <= {token["content"] for token in tokenizer["added_tokens"]}
    if not ours:
        add_pooling_layer(model)
    rows, pad_id = model.get_input_embeddings().weight.data, model.config.pad_token_id
    if settings.words_from is not None:
        multilingual = Path(_locate(settings.words_from, data))
        tokenizer, rows = add_words(tokenizer, rows, english, foreign, multilingual)
        pad_id = tokenizer["model"]["vocab"]["[PAD]"]
    if not ours:
        tokenizer, rows = _append_control_tokens(tokenizer), _with_control_tokens(rows)
    _set_embeddings(model, rows, pad_id)
    _write_tokenizer(tokenizer, folder)
    write_tokenizer_config(folder, model.config.max_position_embeddings)
    model.save_pretrained(folder)


def build_foreign_encoder(path: str, data: Path | None, folder: Path) -> None:
    """Write an encoder that keeps its own tokenizer, with the control tokens and a layer added."""
    source = _locate(path, data)
    tokenizer = Tokenizer.from_file(str(Path(source) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([*CONTROL_TOKENS])
    model = _load(source)
    add_pooling_layer(model)
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def _load(source: str | Path) -> transformers.PreTrainedModel:
    """Load an encoder with a head of ours, in fp32."""
    config = transformers.AutoConfig.from_pretrained(source)
    config.attention_probs_dropout_prob = 0.0
    config.hidden_dropout_prob = config.classifier_dropout = 0.0
    known = EMOTIONAL in config.id2label.values()
    if not known:
        name_outputs(config, OUTPUTS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, config=config, dtype=torch.float32, attn_implementation="eager"
    )
    if known:
        with_outputs(model)
    return model


def add_pooling_layer(model: transformers.PreTrainedModel) -> None:
    """Add a last layer to a BERT or MPNet that begins as the mean over all tokens, in place.

    Sentence encoders are trained so that the mean of their last states says what a text is about,
    while the head reads the first token only, in which there is little of that yet. In the new
    layer the first token attends to all tokens nearly alike and takes their states as they are;
    where to look is learnt.
    """
    bert = transformers.BertForSequenceClassification
    mpnet = transformers.MPNetForSequenceClassification
    if not isinstance(model, (bert, mpnet)):
        return
    layers, size = model.base_model.encoder.layer, model.config.hidden_size
    layer = copy.deepcopy(layers[-1])
    if isinstance(model, mpnet):
        own, norm, head = layer.attention.attn, layer.attention.LayerNorm, model.classifier.dense
        query, key, value, output = own.q, own.k, own.v, own.o
    else:
        own, norm = layer.attention.self, layer.attention.output.LayerNorm
        query, key, value, output = own.query, own.key, own.value, layer.attention.output.dense
        head = model.base_model.pooler.dense
    with torch.no_grad():
        for new in (query, key, layer.intermediate.dense):
            new.weight.normal_(0, model.config.initializer_range)
            new.bias.zero_()
        for identity in (value, output, head):
            identity.weight.copy_(torch.eye(size))
            identity.bias.zero_()
        layer.output.dense.weight.zero_()
        layer.output.dense.bias.zero_()
    norm.reset_parameters()
    layer.output.LayerNorm.reset_parameters()
    layers.append(layer)
    model.config.num_hidden_layers += 1


def write_tokenizer_config(folder: Path, max_length: int) -> None:
    """Write the ``tokenizer_config.json`` with which `AutoTokenizer` loads the folder."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    start, end, pad, unknown = special_tokens(tokenizer)
    names = {"bos": start, "cls": start, "eos": end, "sep": end, "pad": pad, "unk": unknown}
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length}
    values |= {f"{name}_token": token for name, token in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


def special_tokens(tokenizer: Tokenizer) -> tuple[str, str, str, str]:
    """Return a tokenizer's tokens before and after a text, for padding, and for the unknown."""
    return next(names for names in SPECIAL_TOKENS if tokenizer.token_to_id(names[0]) is not None)


def _locate(path: str, data: Path | None) -> Path | str:
    if path in bundled_models():
        return bundled_models()[path]
    if path.startswith(PACKAGE):
        package, _, inside = path.removeprefix(PACKAGE).partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(
                f"base encoder {path}: the package {package} is not installed; "
                "install affectlib[train]"
            )
        return Path(spec.origin).parent / inside
    for folder in (data or Path(), Path()):
        if (folder / path).is_dir():
            return folder / path
    if path.startswith("."):
        raise FileNotFoundError(
            f"base encoder {path!r} is neither a folder under the data folder ({data}) nor here; "
            "give --data, or set encoder.path to a folder or a hub id"
        )
    from huggingface_hub import snapshot_download

    return str(snapshot_download(path, allow_patterns=["*.json", "*.safetensors"]))


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
    marks = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [
        {"id": len(model["vocab"]) + i, "content": token, **marks, "special": True}
        for i, token in enumerate(CONTROL_TOKENS)
    ]
    with_tokens = {**tokenizer, "added_tokens": tokenizer["added_tokens"] + added}
    if model["type"] == "Unigram":
        pieces = [*model["vocab"], *([token, 0.0] for token in CONTROL_TOKENS)]
        return _hide_special_tokens({**with_tokens, "model": {**model, "vocab": pieces}})
    if model["type"] != "WordPiece":
        raise ValueError(f"cannot add control tokens to a {model['type']} tokenizer")
    vocabulary = model["vocab"] | {token["content"]: token["id"] for token in added}
    return {**with_tokens, "model": {**model, "vocab": vocabulary}}


def _with_control_tokens(rows: torch.Tensor) -> torch.Tensor:
    """Return embeddings with those of the control tokens at their end."""
    noise = 0.02 * torch.randn(len(CONTROL_TOKENS), rows.shape[1])
    return torch.cat([rows, rows.mean(0) + noise])


def _set_embeddings(model: transformers.PreTrainedModel, rows: torch.Tensor, pad_id: int) -> None:
    model.config.pad_token_id = pad_id
    new = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=pad_id)
    new.weight.data[:] = rows
    model.set_input_embeddings(new)
    model.config.vocab_size = len(new.weight)


def _build_tiny(texts: Iterable[str], folder: Path) -> None:
    """Write a random encoder of two layers, with a vocabulary made from the texts."""
    tokenizer = Tokenizer(tokenizers.models.Unigram())
    forms = [tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()]
    tokenizer.normalizer = tokenizers.normalizers.Sequence(forms)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", *CONTROL_TOKENS]
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=4000,
        special_tokens=special,
        unk_token="<unk>",
        initial_alphabet=[*printable],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    _write_tokenizer(_hide_special_tokens(json.loads(tokenizer.to_str())), folder)
    config = transformers.BertConfig(
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
    name_outputs(config, OUTPUTS)
    write_tokenizer_config(folder, config.max_position_embeddings)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def add_words(
    tokenizer: dict[str, Any],
    embeddings: torch.Tensor,
    english: Sequence[str],
    foreign: Sequence[str],
    multilingual: Path,
) -> tuple[dict[str, Any], torch.Tensor]:
    """Give an English WordPiece encoder the words of other texts, less the tokens needed least.

    A multilingual encoder of twelve layers reads all of these. Returns the new ``tokenizer.json``
    and the embeddings of its tokens, ``[tokens, width]``.
    """
    if tokenizer["model"]["type"] != "WordPiece":
        raise ValueError(f"cannot add words to a {tokenizer['model']['type']} tokenizer")
    splitters = {"type": "Sequence", "pretokenizers": [SYMBOLS, tokenizer["pre_tokenizer"]]}
    tokenizer = {**tokenizer, "truncation": None, "padding": None, "pre_tokenizer": splitters}
    reader = Tokenizer.from_str(json.dumps(tokenizer))
    kept, glossed = _choose(tokenizer, reader, english, foreign)
    english = random.Random(0).sample(english, len(english))
    read = _WordReader(multilingual, lambda word: str(reader.normalizer.normalize_str(word)))
    with_symbols = [text for text in english if _symbols(text)]
    known = {word for word in kept if word.isalpha() and word.isascii()}.difference(glossed)
    meanings = read.meanings([*foreign, *with_symbols[:SYMBOL_TEXTS]], {*glossed})
    anchors = read.meanings(english[:ENGLISH_TEXTS], known, FEWEST)
    # Less the mean of its language, a word is nearer to its translations than to its neighbours.
    meanings, anchors = _centred(meanings), _centred(anchors)
    old = tokenizer["model"]["vocab"]
    new = _gloss(
        {word: meanings[word] for word in glossed if word in meanings},
        np.stack([*anchors.values()]),
        embeddings[[old[word] for word in anchors]].numpy(),
    )
    tokens = [*dict.fromkeys([*kept, *new])]
    rows = [
        torch.from_numpy(new[token]) if token in new else embeddings[old[token]] for token in tokens
    ]
    return _renumber(tokenizer, tokens), torch.stack(rows)


def _choose(
    tokenizer: dict[str, Any], reader: Tokenizer, english: Sequence[str], foreign: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the tokens that stay, in their order, and the words that want a gloss."""
    of_english, of_foreign = _count_pieces(reader, english), _count_pieces(reader, foreign)
    always = {token["content"] for token in tokenizer["added_tokens"]}
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    always |= {token for token in vocabulary if len(token.removeprefix("##")) == 1}
    ratio = of_english.total() / max(1, of_foreign.total())
    words: Counter[str] = Counter()
    for text in foreign:
        plain = reader.normalizer.normalize_str(text)
        words.update(word for word, _ in reader.pre_tokenizer.pre_tokenize_str(plain))
    symbols = {symbol for text in (*english, *foreign) for symbol in _symbols(text)}
    counts = Counter({token: of_english[token] + ratio * of_foreign[token] for token in vocabulary})
    counts.update({w: ratio * n for w, n in words.items() if w.isalpha() and w not in vocabulary})
    wanted = [token for token, count in counts.most_common() if count and token not in always]
    stay = always | symbols | {*wanted[: MOST - len(always)]}
    kept = [token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token in stay]
    known = {*kept}
    glossed = [
        word
        for word, count in words.most_common()
        if word.isalpha()
        and word in stay
        and (word not in known or (count >= FEWEST and count * ratio > FOREIGN * of_english[word]))
    ]
    return kept, glossed + sorted(symbols & stay - known)


def _count_pieces(reader: Tokenizer, texts: Sequence[str]) -> Counter[str]:
    counts: Counter[int] = Counter()
    for start in range(0, len(texts), CHUNK):
        for encoding in reader.encode_batch_fast([*texts[start : start + CHUNK]]):
            counts.update(encoding.ids)
    return Counter({str(reader.id_to_token(piece)): count for piece, count in counts.items()})


def _symbols(text: str) -> list[str]:
    """Return the emoji and the like of a text."""
    return [c for c in _RARE.findall(text) if unicodedata.category(c) == "So"]


class _WordReader:
    """A multilingual encoder that says what words mean where they stand."""

    def __init__(self, folder: Path, normalize: Callable[[str], str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(READ_TOKENS)
        self._tokenizer.no_padding()
        self._model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._normalize = normalize

    def meanings(
        self, texts: Sequence[str], wanted: set[str], fewest: int = 1
    ) -> dict[str, Floats]:
        """Return the mean state of each wanted word that stands often enough in the texts."""
        sums: dict[str, Floats] = {}
        counts: Counter[str] = Counter()
        ordered = sorted({*texts}, key=lambda text: (len(text), text))
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            found = [
                (encoding, places)
                for text, encoding in zip(batch, self._tokenizer.encode_batch(batch), strict=True)
                if (places := self._places(text, encoding, wanted, counts))
            ]
            if not found:
                continue
            states = self._states([encoding for encoding, _ in found])
            for row, (_, places) in enumerate(found):
                for word, tokens in places:
                    sums[word] = sums.get(word, np.float32(0)) + states[row, tokens].mean(0)
        return {word: n / counts[word] for word, n in sums.items() if counts[word] >= fewest}

    def _places(
        self, text: str, encoding: Encoding, wanted: set[str], counts: Counter[str]
    ) -> list[tuple[str, list[int]]]:
        """Return words with their tokens, and count them."""
        found, last, token = [], len(encoding.ids) - 1, 1
        for match in _WORD.finditer(text):
            word = self._normalize(match.group())
            while token < last and encoding.offsets[token][1] <= match.start():
                token += 1
            if token == last:
                break
            end = token
            while end < last and encoding.offsets[end][0] < match.end():
                end += 1
            if word in wanted and end > token and counts[word] < PLACES:
                counts[word] += 1
                found.append((word, [*range(token, end)]))
        return found

    def _states(self, encodings: Sequence[Encoding]) -> Floats:
        """Return states, shape ``[texts, tokens, width]``."""
        length = max(len(encoding.ids) for encoding in encodings)
        for encoding in encodings:
            encoding.pad(length, pad_id=self._model.config.pad_token_id)
        given = {
            "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
            "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        }
        with torch.inference_mode():
            states = self._model(**given, output_hidden_states=True).hidden_states
        result: Floats = torch.stack([states[layer] for layer in LAYERS]).mean(0).numpy()
        return result


def _centred(meanings: dict[str, Floats]) -> dict[str, Floats]:
    mean = np.mean([*meanings.values()], axis=0)
    return {word: meaning - mean for word, meaning in meanings.items()}


def _gloss(meanings: dict[str, Floats], anchors: Floats, known: Floats) -> dict[str, Floats]:
    """Return an embedding for each word, by known words: what they mean, and their embeddings."""
    if not meanings:
        return {}
    near = _unit(np.stack([*meanings.values()])) @ _unit(anchors).T
    best = np.argsort(-near, axis=1)[:, :NEAREST]
    weights = np.exp(SHARPNESS * np.take_along_axis(near, best, 1))
    weights /= weights.sum(1, keepdims=True)
    average = (weights[:, :, None] * known[best]).sum(1)
    gloss = _unit(average) * np.linalg.norm(known, axis=1).mean()
    return dict(zip(meanings, gloss, strict=True))


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), np.float32)


def _renumber(tokenizer: dict[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Return the tokenizer with these tokens."""
    new_id = {token: i for i, token in enumerate(tokens)}
    post = json.loads(json.dumps(tokenizer["post_processor"]))
    for token in post["special_tokens"].values():
        token["ids"] = [new_id[name] for name in token["tokens"]]
    return {
        **tokenizer,
        "added_tokens": [{**t, "id": new_id[t["content"]]} for t in tokenizer["added_tokens"]],
        "post_processor": post,
        "model": {**tokenizer["model"], "vocab": new_id},
    }
