"""Run a command under strace, and tell which machines it spoke to and which files it made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOMES = {"HOME": "home", "TMPDIR": "tmp"}
"""Variables that say where programs keep what they were not asked for, and our folders for it."""

_CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|AF_INET6, )"([^"]+)"')
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LOOPBACK = re.compile(r"127\..*|::1|::ffff:127\..*")
_DNS = 53
_OF_THE_SYSTEM = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Traced:
    """What a command did.

    Attributes:
        output: What it printed.
        status: Its exit status.
        peers: Addresses beyond this machine that it spoke to, or tried to; any look-up of a name.
        made: Files and folders that it made, or opened to write, outside of the folder it worked in
            and of its home and temporary folders.
        left: Files that it left in the home and temporary folders.
    """

    output: str
    status: int
    peers: frozenset[str]
    made: frozenset[str]
    left: frozenset[str]


def why_not() -> str | None:
    """Say why nothing can be traced here, None if it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed (apt-get install strace)"
    done = subprocess.run([strace, "-f", "-o", os.devnull, "true"], capture_output=True)
    return "strace may not trace here" if done.returncode else None


_SWITCHES = ("ORT_", "HF_", "RAY_", "CI", "MPLCONFIGDIR", "XDG_", "DO_NOT_TRACK", "TORCH")
_SWITCHES += ("KMP_", "_RJEM_")  # set by libraries that the tests themselves import


def traced(folder: Path, command: Sequence[str], **environment: str) -> Traced:
    """Run a command of Python in a folder, with home and temporary folders of its own."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    for name in HOMES.values():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    log = folder / "trace"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SWITCHES)}
    done = subprocess.run(
        [
            *f"strace -f -qq -s 4096 -e trace={_CALLS} -o".split(),
            str(log),
            sys.executable,
            *command,
        ],
        cwd=work,
        env={
            **kept,
            **{name: str(folder / place) for name, place in HOMES.items()},
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    lines = log.read_text(errors="replace").splitlines()
    return Traced(
        done.stdout + done.stderr,
        done.returncode,
        frozenset(filter(None, map(_peer, lines))),
        frozenset(path for line in lines for path in _made(line, folder)),
        frozenset(
            path.relative_to(folder).as_posix()
            for place in HOMES.values()
            for path in (folder / place).rglob("*")
            if not path.is_dir()
        ),
    )


def _peer(line: str) -> str | None:
    match = _ADDRESS.search(line)
    if match is None:
        return None
    port, address = int(match[1]), match[2]
    return None if _LOOPBACK.fullmatch(address) and port != _DNS else f"{address}:{port}"


def _made(line: str, folder: Path) -> list[str]:
    """Return what a call made outside the folder."""
    call = line.partition("(")[0].rpartition(" ")[2]
    if " = -1 " in line:
        return []
    writes = call.startswith(("mkdir", "rename", "creat")) or re.search("O_CREAT|O_TRUNC", line)
    paths = [folder / path for path in _PATH.findall(line)] if writes else []
    return [
        str(path)
        for path in paths
        if not path.is_relative_to(folder) and not str(path).startswith(_OF_THE_SYSTEM)
    ]
