"""Where the time of a corpus goes, stage by stage on one core, and what a corpus costs by that."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from affectlib.conversation import Conversation
from affectlib.corpus.label_file import label_file
from affectlib.formats import read_conversations
from affectlib.model.artifacts import Artifact
from affectlib.model.decisions import build_prediction
from affectlib.model.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import load_engine
from affectlib.model.scoring import CPU_BATCH_TOKENS, WindowCache, score_windows
from affectlib.model.screen import Screen

CORPUS = 10_000_000
"""Conversations of the corpus whose cost is shown."""
MACHINES = {
    "laptop, 4 cores": 4,
    "one machine, 32 cores": 32,
    "Ray cluster, 10 × 32 cores": 320,
}
BEFORE_ENCODER = ("reading", "text", "tokens", "screen", "deciding", "writing")
"""Stages that a graphics card does not take over."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Figures per conversation: CPU seconds by stage, windows, and tokens that the encoder reads.

    `asked` is the share of the window tokens that the screen leaves to the encoder.
    """

    seconds: dict[str, float]
    windows: float
    asked: float
    tokens: float

    def figures(self) -> dict[str, float]:
        whole = sum(self.seconds.values())
        figures = {f"{name}: ms": 1000 * value for name, value in self.seconds.items()}
        figures |= {f"{name}: share": value / whole for name, value in self.seconds.items()}
        return {
            **figures,
            "conversations a second and core": 1 / whole,
            "windows a conversation": self.windows,
            "share of tokens for the encoder": self.asked,
        }


def measure_stages(artifact: Artifact, source: Path, *, screen: bool) -> Stages:
    """Measure each stage by itself, on one core; `source` is JSON Lines."""
    found, reading = _timed(lambda: [*read_conversations(source)])
    chats = [chat for chat in found if isinstance(chat, Conversation)]
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    encoder.encode(chats[:20])
    _, text = _timed(
        lambda: [encoder._readable(m.content) for chat in chats for m in chat.messages]
    )
    groups, both = _timed(lambda: encoder.encode(chats))
    settled: Container[int] = ()
    settling = 0.0
    loaded = Screen.load(artifact) if screen else None
    if loaded is not None:
        loaded.prefilter(groups[:20])
        settled, settling = _timed(lambda: loaded.prefilter(groups))
    asked = [w for place, group in enumerate(groups) if place not in settled for w in group]
    windows = [*chain.from_iterable(groups)]
    engine = load_engine(artifact, engine="onnx", device="cpu", threads=1)
    known = WindowCache(size=len(windows) + 1)
    _run(asked[:20], encoder, engine)
    _, encoding = _timed(lambda: _run(asked, encoder, engine))
    scores = score_windows(groups, engine, encoder.pad_id, loaded, known)
    point = artifact.operating_point("balanced")
    decided, deciding = _timed(
        lambda: [
            build_prediction(artifact, chat, score, point)
            for chat, score in zip(chats, scores, strict=True)
        ]
    )
    seconds = {
        "reading": reading,
        "text": text,
        "tokens": max(0.0, both - text),
        "screen": settling,
        "encoder": encoding,
        "deciding": deciding,
        "writing": _writing(artifact, chats, decided),
    }
    read = sum(len(window.ids) for window in asked)
    return Stages(
        {name: value / len(chats) for name, value in seconds.items()},
        windows=len(windows) / len(chats),
        asked=read / sum(len(window.ids) for window in windows),
        tokens=read / len(chats),
    )


def _run(windows: list[EncodedWindow], encoder: WindowEncoder, engine: Any) -> None:
    for batch in token_batches(windows, max_tokens=CPU_BATCH_TOKENS, pad_id=encoder.pad_id):
        engine.logits(batch.ids, batch.mask, batch.turns)


def _writing(artifact: Artifact, chats: list[Conversation], decided: list[Any]) -> float:
    """Return the seconds that `label_file` takes with labels that are there already."""
    facts: dict[str, Any] = {
        "artifact": artifact,
        "operating_point": "balanced",
        "engine": "none",
        "screen": False,
        "windows_run": 0,
        "stream": lambda items, on_error: (
            answer for _, answer in zip(items, decided, strict=False)
        ),
    }
    classifier: Any = SimpleNamespace(**facts)
    with tempfile.TemporaryDirectory() as folder:
        label_file(chats[:1], Path(folder) / "first.parquet", classifier=classifier, level="both")
        target = Path(folder) / "labels.parquet"
        _, seconds = _timed(lambda: label_file(chats, target, classifier=classifier, level="both"))
    return seconds


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


def card_rate(artifact: Artifact, windows: list[EncodedWindow], pad_id: int) -> float | None:
    """Return the tokens a second that a graphics card reads; None without one."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    engine = load_engine(artifact, engine="torch", device="cuda")
    batches = [*token_batches(windows, max_tokens=65_536, pad_id=pad_id)]
    first = batches[0]
    engine.logits(first.ids, first.mask, first.turns)
    _, seconds = _timed(lambda: [engine.logits(b.ids, b.mask, b.turns) for b in batches])
    return sum(len(window.ids) for window in windows) / seconds


def cost(stages: Stages, scaling: float, rate: float | None) -> Iterator[tuple[str, float]]:
    """Yield hours for the corpus on each kind of machine.

    Args:
        stages: Figures of one core.
        scaling: Share of their speed that cores keep when all of them work.
        rate: Tokens a second of a graphics card, None if that was not measured.
    """
    hour = CORPUS / 3600
    whole = sum(stages.seconds.values())
    for name, cores in MACHINES.items():
        yield name, hour * whole / (cores * scaling)
    if rate is not None:
        others = sum(stages.seconds[name] for name in BEFORE_ENCODER)
        yield "one GPU and 8 cores", hour * max(others / (8 * scaling), stages.tokens / rate)
