"""Labels a file with the stand-in for the classifier, in a process that tests may kill.

Run as ``python -m tests.label_slowly SRC DST SECONDS``, where a conversation takes that long, it
resumes and prints how far it is. With ``points`` for SECONDS it forks a child that dies at its
first step to the disk and another that resumes, then the same for the second step, and so on until
one comes to the end; every time the rows must be those of a run that nothing stopped. It prints
how many steps there were.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from affectlib.corpus import label_file as corpus
from tests.fake_classifier import FakeClassifier

corpus._SHARD = 20


class Slow(FakeClassifier):
    """Takes its time over every conversation."""

    seconds = 0.0

    def _outcome(self, item: Any, on_error: str) -> Any:
        time.sleep(self.seconds)
        return super()._outcome(item, on_error)


def label(src: str, dst: str, progress: Any = None) -> corpus.LabelSummary:
    return corpus.label_file(
        src, dst, classifier=Slow(), level="both", resume=True, progress=progress
    )


def die_at(step: int) -> None:
    """Die, as by a power cut, just before or after the given step to the disk."""
    left = step

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if not left and step % 2:
                os._exit(9)
            result = function(*arguments, **options)
            if not left:
                os._exit(9)
            return result

        return call

    os.fsync = counted(os.fsync)
    for name in ("replace", "unlink", "mkdir", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))


def in_child(src: str, dst: str, step: int) -> int:
    """Label in a child, which dies at the given step (0: at none), and return how it ended."""
    child = os.fork()
    if not child:
        if step:
            die_at(step)
        label(src, dst)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at_every_step(src: str, dst: str) -> int:
    folder = Path(dst).parent
    tables = [Path(dst), Path(dst).with_name(f"{Path(dst).stem}.messages.jsonl")]
    expected: list[bytes] = []
    step = 0
    while True:
        ended = in_child(src, dst, step)
        if ended == 9 and in_child(src, dst, 0):
            raise SystemExit(f"it cannot be resumed after step {step}")
        rows = [path.read_bytes() for path in tables]
        expected = expected or rows
        if rows != expected:
            raise SystemExit(f"rows are lost or there twice after step {step}")
        if left := [*folder.glob("*.partial"), *folder.rglob(".*.tmp")]:
            raise SystemExit(f"{left} are left after step {step}")
        if step and ended == 0:
            return step
        for path in folder.glob("out*"):
            path.unlink()
        step += 1


def main(src: str, dst: str, how: str) -> None:
    if how == "points":
        print(die_at_every_step(src, dst))
        return
    Slow.seconds = float(how)

    def progress(summary: corpus.LabelSummary) -> None:
        print(summary.conversations, flush=True)

    label(src, dst, progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
