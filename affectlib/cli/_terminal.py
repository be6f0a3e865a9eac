"""What the commands print and how they exit."""

from __future__ import annotations

import argparse
import re
import sys
from typing import NoReturn, TextIO

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""What the commands exit with."""

_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_].*?(?:\x07|\x1b\\\\|$)|.)?"  # CSI, OSC and the like
    "|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\U000e0000-\U000e007f]",
    re.DOTALL,
)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong with the arguments as the commands do."""

    def error(self, message: str) -> NoReturn:
        """Print how the command is used and what is wrong, and exit."""
        self.print_usage(sys.stderr)
        say(f"{self.prog}: error: {message}", sys.stderr)
        self.exit(USAGE)


def complain(problem: str, error: BaseException) -> None:
    """Say what went wrong in one line, on standard error."""
    notes = getattr(error, "__notes__", [])
    say(f"affectlib: {'; '.join([' '.join(problem.split()), *notes])}", sys.stderr)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line that neither steers the terminal nor holds what it cannot show.

    Args:
        text: The line; where it has breaks in it, spaces are printed.
        stream: Where it goes, standard output if None.
    """
    stream = stream or sys.stdout
    line = _ESCAPES.sub("", " ".join(text.splitlines()))
    encoding = stream.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)
