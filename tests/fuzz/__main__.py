"""Read damaged exports of every format: ``python -m tests.fuzz [--inputs N] [--seed N]``."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.run import fuzz_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="damaged inputs, at least")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp()) / "input"
    folder.mkdir()
    begun = time.perf_counter()
    total = 0
    columns = ("format", "inputs", "conversations", "failures", "refused", "slowest, ms")
    print("{:<14}{:>9}{:>15}{:>10}{:>9}{:>13}".format(*columns))
    for format, outcome in fuzz_all(arguments.inputs, folder, arguments.seed):
        total += outcome.inputs
        print(
            f"{format:<14}{outcome.inputs:>9,}{outcome.conversations:>15,}{outcome.failures:>10,}"
            f"{outcome.refused:>9,}{outcome.slowest * 1000:>13.0f}",
            flush=True,
        )
    print(f"{total:,} damaged inputs in {time.perf_counter() - begun:.0f} s, seed {arguments.seed}")


if __name__ == "__main__":
    main()
