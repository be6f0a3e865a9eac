"""Artifacts: folders with a model and everything that is needed to use it.

An artifact is an ordinary transformers folder (``config.json``, ``model.safetensors``,
``tokenizer.json``, ``tokenizer_config.json``) with the int8 weights for CPUs
(``model.int8.onnx``), perhaps a screen (``screen.safetensors``), a card (``README.md``, with its
diagram ``reliability.svg``) and ``affect.json``: names, window layout, version of the text rules,
calibration, thresholds, the SHA-256 of every file that is used, and that of its
own content. Nothing in it is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    MissingExtraError,
    OptionError,
)
from affectlib.model.calibration import (
    Line,
    OperatingPoint,
    Recalibration,
    WindowCombination,
    reproducible,
)
from affectlib.model.hub import HUB_ID, download
from affectlib.model.reference import Reference
from affectlib.model.text import TEXT_RULES
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import CUES, EMOTIONAL, OUTPUTS, TASK, THEMES

__all__ = [
    "DEFAULT_MODEL",
    "FORMAT",
    "MANIFEST",
    "Artifact",
    "bundled_models",
    "bundled_with",
    "load_artifact",
    "save_artifact",
    "sha256",
    "with_digest",
]

DEFAULT_MODEL = "affect-small"
"""The bundled model that is used if none is named."""

FORMAT = 3
"""The format of ``affect.json``. Models of the first two read each message by itself."""

_DIGEST = "sha256"
_CONFIG = "config.json"
MANIFEST = "affect.json"
_UNHASHED = ("tokenizer_config.json", "README.md", "reliability.svg")
_USUAL_THRESHOLD = 0.5
_MODELS = Path(__file__).parents[1] / "models"
_REMEDY = "install affectlib, or download the model, again"
_SHA256 = re.compile(r"[0-9a-f]{64}")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model, where it is, and how to read its outputs.

    Attributes:
        folder: Where it is.
        name: Its name.
        version: Its version.
        outputs: What its logits stand for, in order.
        windows: How conversations are laid out for it.
        conversation: How the windows of a long conversation make one logit.
        messages: A line through the logits of messages, by output, where a conversation has several
            messages of its user.
        operating_points: Thresholds by name.
        cue_thresholds: Probability from which a conversation is taken to show a cue, by the
            cue's name; 0.5 for each in an artifact of an older version, which has none of its own.
        prevalence: The share of emotional conversations that its probabilities assume; see
            `affectlib.model.calibration.prior_shift`.
        description: What else it says about itself, such as languages and base model.
        fingerprint: SHA-256 of ``affect.json``, which holds those of the other files.
        recalibration: What a user's own labels made of its probabilities.
        reference: What the transcripts that it was measured on look like; None if it does not say.
        theme_thresholds: Probability from which what is charged is taken to have a theme, by the
            theme's name; 0.5 for each in an artifact that has none of its own.
    """

    folder: Path
    name: str
    version: str
    outputs: tuple[str, ...]
    windows: WindowSettings
    conversation: WindowCombination
    messages: Mapping[str, Line]
    operating_points: Mapping[str, OperatingPoint]
    cue_thresholds: Mapping[str, float]
    prevalence: float
    description: Mapping[str, Any]
    fingerprint: str
    _hashes: Mapping[str, str] = field(repr=False)
    recalibration: Recalibration = field(default_factory=Recalibration)
    reference: Reference | None = field(default=None, repr=False)
    theme_thresholds: Mapping[str, float] = field(default_factory=dict)

    def has_file(self, name: str) -> bool:
        """Whether it lists a file of that name among those that are used."""
        return name in self._hashes

    def sha256(self, name: str) -> str | None:
        """Return the SHA-256 that its file of that name should have, or None if it lists none."""
        return self._hashes.get(name)

    def file(self, name: str) -> Path:
        """Return the path of one of its files, after checking that it is unaltered.

        Raises:
            ArtifactCorruptError: The file is missing or altered.
        """
        path = self.folder / name
        if name not in self._hashes:
            raise ArtifactCorruptError(f"{self.folder / MANIFEST}: it lists no file {name!r}")
        if not path.is_file():
            raise ArtifactCorruptError(f"{path}: the file is missing; {_REMEDY}")
        if (found := sha256(path)) != self._hashes[name]:
            raise ArtifactCorruptError(
                f"{path}: the file is damaged, or belongs to another model (SHA-256 {found}, "
                f"should be {self._hashes[name]}); {_REMEDY}"
            )
        return path

    def message_logits(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return the calibrated logits of one of several messages, shape ``[outputs]``."""
        lines = [self.messages[name] for name in self.outputs]
        intercepts, slopes = np.array([(line.intercept, line.slope) for line in lines]).T
        return np.asarray(intercepts + slopes * logits)

    def operating_point(self, name: str) -> OperatingPoint:
        """Return the thresholds of that name.

        Raises:
            OptionError: There is no operating point of that name; the error lists those there are.
        """
        try:
            return self.operating_points[name]
        except (KeyError, TypeError):
            known = ", ".join(self.operating_points)
            raise OptionError(
                f"unknown operating point {name!r}; {self.name} has {known}"
            ) from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundled_models() -> dict[str, Path]:
    """Return the artifacts that came with affectlib: name to folder.

    Example:
        >>> "affect-small" in bundled_models()
        True
    """
    return {manifest.parent.name: manifest.parent for manifest in _MODELS.glob(f"*/{MANIFEST}")}


def bundled_with(fingerprint: str, name: str) -> Artifact | None:
    """Return the bundled model of a name if it has this fingerprint, else None."""
    if name not in bundled_models():
        return None
    artifact = load_artifact(name)
    return artifact if artifact.fingerprint == fingerprint else None


def load_artifact(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    local_files_only: bool = True,
    revision: str | None = None,
) -> Artifact:
    """Find an artifact and read its ``affect.json``.

    The other files are checked against their SHA-256 when they are used.

    Args:
        model: The name of a bundled model, the path of a folder, or an id on the Hugging Face
            Hub such as ``"user/name"``.
        local_files_only: Whether to stay off the network; a model of the Hub is then found only
            if it was downloaded before.
        revision: The branch, tag or commit of a model of the Hub; ``main`` if None.

    Raises:
        ArtifactNotFoundError: There is no such artifact.
        ArtifactCorruptError: It is not one that this version can read.
        MissingExtraError: A model of the Hub was asked for, and huggingface_hub is not installed.
        OptionError: A revision was given for what is no model of the Hub.

    Example:
        >>> load_artifact("affect-small").outputs[0]
        'emotional'
    """
    folder = _find(model, local_files_only, revision)
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise ArtifactNotFoundError(
            f"{folder}: the folder is not an artifact: it has no {MANIFEST}"
        )
    content = manifest.read_bytes()
    try:
        artifact = _parse(json.loads(content), folder, hashlib.sha256(content).hexdigest())
        _require_order(artifact)
        return artifact
    except (_ManifestError, ValueError, RecursionError) as error:
        problem = error if isinstance(error, _ManifestError) else "it is no valid JSON"
        raise ArtifactCorruptError(f"{manifest}: {problem}; {_REMEDY}") from error


def with_digest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``affect.json`` holds with a new digest of it, by which damage is noticed.

    Example:
        >>> with_digest({"format": 2})["sha256"][:8]
        '0b0a51ca'
    """
    content = {name: value for name, value in values.items() if name != _DIGEST}
    # Of the values and not of the file, so that it may be laid out in another way.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return content | {_DIGEST: hashlib.sha256(text.encode()).hexdigest()}


def save_artifact(
    artifact: Artifact,
    folder: str | os.PathLike[str],
    *,
    values: Mapping[str, Any] | None = None,
    card: str | None = None,
) -> None:
    """Copy an artifact, so that `load_artifact` and transformers can load the copy.

    Args:
        artifact: The artifact.
        folder: Where it goes; made if needed, files of the same names are replaced.
        values: What the copy's ``affect.json`` holds instead; files not listed there stay behind.
        card: Another card for the copy, which then has no diagram.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if target.samefile(artifact.folder):
        return
    for name in artifact._hashes if values is None else values["files"]:
        shutil.copyfile(artifact.file(name), target / name)
    for name in _UNHASHED:
        if (artifact.folder / name).is_file() and (card is None or name == _UNHASHED[0]):
            shutil.copyfile(artifact.folder / name, target / name)
    if card is not None:
        (target / "README.md").write_text(card, encoding="utf-8", newline="\n")
    # Last, so that a copy that was interrupted is not taken for an artifact.
    if values is None:
        shutil.copyfile(artifact.folder / MANIFEST, target / MANIFEST)
    else:
        text = json.dumps(with_digest(values), indent=1, ensure_ascii=False) + "\n"
        (target / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def _find(model: str | os.PathLike[str], local_files_only: bool, revision: str | None) -> Path:
    name = os.fspath(model)
    bundled = bundled_models()
    here = bundled.get(name) if isinstance(model, str) else None
    if here is None and Path(name).is_dir():
        here = Path(name)
    if here is not None:
        if revision is not None:
            raise OptionError(
                f"revision: {name!r} is on this machine; only models on the Hub have revisions"
            )
        return here
    if HUB_ID.fullmatch(name) and not local_files_only:
        return download(name, revision, local_files_only=False)
    if HUB_ID.fullmatch(name):
        with suppress(ArtifactNotFoundError, MissingExtraError):
            return download(name, revision, local_files_only=True)
    raise ArtifactNotFoundError(
        f"no model {name!r}: it is neither bundled ({', '.join(sorted(bundled)) or 'none'}), nor "
        "a folder here, nor a model of the Hugging Face Hub that was downloaded before; to "
        'download one, give its id "user/name" and `local_files_only=False`'
    )


class _ManifestError(Exception):
    """What is wrong with an ``affect.json``."""


def _parse(values: Any, folder: Path, fingerprint: str) -> Artifact:
    if not isinstance(values, dict):
        raise _ManifestError("expected an object")
    digest = with_digest(values)[_DIGEST]
    version = _pop(values, "format", int)
    _refuse_newer("format", version, FORMAT)
    if version < FORMAT:
        raise _ManifestError(
            f"made by affectlib 0.13 or older (format {version}, this one reads {FORMAT}); "
            "make it anew, or use the affectlib that made it"
        )
    if _pop(values, _DIGEST, str) != digest:
        raise _ManifestError(f'it was altered: "{_DIGEST}" does not match its content')
    rules = _number(values.get("text_rules"), "text_rules")
    _refuse_newer("text rules", rules, TEXT_RULES)
    if rules < TEXT_RULES:
        # Such weights learnt from text which was read in another way.
        raise _ManifestError(
            f"it was trained on text read by rules {rules}, but this affectlib reads by "
            f"{TEXT_RULES}; use the affectlib that made it"
        )
    outputs = tuple(_pop(values, "outputs", list))
    if EMOTIONAL not in outputs or any(name not in OUTPUTS for name in outputs):
        problem = f'"outputs" must hold {EMOTIONAL!r}, and only charges, cues and themes'
        raise _ManifestError(problem)
    points = _build_each(OperatingPoint, values, "operating_points")
    lines = _build_each(Line, values, "messages")
    hashes = _pop(values, "files", dict)
    for name, given in hashes.items():
        if Path(name).name != name:
            raise _ManifestError('"files" must name files in the folder itself')
        if not isinstance(given, str) or not _SHA256.fullmatch(given):
            raise _ManifestError(f'"files.{name}" must be a SHA-256 in lower-case hexadecimal')
    prevalence = _pop(values, "prevalence", int | float)
    if not 0 < prevalence < 1:
        raise _ManifestError('"prevalence" must be more than 0 and less than 1')
    return Artifact(
        folder=folder,
        name=_pop(values, "name", str),
        version=_pop(values, "version", str),
        outputs=outputs,
        windows=_make(WindowSettings, _pop(values, "windows", dict), "windows"),
        conversation=_build(WindowCombination, _pop(values, "conversation", dict), "conversation"),
        messages=MappingProxyType({name: lines.get(name, Line()) for name in outputs}),
        operating_points=MappingProxyType(points),
        cue_thresholds=_thresholds(values, "cue_thresholds", outputs, CUES),
        theme_thresholds=_thresholds(values, "theme_thresholds", outputs, THEMES),
        prevalence=prevalence,
        recalibration=_build(
            Recalibration, values.pop("recalibration", asdict(Recalibration())), "recalibration"
        ),
        reference=Reference.read(values.pop("reference", None)),
        fingerprint=fingerprint,
        _hashes=MappingProxyType(hashes),
        description=MappingProxyType(values),
    )


def _refuse_newer(what: str, version: float, own: int) -> None:
    if version > own:
        raise _ManifestError(
            f"made by a newer affectlib ({what} {version}, this one reads {own}); "
            "upgrade with: pip install -U affectlib"
        )


def _require_order(artifact: Artifact) -> None:
    """Refuse outputs in another order than the model's configuration has them."""
    try:
        config = json.loads((artifact.folder / _CONFIG).read_bytes())
        names = {int(place): name for place, name in config["id2label"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return  # one that is missing or damaged is named when it is used
    found = tuple(names[i] for i in sorted(names))
    expected = (artifact.outputs, (*artifact.outputs, TASK))  # one more, for transformers' users
    if _CONFIG in artifact._hashes and found not in expected:
        raise _ManifestError(f'"outputs" are not those of {_CONFIG}, or are in another order')


def _thresholds(
    values: dict[str, Any], key: str, outputs: tuple[str, ...], kinds: Container[str]
) -> Mapping[str, float]:
    """Return the threshold of each of the outputs that are of a kind, such as the cues."""
    names = [name for name in outputs if name in kinds]
    if key not in values:
        return MappingProxyType(dict.fromkeys(names, _USUAL_THRESHOLD))
    thresholds = _pop(values, key, dict)
    for name in names:
        if not 0 <= _number(thresholds.get(name), f"{key}.{name}") <= 1:
            raise _ManifestError(f'"{key}.{name}" must lie between 0 and 1')
    return MappingProxyType({name: reproducible(thresholds[name]) for name in names})


def _pop(values: dict[str, Any], key: str, kind: Any) -> Any:
    """Take a required value of the right type out of the manifest."""
    if key not in values:
        raise _ManifestError(f'"{key}" is missing')
    value = values.pop(key)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise _ManifestError(f'"{key}" has the wrong type, {type(value).__name__}')
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _ManifestError(f'"{key}" must be a number, not {type(value).__name__}')
    return value


def _build_each(cls: type[_T], values: dict[str, Any], key: str) -> dict[str, _T]:
    """Build a dataclass from each value of a required object of the manifest."""
    named = _pop(values, key, dict)
    return {name: _build(cls, value, f"{key}.{name}") for name, value in named.items()}


def _build(cls: type[_T], values: Any, key: str) -> _T:
    """Build a dataclass of numbers from a part of the manifest; only defaults may be missing."""
    if not isinstance(values, dict):
        raise _ManifestError(f'"{key}" must be an object, not {type(values).__name__}')
    optional = {item.name: item.default is None for item in fields(cls)}  # type: ignore[arg-type]
    for name, may_lack in optional.items():
        if name not in values and not may_lack:
            raise _ManifestError(f'"{key}.{name}" is missing')
    for name, value in values.items():
        if name not in optional:
            raise _ManifestError(f'"{key}.{name}" is unknown to this version of affectlib')
        _number(value, f"{key}.{name}")
    return _make(cls, values, key)


def _make(cls: type[_T], values: dict[str, Any], key: str) -> _T:
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise _ManifestError(f'"{key}": {error}') from error
