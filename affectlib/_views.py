"""Tables as HTML for notebooks, and plots, of plain rows.

Colours are translucent, to be readable on light and dark backgrounds. Callers escape text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, TypeVar

from affectlib._extras import requires_extra
from affectlib.taxonomy import EMOTIONAL, TASK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ItemT = TypeVar("_ItemT")

ROWS = 50
"""Rows of a table at most."""

ORANGE, BLUE = "224,112,32", "48,128,224"
_EXCERPT = 100
_CELL = "padding:.15em .6em;text-align:left;vertical-align:top"


def page(title: str, body: str, left_out: int = 0) -> str:
    """Put a title above a body, and below it the number of rows left out."""
    more = f"<div>{left_out:,} others are not shown</div>" if left_out else ""
    return f'<div class="affectlib"><div>{title}</div>{body}{more}</div>'


def table(header: Iterable[str], rows: Iterable[tuple[bool, list[str]]]) -> str:
    """Return a table; its cells are HTML already, and charged rows are marked."""
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in header)
    body = []
    for charged, cells in rows:
        tint = f' style="background:rgba({ORANGE},.15)"' if charged else ""
        row = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
        body.append(f"<tr{tint}>{row}</tr>")
    return (
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def bar(value: float, *, signed: bool = False) -> str:
    """Return a value from -1 to 1 with a bar of that length."""
    colour = ORANGE if value > 0 else BLUE
    style = (
        f"display:inline-block;width:{4 * abs(value):.2f}em;height:.7em;"
        f"background:rgba({colour},.6);margin-right:.4em"
    )
    return f'<span style="{style}"></span>{value:{"+" if signed else ""}.2f}'


def excerpt(text: str) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 4 * _EXCERPT].split())
    return line if len(line) <= _EXCERPT and len(text) <= 4 * _EXCERPT else f"{line[:_EXCERPT]}…"


def foremost(items: Sequence[_ItemT], weights: Sequence[float]) -> list[_ItemT]:
    """Return the `ROWS` items of the greatest weight, in their order."""
    chosen = sorted(range(len(items)), key=lambda place: -weights[place])[:ROWS]
    return [items[place] for place in sorted(chosen)]


def plot_points(
    points: Sequence[tuple[int, float, str | None]], threshold: float | None, ax: Axes | None
) -> Axes:
    """Plot points of position, probability and label on `ax`, or new axes, with a threshold."""
    with requires_extra("analysis"):
        from matplotlib.ticker import MaxNLocator
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(6, 2.5), layout="constrained")
    ax.plot([p[0] for p in points], [p[1] for p in points], color="#8c959f", zorder=1)
    for label, colour, mark in ((EMOTIONAL, "#e07020", "o"), (TASK, "#3080e0", "s")):
        found = [point[:2] for point in points if point[2] == label]
        if found:
            ax.scatter(*zip(*found, strict=True), color=colour, marker=mark, label=label, zorder=2)
    if threshold is not None:
        ax.axhline(threshold, color="#8c959f", linestyle="--", label="threshold")
    ax.set(xlabel="message", ylabel="P(emotional)", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0)
    return ax
