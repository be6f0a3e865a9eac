"""Second and third step: a teacher learns the windows, and the encoder from it and the labels.

The encoder is fine-tuned for charge, cues and themes at once, on the labels and on the teacher's
probabilities (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network"). The
teacher has a tokenizer of its own and reads the same windows, translated piece by piece. A recipe
may have none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast, set_seed

from affectlib.finetuning.export import INT8, export_onnx
from affectlib.finetuning.trainer import (
    fit,
    freeze_layers,
    labelled_windows,
    load_model,
    logits_by,
    mix_targets,
    window_logits,
)
from affectlib.model.calibration import sigmoid
from affectlib.model.engines import load_engine
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS
from training.config import Recipe, TeacherSettings
from training.evaluation.judged import uncalibrated
from training.evaluation.metrics import Ranking
from training.model.encoder import CONTROL_TOKENS, build_foreign_encoder, special_tokens

LANGUAGES = ("en",)
"""What a teacher reads; windows in other languages keep their labels only."""
TEACHER_LEARNING_RATE = 4e-5
TEACHER_EPOCHS = 1.0
TEACHER_TOKENS = 256
TAUGHT = (EMOTIONAL, CHARGES[0])
"""The outputs for which the teacher counts. The others are rarer, and after its one pass it hardly
knows them: it would draw a cue or theme that is there towards none."""
GOLD_SHARE = 0.5
"""Share of the teacher in the target of a window that has a gold label."""
SILVER_SHARE = 0.9
"""Share of the teacher in the target of a window that has a silver label."""
INT8_TOKENS = 1024
"""Tokens in a batch of windows that is judged in int8."""
CHUNK = 20_000
"""Windows that the teacher judges before what it says of them is written."""


def teach(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    """Train the teacher and write its probabilities of every window that it can read.

    Goes on from the last checkpoint, or the last chunk of windows, if an earlier run was stopped.
    With `TeacherSettings.answers`, its probabilities are those of an earlier run.

    Returns:
        How many windows it learnt from and judged. The others have NaN in the file.

    Raises:
        FileNotFoundError: The file of answers is missing.
    """
    teacher = recipe.teacher
    if teacher is None:
        return {}
    folder = recipe.folder / "teach"
    windows = load_from_disk(str(recipe.folder / "prepare" / "train"))
    readable = np.flatnonzero([language in LANGUAGES for language in windows["language"]])
    own = windows.select(readable)
    texts = _texts(own["plain_ids"], recipe)
    soft = np.full((len(windows), len(OUTPUTS)), np.nan, dtype=np.float32)
    if teacher.answers is not None:
        soft[readable] = read_answers(Path(teacher.answers), texts)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "soft.npy", soft)
        return {"learnt": 0, "judged": int(np.isfinite(soft).any(axis=1).sum())}
    start = folder / "start"
    if not (start / "tokenizer.json").is_file():
        set_seed(recipe.seed)  # the layers that the encoder gets anew are random
        build_foreign_encoder(teacher.path, data, start)
    learnt = _drawn(labelled_windows(own), teacher, recipe.seed)
    if not (folder / "model").is_dir():
        rows = _translated(learnt["input_ids"], recipe, start)
        _learn_teacher(recipe, teacher, _with_ids(learnt, rows), start, folder)
    # It judges windows before their text was rewritten. So a student learns to see in a text full
    # of typing errors what a teacher sees without them.
    soft[readable] = _judged(folder, _translated(own["plain_ids"], recipe, start))
    np.save(folder / "soft.npy", soft)
    write_answers(folder / "answers.npz", texts, soft[readable])
    return {"learnt": len(learnt), "judged": len(own)}


def _texts(windows: Iterable[Sequence[int]], recipe: Recipe) -> list[str]:
    """Return the text of windows, with the tokens that say who wrote what."""
    tokenizer = Tokenizer.from_file(str(recipe.folder / "prepare" / "encoder" / "tokenizer.json"))
    return tokenizer.decode_batch([*windows], skip_special_tokens=False)


def write_answers(path: Path, texts: Sequence[str], soft: NDArray[np.float32]) -> None:
    """Write what a teacher said of windows, by a hash of their text.

    Args:
        path: The file, in numpy's format.
        texts: The text of each window.
        soft: Probabilities, shape ``[windows, outputs]``; those of the outputs in `TAUGHT` stay.
    """
    keys, first = np.unique(_hashes(texts), return_index=True)
    taught = soft[first][:, [OUTPUTS.index(name) for name in TAUGHT]]
    np.savez_compressed(path, keys=keys, probabilities=taught.astype(np.float16))


def read_answers(path: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return what a teacher said of windows.

    Args:
        path: What `write_answers` wrote.
        texts: The text of each window.

    Returns:
        Probabilities, shape ``[windows, outputs]``; NaN for windows that are not in the file, and
        for outputs that are not in `TAUGHT`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"teacher.answers: there is no file {path}; leave the setting out to train the teacher"
        )
    with np.load(path) as stored:
        keys, probabilities = stored["keys"], stored["probabilities"]
    asked = _hashes(texts)
    places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    known = keys[places] == asked
    soft = np.full((len(texts), len(OUTPUTS)), np.nan, dtype=np.float32)
    for column, name in enumerate(TAUGHT):
        soft[known, OUTPUTS.index(name)] = probabilities[places[known], column]
    return soft


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
            for text in texts
        ],
        np.uint64,
    )


def _drawn(windows: Dataset, teacher: TeacherSettings, seed: int) -> Dataset:
    if teacher.windows is None or len(windows) <= teacher.windows:
        return windows
    return windows.shuffle(seed=seed).select(range(teacher.windows))


def _with_ids(windows: Dataset, rows: list[list[int]]) -> Dataset:
    """Return the windows with other tokens."""
    kept = windows.remove_columns(["input_ids", "length"])
    return kept.add_column("input_ids", rows).add_column("length", [len(row) for row in rows])


def _learn_teacher(
    recipe: Recipe, teacher: TeacherSettings, windows: Dataset, start: Path, folder: Path
) -> None:
    set_seed(recipe.seed)
    file = str(start / "tokenizer.json")
    pad = special_tokens(Tokenizer.from_file(file))[2]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, pad_token=pad)
    model = load_model(start)
    freeze_layers(model, teacher.frozen)
    settings = replace(
        recipe.train, learning_rate=TEACHER_LEARNING_RATE, epochs=TEACHER_EPOCHS, max_steps=-1
    )
    trainer = fit(model, tokenizer, windows, folder, settings, seed=recipe.seed)
    # Renamed once it is whole, as a folder of that name says that the teacher is done.
    trainer.save_model(str(folder / "saving"))
    (folder / "saving").rename(folder / "model")


def _judged(folder: Path, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the teacher's probabilities of windows; chunks that are on disk are not made again."""
    parts = []
    judge = None
    for start in range(0, len(rows), CHUNK):
        path = folder / f"soft-{start}.npy"
        if not path.is_file():
            judge = judge or _judge(folder / "model")
            np.save(folder / "saving.npy", sigmoid(judge(rows[start : start + CHUNK])))
            (folder / "saving.npy").rename(path)
        parts.append(np.load(path))
    return np.concatenate(parts).astype(np.float32)


def _judge(folder: Path) -> Callable[[Sequence[Sequence[int]]], NDArray[np.float64]]:
    """Return what gives a teacher's logits of windows: on CPUs in int8, which is faster."""
    model = load_model(folder).eval()
    if model.device.type != "cpu":
        return partial(window_logits, model)
    export_onnx(model, folder / INT8)
    engine = load_engine(uncalibrated(folder, WindowSettings()), engine="onnx", device="cpu")
    pad = model.config.pad_token_id
    return lambda rows: logits_by(engine.logits, rows, pad, max_tokens=INT8_TOKENS)


def _translated(windows: Iterable[Sequence[int]], recipe: Recipe, start: Path) -> list[list[int]]:
    """Return windows in the teacher's own tokens.

    What lies between two control tokens is turned to text and tokenized anew.
    """
    source, target = (
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        for folder in (recipe.folder / "prepare" / "encoder", start)
    )
    pairs = ((source.token_to_id(token), target.token_to_id(token)) for token in CONTROL_TOKENS)
    control = {old: new for old, new in pairs if old is not None and new is not None}
    first, last = target.encode("").ids
    pieces: list[list[int]] = []
    markers: list[list[int]] = []
    for ids in windows:
        markers.append([control[token] for token in ids if token in control])
        for token in ids[1:-1]:
            if token in control:
                pieces.append([])
            else:
                pieces[-1].append(token)
    texts = source.decode_batch(pieces)
    encoded = iter(target.encode_batch_fast(texts, add_special_tokens=False))
    rows = []
    for of_window in markers:
        row = [first]
        for marker in of_window:
            row += [marker, *next(encoded).ids]
        rows.append([*row[: TEACHER_TOKENS - 1], last])
    return rows


def train(recipe: Recipe, _: Path | None = None) -> dict[str, float]:
    """Train the prepared encoder on the prepared windows, and on what the teacher says of them.

    Goes on from the last checkpoint if an earlier run was stopped.

    Returns:
        How well the dev windows of the corpus are ranked.
    """
    folder, prepared = recipe.folder / "train", recipe.folder / "prepare"
    windows = load_from_disk(str(prepared / "train"))
    if recipe.teacher:
        soft = np.load(recipe.folder / "teach" / "soft.npy")
        windows = with_soft_targets(windows, soft)
    set_seed(recipe.seed)
    trainer = fit(
        load_model(prepared / "encoder"),
        AutoTokenizer.from_pretrained(prepared / "encoder"),
        labelled_windows(windows),
        folder,
        recipe.train,
        seed=recipe.seed,
    )
    trainer.save_model(str(folder / "model"))
    metrics = _ranking(trainer.model, load_from_disk(str(prepared / "dev")))
    text = json.dumps(metrics, indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    return metrics


def with_soft_targets(windows: Dataset, soft: NDArray[np.float32]) -> Dataset:
    """Mix what the teacher says of the outputs it is good at into the windows' targets.

    Its probabilities have the shape ``[windows, outputs]``, and are NaN where it did not read the
    window, which keeps its labels then.
    """
    targets = np.array(windows["targets"], dtype=np.float32)
    share = np.where(windows["silver"], SILVER_SHARE, GOLD_SHARE)
    taught = np.where([output in TAUGHT for output in OUTPUTS], soft, np.nan)
    mixed = mix_targets(targets, taught, share, np.array(windows["user"]))
    return windows.remove_columns("targets").add_column("targets", mixed.tolist())


def _ranking(model: PreTrainedModel, windows: Dataset) -> dict[str, float]:
    """Return how well a model ranks windows by whether they are charged."""
    truth = np.array(windows["targets"], dtype=np.float32)[:, OUTPUTS.index(EMOTIONAL)]
    logits = window_logits(model, windows["input_ids"])[:, OUTPUTS.index(EMOTIONAL)]
    known = ~np.isnan(truth)
    metrics: dict[str, float] = Ranking().compute(
        predictions=logits[known].astype(float), references=truth[known].astype(int)
    )
    return metrics
