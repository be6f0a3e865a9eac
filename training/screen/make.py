"""The screen of an artifact in the making: teach, choose the bounds, check, write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from affectlib.model.artifacts import Artifact, save_artifact, sha256, with_digest
from affectlib.model.engines.torch import load_model
from affectlib.model.screen import SCREEN_FILE, Screen, lowest_limits, made_from
from affectlib.taxonomy import ASSISTANT_CUES
from training.screen.bound import CONFIDENCE, Judge, choose_bound, mean_shift, missed, trade_off
from training.screen.chats import CHECK, ROLES, Chat, Windows, score
from training.screen.student import learn, size_of

MOST_BYTES = 6_000_000
HEADER_BYTES = 50_000
"""What the file holds beside the tensors, at most: their names, limits and bounds."""
DECIDING = tuple(range(CHECK))


def add_screen(artifact: Artifact, chats: Sequence[Chat], work: Path, folder: Path) -> Any:
    """Make the screen of an artifact and write the artifact with it.

    Args:
        artifact: The artifact.
        chats: What teaches the screen, chooses its bounds and checks them.
        work: Where chunks of scored windows are kept.
        folder: Where the artifact goes; its own folder gets the screen only.

    Returns:
        What ``affect.json`` says of the screen: see `_report`.

    Raises:
        ValueError: The screen would be too large; this is known before anything is scored.
    """
    words = load_model(artifact).get_input_embeddings().weight.detach().float()
    size = size_of(words, len(artifact.outputs)) + HEADER_BYTES
    if size > MOST_BYTES:
        raise ValueError(
            f"the screen of {artifact.name} would have {size:,} bytes, more than {MOST_BYTES:,}: "
            "lessen BUCKETS or FILTERS in training/screen/student.py"
        )
    windows = score(chats, artifact, work)
    made = _Making(artifact, chats, windows, words)
    report = made.run()
    _print_missed(report["checked_on"])
    save_artifact(artifact, folder)
    path = folder / SCREEN_FILE
    limits = {name: made.limits[name] for name in artifact.outputs if name in made.limits}
    facts = {"made_from": made_from(artifact), "limits": limits, "bounds": made.bounds}
    save_file(made.tensors, path, metadata={"screen": json.dumps(facts)})
    manifest = folder / "affect.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    values["files"][SCREEN_FILE] = sha256(path)
    values["screen"] = report
    text = json.dumps(with_digest(values), indent=1, ensure_ascii=False)
    manifest.write_text(text + "\n", encoding="utf-8")
    return report


def _print_missed(checked_on: dict[str, Any]) -> None:
    """Say which targets are missed on the conversations that took no part."""
    lines = [f"{role}: {line}" for role, counts in checked_on.items() for line in missed(counts)]
    for line in lines or ["all targets are met"]:
        print(f"checked on conversations that took no part: {line}", flush=True)


@dataclass
class _Making:
    """A screen in the making."""

    artifact: Artifact
    chats: Sequence[Chat]
    windows: Windows
    words: torch.Tensor

    def __post_init__(self) -> None:
        outputs = self.artifact.outputs
        assistant = np.array([name in ASSISTANT_CUES for name in outputs])
        self.applies = np.array([~assistant, assistant])
        self.limits = lowest_limits(self.artifact)
        self.order = np.array([self.limits.get(name, inf) for name in outputs], np.float32)
        above = self.windows.logits - self.order
        above[~self.applies[self.windows.sides]] = -inf
        self.margin = above.max(axis=1)
        of_chat = np.array([[chat.part, chat.teaches] for chat in self.chats])[self.windows.chats]
        self.part, self.teaches = of_chat[:, 0], of_chat[:, 1].astype(bool)
        self.bounds: dict[str, float] = dict.fromkeys(ROLES, 0.0)
        self.judges = {
            role: Judge(
                self.artifact, self.chats, self.windows.where(self.windows.sides == side), role
            )
            for side, role in enumerate(ROLES)
        }

    def run(self) -> dict[str, Any]:
        """Teach, choose, check; returns the report."""
        logits = np.empty_like(self.windows.logits)
        reach = np.empty(len(self.windows), np.float32)
        for part in DECIDING:
            held = self.part == part
            tensors = self._learn(~held)
            logits[held], reach[held] = self._outputs(tensors, held)
        self.tensors = self._learn(np.ones(len(held), bool))
        held = self.part == CHECK
        logits[held], reach[held] = self._outputs(self.tensors, held)
        self._choose(reach, logits)
        shift = self._shift(reach, logits)
        self.tensors["out.bias"][:-2] += shift
        logits = np.minimum(logits + shift, self.order - np.float32(0.01))
        self._choose(reach, logits)
        return self._report(reach, logits)

    def _learn(self, chosen: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Teach a screen some windows, none of which are of the part that checks."""
        learnt = chosen & self.teaches & (self.part != CHECK)
        print(f"learning {learnt.sum():,} windows", flush=True)
        own = self.windows.where(learnt)
        return learn(own, self.words, self.margin[learnt], self.applies)

    def _outputs(
        self, tensors: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        screen = Screen(tensors, self.order.tolist(), self.bounds)
        places = np.array_split(np.flatnonzero(chosen), max(1, chosen.sum() // 256))
        found = [
            screen.outputs(own.ids, own.targets.tolist(), own.sides)
            for own in map(self.windows.where, places)
            if len(own)
        ]
        if not found:
            return np.zeros((0, len(self.order)), np.float32), np.zeros(0, np.float32)
        logits, reach = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(reach)

    def _choose(self, reach: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        for side, role in enumerate(ROLES):
            own = self.windows.sides == side
            self.bounds[role] = choose_bound(self.judges[role], reach[own], logits[own], DECIDING)

    def _shift(
        self, reach: NDArray[np.float32], logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what each output lacks on the windows that are settled, on average."""
        bound = np.array([self.bounds[role] for role in ROLES])[self.windows.sides]
        settled = (reach < bound) & (self.part != CHECK)
        shift = np.zeros(len(self.order), np.float32)
        for output, highest in enumerate(self.order.tolist()):
            own = settled & self.applies[self.windows.sides, output]
            found, meant = logits[own, output], self.windows.logits[own, output]
            shift[output] = mean_shift(found, meant, highest)
        return shift

    def _report(self, reach: NDArray[np.float32], logits: NDArray[np.float32]) -> dict[str, Any]:
        report: dict[str, Any] = {"confidence": CONFIDENCE, "windows": len(self.windows)}
        for name, parts in (("chosen_on", DECIDING), ("checked_on", (CHECK,))):
            report[name] = {}
            for side, role in enumerate(ROLES):
                own = self.windows.sides == side
                settled = reach[own] < self.bounds[role]
                report[name][role] = self.judges[role].losses(settled, logits[own], parts)
        own = self.windows.sides == ROLES.index("user")
        report["trade_off"] = trade_off(self.judges["user"], reach[own], logits[own], (CHECK,))
        return report
