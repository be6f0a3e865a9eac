"""The screen of an artifact in the making: teach, choose the bounds, check, write.

A bound is the value from which on a screen asks the encoder, as high as what may be lost allows.
What is lost is counted on conversations that did not teach the screen, as users see it: another
label at an operating point, another decision on a cue, a charged conversation or an emotional
message that is no longer found. Each count has a target. A bound is allowed if the upper ends of
the one-sided Clopper-Pearson intervals of all counts lie within their targets, so that few
conversations without any loss do not suffice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.optimize import brentq
from scipy.stats import beta

from affectlib.model.artifacts import Artifact, load_artifact, save_artifact, sha256, with_digest
from affectlib.model.calibration import logit, sigmoid
from affectlib.model.engines.torch import load_model
from affectlib.model.screen import BELOW, SCREEN_FILE, Screen, lowest_limits, made_from
from affectlib.taxonomy import CUES, EMOTIONAL
from training.config import Recipe
from training.screen.chats import CHECK, KINDS, NATURAL, Chat, Windows, read_chats, score
from training.screen.student import learn, size_of

MOST_BYTES = 6_000_000
HEADER_BYTES = 50_000
"""What the file holds beside the tensors, at most: their names, limits and bounds."""
DECIDING = tuple(range(CHECK))
CONFIDENCE = 0.95
OTHER_LABEL = OTHER_CUES = {kind: 0.001 if kind == NATURAL else 0.005 for kind in KINDS}
"""Share of conversations that may have another label, at each operating point, or other cues."""
LOWER = 2
"""How many times as many may have another label at points that are lower by `ROOM`."""
MESSAGES_LOST = 0.01
"""Share of the conversations with a message labelled emotional that may lose all, at each point."""
CHARGED_LOST = 0.003
"""Share of the conversations with a charged label that may be found no longer, at each point."""
ROOM = 0.5
"""How much lower, in logits, thresholds may become before the screen has to go. So the labels of
conversations count at lower points too. `affectlib calibrate` often lowers thresholds a little."""
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Shares of the windows of natural logs, for the table of what is lost if so many are settled."""
NOTHING = -1e6
"""A bound that settles nothing."""
_CANDIDATES = 512
Flags: TypeAlias = NDArray[np.bool_]


def screen(recipe: Recipe, data: Path | None) -> Any:
    """Make the screen of a run's artifact, if the recipe wants one."""
    if not recipe.screen:
        return {}
    artifact = load_artifact(recipe.folder / "artifact")
    return add_screen(artifact, read_chats(data), recipe.folder / "screen", artifact.folder)


def add_screen(
    artifact: Artifact, chats: Sequence[Chat], work: Path, folder: Path, version: str | None = None
) -> Any:
    """Make the screen of an artifact, and write the artifact with it into a folder.

    Scored windows are kept in ``work``. Returns what ``affect.json`` says of the screen; raises a
    `ValueError` if that would be too large, before anything is scored.
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
    for line in [*missed(report["checked_on"])] or ["all targets are met"]:
        print(f"checked on conversations that took no part: {line}", flush=True)
    save_artifact(artifact, folder)
    path = folder / SCREEN_FILE
    limits = {name: made.limits[name] for name in artifact.outputs if name in made.limits}
    facts = {"made_from": made_from(artifact), "limits": limits, "bound": made.bound}
    save_file(made.tensors, path, metadata={"screen": json.dumps(facts)})
    manifest = folder / "affect.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    values["files"][SCREEN_FILE] = sha256(path)
    values |= {"screen": report, "version": version or artifact.version}
    text = json.dumps(with_digest(values), indent=1, ensure_ascii=False)
    manifest.write_text(text + "\n", encoding="utf-8")
    return report


@dataclass
class _Making:
    """A screen in the making."""

    artifact: Artifact
    chats: Sequence[Chat]
    windows: Windows
    words: torch.Tensor

    def __post_init__(self) -> None:
        self.limits = lowest_limits(self.artifact, ROOM)
        names = self.artifact.outputs
        limits = np.array([self.limits.get(name, inf) for name in names], np.float32)
        self.highest = limits - BELOW
        reached = np.maximum(self.windows.logits, self.windows.peaks)
        self.margin = (reached - limits).max(axis=1)
        of_chat = np.array([[chat.part, chat.teaches] for chat in self.chats])[self.windows.chats]
        self.part, self.teaches = of_chat[:, 0], of_chat[:, 1].astype(bool)
        self.bound = 0.0
        self.judge = Judge(self.artifact, self.chats, self.windows)

    def run(self) -> dict[str, Any]:
        """Teach, choose, check; returns the report."""
        raw = np.empty_like(self.windows.logits)
        reach = np.empty(len(self.windows), np.float32)
        for part in DECIDING:
            held = self.part == part
            tensors = self._learn(~held)
            raw[held], reach[held] = self._outputs(tensors, held)
        self.tensors = self._learn(np.ones(len(held), bool))
        held = self.part == CHECK
        raw[held], reach[held] = self._outputs(self.tensors, held)
        self.bound = choose_bound(self.judge, reach, np.minimum(raw, self.highest), DECIDING)
        settled = (reach < self.bound) & (self.part != CHECK)
        columns = zip(raw[settled].T, self.windows.logits[settled].T, self.highest, strict=True)
        shift = np.array([mean_shift(*column) for column in columns], np.float32)
        self.tensors["out.bias"][:-1] += shift
        logits = np.minimum(raw + shift, self.highest)
        self.bound = choose_bound(self.judge, reach, logits, DECIDING)
        settled = reach < self.bound
        return {
            "confidence": CONFIDENCE,
            "room": ROOM,
            "windows": len(self.windows),
            "chosen_on": self.judge.losses(settled, logits, DECIDING),
            "checked_on": self.judge.losses(settled, logits, (CHECK,)),
            "trade_off": trade_off(self.judge, reach, logits, (CHECK,)),
        }

    def _learn(self, chosen: Flags) -> dict[str, NDArray[Any]]:
        """Teach a screen some windows, none of which are of the part that checks."""
        learnt = chosen & self.teaches & (self.part != CHECK)
        print(f"learning {learnt.sum():,} windows", flush=True)
        return learn(self.windows.where(learnt), self.words, self.margin[learnt])

    def _outputs(
        self, tensors: dict[str, NDArray[Any]], chosen: Flags
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits, not yet cut at their limits, and how likely a window reaches one."""
        screen = Screen(tensors, [inf] * len(self.highest), self.bound)
        places = np.array_split(np.flatnonzero(chosen), max(1, chosen.sum() // 256))
        found = [screen.outputs(own.windows) for own in map(self.windows.where, places) if len(own)]
        if not found:
            return np.zeros((0, len(self.highest)), np.float32), np.zeros(0, np.float32)
        logits, reach = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(reach)


def upper_end(hits: int, of: int) -> float:
    """Return the upper end of the one-sided Clopper-Pearson interval of a share."""
    if not of:
        return 0.0
    return 1.0 if hits == of else float(beta.ppf(CONFIDENCE, hits + 1, of - hits))


@dataclass
class Judge:
    """Decides on conversations, by their windows, as the artifact does."""

    artifact: Artifact
    chats: Sequence[Chat]
    windows: Windows

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the windows of each conversation begin."""
        return np.unique(self.windows.chats, return_index=True)[1].astype(np.int64)

    @cached_property
    def whole(self) -> dict[str, Flags]:
        """What the encoder decides."""
        return self.decide(self.windows.logits, self.windows.peaks)

    def decide(self, logits: NDArray[np.float32], peaks: NDArray[np.float32]) -> dict[str, Flags]:
        """Return what is decided by the logits of windows, and the highest of their messages.

        Of each conversation and operating point: its label, also at points ``lower`` by `ROOM`, and
        whether any message is emotional; and which cues are shown.
        """
        outputs, line = self.artifact.outputs, self.artifact.recalibration
        emotional = outputs.index(EMOTIONAL)
        counts = np.diff([*self.starts, len(self.windows)])
        lowered = self.artifact.conversation.log_windows * np.log(counts)[:, None]
        whole = np.maximum.reduceat(logits, self.starts, axis=0) + lowered
        own = self.artifact.message_logits(np.maximum.reduceat(peaks, self.starts, axis=0))
        probability, of_messages = (
            sigmoid(line.intercept + line.slope * z[:, [emotional]]) for z in (whole, own)
        )
        points = self.artifact.operating_points.values()
        least = np.array([point.conversation for point in points])
        names = [name for name in CUES if name in outputs]
        found = sigmoid(whole[:, [outputs.index(name) for name in names]])
        return {
            "labels": probability >= least,
            "lower": probability >= sigmoid(logit(least) - ROOM),
            "messages": of_messages >= np.array([point.message for point in points]),
            "cues": found >= [self.artifact.cue_thresholds[name] for name in names],
        }

    def losses(
        self, settled: Flags, logits: NDArray[np.float32], parts: Sequence[int]
    ) -> dict[str, dict[str, Any]]:
        """Count by kind what is lost, in some parts, if the screen speaks for settled windows.

        A conversation is settled if all of its windows are. Labels are counted at the operating
        point where most are lost; ``messages_lost`` are conversations that lose all emotional ones.
        """
        sure = np.logical_and.reduceat(settled, self.starts)
        windows = np.repeat(sure, np.diff([*self.starts, len(self.windows)]))[:, None]
        given = (np.where(windows, logits, z) for z in (self.windows.logits, self.windows.peaks))
        found, whole = self.decide(*given), self.whole
        read = [self.chats[place] for place in self.windows.chats[self.starts].tolist()]
        charged = np.array([chat.charged for chat in read], bool)
        missed = whole["messages"] & ~found["messages"]
        counts = {}
        for kind in KINDS:
            own = np.array([chat.kind == kind and chat.part in parts for chat in read], bool)
            counts[kind] = {
                "conversations": int(own.sum()),
                "settled": int((sure & own).sum()),
                "other_label": _loss((found["labels"] != whole["labels"])[own]),
                "other_label_lower": _loss((found["lower"] != whole["lower"])[own]),
                "charged_lost": _loss((whole["labels"] & ~found["labels"])[charged & own]),
                "other_cues": _loss((found["cues"] != whole["cues"]).any(axis=1)[own, None]),
                "messages_lost": _loss(missed[own], whole["messages"][own]),
            }
        return counts


def _loss(lost: Flags, there: Flags | None = None) -> dict[str, Any]:
    """Return ``hits``, ``of`` how many, and the upper end, in the worst column."""
    of = np.full(lost.shape[1], len(lost)) if there is None else there.sum(axis=0)
    counts = zip(lost.sum(axis=0).tolist(), of.tolist(), strict=True)
    losses = [{"hits": hits, "of": n, "most": round(upper_end(hits, n), 6)} for hits, n in counts]
    return max(losses, key=lambda loss: (loss["hits"], loss["most"]))


Losses: TypeAlias = Mapping[str, Mapping[str, Any]]


def _targets(counts: Losses) -> Iterator[tuple[str, Mapping[str, Any], float]]:
    """Yield each loss that has a target, in words, with that target."""
    for name, words, target in (
        ("charged_lost", "charged conversations that are lost", CHARGED_LOST),
        ("messages_lost", "conversations with emotional messages, all lost", MESSAGES_LOST),
    ):
        losses = [found[name] for found in counts.values()]
        hits, of = (sum(loss[key] for loss in losses) for key in ("hits", "of"))
        yield words, {"hits": hits, "of": of, "most": upper_end(hits, of)}, target
    for kind, found in counts.items():
        target = OTHER_LABEL[kind]
        yield f"{kind}: conversations with another label", found["other_label"], target
        words = f"{kind}: conversations with another label at lower points"
        yield words, found["other_label_lower"], LOWER * target
        yield f"{kind}: conversations with other cues", found["other_cues"], OTHER_CUES[kind]


def allowed(counts: Losses) -> bool:
    """Tell whether what is lost lies within the targets, by the upper ends of its intervals."""
    return all(loss["most"] <= target for _, loss, target in _targets(counts))


def missed(counts: Losses) -> Iterator[str]:
    """Say which targets are missed by what is lost itself, as on few conversations."""
    for words, loss, target in _targets(counts):
        hits, of = loss["hits"], loss["of"]
        if of and hits / of > target:
            yield f"{words}: {hits:,} of {of:,}, {hits / of:.2%}; the target is {target:.2%}"


def choose_bound(
    judge: Judge, reach: NDArray[np.float32], logits: NDArray[np.float32], parts: Sequence[int]
) -> float:
    """Return the highest bound that is allowed in some parts; `NOTHING` if none is.

    ``reach`` and ``logits`` of each window are by a screen that did not learn it.
    """
    asked = np.array([judge.chats[place].part in parts for place in judge.windows.chats], bool)
    if not asked.any():
        return NOTHING
    candidates = np.unique(np.quantile(reach[asked], np.linspace(0, 1, _CANDIDATES)))
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if allowed(judge.losses(reach < candidates[middle], logits, parts)):
            low = middle + 1
        else:
            high = middle
    return float(candidates[low - 1]) if low else NOTHING


def trade_off(
    judge: Judge, reach: NDArray[np.float32], logits: NDArray[np.float32], parts: Sequence[int]
) -> list[dict[str, dict[str, Any]]]:
    """Return `Judge.losses` at bounds that settle the `SHARES` of the windows of natural logs."""
    natural = [c.kind == NATURAL and c.part in parts for c in judge.chats]
    chosen = reach[np.array(natural, bool)[judge.windows.chats]]
    bounds = np.quantile(chosen, SHARES) if len(chosen) else ()
    return [judge.losses(reach < bound, logits, parts) for bound in bounds]


def mean_shift(found: NDArray[np.float32], meant: NDArray[np.float32], highest: float) -> float:
    """Return what to add to a screen's logits so that their mean probability is the encoder's.

    The screen's are those of windows that it settles, before they are cut at the `highest`.
    """
    if not len(found):
        return 0.0
    wanted = float(np.mean(sigmoid(meant)))

    def gap(shift: float) -> float:
        return float(np.mean(sigmoid(np.minimum(found + shift, highest)))) - wanted

    most = 10.0
    if gap(-most) >= 0 or gap(most) <= 0:
        return 0.0
    return float(brentq(gap, -most, most))
