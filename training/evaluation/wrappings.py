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
from training.data.sources import read_rows
from training.evaluation.hard_cases import flags_of
from training.evaluation.metrics import proportion

Wrapping = Callable[[str, random.Random], str]
LINES = ("robustness.jsonl", "short_chats.jsonl")
"""Files beside this one whose charged texts are the lines."""

_TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/jobs/sync.py", line {0}, in run
    rows = self.fetch(batch, timeout={1})
  File "/srv/app/jobs/fetch.py", line {2}, in fetch
    raise TimeoutError(f"no answer in {{timeout}} s")
TimeoutError: no answer in {1} s"""
_CODE = """def total(rows):
    result = 0
    for row in rows:
        if row["id"] > {0}:
            result += row["price"] * {1}
    return result"""
_TABLE = """| item | amount | price |
|---|---|---|
| desk | {0} | {1} |
| lamp | {2} | {0} |
| chair | {1} | {2} |"""
_LOG = """2025-03-{0:02d}T08:14:03Z INFO worker-{1} job {2} queued
2025-03-{0:02d}T08:14:07Z WARN worker-{1} job {2} retried"""
_JSON = '{{"order": {0}, "items": [{{"sku": "A-{1}", "n": {2}}}], "paid": true}}'
_LINK = "https://www.example.com/news/articles/c{0}gx{1}rz{2}o"


def _numbers(count: int) -> Callable[[random.Random], str]:
    return lambda rng: " ".join(str(rng.randrange(10_000)) for _ in range(count))


def _filled(template: str) -> Callable[[random.Random], str]:
    return lambda rng: template.format(*(rng.randrange(1, 28) for _ in range(3)))


def _before(thing: Callable[[random.Random], str], gap: str = "\n") -> Wrapping:
    return lambda line, rng: f"{thing(rng)}{gap}{line}"


def _after(thing: Callable[[random.Random], str], gap: str = "\n") -> Wrapping:
    return lambda line, rng: f"{line}{gap}{thing(rng)}"


WRAPPINGS: Mapping[str, Wrapping] = {
    "5 numbers before": _before(_numbers(5), " "),
    "20 numbers before": _before(_numbers(20), " "),
    "40 numbers before": _before(_numbers(40), " "),
    "20 numbers after": _after(_numbers(20), " "),
    "link before": _before(_filled(_LINK), " "),
    "link after": _after(_filled(_LINK), " "),
    "table before": _before(_filled(_TABLE), "\n\n"),
    "table after": _after(_filled(_TABLE), "\n\n"),
    "code before": _before(_filled(_CODE), "\n\n"),
    "code after": _after(_filled(_CODE), "\n\n"),
    "traceback before": _before(_filled(_TRACEBACK), "\n\n"),
    "traceback after": _after(_filled(_TRACEBACK), "\n\n"),
    "log before": _before(_filled(_LOG)),
    "log after": _after(_filled(_LOG)),
    "JSON before": _before(_filled(_JSON)),
    "JSON after": _after(_filled(_JSON)),
    "in a code fence": lambda line, _: f"```\n{line}\n```",
    "in a comment": lambda line, rng: f"x = {rng.randrange(100)}  # {line}",
    "in a cell": lambda line, rng: f"{rng.randrange(1000)};{line};{rng.randrange(1000)}",
    "in a list of links": lambda line, rng: (
        f"- {_filled(_LINK)(rng)}\n- {line}\n- {_filled(_LINK)(rng)}"
    ),
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
    """Measure how many charged lines are lost in each wrapping.

    Args:
        screened: A classifier with its screen.
        unscreened: The same without.
        rows: The lines; those of `charged_lines` if None.

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
