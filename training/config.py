"""The recipe: one YAML file, checked against these models, with overrides from the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from affectlib.finetuning.settings import TrainSettings
from affectlib.model.artifacts import bundled_models, load_artifact
from affectlib.model.windows import WindowSettings


class RecipeError(ValueError):
    """A recipe or an override of it is wrong; the message names the key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderSettings(_Section):
    """Which encoder training starts from.

    Attributes:
        path: A folder (relative to the data folder), a hub id, the name of a bundled artifact, or
            "tiny": a small random encoder built on the spot.
        words_from: A multilingual encoder, as `path`, by which an English one gets words of other
            languages (see `training.model.encoder`).
    """

    path: str
    words_from: str | None = None


class SourceSettings(_Section):
    """What is taken of one source.

    Attributes:
        name: "corpus" for our own, "annotations" for the rows of public sets that we annotated,
            "twins" for such rows with a turn that was written anew, "file" for a user's own
            labelled data, else a name in `training/data/sources.jsonl`.
        kind: gold (labels by turn), silver_task (all are tasks), or unlabelled (only the teacher
            labels them).
        path: The file, for "file".
        parts: Parts of the corpus (the beginning of the ids) or annotations; None for all.
        conversations: Conversations at most, drawn at random; None for all.
        uncharged: Share of its conversations without charge that are taken.
        weight: Weight of its windows in the loss.
        copies: How often each appears; all copies but the first stand beside calm talk of others.
        last: Whether it is also learnt at the end (see `FinishSettings`).
        assistant_cues: Whether what the assistant says was annotated.
        wrapped: Share of its charged conversations that become a task on pasted text ("Translate
            this: …"), so that a source of charged texts brings its own negatives.
    """

    name: str
    kind: Literal["gold", "silver_task", "unlabelled"] = "gold"
    path: str | None = None
    parts: tuple[str, ...] | None = None
    conversations: int | None = None
    uncharged: float = Field(default=1.0, ge=0, le=1)
    weight: float = Field(default=1.0, gt=0)
    copies: int = Field(default=1, ge=1)
    last: bool = False
    assistant_cues: bool = True
    wrapped: float = Field(default=0.0, ge=0, le=1)


class AugmentSettings(_Section):
    """Shares of conversations that are written otherwise (see `training.data.augment`).

    Charged and calm alike: else a model would take what is altered for a task.

    Attributes:
        typos: Letters swapped, left out, doubled or missed on the keyboard.
        impersonal: First-person pronouns left out or blanked.
        surrounded: What is no prose around each message, as exports have it: a number, a date, a
            placeholder, a signature, quotation marks, markup.
        pasted: What people paste beside each message: code, an error, a table, records, links.
        beside: Calm talk before or after a conversation. Copies always have it.
    """

    typos: float = 0.0
    impersonal: float = 0.0
    surrounded: float = 0.0
    pasted: float = 0.0
    beside: float = 0.0


class TeacherSettings(_Section):
    """A larger model that learns first, and whose scores the shipped model learns from.

    Attributes:
        path: A base encoder (see `EncoderSettings`) with a tokenizer of its own.
        frozen: How many of its lowest layers, and its embeddings, stay as they are.
        epochs: Passes over all windows, before those that it ends on.
        answers: What an earlier run's teacher said (``teach/answers.npz`` in its folder). No
            teacher is trained then, and windows that are not in the file keep their labels only.
    """

    path: str
    frozen: int = 0
    epochs: float = 1.0
    answers: str | None = None


class FinishSettings(_Section):
    """The last stage of training, on the sources that are marked `last`."""

    epochs: float = 1.0
    learning_rate: float = 5e-5


class Recipe(_Section):
    """Everything that decides a run; for a `screen`, all public sets must be there."""

    name: str
    version: str
    seed: int = 1
    output: str = "runs"
    encoder: EncoderSettings
    windows: WindowSettings = WindowSettings()
    sources: tuple[SourceSettings, ...]
    augment: AugmentSettings = AugmentSettings()
    teacher: TeacherSettings | None = None
    train: TrainSettings = TrainSettings()
    finish: FinishSettings | None = None
    real_dev: bool = True
    screen: bool = False

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.output) / self.name

    def text(self) -> str:
        """Return every setting as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self, step: str) -> str:
        """Return a hash of the settings that decide the result of a step."""
        values = self.model_dump_json(exclude=_IRRELEVANT.get(step, set()))
        return hashlib.sha256(values.encode()).hexdigest()[:16]


_IRRELEVANT: dict[str, Any] = {
    "prepare": {"version", "train", "teacher", "screen", "finish"},
    "teach": {
        **{"version": True, "screen": True},
        "train": {"learning_rate", "epochs", "max_steps", "save_steps"},
    },
    "train": {"version", "screen"},
    "export": {"screen"},
}


def read_beside(module: str) -> Any:
    """Return what the YAML file beside a module holds, by the module's ``__file__``."""
    return yaml.safe_load(Path(module).with_suffix(".yaml").read_text(encoding="utf-8"))


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file; overrides are as ``train.epochs=2``, with YAML values."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected a mapping of settings")
    for override in overrides:
        _override(values, override)
    _take_over_windows(values)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise RecipeError(f"{path}: {problems}") from error


def _take_over_windows(values: dict[str, Any]) -> None:
    """Lay windows out as the artifact does that training starts from, unless the recipe says."""
    encoder = values.get("encoder")
    path = encoder.get("path") if isinstance(encoder, dict) else None
    if "windows" in values or not isinstance(path, str):
        return
    folder = bundled_models().get(path, Path(path))
    if (folder / "affect.json").is_file():
        values["windows"] = load_artifact(folder).windows.to_dict()


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise RecipeError(f"--set {override}: expected KEY=VALUE, such as train.epochs=2")
    *parents, last = key.strip().split(".")
    place: Any = values
    for parent in parents:
        if isinstance(place, list) and parent.isdigit() and int(parent) < len(place):
            place = place[int(parent)]
        elif isinstance(place, dict):
            place = place.setdefault(parent, {})
        else:
            raise RecipeError(f"--set {override}: {parent!r} is not in the recipe")
    if not isinstance(place, dict):
        raise RecipeError(f"--set {override}: {key!r} is not in the recipe")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value cannot be read as YAML") from error


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {key!r}"
    return f"{key}: {problem['msg']}"
