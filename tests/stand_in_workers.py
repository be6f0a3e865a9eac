"""What the processes of the tests do; it must be importable there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from affectlib.errors import MissingExtraError


class CannotBeSentError(Exception):
    """Pickled, it cannot be read again."""

    def __init__(self, *, place: str) -> None:
        super().__init__(f"at {place}")


def load() -> Callable[[str], bytes]:
    return work


def fail_to_load() -> Callable[[str], bytes]:
    raise MissingExtraError("sounddevice", "audio")


def die_in_loading() -> Callable[[str], bytes]:
    os._exit(3)


def work(piece: str) -> bytes:
    """Do what the first word of a piece says, and return its length in zeros."""
    order = piece.split(" ", 1)[0]
    if order == "sleep":
        time.sleep(60)
    if order == "wait":
        time.sleep(0.2)
    if order == "die":
        os._exit(3)
    if order == "raise":
        raise ValueError("no such order")
    if order == "unsendable":
        raise CannotBeSentError(place="home")
    if order == "pid":
        return str(os.getpid()).encode()
    return bytes(len(piece))
