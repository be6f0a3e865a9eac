"""Fine-tune a model on a user's own labels: read, hold out, learn, choose, decide, write."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from affectlib._atomic import locked
from affectlib._extras import requires_extra
from affectlib.conversation import clean_text
from affectlib.errors import OptionError
from affectlib.finetuning.card import not_fitted, notes
from affectlib.finetuning.held_out import SHARES, choose_share, cross_fitted, hold_out
from affectlib.finetuning.progress import CountedEngine, Progress, expected_work
from affectlib.finetuning.reading import Labelled, Reader
from affectlib.finetuning.result import FineTuned
from affectlib.finetuning.thresholds import Decided, can_be_fitted, decide, pivot_of
from affectlib.finetuning.writing import building, require_free, write_description, write_model
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from affectlib.model.calibration import finite_logit, sigmoid
from affectlib.model.encoding import EncodedWindow
from affectlib.model.engines import load_engine
from affectlib.model.screen import SCREEN_FILE
from affectlib.taxonomy import EMOTIONAL, TASK

if TYPE_CHECKING:
    from affectlib.finetuning.learning import Learned

__all__ = ["finetune"]

Floats = NDArray[np.float64]
Windows: TypeAlias = Sequence[Sequence[EncodedWindow]]
_RANKING = ("average precision", "AUROC")


def finetune(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | Artifact = DEFAULT_MODEL,
    group: str | None = None,
    name: str | None = None,
    data_name: str | None = None,
    licence: str | None = None,
    seed: int = 1,
    confidence: float = 0.95,
    overwrite: bool = False,
    progress: bool = False,
) -> FineTuned:
    """Fine-tune a model on labelled conversations, and save the new one.

    Three tenths of the conversations are held out, to choose how far the new model moves from the
    base, to fit its probabilities and thresholds, and to compare it with the base. What the base
    gives for cues, themes and the other charges stays nearly the same. A few hundred conversations
    take minutes on a laptop.

    Args:
        path: The labelled conversations, JSONL or CSV.
        folder: Where the new model goes; it must be new or empty.
        model: The model to start from: a name, a folder, or what `load_artifact` returns.
        group: A field or column of the file that names the person; all of a person's conversations
            are held out, or none. Without it, each conversation counts by itself.
        name: The new model's name; that of the folder if None.
        data_name: What the card calls the data; the name of the file if None.
        licence: The licence that the card states; none if None.
        seed: Seed of everything random.
        confidence: Level of the intervals.
        overwrite: Whether a model that is in the folder may be replaced.
        progress: Whether to show progress, with the time left.

    Raises:
        TranscriptFormatError: A row of the file is malformed, has no such `group`, or an id is
            there twice.
        OptionError: There are fewer than ten conversations of a label, or they are of too few
            people to hold any out, or `confidence` is not between 0 and 1.
        OutputExistsError: The folder exists.
        ArtifactNotFoundError: There is no such model to start from.
        ArtifactCorruptError: A file of it is missing or altered.
        MissingExtraError: The extra ``train`` is not installed.
        OSError: The file cannot be read, or the folder cannot be written.

    Example:
        >>> import affectlib
        >>> made = affectlib.finetune("mine.jsonl", "my-model")  # doctest: +SKIP
        >>> classifier = affectlib.AffectClassifier.from_pretrained(made.folder)  # doctest: +SKIP
    """
    began = time.monotonic()
    if not 0 < confidence < 1:
        raise OptionError(f"confidence must be between 0 and 1, got {confidence}")
    source, target = Path(path), Path(folder)
    base = model if isinstance(model, Artifact) else load_artifact(model)
    require_free(target, base, source, overwrite=overwrite)
    data = Labelled.read(source, group)
    with requires_extra("train"):
        import affectlib.finetuning.learning  # noqa: F401 what it needs is told of first
    about = {
        "name": clean_text(name or target.resolve().name),
        "data": clean_text(data_name or source.name),
        "licence": licence and clean_text(licence),
        "group": group,
        "seed": seed,
        "confidence": confidence,
    }
    with (
        locked(target),
        building(target) as built,
        _own_randomness(),
        closing(Progress(progress)) as shown,
    ):
        made = _make(base, data, built, about, shown)
    return replace(made, folder=target, seconds=time.monotonic() - began)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Leave the state of all generators as it was."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _make(
    base: Artifact, data: Labelled, built: Path, about: Mapping[str, Any], shown: Progress
) -> FineTuned:
    """Make the new model in a folder."""
    from affectlib.finetuning import learning

    reader = Reader(base)
    windows = reader.windows(data)
    read = np.array([any(window.of_user.any() for window in own) for own in windows])
    data, windows = data.where(read), [*compress(windows, read)]
    shown.plan(expected_work(sum(map(len, windows)), learning.SETTINGS.epochs))
    held = hold_out(data.truth, data.codes, seed=about["seed"])
    kept, kept_windows = data.where(held), [*compress(windows, held)]
    _require_both(kept.truth, about)
    if not can_be_fitted(kept.truth, kept.codes):
        shown.say(f"note: {not_fitted(len(kept.truth), int(kept.truth.sum()), 'the base')}")
    learned = _learn(reader, data.where(~held), [*compress(windows, ~held)], about["seed"], shown)
    pivot = pivot_of(base)
    z = _by_share(reader, learned, kept_windows, shown)
    chosen = choose_share(z, kept.truth, kept.codes, pivot)
    shown.show("writing", 0.0)
    new = write_model(base, learned.averaged(SHARES[chosen]), built)
    before, after = (_as_written(reader, model, kept_windows, shown) for model in (base, new))
    z[0], z[chosen] = finite_logit(before), finite_logit(after)
    crossed = sigmoid(cross_fitted(z, kept.truth, kept.codes, pivot))
    decided = decide(base, before, after, crossed, kept.truth, kept.codes)
    made = FineTuned(
        folder=built,
        name=about["name"],
        base=f"{base.name} {base.version}",
        conversations=len(data.conversations),
        emotional=int(data.truth.sum()),
        held_out=len(kept.conversations),
        held_out_emotional=int(kept.truth.sum()),
        share=SHARES[chosen],
        fitted=decided.fitted,
        figures=(*_figures(base, decided, before, crossed, kept, about["confidence"]),),
    )
    screened = base.has_file(SCREEN_FILE)
    made = replace(made, notes=(*notes(made, int((~read).sum()), screened=screened),))
    write_description(base, made, decided, about, [c.conversation for c in data.conversations])
    shown.show("checking", 1.0)
    return made


def _require_both(held_out: NDArray[np.bool_], about: Mapping[str, Any]) -> None:
    """Refuse a held-out part that lacks a label, before the work is done."""
    group = about["group"]
    for label, own in ((EMOTIONAL, held_out), (TASK, ~held_out)):
        if not own.any():
            raise OptionError(
                f"{about['data']}: no {label} conversation can be held out to judge the new model "
                "by: "
                + (
                    "too few of them differ and can be read; label more conversations"
                    if group is None
                    else f"all conversations with the same {group!r} are held out, or none, and "
                    "these are of too few people; label conversations of more people"
                )
            )


def _learn(reader: Reader, data: Labelled, windows: Windows, seed: int, shown: Progress) -> Learned:
    from affectlib.finetuning.learning import learn

    shown.show("preparing", 0.0)
    with TemporaryDirectory() as scratch:
        return learn(
            reader.base,
            data.conversations,
            windows,
            reader.pad_id,
            Path(scratch),
            seed=seed,
            prepared=shown.of("preparing"),
            learnt=shown.of("learning"),
        )


def _by_share(reader: Reader, learned: Learned, windows: Windows, shown: Progress) -> Floats:
    """Return the logits of conversations by share of the new weights."""
    from affectlib.finetuning.trainer import ModelEngine

    rows = []
    for place, share in enumerate(SHARES):
        shown.show("choosing", place / len(SHARES))
        engine = ModelEngine(learned.averaged(share))
        rows.append(finite_logit(reader.probabilities(windows, engine)))
    return np.array(rows)


def _as_written(reader: Reader, model: Artifact, windows: Windows, shown: Progress) -> Floats:
    """Return what a model that is written says of conversations."""
    stage = "reading" if model is reader.base else "checking"
    shown.show(stage, 0.0)
    engine = load_engine(model, engine="onnx", device="cpu")
    return reader.probabilities(windows, CountedEngine(engine, windows, shown.of(stage)))


def _figures(
    base: Artifact,
    decided: Decided,
    before: Floats,
    crossed: Floats,
    kept: Labelled,
    confidence: float,
) -> Iterator[dict[str, Any]]:
    """Yield base and new model on what was held out, by operating point and measure.

    The ranking is that of `crossed`: each fold of the cross-fitted probabilities went through a
    line of its own, and is only in order within itself.
    """
    with requires_extra("train"):
        from affectlib.analysis._measures import Measured, change_rows

    weight, codes = np.ones(len(before)), kept.codes.astype(np.int64)

    def rows(after: Floats) -> Iterator[dict[str, Any]]:
        pairs = {
            name: (
                Measured(kept.truth, before >= point.conversation, before, weight, codes),
                Measured(kept.truth, decided.called[name], after, weight, codes),
            )
            for name, point in base.operating_points.items()
        }
        return change_rows(pairs, confidence, ranking=True)

    for judged, ranked in zip(rows(decided.probability), rows(crossed), strict=True):
        row = ranked if judged["measure"] in _RANKING else judged
        yield {
            key: None if isinstance(value, float) and np.isnan(value) else value
            for key, value in row.items()
        }
