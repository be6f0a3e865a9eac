"""Label in every way for a long time in one process, and see whether anything grows.

python -m tools.soak --minutes 30       exit status 1 if memory, open files or threads grow

After a warm-up (a fifth of the time), memory is fitted by a line over the conversations labelled.
It counts as growing if the slope, and the lower end of its 95 % interval (a bootstrap over
samples), say so: above the limit in MB per 1,000 conversations and above 0. The classifier caches
fewer windows than it does otherwise, so that its cache is full when the warm-up ends; what memory
allocators keep is part of the warm-up only if that is long enough: give a run whole minutes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.corpus.label_file import label_file
from affectlib.formats import read_conversations
from affectlib.formats.canonical import write_conversations
from affectlib.model.scoring import WindowCache
from affectlib.tables import label_table

EXAMPLES = Path(__file__).parents[1] / "examples" / "transcripts.jsonl"
MOST = 0.5
"""MB per 1,000 conversations that memory may grow at most."""

_CACHED_WINDOWS = 1000
_WARM_UP = 0.2
_RESAMPLES = 500


@dataclass(slots=True)
class Record:
    """Samples over time: conversations labelled so far, MB of memory, open files and threads."""

    conversations: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def sample(self, conversations: int) -> None:
        process = psutil.Process()
        self.conversations.append(conversations)
        self.memory.append(process.memory_info().rss / 1e6)
        self.files.append(process.num_fds() if hasattr(process, "num_fds") else 0)
        self.threads.append(threading.active_count())

    def slope(self) -> tuple[float, float, float]:
        """Return MB per 1,000 conversations after the warm-up, with its interval."""
        start = int(len(self.memory) * _WARM_UP)
        x = np.array(self.conversations[start:]) / 1000
        y = np.array(self.memory[start:])
        rng = np.random.default_rng(0)
        slopes = [
            np.polyfit(x[chosen], y[chosen], 1)[0]
            for chosen in rng.integers(len(x), size=(_RESAMPLES, len(x)))
            if len({*chosen.tolist()}) > 1
        ]
        low, high = np.quantile(slopes, [0.025, 0.975])
        return float(np.polyfit(x, y, 1)[0]), float(low), float(high)

    def growing(self) -> list[str]:
        """Say what grows: memory, or the least number of files or threads of the last fifth."""
        slope, low, _ = self.slope()
        found = ["memory"] if slope > MOST and low > 0 else []
        fifth = max(1, len(self.memory) // 5)
        for name in ("files", "threads"):
            counts = getattr(self, name)
            if min(counts[-fifth:]) > max(counts[fifth : 2 * fifth] or counts[:1]):
                found.append(name)
        return found


def conversations(seed: int) -> Iterator[Conversation]:
    """Yield variations of the examples without end, so that no cache holds them all."""
    rng = random.Random(seed)
    chats = [c for c in read_conversations(EXAMPLES) if isinstance(c, Conversation)]
    number = 0
    while True:
        chat = rng.choice(chats)
        messages = []
        for message in chat.messages[:6]:
            words = message.content.split()[:60]
            rng.shuffle(words)
            messages.append(Message(message.role, " ".join(words)))
        number += 1
        yield Conversation(tuple(messages), id=f"{seed}-{number}")


def work(classifier: AffectClassifier, folder: Path, seed: int) -> int:
    """Label some conversations in one way or another; return how many."""
    source = conversations(seed)
    chats = [next(source) for _ in range(20)]
    way = seed % 6
    if way == 0:
        classifier.predict(chats)
        classifier.predict([chat.messages[0].content or "none" for chat in chats])
    elif way == 1:
        for _ in classifier.stream(iter(chats), on_error="record"):
            pass
    elif way == 2:
        classifier.explain(chats[0]).to_html()
        classifier.explain_words(chats[1]).to_html()
        return 2
    elif way == 3:
        rows = [[{"role": m.role, "content": m.content} for m in chat.messages] for chat in chats]
        label_table(pyarrow.table({"messages": rows}), classifier=classifier)
    else:
        src = folder / "in.jsonl"
        write_conversations(chats, src, overwrite=True)
        for suffix in (".parquet", ".jsonl", ".csv"):
            dst = folder / f"out{suffix}"
            label_file(src, dst, classifier=classifier, level="both", overwrite=True)
        broken = folder / "broken.jsonl"
        broken.write_text('{"messages": 3}\n{"mess\n', encoding="utf-8")
        label_file(broken, folder / "broken.csv", classifier=classifier, overwrite=True)
        return 3 * len(chats)
    return len(chats)


def soak(classifier: AffectClassifier, minutes: float, show: Any = None) -> Record:
    """Label for so long, and take a hundred samples or so on the way."""
    record = Record()
    classifier = AffectClassifier(classifier.artifact, classifier._engine)
    classifier._known = WindowCache(_CACHED_WINDOWS)
    end = time.monotonic() + 60 * minutes
    due = done = seed = 0
    with tempfile.TemporaryDirectory() as folder:
        while (now := time.monotonic()) < end or len(record.memory) < 10:
            for _ in range(6):  # every way once
                done += work(classifier, Path(folder), seed)
                seed += 1
            if now >= due:
                due = now + 60 * minutes / 100
                record.sample(done)
                if show is not None:
                    show(record)
    return record


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", default="affect-small", help="a bundled model or a folder")
    options = parser.parse_args(arguments)
    classifier = AffectClassifier.from_pretrained(options.model, device="cpu", engine="onnx")

    def show(record: Record) -> None:
        print(
            f"{record.conversations[-1]:>9,} conversations  {record.memory[-1]:7.0f} MB  "
            f"{record.files[-1]} files  {record.threads[-1]} threads",
            flush=True,
        )

    record = soak(classifier, options.minutes, show)
    slope, low, high = record.slope()
    print(f"memory {slope:+.3f} [{low:+.3f}, {high:+.3f}] MB per 1,000 conversations")
    growing = record.growing()
    print(f"growing: {', '.join(growing) or 'nothing'}")
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
