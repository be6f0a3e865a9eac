"""Read damaged exports of every format: ``python -m tools.fuzz [--inputs N] [--seed N]``.

With ``--million`` a parent watches children that read a million of them, or as many as there is
time for (``--minutes``). What became of each seed is kept in ``seeds.jsonl`` in the folder
``--keep``, and the same command goes on after the last of them. ``--seed N --inputs 1`` runs one
again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tools.fuzz.campaign import Report, campaign, child
from tools.fuzz.run import fuzz_all


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="damaged inputs, at least; 200,000")
    parser.add_argument("--seed", type=int, help="the first; 0, or where --million stopped")
    parser.add_argument("--million", action="store_true", help="a million, in children")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of --million, at most")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="its folder; fuzz")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.child is not None:
        first, seeds, folder = arguments.child
        child(int(first), int(seeds), Path(tempfile.mkdtemp(dir=folder)))
        return 0
    if arguments.million:
        return million(
            arguments.keep, arguments.seed, arguments.inputs or 1_000_000, arguments.minutes
        )
    warnings.simplefilter("error")
    whole(arguments.inputs or 200_000, arguments.seed or 0)
    return 0


def million(folder: Path, first: int | None, inputs: int, minutes: float) -> int:
    """Run a campaign, and keep what became of each seed; 1 if one of all that are kept failed."""
    folder.mkdir(exist_ok=True)
    kept = folder / "seeds.jsonl"
    known: dict[int, Report] = {}
    if kept.exists():
        lines = kept.read_text(encoding="utf-8").splitlines()
        known = {report.seed: report for line in lines for report in [Report(**json.loads(line))]}
    if first is None:
        first = max(known, default=-1) + 1
        inputs -= sum(report.inputs for report in known.values())
    deadline = time.monotonic() + 60 * minutes
    with kept.open("a", encoding="utf-8") as file:
        for report in campaign(first, max(0, inputs), folder, deadline):
            known[report.seed] = report
            file.write(json.dumps(asdict(report)) + "\n")
            file.flush()
            if report.problem is not None:
                print(f"seed {report.seed}, {report.format}: {report.problem}", flush=True)
    show([*known.values()])
    return int(any(report.problem is not None for report in known.values()))


def show(reports: list[Report]) -> None:
    formats: defaultdict[str, list[Report]] = defaultdict(list)
    for report in reports:
        formats[report.format].append(report)
    columns = ("format", "inputs", "conversations", "refused", "slowest, ms", "MB", "failed seeds")
    print("{:<14}{:>9}{:>15}{:>9}{:>13}{:>7}{:>14}".format(*columns))
    for format, found in formats.items():
        failed = sum(report.problem is not None for report in found)
        print(
            f"{format:<14}{sum(r.inputs for r in found):>9,}"
            f"{sum(r.conversations for r in found):>15,}{sum(r.refused for r in found):>9,}"
            f"{max(r.slowest for r in found) * 1000:>13.0f}{max(r.megabytes for r in found):>7.0f}"
            f"{failed:>14}"
        )
    total = sum(report.inputs for report in reports)
    first, last = min(r.seed for r in reports), max(r.seed for r in reports)
    print(f"{total:,} damaged inputs, seeds {first} to {last}")


def whole(inputs: int, seed: int) -> None:
    """Read damaged exports in this process; the first that breaks a rule ends it."""
    folder = Path(tempfile.mkdtemp()) / "input"
    folder.mkdir()
    begun = time.perf_counter()
    total = 0
    columns = ("format", "inputs", "conversations", "failures", "refused", "slowest, ms")
    print("{:<14}{:>9}{:>15}{:>10}{:>9}{:>13}".format(*columns))
    for format, outcome in fuzz_all(inputs, folder, seed):
        total += outcome.inputs
        print(
            f"{format:<14}{outcome.inputs:>9,}{outcome.conversations:>15,}{outcome.failures:>10,}"
            f"{outcome.refused:>9,}{outcome.slowest * 1000:>13.0f}",
            flush=True,
        )
    print(f"{total:,} damaged inputs in {time.perf_counter() - begun:.0f} s, seed {seed}")


if __name__ == "__main__":
    sys.exit(main())
