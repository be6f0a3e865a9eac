"""What the commands print and how they exit."""

from __future__ import annotations

import ast
import errno
import io
import os
import re
import shlex
import sys
from typing import Any, BinaryIO, TextIO, cast

import click

from affectlib._atomic import attach_filename

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""What the commands exit with."""

_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_].*?(?:\x07|\x1b\\\\|$)|.)?"  # CSI, OSC and the like
    "|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\U000e0000-\U000e007f]",
    re.DOTALL,
)
_ARGUMENT = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")


class _Closed(io.RawIOBase):
    """A stream that was closed before the process began, such as by ``>&-``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError(errno.EBADF, "it is closed", self._name)

    def read1(self, size: int = -1) -> bytes:
        raise OSError(errno.EBADF, "it is closed", self._name)

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "it is closed", self._name)


def open_closed_streams() -> None:
    """Make closed standard streams an error where they are used, and harmless elsewhere.

    Their numbers are taken, so that no file opened later gets one of them and with it what
    libraries print. What goes to a closed standard error is lost.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, words in (("stdin", "standard input"), ("stdout", "standard output")):
        if getattr(sys, name) is None:
            stream = io.TextIOWrapper(cast(BinaryIO, _Closed(words)), "utf-8", write_through=True)
            setattr(sys, name, stream)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 for the whole process


def complain(problem: str, error: BaseException) -> None:
    """Say what went wrong in one line, on standard error."""
    notes = getattr(error, "__notes__", [])
    say(f"affectlib: {'; '.join([' '.join(problem.split()), *notes])}", sys.stderr)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line, line breaks as spaces, without what the terminal cannot show or obeys."""
    stream = sys.stdout if stream is None else stream
    line = _ESCAPES.sub("", " ".join(text.splitlines()))
    encoding = stream.encoding or "utf-8"
    with attach_filename("standard error" if stream is sys.stderr else "standard output"):
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def in_options(text: str, command: click.Command) -> str:
    """Replace the arguments that a message names in backticks by the options of a command.

    Each option has the name of the argument that it sets. Other arguments stay as they are.

    Example:
        >>> option = click.Option(["--columns"], metavar="FIELD=COLUMN,…")
        >>> command = click.Command("label", params=[option])
        >>> in_options("name it, such as `columns={'role': 'who'}`, or `rows=2`", command)
        'name it, such as --columns role=who, or `rows=2`'
    """
    options = {each.name: each for each in command.params if isinstance(each, click.Option)}

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in options:
            return found[0]
        flag = max(options[name].opts, key=len)
        return flag if value is None or options[name].is_flag else f"{flag} {_as_typed(value)}"

    return _ARGUMENT.sub(option, text)


def _as_typed(value: str) -> str:
    """Return a value of Python as it is typed on the command line."""
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    if isinstance(parsed, dict):
        parsed = ",".join(f"{key}={column}" for key, column in parsed.items())
    return shlex.quote(str(parsed))
