"""A plainly charged line beside what is no prose: does it still count, and who loses it?

Exports and pastes put numbers, links, tables, code and tracebacks beside what a person says. Each
of some charged lines is put into each of `WRAPPINGS`. A line that the encoder finds by itself can
be lost in two ways: the encoder no longer finds it, or it does, and the screen takes it for a
task.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectlib.classifier import AffectClassifier
from affectlib.taxonomy import EMOTIONAL
from training.config import read_beside
from training.data.sources import read_rows
from training.evaluation.hard_cases import flags_of
from training.evaluation.metrics import proportion

Wrapping = Callable[[str, random.Random], str]
LINES = ("robustness.jsonl", "short_chats.jsonl")
"""Files beside this one whose charged texts are the lines."""

_TEMPLATES: Mapping[str, Mapping[str, str]] = read_beside(__file__)
"""What is put beside a line, by what it is, and the gap between both."""


def _numbers(count: int) -> Callable[[random.Random], str]:
    return lambda rng: " ".join(str(rng.randrange(10_000)) for _ in range(count))


def _filled(template: str) -> Callable[[random.Random], str]:
    return lambda rng: template.format(*(rng.randrange(1, 28) for _ in range(3)))


_link = _filled(_TEMPLATES["link"]["template"])


def _before(thing: Callable[[random.Random], str], gap: str) -> Wrapping:
    return lambda line, rng: f"{thing(rng)}{gap}{line}"


def _after(thing: Callable[[random.Random], str], gap: str) -> Wrapping:
    return lambda line, rng: f"{line}{gap}{thing(rng)}"


WRAPPINGS: Mapping[str, Wrapping] = {
    **{f"{count} numbers before": _before(_numbers(count), " ") for count in (5, 20, 40)},
    "20 numbers after": _after(_numbers(20), " "),
    **{
        f"{name} {side}": put(_filled(thing["template"]), thing["gap"])
        for name, thing in _TEMPLATES.items()
        for side, put in (("before", _before), ("after", _after))
    },
    "in a code fence": lambda line, _: f"```\n{line}\n```",
    "in a comment": lambda line, rng: f"x = {rng.randrange(100)}  # {line}",
    "in a cell": lambda line, rng: f"{rng.randrange(1000)};{line};{rng.randrange(1000)}",
    "in a list of links": lambda line, rng: f"- {_link(rng)}\n- {line}\n- {_link(rng)}",
}
"""What a line is put beside or into, by what it is."""


def charged_lines() -> list[Mapping[str, str]]:
    """Return the charged lines, English and French, that were written for measuring."""
    rows = (row for file in LINES for row in read_rows(Path(__file__).parent / file))
    return [row for row in rows if row["label"] == EMOTIONAL]


def wrappings(
    screened: AffectClassifier,
    unscreened: AffectClassifier,
    rows: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Measure how many charged lines are lost in each wrapping, with a screen and without.

    Returns:
        By wrapping: the share of the lines that the encoder finds by themselves which are lost
        because of the ``screen``, and because of the ``encoder``.
    """
    lines = charged_lines() if rows is None else rows
    plain = [row["text"] for row in lines]
    found = [row for row, flag in zip(lines, flags_of(unscreened, plain), strict=True) if flag]
    result = {}
    for name, wrap in WRAPPINGS.items():
        texts = [
            wrap(row["text"], random.Random(zlib.crc32(f"{name} {row['id']}".encode())))
            for row in found
        ]
        encoder, whole = flags_of(unscreened, texts), flags_of(screened, texts)
        result[name] = {"screen": proportion(encoder & ~whole), "encoder": proportion(~encoder)}
    return result
