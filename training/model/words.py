"""Words of other languages, and emoji, for an encoder that reads English alone.

Each new word begins as what it means in English: its embedding is an average of those of the
nearest English words. Which are nearest, a multilingual encoder says, which reads the training
texts and gives every word the mean of its states over the places where it stands. A sentence then
reads like an English gloss, word by word, and training does the rest; English text is split as it
was before. The idea of such a start is that of WECHSEL (Minixhofer, Paischer and Rekabsaz 2022,
https://arxiv.org/abs/2112.06598), which compares static word vectors instead.

An encoder that has been given words before, and was trained with them, can be given more: its own
words stay as they are, and those of the other languages are among the nearest then.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from transformers import AutoModel

Floats = NDArray[Any]

SYMBOLS = {
    "type": "Split",
    "pattern": {"Regex": "\\p{S}"},
    "behavior": "Isolated",
    "invert": False,
}
"""Symbols stand alone: an emoji at the end of a word would make all of it an unknown token."""
FOREIGN = 10.0
"""A known word that is so many times as frequent outside English is glossed as well."""
FEWEST = 3
"""Places where a word must stand to be an English word that others are made of, and where a known
one must stand outside English to be glossed."""
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


def add_words(
    tokenizer: dict[str, Any],
    embeddings: torch.Tensor,
    english: Sequence[str],
    foreign: Sequence[str],
    multilingual: Path,
) -> tuple[dict[str, Any], torch.Tensor]:
    """Give an English encoder the words of other texts.

    Tokens that no text needs are dropped.

    Args:
        tokenizer: The parsed ``tokenizer.json`` of a WordPiece model.
        embeddings: Embeddings of its tokens, ``[tokens, width]``.
        english: English training texts.
        foreign: Training texts in other languages.
        multilingual: Folder of an encoder of twelve layers that reads all of these languages.

    Returns:
        The new ``tokenizer.json`` and the embeddings of its tokens.

    Raises:
        ValueError: The tokenizer is of another kind.
    """
    if tokenizer["model"]["type"] != "WordPiece":
        raise ValueError(f"cannot add words to a {tokenizer['model']['type']} tokenizer")
    going_on = SYMBOLS in tokenizer["pre_tokenizer"].get("pretokenizers", ())
    splitters = [] if going_on else [SYMBOLS]
    tokenizer = {
        **tokenizer,
        "truncation": None,
        "padding": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [*splitters, *_splitters(tokenizer["pre_tokenizer"])],
        },
    }
    reader = Tokenizer.from_str(json.dumps(tokenizer))
    kept, glossed = _choose(tokenizer, reader, english, foreign, again=not going_on)
    english = random.Random(0).sample(english, len(english))
    read = _Reader(multilingual, lambda word: str(reader.normalizer.normalize_str(word)))
    with_symbols = [text for text in english if _symbols(text)]
    known = {*filter(str.isalpha, kept)}.difference(glossed)
    neighbours = known if going_on else set[str]()
    meanings = read.meanings([*foreign, *with_symbols[:SYMBOL_TEXTS]], neighbours.union(glossed))
    anchors = read.meanings(english[:ENGLISH_TEXTS], {*filter(str.isascii, known)}, FEWEST)
    # Less the mean of its language, a word is nearer to its translations than to its neighbours.
    meanings, anchors = _centred(meanings), _centred(anchors)
    of_anchors = [*anchors.items(), *((w, meanings[w]) for w in meanings if w in neighbours)]
    old = tokenizer["model"]["vocab"]
    new = _gloss(
        {word: meanings[word] for word in glossed if word in meanings},
        np.stack([meaning for _, meaning in of_anchors]),
        embeddings[[old[word] for word, _ in of_anchors]].numpy(),
    )
    before = {*kept}
    tokens = [*kept, *(word for word in new if word not in before)]
    rows = [
        torch.from_numpy(new[token]) if token in new else embeddings[old[token]] for token in tokens
    ]
    return _renumber(tokenizer, tokens), torch.stack(rows)


def _splitters(pre_tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    if pre_tokenizer["type"] == "Sequence":
        parts: list[dict[str, Any]] = pre_tokenizer["pretokenizers"]
        return parts
    return [pre_tokenizer]


def _choose(
    tokenizer: dict[str, Any],
    reader: Tokenizer,
    english: Sequence[str],
    foreign: Sequence[str],
    *,
    again: bool,
) -> tuple[list[str], list[str]]:
    """Return the tokens that stay, in their order, and the words that want a gloss, by frequency.

    Words of the vocabulary that are no English ones are glossed as well if `again`.
    """
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
    counts.update({symbol: 1 for symbol in symbols if symbol not in vocabulary})
    wanted = [token for token, count in counts.most_common() if count and token not in always]
    stay = always | {*wanted}
    kept = [token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token in stay]
    known = {*kept}
    glossed = [
        word
        for word, count in words.most_common()
        if word.isalpha()
        and word in stay
        and (
            word not in known
            or (again and count >= FEWEST and count * ratio > FOREIGN * of_english[word])
        )
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


class _Reader:
    """A multilingual encoder that says what words mean where they stand."""

    def __init__(self, folder: Path, normalize: Callable[[str], str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(READ_TOKENS)
        self._tokenizer.no_padding()
        self._model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._normalize = normalize

    def meanings(
        self, texts: Sequence[str], wanted: set[str], fewest: int = 1
    ) -> dict[str, Floats]:
        """Return the mean state of each wanted word that stands often enough in the texts."""
        sums: dict[str, Floats] = {}
        counts: Counter[str] = Counter()
        ordered = sorted(texts, key=len)
        for start in range(0, len(ordered), BATCH):
            batch = ordered[start : start + BATCH]
            encodings = self._tokenizer.encode_batch(batch)
            places = [
                self._places(*pair, wanted, counts) for pair in zip(batch, encodings, strict=True)
            ]
            if not any(places):
                continue
            states = self._states(encodings)
            for row, found in enumerate(places):
                for word, tokens in found:
                    sums[word] = sums.get(word, np.float32(0)) + states[row, tokens].mean(0)
        return {
            word: total / counts[word] for word, total in sums.items() if counts[word] >= fewest
        }

    def _places(
        self, text: str, encoding: Encoding, wanted: set[str], counts: Counter[str]
    ) -> list[tuple[str, list[int]]]:
        """Return words with their tokens, and count them."""
        found = []
        last = len(encoding.ids) - 1
        token = 1
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
        ids = torch.full((len(encodings), length), self._model.config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = torch.tensor(encoding.ids)
            mask[row, : len(encoding.ids)] = 1
        with torch.inference_mode():
            states = self._model(
                input_ids=ids, attention_mask=mask, output_hidden_states=True
            ).hidden_states
        result: Floats = torch.stack([states[layer] for layer in LAYERS]).mean(0).numpy()
        return result


def _centred(meanings: dict[str, Floats]) -> dict[str, Floats]:
    mean = np.mean([*meanings.values()], axis=0)
    return {word: meaning - mean for word, meaning in meanings.items()}


def _gloss(meanings: dict[str, Floats], anchors: Floats, known: Floats) -> dict[str, Floats]:
    """Return an embedding for each word, of the mean length of the known words'.

    Args:
        meanings: What each word means.
        anchors: What known words mean, ``[known, width]``.
        known: Their embeddings, ``[known, width of the embeddings]``.
    """
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
