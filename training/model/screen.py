"""After the artifact: its screen, taught by the encoder on windows of many sources.

    python -m training.model.screen --artifact FOLDER --data DIR -o FOLDER_OR_FILE

Each window of the sets named in `SOURCES` is scored by the artifact's engine; the screen
(`affectlib.model.screen`) learns these logits, and which windows reach a limit. Conversations are
split in two by a hash of their id: those that choose the bounds do not train it. Into a folder, the
whole artifact is written with its screen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from affectlib.conversation import parse_conversation
from affectlib.errors import AffectlibError
from affectlib.model.artifacts import Artifact, load_artifact, save_artifact, with_digest
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.model.engines.torch import load_model
from affectlib.model.screen import SCREEN_FILE, WEIGHTS, Screen, lowest_limits
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import ASSISTANT_CUES
from training.data.labelled import said_by_user
from training.data.sources import read_corpus, read_source, sha256
from training.model.student import Student, fit, quantized

SOURCES: Mapping[str, tuple[int, int, int]] = {
    "sharegpt_unlabelled": (7849, 3, 1),
    "corpus": (9000, 2, 1),
    "goemotions": (12000, 1, 0),
    "xed": (4000, 1, 0),
    "chitchat_byu": (1500, 3, 1),
    "counselchat": (815, 1, 1),
    "empatheticpersonas": (800, 1, 0),
    "clinc150": (2500, 1, 0),
    "multidogo": (800, 2, 0),
    "topicalchat": (500, 2, 1),
    "synth_personachat": (500, 2, 1),
    "persuasion": (500, 2, 1),
    "taskmaster4": (500, 1, 1),
    "sgd": (500, 1, 1),
    "mathdial": (300, 1, 1),
    "arena_hard": (1250, 1, 1),
}
"""Conversations of each set at most, and windows of users and of assistants of each."""

BATCH_TOKENS = 4096
KEPT_BACK = 4
"""One conversation in so many chooses the bounds."""
LOST = 0.002
"""Windows that reach a limit and are settled all the same, at most, of those kept back."""


@dataclass(frozen=True, slots=True)
class Taught:
    """Windows with what the encoder says of them.

    Attributes:
        windows: The windows.
        sides: 0 for those of a user's message, 1 for an assistant's.
        logits: The encoder's logits, shape ``[windows, outputs]``.
        kept: Whether each is kept back for choosing the bounds.
    """

    windows: Sequence[EncodedWindow]
    sides: NDArray[np.int64]
    logits: NDArray[np.float32]
    kept: NDArray[np.bool_]


def train_screen(
    artifact_folder: Path, texts: Iterable[tuple[str, Mapping[str, Any]]], target: Path
) -> dict[str, Any]:
    """Make the screen of an artifact and write it.

    Args:
        artifact_folder: The artifact.
        texts: The name of the set and the row of each conversation.
        target: The file to write.

    Returns:
        What was found on the windows kept back: see `choose_bounds`.
    """
    artifact = load_artifact(artifact_folder)
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    return learn(artifact, teach(texts, encoder, engine), target)


def read_texts(data: Path | None, share: float = 1.0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield conversations of the sets that screens learn from, with the name of the set."""
    for name, (most, _, _) in SOURCES.items():
        rows = read_corpus("train") if name == "corpus" else [*read_source(name, data)]
        random.Random(0).shuffle(rows)
        yield from ((name, row) for row in rows[: max(1, round(most * share))])


def teach(
    texts: Iterable[tuple[str, Mapping[str, Any]]], encoder: WindowEncoder, engine: Engine
) -> Taught:
    """Draw windows of conversations and have the encoder score them."""
    windows, sides, kept = [], [], []
    draw = random.Random(0)
    for source, row in texts:
        messages = [m for m in row["messages"] if isinstance(m.get("content"), str)]
        chat = parse_conversation(said_by_user(messages), id=str(row["id"]))
        back = hashlib.sha256(f"{source} {chat.id}".encode()).digest()[0] % KEPT_BACK == 0
        encoded = encoder.encode([chat])
        for side, most in enumerate(SOURCES.get(source, (0, 3, 1))[1:]):
            role = ("user", "assistant")[side]
            of_role = [w for w in encoded if chat.messages[w.message].role == role]
            for window in draw.sample(of_role, min(most, len(of_role))):
                windows.append(window)
                sides.append(side)
                kept.append(back)
    logits: NDArray[np.float32] | None = None
    for places, ids, mask in token_batches(windows, max_tokens=BATCH_TOKENS, pad_id=encoder.pad_id):
        found = engine.logits(ids, mask)
        if logits is None:
            logits = np.zeros((len(windows), found.shape[1]), dtype=np.float32)
        logits[places] = found
    if logits is None:
        raise ValueError("there is no window to learn from")
    return Taught(windows, np.array(sides), logits, np.array(kept))


def learn(artifact: Artifact, taught: Taught, target: Path) -> dict[str, Any]:
    """Train a screen, choose its bounds, and write it."""
    limits = lowest_limits(artifact)
    order = np.array([limits[name] for name in artifact.outputs], dtype=np.float32)
    applies = _applies(artifact.outputs)
    reach = np.asarray(((taught.logits >= order) & applies[taught.sides]).any(axis=1))
    torch.manual_seed(0)
    student = Student(_words(artifact), len(artifact.outputs))
    training = np.flatnonzero(~taught.kept)
    fit(
        student,
        [taught.windows[place] for place in training.tolist()],
        taught.sides[training],
        taught.logits[training],
        reach[training],
        applies,
    )
    tensors = quantized(student)
    screen = Screen(tensors, order.tolist(), {"user": 0.0, "assistant": 0.0})
    bounds, report = choose_bounds(screen, taught, reach)
    facts = {
        "weights": artifact.sha256(WEIGHTS) or "",
        "text_rules": str(TEXT_RULES),
        "limits": json.dumps(limits),
        "bounds": json.dumps(bounds),
    }
    save_file(tensors, target, metadata=facts)
    return report


def choose_bounds(
    screen: Screen, taught: Taught, reach: NDArray[np.bool_]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Choose the bounds on the windows kept back: settle as many as `LOST` allows.

    Returns:
        The bounds, and for each role how many windows there were, how many reach a limit, how many
        of those are settled, and which share of all is.
    """
    bounds, report = {}, {}
    for side, role in enumerate(("user", "assistant")):
        chosen = np.flatnonzero(taught.kept & (taught.sides == side))
        windows = [taught.windows[place] for place in chosen.tolist()]
        if not windows:
            raise ValueError(f"no window of the role {role} was kept back to choose a bound on")
        found = screen.outputs(
            [w.ids for w in windows], [w.target for w in windows], taught.sides[chosen]
        )[:, side - 2]
        reaching = np.sort(found[reach[chosen]])
        lost = int(LOST * len(reaching))
        bounds[role] = float(reaching[lost]) if len(reaching) else float(found.max())
        settled = found < bounds[role]
        report[role] = {
            "windows": len(windows),
            "reach a limit": len(reaching),
            "lost": int((settled & reach[chosen]).sum()),
            "settled": float(settled.mean()),
        }
    return bounds, report


def _words(artifact: Artifact) -> torch.Tensor:
    """Return what the encoder knows of each token before it reads."""
    words: torch.Tensor = load_model(artifact).get_input_embeddings().weight.detach().float()
    return words


def _applies(outputs: Sequence[str]) -> NDArray[np.bool_]:
    """Return which outputs are asked of users and of assistants, shape ``[2, outputs]``."""
    assistant = [name in ASSISTANT_CUES for name in outputs]
    return np.array([[not flag for flag in assistant], assistant])


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a screen from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.model.screen", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="its folder")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--share", type=float, default=1.0, help="of the conversations to read")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the copy")
    options = parser.parse_args(arguments)
    try:
        artifact = load_artifact(options.artifact)
        options.output.mkdir(parents=True, exist_ok=True)
        report = train_screen(
            options.artifact,
            read_texts(options.data, options.share),
            options.output / SCREEN_FILE,
        )
        add_screen(artifact, options.output)
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.model.screen: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1))
    return 0


def add_screen(artifact: Artifact, folder: Path) -> None:
    """Copy an artifact to the folder of its screen, and list the screen in ``affect.json``."""
    save_artifact(artifact, folder)
    manifest = folder / "affect.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    values["files"][SCREEN_FILE] = sha256(folder / SCREEN_FILE)
    text = json.dumps(with_digest(values), indent=1, ensure_ascii=False)
    manifest.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
