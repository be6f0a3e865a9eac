"""What a message costs in a long conversation, and in short ones.

Run as ``python -m tools.benchmarks.lengths [--messages N …] [--data FILE]`` on a machine with
nothing else to do. The same messages are labelled as one conversation, in ones of 10
messages (5 of the user) and of 2. Some models read a message together with a few of the user's
earlier ones, of which a conversation of 2 has none: so tokens a second say what is fair.
The three are measured in turn, several times, and the shortest time counts; the processor's time is
that of all threads, and holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.formats import read_conversations
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine, load_engine
from tools.benchmarks.throughput import _SAMPLE, describe_machine, python

_MEMORY = """
import sys
from affectlib import label_file
from tools.benchmarks.throughput import peak_memory
label_file(sys.argv[1], sys.argv[1] + ".parquet", level="both")
print(peak_memory())
"""


def alternating(data: Path, messages: int) -> list[Message]:
    """Return messages of users and assistants in turn, no two alike."""
    chats = [chat for chat in read_conversations(data) if isinstance(chat, Conversation)]
    texts = {
        role: itertools.cycle([m.content for c in chats for m in c.messages if m.role == role])
        for role in ("user", "assistant")
    }
    roles = itertools.cycle(texts)
    found = []
    for number, role in zip(range(messages), roles, strict=False):
        found.append(Message(role, f"{next(texts[role])} {number}"))  # type: ignore[arg-type]
    return found


def split(messages: list[Message], each: int) -> list[Conversation]:
    starts = range(0, len(messages), each)
    return [Conversation(tuple(messages[start : start + each])) for start in starts]


def tokens(artifact: Artifact, chats: list[Conversation]) -> int:
    encoder = WindowEncoder(artifact.file("tokenizer.json"), artifact.windows)
    return sum(len(window.ids) for group in encoder.encode(chats) for window in group)


def seconds(artifact: Artifact, engine: Engine, chats: list[Conversation]) -> tuple[float, float]:
    """Return the clock's and the processor's seconds of a new classifier, with an empty cache."""
    classifier = AffectClassifier(artifact, engine)
    begun, computed = time.perf_counter(), time.process_time()
    for _ in classifier.stream(chats):
        pass
    return time.perf_counter() - begun, time.process_time() - computed


def measure(data: Path, messages: int, repeats: int) -> None:
    artifact = load_artifact()
    engine = load_engine(artifact, device="cpu")
    said = alternating(data, messages)
    ways = {"one conversation": messages, "10 messages each": 10, "2 messages each": 2}
    chats = {name: split(said, each) for name, each in ways.items()}
    best = dict.fromkeys(ways, (float("inf"), float("inf")))
    for _ in range(repeats):
        for name in ways:
            clock, computed = seconds(artifact, engine, chats[name])
            best[name] = min(best[name][0], clock), min(best[name][1], computed)
    print(f"\n{messages:,} messages")
    for name in ways:
        count = tokens(artifact, chats[name])
        clock, computed = best[name]
        ratio = computed / best["one conversation"][1]
        print(
            f"  {name:<18}{messages / clock:>8.1f} messages/s{1000 * computed / messages:>8.2f} ms "
            f"of the processor a message{count / computed:>9,.0f} tokens a second of it"
            f"{count / messages:>7.1f} tokens a message   one has {ratio:.2f} of its speed"
        )


def memory(data: Path, messages: int, each: int, folder: Path) -> float:
    """Return the most memory in MB of a process that labels messages in conversations of some."""
    source = folder / f"{messages}-{each}.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for chat in split(alternating(data, messages), each):
            said = [{"role": m.role, "content": m.content} for m in chat.messages]
            file.write(json.dumps({"messages": said}) + "\n")
    return float(python("-c", _MEMORY, str(source)))


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=_SAMPLE)
    parser.add_argument("--messages", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory in place of time")
    arguments = parser.parse_args(given)
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for messages in arguments.messages:
        if not arguments.memory:
            measure(arguments.data, messages, arguments.repeats)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = [
                memory(arguments.data, messages, each, Path(folder)) for each in (messages, 10)
            ]
        print(f"{messages:,} messages: {found[0]:.0f} MB as one, {found[1]:.0f} MB in tens")


if __name__ == "__main__":
    main()
