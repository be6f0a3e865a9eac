"""The chain: prepare -> teach -> train -> calibrate and export -> screen -> evaluate -> card.

    python -m training.run --config configs/NAME.yaml [--data DIR] [--start STEP] [--set a.b=c]

Each step writes under the recipe's output folder and leaves a mark with a digest of the recipe and
of the files that it reads; a second call goes on where the first stopped, training from its last
checkpoint included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import sha256
from training.config import Recipe, load_recipe
from training.data.sources import DATA, DEV_LABELS

STEPS = {
    "prepare": "training.data.prepare:prepare",
    "teach": "training.model.train:teach",
    "train": "training.model.train:train",
    "export": "training.model.export:export",
    "screen": "training.screen.make:screen",
    "evaluate": "training.evaluate:evaluate_run",
    "card": "training.evaluation.card:write_of_run",
}
"""Functions of the recipe and the data folder, imported when they run: torch takes seconds."""

_THRESHOLDS_OF_OURS = (
    "note: thresholds are chosen on the project's own dev conversations, not on your file; "
    "`affectlib finetune` chooses them on a part of it"
)


def run(recipe: Recipe, data: Path | None, start: str | None = None) -> None:
    """Run the steps that are not done yet, or all from `start` on."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    if any(source.path is not None for source in recipe.sources):
        print(_THRESHOLDS_OF_OURS, flush=True)
    learnt, judged = _contents(recipe, data)
    for name, step in STEPS.items():
        digest = f"{recipe.digest(name)} {learnt if name in _LEARNING else judged}"
        mark = recipe.folder / f"{name}.done"
        if name != start and mark.exists() and mark.read_text() == digest:
            print(f"{name}: done before")
            continue
        _begin(recipe.folder, name, digest)
        began = time.monotonic()
        result = resolve_name(step)(recipe, data)
        mark.write_text(digest)
        print(f"{name}: {time.monotonic() - began:.0f} s")
        print(json.dumps(result, indent=1, ensure_ascii=False), flush=True)


_LEARNING = ("prepare", "teach", "train")
"""The steps before thresholds are chosen, for which the dev labels do not count."""


def _contents(recipe: Recipe, data: Path | None) -> tuple[str, str]:
    """Return a hash of labels, the user's files and encoders in folders; and with dev labels.

    The manifest holds the hashes of public sets; what packages carry is theirs.
    """
    encoders = [recipe.encoder.path, recipe.encoder.words_from]
    encoders += [recipe.teacher.path] if recipe.teacher else []
    files = [file for file in sorted(DATA.glob("*.jsonl")) if file.name not in DEV_LABELS]
    files += [Path(source.path) for source in recipe.sources if source.path]
    for path in filter(None, encoders):
        files += [folder / path / "model.safetensors" for folder in (data or Path(), Path())]
    learnt = "".join(sha256(file) for file in files if file.is_file())
    judged = learnt + "".join(sha256(DATA / name) for name in DEV_LABELS)
    first, second = (hashlib.sha256(x.encode()).hexdigest()[:16] for x in (learnt, judged))
    return first, second


def _begin(folder: Path, name: str, digest: str) -> None:
    """Mark a step as begun and those after it as not done."""
    begun = folder / f"{name}.begun"
    # What an earlier run left, such as checkpoints, stays if that was stopped in this very step.
    if (folder / f"{name}.done").exists() or not begun.exists() or begun.read_text() != digest:
        shutil.rmtree(folder / name, ignore_errors=True)
    for later in [*STEPS][[*STEPS].index(name) :]:
        for state in ("begun", "done"):
            (folder / f"{later}.{state}").unlink(missing_ok=True)
    begun.write_text(digest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chain from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description=__doc__)
    parser.add_argument("--config", required=True, help="the recipe, a YAML file")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--start", choices=STEPS, help="first step to run, done before or not")
    replaced = "replace a setting"
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help=replaced)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        recipe = load_recipe(options.config, options.set)
        run(recipe, options.data, options.start)
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.run: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
