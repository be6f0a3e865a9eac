"""Where a new model goes: written beside its place, and put there when it is complete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectlib._atomic import require_folder, temporary_of
from affectlib.conversation import Conversation
from affectlib.errors import OutputExistsError
from affectlib.finetuning.card import card
from affectlib.finetuning.thresholds import Decided
from affectlib.model.artifacts import FORMAT, MANIFEST, Artifact, sha256
from affectlib.model.recalibration import points_of
from affectlib.model.reference import add_domain

if TYPE_CHECKING:
    from affectlib.finetuning.result import FineTuned

__all__ = ["building", "require_free", "write_description", "write_model"]

_NOT_OF_THIS_MODEL = ("calibrated", "recipe", "screen", "files", "sha256")
"""What the base says about itself, and is not true of a model with other weights."""


def require_free(target: Path, base: Artifact, source: Path, *, overwrite: bool) -> None:
    """Refuse a place that must not be written to, before the work is done.

    Args:
        target: The folder of the new model.
        base: The model that it is made from.
        source: The file that is learnt from.
        overwrite: Whether a model that is there may be replaced.

    Raises:
        OutputExistsError: Something is there that may not be replaced.
        FileNotFoundError: The folder that it should lie in is not there.
    """
    require_folder(target, "new model")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise OutputExistsError(
            f"{target}: it exists; name another folder or give `overwrite=True`"
        )
    if not (target / MANIFEST).is_file():
        raise OutputExistsError(f"{target}: it holds no model, so it is not overwritten")
    for needed in (base.folder.resolve(), source.resolve()):
        if needed.is_relative_to(target.resolve()):
            raise OutputExistsError(f"{target}: it holds what is to be read; name another folder")


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a folder to build in, which takes the place of `target` at the end.

    If the block raises, what was there stays. The rest of a run that was killed is removed.
    """
    built, old = temporary_of(target), target.with_name(f".{target.name}.old")
    for rest in (built, old):
        shutil.rmtree(rest, ignore_errors=True)
    try:
        built.mkdir()
        yield built
        if target.exists():
            target.rename(old)
        built.rename(target)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_model(base: Artifact, model: Any, folder: Path) -> Artifact:
    """Write the new weights and the base's tokenizer, and return the base with these files.

    Raises:
        MissingExtraError: The extra ``train`` is not installed.
    """
    from affectlib.finetuning.export import MODEL_FILES, write_weights
    from affectlib.model.engines.torch import quiet

    with quiet():
        write_weights(model, folder)
    shutil.copyfile(base.file("tokenizer.json"), folder / "tokenizer.json")
    settings = base.folder / "tokenizer_config.json"
    if settings.is_file():
        shutil.copyfile(settings, folder / settings.name)
    return replace(
        base, folder=folder, _hashes={name: sha256(folder / name) for name in MODEL_FILES}
    )


def write_description(
    base: Artifact,
    made: FineTuned,
    decided: Decided,
    about: Mapping[str, Any],
    conversations: Sequence[Conversation],
) -> None:
    """Write the card, and ``affect.json`` last, so that nothing is taken for a model before.

    Args:
        base: The model that it was made from.
        made: What was made.
        decided: Its calibration and thresholds.
        about: What the card says about the data; see `affectlib.finetuning.card.card`.
        conversations: The labelled conversations.
    """
    from affectlib.finetuning.export import write_manifest

    values = json.loads((base.folder / MANIFEST).read_bytes())
    for key in _NOT_OF_THIS_MODEL:
        values.pop(key, None)
    values |= {
        "format": FORMAT,
        "name": made.name,
        "recalibration": asdict(decided.line.after(base.recalibration)),
        "prevalence": decided.prevalence,
        "operating_points": points_of(decided.operating_points),
        "measured": {name: {"conversation": own} for name, own in decided.measured.items()},
        "base": {"name": base.name, "version": base.version, "fingerprint": base.fingerprint},
        "finetuned": {
            "data": about["data"],
            "conversations": made.conversations,
            "emotional": made.emotional,
            "held_out": made.held_out,
            "held_out_emotional": made.held_out_emotional,
            "share": made.share,
            "seed": about["seed"],
        },
    }
    if base.reference is not None:
        values["reference"] = add_domain(base.reference, conversations).to_dict()
    text = card(made, base, about)
    (made.folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    write_manifest(made.folder, values)
