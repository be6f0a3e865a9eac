"""Fail every step to and from the disk: ``python -m tools.faults [--records N]``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from affectlib.corpus import label_file
from tools.faults.run import COMMANDS, fail_every_step, source, sources


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20)
    records = parser.parse_args(given).records
    label_file._SHARD = 4
    for lasting in (False, True):
        how = "and all after it" if lasting else "by itself"
        for name in COMMANDS:
            with tempfile.TemporaryDirectory() as folder:
                src = source(Path(folder), records)
                steps = fail_every_step(name, src, Path(folder), lasting=lasting)
            print(f"{name}: each of {steps} writes failed, {how}; never a wrong output", flush=True)
            for kind in sources(Path(tempfile.mkdtemp()), 1):
                with tempfile.TemporaryDirectory() as folder:
                    src = sources(Path(folder), records)[kind]
                    steps = fail_every_step(name, src, Path(folder), lasting=lasting, reads=True)
                print(f"{name} of {kind}: each of {steps} reads failed, {how}", flush=True)


if __name__ == "__main__":
    main()
