"""What the commands print and how they exit."""

from __future__ import annotations

import re
import sys
from typing import TextIO

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""What the commands exit with."""

_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_].*?(?:\x07|\x1b\\\\|$)|.)?"  # CSI, OSC and the like
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]",
    re.DOTALL,
)


def complain(problem: str, error: BaseException) -> None:
    """Say what went wrong in one line, on standard error."""
    notes = getattr(error, "__notes__", [])
    say(f"affectlib: {'; '.join([' '.join(problem.split()), *notes])}", sys.stderr)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line without what would steer the terminal; `stream` is standard output if None."""
    print(_ESCAPES.sub("", text), file=stream or sys.stdout)
