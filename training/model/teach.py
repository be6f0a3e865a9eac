"""Second step, for recipes with teachers: they learn the windows, and say what they think of each.

The shipped model then learns from the labels and from the teachers' probabilities (Hinton, Vinyals
and Dean 2015, "Distilling the knowledge in a neural network"). A teacher with a tokenizer of its
own reads the same windows, translated piece by piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, set_seed

from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import EncodedWindow, token_batches
from affectlib.taxonomy import OUTPUTS
from training.config import Recipe, TeacherSettings
from training.model.encoder import (
    CONTROL_TOKENS,
    build_foreign_encoder,
    freeze_layers,
    special_tokens,
)
from training.model.train import fit, has_bf16, labelled_windows, load_model

BATCH_TOKENS = 8192
MAX_TOKENS = 256


def teach(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    """Train the teachers and write the average of their probabilities of every window.

    Args:
        recipe: The recipe.
        data: The data folder, where base encoders may lie.

    Returns:
        For each teacher the number of windows that it read. Windows that no teacher reads have
        NaN in the file.
    """
    if not recipe.teachers:
        return {}
    folder = recipe.folder / "teach"
    windows = load_from_disk(str(recipe.folder / "prepare" / "train"))
    total = np.zeros((len(windows), len(OUTPUTS)))
    weights = np.zeros(len(windows))
    counts = {}
    for number, teacher in enumerate(recipe.teachers):
        home = folder / teacher.name
        start = _start(teacher, recipe, data, home)
        readable = np.array([not teacher.english or x == "en" for x in windows["language"]])
        own = windows.select(np.flatnonzero(readable))
        plain = _plain(own)
        if teacher.path is not None:
            own, plain = (_translated(rows, recipe, start) for rows in (own, plain))
        if not (home / "model").is_dir():
            _learn(recipe, number, labelled_windows(own), start, home)
        total[readable] += teacher.weight * _probabilities(home / "model", plain["input_ids"])
        weights[readable] += teacher.weight
        counts[teacher.name] = len(own)
    weights[weights == 0] = np.nan
    np.save(folder / "soft.npy", (total / weights[:, None]).astype(np.float32))
    return counts


def _plain(windows: Dataset) -> Dataset:
    """Return the windows as they were before their text was rewritten.

    So a student learns to see in a text full of typing errors what a teacher sees without them.
    """
    kept = windows.remove_columns(["input_ids", "length"])
    lengths = [len(ids) for ids in kept["plain_ids"]]
    return kept.rename_column("plain_ids", "input_ids").add_column("length", lengths)


def _start(teacher: TeacherSettings, recipe: Recipe, data: Path | None, home: Path) -> Path:
    """Return the folder of the encoder that the teacher starts from."""
    if teacher.path is None:
        return recipe.folder / "prepare" / "encoder"
    if not (home / "start" / "tokenizer.json").is_file():
        build_foreign_encoder(teacher.path, data, recipe.encoder.dropout, home / "start")
    return home / "start"


def _learn(recipe: Recipe, number: int, windows: Dataset, start: Path, home: Path) -> None:
    teacher = recipe.teachers[number]
    changes = {
        "learning_rate": teacher.learning_rate or recipe.train.learning_rate,
        "epochs": teacher.epochs or recipe.train.epochs,
    }
    own = recipe.model_copy(
        update={
            "seed": recipe.seed + number,
            "train": recipe.train.model_copy(update=changes),
        }
    )
    set_seed(own.seed)
    file = str(start / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=file, pad_token=special_tokens(Tokenizer.from_file(file))[2]
    )
    model = load_model(start)
    if teacher.frozen is not None:
        freeze_layers(model, teacher.frozen)
    trainer = fit(own, model, tokenizer, windows, home)
    trainer.save_model(str(home / "model"))


def _translated(windows: Dataset, recipe: Recipe, start: Path) -> Dataset:
    """Return the windows in the teacher's own tokens.

    What lies between two control tokens is turned to text and tokenized anew.
    """
    from_file = str(recipe.folder / "prepare" / "encoder" / "tokenizer.json")
    source, target = (
        Tokenizer.from_file(from_file),
        Tokenizer.from_file(str(start / "tokenizer.json")),
    )
    control = {
        before: after
        for token in CONTROL_TOKENS
        if (before := source.token_to_id(token)) is not None
        and (after := target.token_to_id(token)) is not None
    }
    first, last = target.encode("").ids
    pieces: list[list[int]] = []
    markers: list[list[int]] = []
    for ids in windows["input_ids"]:
        of_window: list[int] = []
        for token in ids[1:-1]:
            if token in control:
                of_window.append(control[token])
                pieces.append([])
            else:
                pieces[-1].append(token)
        markers.append(of_window)
    texts = source.decode_batch(pieces)
    encoded = iter(target.encode_batch_fast(texts, add_special_tokens=False))
    rows = []
    for of_window in markers:
        row = [first]
        for marker in of_window:
            row += [marker, *next(encoded).ids]
        rows.append([*row[: MAX_TOKENS - 1], last])
    lengths = [len(row) for row in rows]
    kept = windows.remove_columns(["input_ids", "length"])
    return kept.add_column("input_ids", rows).add_column("length", lengths)


def _probabilities(folder: Path, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return a model's probabilities of windows, shape ``[windows, outputs]``.

    Windows that are alike, as copies are before they are rewritten, are computed once.
    """
    model = load_model(folder).eval()
    numbers: dict[tuple[int, ...], int] = {}
    places_of = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
    windows = [EncodedWindow(0, 0, np.array(row, dtype=np.int32), 0) for row in numbers]
    result = np.zeros((len(windows), len(OUTPUTS)))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16()):
        for places, ids, mask in token_batches(
            windows, max_tokens=BATCH_TOKENS, pad_id=model.config.pad_token_id
        ):
            output = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
            result[places] = sigmoid(output.logits.float().numpy())
    return result[places_of]
