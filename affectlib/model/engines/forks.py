"""What a forked child must make anew, since the parent's threads are not in it.

A lock that another thread held at the fork stays locked in the child for ever, and a pool of
threads has none there.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Forkable", "renew_in_children"]


class Forkable(Protocol):
    """Something that can be made fit for use in a forked child."""

    def renew(self) -> None:
        """Make locks and pools of threads anew; called in the child, where one thread runs."""


_forkables: WeakSet[Forkable] = WeakSet()


def renew_in_children(forkable: Forkable) -> None:
    """Have something renewed in each child that is forked, as long as it lives."""
    _forkables.add(forkable)


def _renew() -> None:
    for forkable in list(_forkables):
        forkable.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
