"""Damaged exports by the million: children that read, and a parent that watches them.

A seed stands for a format and for some hundred damaged inputs of it, read with options drawn by
chance, so that a seed can be run again, and a campaign goes on where it was stopped. Children have
bounded memory; one that hangs or dies costs its seed, which is kept with what was the matter, and
another child goes on with the next.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tools.fuzz.run import EXPORTS, MUTATIONS, SECONDS, fuzz

EXAMPLES = 10
INPUTS = EXAMPLES * MUTATIONS
"""Damaged inputs of a seed."""

SEEDS = 40
"""Seeds that a child runs before another takes over."""

MEGABYTES = 1024
"""Memory that a child may take beyond what it has after its imports."""

_ROOT = Path(__file__).parents[2]
_CALM = 60.0
"""Seconds without a sign of a child that hardly computes, as on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a seed; `slowest` in seconds of the processor, for one input."""

    seed: int
    format: str
    inputs: int = 0
    conversations: int = 0
    refused: int = 0
    slowest: float = 0.0
    megabytes: float = 0.0
    problem: str | None = None


def format_of(seed: int) -> str:
    return [*EXPORTS][seed % len(EXPORTS)]


def run_seed(seed: int, folder: Path) -> Report:
    """Read the inputs of a seed in this process; what breaks a rule is the report's problem."""
    import resource

    problem = None
    format = format_of(seed)
    (folder / "input").mkdir(exist_ok=True)
    try:
        outcome = fuzz(format, EXAMPLES, folder / "input", seed, each=_beat)
        found: dict[str, Any] = {
            "inputs": outcome.inputs,
            "conversations": outcome.conversations,
            "refused": outcome.refused,
            "slowest": outcome.slowest,
        }
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        problem = "; ".join([f"{type(error).__name__}: {error}", *notes])[:2000]
        found = {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Report(seed, format, megabytes=peak, problem=problem, **found)


def child(first: int, seeds: int, folder: Path) -> None:
    """Run seeds with bounded memory, and print a report of each; a dot before each input."""
    import resource

    warnings.simplefilter("error")
    size = psutil.Process().memory_info().vms + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    for seed in range(first, first + seeds):
        report = run_seed(seed, folder)
        values = {name: getattr(report, name) for name in Report.__dataclass_fields__}
        os.write(1, f"\n{json.dumps(values)}\n".encode())


def _beat() -> None:
    os.write(1, b".")


def campaign(
    first: int, inputs: int, folder: Path, deadline: float = float("inf")
) -> Iterator[Report]:
    """Run seeds in children until at least so many inputs were read, or the deadline is over.

    Inputs that break a rule stay in the folder. The deadline is that of `time.monotonic`.
    """
    seed, last = first, first - (-inputs // INPUTS)
    while seed < last and time.monotonic() < deadline:
        count = min(SEEDS, last - seed)
        arguments = ["--child", str(seed), str(count), str(folder)]
        command = [sys.executable, "-m", "tools.fuzz", *arguments]
        for report in watched(command, seed, count):
            yield report
            seed = report.seed + 1
            if time.monotonic() > deadline:
                return


def watched(
    command: Sequence[str], seed: int, count: int, seconds: float = SECONDS
) -> Iterator[Report]:
    """Run a child for some seeds, and end it if it computes too long on one input."""
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield from _reports(process, seed, count, seconds)
        finally:
            process.kill()


def _reports(
    process: subprocess.Popen[bytes], seed: int, count: int, seconds: float
) -> Iterator[Report]:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    text, said = b"", b""
    end = seed + count
    while seed < end:
        data = _next(process, descriptor, seconds)
        if not data:
            problem = f"no sign of the child for {seconds:g} s of its processor's time"
            if data is not None:
                problem = (
                    f"the child ended with {process.wait()}: {said.decode('utf-8', 'replace')}"
                )
            process.kill()
            yield Report(seed, format_of(seed), problem=problem)
            return
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                report = Report(**json.loads(line))
                yield report
                seed = report.seed + 1
            elif line.strip(b". "):
                said = line


def _next(process: subprocess.Popen[bytes], descriptor: int, seconds: float) -> bytes | None:
    """Return what the child says next, nothing if it has ended, None if it hangs."""
    begun, computed = time.monotonic(), _computed(process)
    while not select.select([descriptor], [], [], 0.5)[0]:
        busy = _computed(process) - computed > seconds
        if busy or time.monotonic() - begun > max(_CALM, seconds):
            return None
    return os.read(descriptor, 1 << 16)


def _computed(process: subprocess.Popen[bytes]) -> float:
    with suppress(psutil.Error):
        times = psutil.Process(process.pid).cpu_times()
        return float(times.user + times.system)
    return 0.0
