"""Second and third step: a teacher learns the windows, and the encoder from it and the labels.

The encoder is fine-tuned for charge, cues and themes at once, on the labels and on the teacher's
probabilities (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network"). The
teacher has a tokenizer of its own and reads the same conversations. Both end on real conversations
of all kinds. A recipe may have no teacher.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast, set_seed

from affectlib.finetuning.export import INT8, export_onnx
from affectlib.finetuning.settings import TrainSettings
from affectlib.finetuning.trainer import ModelEngine, fit, freeze_layers, load_model, mix_targets
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine, load_engine
from affectlib.model.scoring import Scores, score
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS
from training.config import Recipe, TeacherSettings
from training.data.prepare import answer_keys, take, window_rows
from training.data.sources import from_gold, read_corpus
from training.evaluation.judged import uncalibrated
from training.evaluation.metrics import Ranking
from training.model.encoder import build_foreign_encoder, special_tokens

LANGUAGES = ("en",)
"""What a teacher reads; conversations in other languages keep their labels only."""
LEARNING_RATE = 4e-5
TAUGHT = CHARGES
"""The outputs for which the teacher counts. The others are rarer, and after its one pass it hardly
knows them: it would draw a cue or theme that is there towards none."""
GOLD_SHARE = 0.5
"""Share of the teacher in the target of what has a gold label."""
SILVER_SHARE = 0.9
"""Share of the teacher in the target of what has a silver label."""
CHUNK = 4000
"""Conversations that the teacher judges before what it says of them is written."""


def teach(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    """Train the teacher and write its answers about every conversation that it can read.

    Goes on from the last checkpoint, or the last chunk of conversations, if an earlier run was
    stopped. Returns how many windows it learnt from, and how many conversations it judged.
    """
    teacher = recipe.teacher
    if teacher is None or teacher.answers is not None:
        return {}
    folder = recipe.folder / "teach"
    start = folder / "start"
    if not (start / "tokenizer.json").is_file():
        set_seed(recipe.seed)  # the layers that the encoder gets anew are random
        build_foreign_encoder(teacher.path, data, start)
    encoder = WindowEncoder(start / "tokenizer.json", recipe.windows)
    taken = [x for x in take(recipe, data)[0] if x[1].row.get("lang", "en") in LANGUAGES]
    labelled = [x for x in taken if x[0].kind != "unlabelled"]
    windows = Dataset.from_list([*window_rows(recipe, labelled, encoder)])
    if not (folder / "model").is_dir():
        _learn_teacher(recipe, teacher, windows, start, folder)
    chats = [labelled.conversation for _, labelled in taken]
    engine = _engine(folder / "model")
    for begin in range(0, len(chats), CHUNK):
        path = folder / f"answers-{begin}.npz"
        if not path.is_file():
            part = chats[begin : begin + CHUNK]
            answers = _answers(part, score(part, encoder, engine))
            np.savez(folder / "saving.npz", allow_pickle=False, **answers)
            (folder / "saving.npz").rename(path)
    parts = [np.load(path) for path in sorted(folder.glob("answers-*.npz"))]
    keys, first = np.unique(np.concatenate([part["keys"] for part in parts]), return_index=True)
    probabilities = np.concatenate([part["probabilities"] for part in parts])[first]
    np.savez_compressed(folder / "answers.npz", keys=keys, probabilities=probabilities)
    return {"learnt": len(windows), "judged": len(chats)}


def _learn_teacher(
    recipe: Recipe, teacher: TeacherSettings, windows: Dataset, start: Path, folder: Path
) -> None:
    file = str(start / "tokenizer.json")
    pad = special_tokens(Tokenizer.from_file(file))[2]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, pad_token=pad)
    model = load_model(start)
    freeze_layers(model, teacher.frozen)
    settings = replace(recipe.train, learning_rate=LEARNING_RATE, epochs=teacher.epochs)
    model = _in_stages(recipe, model, tokenizer, windows, folder, settings)
    # Renamed once it is whole, as a folder of that name says that the teacher is done.
    model.save_pretrained(str(folder / "saving"))
    tokenizer.save_pretrained(str(folder / "saving"))
    (folder / "saving").rename(folder / "model")


def _engine(folder: Path) -> Engine:
    """Return what runs a teacher: on CPUs in int8, which is faster."""
    model = load_model(folder).eval()
    if model.device.type != "cpu":
        return ModelEngine(model, device=str(model.device))
    export_onnx(model, folder / INT8)
    return load_engine(uncalibrated(folder), engine="onnx", device="cpu")


def _answers(chats: Sequence[Any], scores: Sequence[Scores]) -> dict[str, NDArray[Any]]:
    """Return the keys of conversations and of messages, and the probabilities of what is taught."""
    keys: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for chat, found in zip(chats, scores, strict=True):
        own = answer_keys(chat)
        if len(found.windows) == 1:
            keys.append(own[0])
            rows.append(found.windows[0])
        keys += [own[1 + place] for place in found.messages]
        rows += [*found.messages.values()]
    taught = np.array(rows)[:, [OUTPUTS.index(name) for name in TAUGHT]]
    return {"keys": np.array(keys), "probabilities": sigmoid(taught).astype(np.float16)}


def with_answers(rows: Dataset, path: Path) -> Dataset:
    """Mix what the teacher says, as `teach` wrote it, into the targets of windows and messages."""
    if not path.is_file():
        raise FileNotFoundError(
            f"teacher.answers: there is no file {path}; leave the setting out to train the teacher"
        )
    with np.load(path) as stored:
        keys, probabilities = stored["keys"], stored["probabilities"].astype(np.float32)
    columns = [OUTPUTS.index(name) for name in TAUGHT]

    def mixed(row: dict[str, Any]) -> dict[str, Any]:
        targets = np.array(row["targets"], dtype=np.float32)
        asked = np.array(row["keys"])
        places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
        soft = np.full_like(targets, np.nan)
        known = keys[places] == asked
        soft[np.ix_(known, columns)] = probabilities[places[known]]
        share = SILVER_SHARE if row["silver"] else GOLD_SHARE
        return {"targets": mix_targets(targets, soft, share).tolist()}

    return rows.map(mixed)


def train(recipe: Recipe, _: Path | None = None) -> dict[str, float]:
    """Train the prepared encoder on the prepared windows, and on what the teacher says of them.

    Goes on from the last checkpoint if an earlier run was stopped. Returns how well the dev
    conversations of the corpus are ranked.
    """
    folder, prepared = recipe.folder / "train", recipe.folder / "prepare"
    rows = load_from_disk(str(prepared / "train"))
    if recipe.teacher:
        answers = recipe.teacher.answers or recipe.folder / "teach" / "answers.npz"
        rows = with_answers(rows, Path(answers))
    set_seed(recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(prepared / "encoder")
    model = load_model(prepared / "encoder")
    model.base_model.embeddings.requires_grad_(False)
    model = _in_stages(recipe, model, tokenizer, rows, folder, recipe.train)
    model.save_pretrained(str(folder / "model"))
    tokenizer.save_pretrained(str(folder / "model"))
    encoder = WindowEncoder(prepared / "encoder" / "tokenizer.json", recipe.windows)
    metrics = _ranking(model, encoder)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    return metrics


def _in_stages(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: Any,
    rows: Dataset,
    folder: Path,
    settings: TrainSettings,
) -> PreTrainedModel:
    """Train on everything that is labelled, then on what the recipe keeps for the end."""
    labelled = rows.filter(lambda row: not np.isnan(np.array(row["targets"])).all())
    stages = [("first", labelled, settings)]
    if recipe.finish is not None:
        last = labelled.filter(lambda row: row["last"])
        stages.append(("last", last, replace(settings, **recipe.finish.model_dump())))
    for name, own, how in stages:
        set_seed(recipe.seed)
        model = fit(model, tokenizer, own, folder / name, how, seed=recipe.seed).model
    return model


def _ranking(model: PreTrainedModel, encoder: WindowEncoder) -> dict[str, float]:
    """Return how well a model ranks the dev conversations of the corpus."""
    labelled = [from_gold(row, "corpus") for row in read_corpus("dev")]
    engine = ModelEngine(model, device=str(model.device))
    scores = score([each.conversation for each in labelled], encoder, engine)
    emotional = OUTPUTS.index(EMOTIONAL)
    metrics: dict[str, float] = Ranking().compute(
        predictions=np.array([found.windows[:, emotional].max() for found in scores], float),
        references=np.array([each.emotional for each in labelled], int),
    )
    return metrics
