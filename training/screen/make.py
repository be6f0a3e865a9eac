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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.optimize import brentq
from scipy.stats import beta

from affectlib.model.artifacts import Artifact, save_artifact, sha256, with_digest
from affectlib.model.calibration import logit, sigmoid
from affectlib.model.engines.torch import load_model
from affectlib.model.screen import BELOW, SCREEN_FILE, Screen, lowest_limits, made_from
from affectlib.taxonomy import ASSISTANT_CUES, EMOTIONAL, USER_CUES
from training.screen.chats import CHECK, KINDS, NATURAL, ROLES, Chat, Windows, score
from training.screen.student import learn, size_of

MOST_BYTES = 6_000_000
HEADER_BYTES = 50_000
"""What the file holds beside the tensors, at most: their names, limits and bounds."""
DECIDING = tuple(range(CHECK))
CONFIDENCE = 0.95
OTHER_LABEL = {kind: 0.001 if kind == NATURAL else 0.005 for kind in KINDS}
"""Share of conversations that may have another label, at each operating point."""
LOWER = 2
"""How many times as many may have another label at points that are lower by `ROOM`."""
OTHER_CUES = {kind: 0.001 if kind == NATURAL else 0.005 for kind in KINDS}
"""Share of messages of which another set of cues may be shown."""
MESSAGES_LOST = 0.01
"""Share of the user's messages labelled emotional that may no longer be, at each point."""
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
_CUES = {"user": USER_CUES, "assistant": ASSISTANT_CUES}


def add_screen(
    artifact: Artifact,
    chats: Sequence[Chat],
    work: Path,
    folder: Path,
    version: str | None = None,
) -> Any:
    """Make the screen of an artifact and write the artifact with it.

    Args:
        artifact: The artifact.
        chats: What teaches the screen, chooses its bounds and checks them.
        work: Where chunks of scored windows are kept.
        folder: Where the artifact goes; its own folder gets the screen only.
        version: Its new version; the same if None.

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
    values["version"] = version or artifact.version
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
        self.limits = lowest_limits(self.artifact, ROOM)
        limits = np.array([self.limits.get(name, inf) for name in outputs], np.float32)
        self.highest = limits - BELOW
        above = self.windows.logits - limits
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
        raw = np.empty_like(self.windows.logits)
        reach = np.empty(len(self.windows), np.float32)
        for part in DECIDING:
            held = self.part == part
            tensors = self._learn(~held)
            raw[held], reach[held] = self._outputs(tensors, held)
        self.tensors = self._learn(np.ones(len(held), bool))
        held = self.part == CHECK
        raw[held], reach[held] = self._outputs(self.tensors, held)
        self._choose(reach, np.minimum(raw, self.highest))
        shift = self._shift(reach, raw)
        self.tensors["out.bias"][:-2] += shift
        logits = np.minimum(raw + shift, self.highest)
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
        """Return logits, not yet cut at their limits, and how likely a window reaches one."""
        screen = Screen(tensors, [inf] * len(self.highest), self.bounds)
        places = np.array_split(np.flatnonzero(chosen), max(1, chosen.sum() // 256))
        found = [
            screen.outputs(own.ids, own.targets.tolist(), own.sides)
            for own in map(self.windows.where, places)
            if len(own)
        ]
        if not found:
            return np.zeros((0, len(self.highest)), np.float32), np.zeros(0, np.float32)
        logits, reach = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(reach)

    def _choose(self, reach: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        for side, role in enumerate(ROLES):
            own = self.windows.sides == side
            self.bounds[role] = choose_bound(self.judges[role], reach[own], logits[own], DECIDING)

    def _shift(self, reach: NDArray[np.float32], raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each output lacks on the windows that are settled, on average."""
        bound = np.array([self.bounds[role] for role in ROLES])[self.windows.sides]
        settled = (reach < bound) & (self.part != CHECK)
        shift = np.zeros(len(self.highest), np.float32)
        for output, highest in enumerate(self.highest.tolist()):
            own = settled & self.applies[self.windows.sides, output]
            found, meant = raw[own, output], self.windows.logits[own, output]
            shift[output] = mean_shift(found, meant, highest)
        return shift

    def _report(self, reach: NDArray[np.float32], logits: NDArray[np.float32]) -> dict[str, Any]:
        report: dict[str, Any] = {
            "confidence": CONFIDENCE,
            "room": ROOM,
            "windows": len(self.windows),
        }
        for name, parts in (("chosen_on", DECIDING), ("checked_on", (CHECK,))):
            report[name] = {}
            for side, role in enumerate(ROLES):
                own = self.windows.sides == side
                settled = reach[own] < self.bounds[role]
                report[name][role] = self.judges[role].losses(settled, logits[own], parts)
        own = self.windows.sides == ROLES.index("user")
        report["trade_off"] = trade_off(self.judges["user"], reach[own], logits[own], (CHECK,))
        return report


def upper_end(hits: int, of: int) -> float:
    """Return the upper end of the one-sided Clopper-Pearson interval of a share.

    Example:
        >>> round(upper_end(0, 6000), 6)
        0.000499
    """
    if not of:
        return 0.0
    return 1.0 if hits == of else float(beta.ppf(CONFIDENCE, hits + 1, of - hits))


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is decided on messages and conversations.

    Attributes:
        labels: Whether each conversation is emotional at each operating point, shape
            ``[conversations, points]``; no points for the assistant's messages.
        lower: The same at points that are lower by `ROOM`.
        messages: Whether each message is, at each operating point, shape ``[messages, points]``.
        cues: Whether each cue of each message is shown, shape ``[messages, cues]``.
    """

    labels: NDArray[np.bool_]
    lower: NDArray[np.bool_]
    messages: NDArray[np.bool_]
    cues: NDArray[np.bool_]


@dataclass
class Judge:
    """Decides on the messages of one role as the artifact does.

    Attributes:
        artifact: The model with its thresholds.
        chats: All conversations.
        windows: The windows of one role.
        role: The role.
    """

    artifact: Artifact
    chats: Sequence[Chat]
    windows: Windows
    role: str

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the windows of each message begin."""
        return _starts(self.windows.chats, self.windows.messages)

    @cached_property
    def message_chats(self) -> NDArray[np.int64]:
        """Position of the conversation of each message."""
        return self.windows.chats[self.starts]

    @cached_property
    def chat_starts(self) -> NDArray[np.int64]:
        """Where the messages of each conversation begin."""
        return _starts(self.message_chats)

    @cached_property
    def read(self) -> list[Chat]:
        """The conversations that have a message of the role."""
        return [self.chats[place] for place in self.message_chats[self.chat_starts].tolist()]

    @cached_property
    def whole(self) -> Decisions:
        """What the encoder decides."""
        return self.decide(self.windows.logits)

    def decide(self, logits: NDArray[np.float32]) -> Decisions:
        """Return what is decided by the logits of the windows."""
        outputs = self.artifact.outputs
        if not len(self.windows):
            return Decisions(*(np.zeros((0, 0), bool) for _ in range(4)))
        merged = np.maximum.reduceat(logits, self.starts, axis=0)
        names = [name for name in _CUES[self.role] if name in outputs]
        found = sigmoid(merged[:, [outputs.index(name) for name in names]])
        cues = found >= [self.artifact.cue_thresholds[name] for name in names]
        if self.role != "user":
            none = np.zeros((len(self.chat_starts), 0), bool)
            return Decisions(none, none, np.zeros((0, 0), bool), cues)
        emotional = merged[:, outputs.index(EMOTIONAL)]
        ends = [*self.chat_starts[1:], len(emotional)]
        probability = np.array(
            [
                self.artifact.conversation_probability(emotional[start:end])
                for start, end in zip(self.chat_starts, ends, strict=True)
            ]
        )[:, None]
        line, points = self.artifact.recalibration, self.artifact.operating_points.values()
        counts = np.diff([*self.chat_starts, len(emotional)])
        lengths = np.repeat(counts, counts)
        # A single message has the threshold of conversations.
        least = np.array([[point.of_messages(count) for point in points] for count in (1, 2)])
        of_messages = sigmoid(line.intercept + line.slope * emotional)[:, None]
        return Decisions(
            probability >= least[0],
            probability >= sigmoid(logit(least[0]) - ROOM),
            of_messages >= least[np.minimum(lengths, 2) - 1],
            cues,
        )

    def losses(
        self, settled: NDArray[np.bool_], logits: NDArray[np.float32], parts: Sequence[int]
    ) -> dict[str, dict[str, Any]]:
        """Count what is lost if some windows are settled.

        Args:
            settled: Whether each window is.
            logits: What the screen says of each, shape ``[windows, outputs]``.
            parts: The conversations that count.

        Returns:
            By kind of transcript: how many ``conversations``, ``messages``, ``windows`` of the role
            and windows ``settled`` there are; and what is lost (see `_loss`): conversations with
            an ``other_label`` and ``charged_lost`` at the operating point where most are, the same
            at points that are lower by `ROOM` (``other_label_lower``), messages with
            ``other_cues``, and ``messages_lost``, those labelled emotional no longer, of all that
            are.
        """
        found = self.decide(np.where(settled[:, None], logits, self.windows.logits))
        other = found.labels != self.whole.labels
        lower = found.lower != self.whole.lower
        lost = self.whole.labels & ~found.labels
        cues = (found.cues != self.whole.cues).any(axis=1)
        missed = self.whole.messages & ~found.messages
        charged = np.array([chat.charged for chat in self.read], bool)
        counts = {}
        for kind in KINDS:
            chosen = np.array([c.kind == kind and c.part in parts for c in self.chats], bool)
            chats = chosen[self.message_chats[self.chat_starts]]
            messages = chosen[self.message_chats]
            windows = chosen[self.windows.chats]
            counts[kind] = {
                "conversations": int(chats.sum()),
                "messages": int(messages.sum()),
                "windows": int(windows.sum()),
                "settled": int((settled & windows).sum()),
                "other_label": _loss(other[chats]),
                "other_label_lower": _loss(lower[chats]),
                "charged_lost": _loss(lost[charged & chats]),
                "other_cues": _loss(cues[messages, None]),
                "messages_lost": _loss_of(missed, self.whole.messages, messages),
            }
        return counts


def _loss(flags: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the ``hits`` in the worst column, ``of`` how many they are, and the upper end."""
    if not flags.shape[1]:  # the assistant's messages, which have no label
        return {"hits": 0, "of": 0, "most": 0.0}
    hits, of = int(flags.sum(axis=0).max()), len(flags)
    return {"hits": hits, "of": of, "most": round(upper_end(hits, of), 6)}


def _loss_of(
    lost: NDArray[np.bool_], there: NDArray[np.bool_], chosen: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the same of what is there, at the point where the most of it may be lost."""
    if not there.shape[1]:  # the assistant's messages
        return {"hits": 0, "of": 0, "most": 0.0}
    counts = zip(lost[chosen].sum(axis=0), there[chosen].sum(axis=0), strict=True)
    losses = [
        {"hits": int(hits), "of": int(of), "most": round(upper_end(int(hits), int(of)), 6)}
        for hits, of in counts
    ]
    return max(losses, key=lambda loss: (loss["hits"], loss["most"]))


def _starts(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where runs of the same keys begin."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    changes = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)


def _targets(
    counts: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, Mapping[str, Any], float]]:
    """Yield each loss that has a target, in words, with that target."""
    for name, words, target in (
        ("charged_lost", "charged conversations that are lost", CHARGED_LOST),
        ("messages_lost", "emotional messages that are lost", MESSAGES_LOST),
    ):
        losses = [found[name] for found in counts.values()]
        hits, of = (sum(loss[key] for loss in losses) for key in ("hits", "of"))
        yield words, {"hits": hits, "of": of, "most": upper_end(hits, of)}, target
    for kind, found in counts.items():
        target = OTHER_LABEL[kind]
        yield f"{kind}: conversations with another label", found["other_label"], target
        words = f"{kind}: conversations with another label at lower points"
        yield words, found["other_label_lower"], LOWER * target
        yield f"{kind}: messages with other cues", found["other_cues"], OTHER_CUES[kind]


def allowed(counts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether what is lost lies within the targets, by the upper ends of its intervals."""
    return all(loss["most"] <= target for _, loss, target in _targets(counts))


def missed(counts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Say which targets are missed by what is lost itself, as on few conversations."""
    for words, loss, target in _targets(counts):
        hits, of = loss["hits"], loss["of"]
        if of and hits / of > target:
            yield f"{words}: {hits:,} of {of:,}, {hits / of:.2%}; the target is {target:.2%}"


def choose_bound(
    judge: Judge, reach: NDArray[np.float32], logits: NDArray[np.float32], parts: Sequence[int]
) -> float:
    """Return the highest bound that is allowed; `NOTHING` if none is.

    Args:
        judge: Decides on the messages of a role.
        reach: How likely each window reaches a limit, by a screen that did not learn it.
        logits: What the same screen says of each.
        parts: The conversations that have a say.
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
    """Return what is lost at bounds that settle the `SHARES` of the windows of natural logs.

    Args:
        judge: Decides on the messages of a role.
        reach: How likely each window reaches a limit, by a screen that did not learn it.
        logits: What the same screen says of each.
        parts: The conversations that count.

    Returns:
        `Judge.losses` by share; nothing where there are no natural logs.
    """
    natural = [c.kind == NATURAL and c.part in parts for c in judge.chats]
    chosen = reach[np.array(natural, bool)[judge.windows.chats]]
    bounds = np.quantile(chosen, SHARES) if len(chosen) else ()
    return [judge.losses(reach < bound, logits, parts) for bound in bounds]


def mean_shift(found: NDArray[np.float32], meant: NDArray[np.float32], highest: float) -> float:
    """Return what to add to a screen's logits so that their mean probability is the encoder's.

    Args:
        found: What the screen says of the windows that it settles, before it is cut at `highest`.
        meant: What the encoder says of them.
        highest: The highest logit that a settled window has.
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
