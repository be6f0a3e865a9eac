"""Fail every step to the disk of every command: ``python -m tests.faults [--records N]``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from affectlib.corpus import label_file
from tests.faults.run import COMMANDS, fail_every_step, source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20)
    records = parser.parse_args().records
    label_file._SHARD = 4
    for lasting in (False, True):
        for name in COMMANDS:
            with tempfile.TemporaryDirectory() as folder:
                src = source(Path(folder), records)
                steps = fail_every_step(name, src, Path(folder), lasting=lasting)
            how = "and all after it" if lasting else "alone"
            print(f"{name}: each of {steps} steps failed, {how}; never a wrong output", flush=True)


if __name__ == "__main__":
    main()
