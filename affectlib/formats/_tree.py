"""Conversations that are trees: each message answers another, and some have several answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from affectlib.formats.reader import Reading


@dataclass(frozen=True, slots=True)
class Tree:
    """The messages that are read of a conversation."""

    shown: Mapping[str, None]  # their ids, in the order of the file
    above: Mapping[str, str | None]  # for every node, the next one above it that is shown
    depths: Mapping[str, int]  # for every node, how many shown ones the path to it has

    @classmethod
    def of(cls, parents: Mapping[str, Any], shown: Set[str]) -> Tree:
        """Build a tree from each node's parent; one without a parent, or in a cycle, is a root."""
        above: dict[str, str | None] = {}
        depths: dict[str, int] = {}
        for start in parents:
            way: dict[str, None] = {}
            node: Any = start
            while isinstance(node, str) and node in parents:
                if node in depths or node in way:
                    break
                way[node] = None
                node = parents[node]
            upper = node if isinstance(node, str) and node in depths else None
            for step in reversed(way):
                above[step] = upper if upper is None or upper in shown else above[upper]
                depths[step] = (step in shown) + (0 if upper is None else depths[upper])
                upper = step
        return cls({node: None for node in parents if node in shown}, above, depths)

    def paths(self, current: Any, reading: Reading) -> Iterator[tuple[str, list[str]]]:
        """Yield the paths that are asked for, each with what to add to the conversation's id.

        The active path ends at `current`; if there is no such node, it is the longest one. The
        messages that are on none of the paths are counted.
        """
        kept: set[str] = set()
        for number, last in enumerate(self._ends(current, reading)):
            path = self.path(last)
            kept.update(path)
            yield f"#{number}" if number else "", path
        reading.drop("branch", len(self.shown) - len(kept))

    def path(self, last: str | None) -> list[str]:
        """Return the shown nodes from the first one to `last`, which is shown itself."""
        path = []
        while last is not None:
            path.append(last)
            last = self.above[last]
        return path[::-1]

    def _ends(self, current: Any, reading: Reading) -> Iterator[str | None]:
        longest = max(reversed([*self.shown]), key=self.depths.__getitem__, default=None)
        active = current if isinstance(current, str) and current in self.above else longest
        if active is not None and active not in self.shown:
            active = self.above[active]
        yield longest if reading.options.branches == "longest" else active
        if reading.options.branches == "all":
            inner = {self.above[node] for node in self.shown}
            ends = [node for node in self.shown if node not in inner and node != active]
            yield from ends[: reading.options.limits.branches - 1]
