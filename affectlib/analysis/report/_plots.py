"""Plots as inline SVG, from plain lists. Every one is small enough for a phone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

from affectlib._extras import requires_extra
from affectlib.analysis._pages import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from affectlib.analysis.report._translator import Translator

_BLUE, _ORANGE, _GREY, _INK = "#0b5cad", "#b3541e", "#8c959f", "#24292f"
"""Orange is for figures that are not corrected for label error, and for nothing else."""
_GREEN, _PURPLE = "#1b7837", "#762a83"
_MARKS = ("o-", "s--", "^:", "D-.")
"""What tells series apart, whatever their colours."""
_WIDTH = 4.7
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True, slots=True)
class Points:
    """A series of estimates with intervals; None where one is not shown.

    Those that are `labelled` count labels, their errors included.
    """

    name: str
    middle: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    labelled: bool = False

    @classmethod
    def of(
        cls, rows: Sequence[Mapping[str, Any]], name: str = "", *, labelled: bool = False
    ) -> Points:
        """Take ``estimate, low, high`` of rows."""
        middle, low, high = ([row[key] for row in rows] for key in ("estimate", "low", "high"))
        return cls(name, middle, low, high, labelled)

    @classmethod
    def apart(cls, rows: Sequence[Mapping[str, Any]]) -> list[Points]:
        """Take figures by several methods, apart by whether they are corrected."""
        none = {"estimate": None, "low": None, "high": None}
        return [
            cls.of(
                [row if (row["method"] == "naive") == labelled else none for row in rows],
                labelled=labelled,
            )
            for labelled in (False, True)
        ]

    @property
    def look(self) -> dict[str, Any]:
        """How they are drawn: labels differ from what is corrected, without colours too."""
        if self.labelled:
            return {"color": _ORANGE, "markerfacecolor": "white"}
        return {"color": _BLUE}

    @property
    def enough(self) -> bool:
        """Whether enough of them are shown for a plot."""
        shown = sum(value is not None for value in self.middle)
        return shown >= 2 and shown >= len(self.middle) / 2

    def known(self, places: Sequence[float]) -> tuple[list[float], list[float], list[list[float]]]:
        """Return places, estimates and distances to the interval's ends of those that are shown."""
        found = [
            (place, middle, max(0.0, middle - low), max(0.0, high - middle))
            for place, middle, low, high in zip(
                places, self.middle, self.low, self.high, strict=True
            )
            if middle is not None and low is not None and high is not None
        ]
        columns = [list(column) for column in zip(*found, strict=True)] or [[], [], [], []]
        return columns[0], columns[1], columns[2:]


def dots(
    name: str, labels: Sequence[str], several: Sequence[Points], t: Translator, axis: str
) -> str:
    """Draw estimates below each other with their intervals, a line for each label."""

    def draw(axes: Axes) -> None:
        places = list(range(len(labels)))
        for points in several:
            at, middle, reach = points.known([float(place) for place in places])
            axes.errorbar(middle, at, xerr=reach, fmt="o", capsize=3, markersize=6, **points.look)
        axes.set_yticks(places, [visible(" ".join(label.split())) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(_percent(t))
        axes.set_xlabel(axis)
        axes.grid(visible=False, axis="y")

    return _svg(name, draw, 0.95 + 0.38 * len(labels))


def band(
    name: str, ticks: Sequence[str], several: Sequence[Points], t: Translator, axis: str
) -> str:
    """Draw lines over time with their intervals as bands."""

    def draw(axes: Axes) -> None:
        (points,) = several
        # A period that is not shown breaks the line.
        middle, low, high = (
            [nan if value is None else value for value in values]
            for values in (points.middle, points.low, points.high)
        )
        at = range(len(ticks))
        colour = points.look["color"]
        axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(at, middle, marker="o", markersize=4, linewidth=1.8, **points.look)
        step = max(1, -(-len(ticks) // 6))
        axes.set_xticks(range(0, len(ticks), step), ticks[::step])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_percent(t))
        axes.set_ylabel(axis)
        axes.grid(visible=False, axis="x")

    return _svg(name, draw, 2.7)


def series(
    name: str, ticks: Sequence[str], lines: Sequence[Points], t: Translator, y: str, x: str
) -> str:
    """Draw series of estimates with intervals side by side."""

    def draw(axes: Axes) -> None:
        for order, points in enumerate(lines):
            shift = 0.09 * (order - (len(lines) - 1) / 2)
            at, middle, reach = points.known([place + shift for place in range(len(ticks))])
            axes.errorbar(
                at, middle, yerr=reach, fmt=_MARKS[order % len(_MARKS)], capsize=3, markersize=5,
                linewidth=1.5, label=points.name, **points.look,
            )  # fmt: skip
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_percent(t))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(visible=False, axis="x")
        if len(lines) > 1:
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=1)

    return _svg(name, draw, 2.8 + 0.22 * (len(lines) if len(lines) > 1 else 0))


def lorenz_curve(users: Sequence[float], share: Sequence[float], t: Translator) -> str:
    """Draw a Lorenz curve and the line that it would be if all had as much."""

    def draw(axes: Axes) -> None:
        _unit_square(axes, t, t("axis.of_users"), t("axis.of_charge"))
        axes.fill_between(users, share, users, color=_ORANGE, alpha=0.12, linewidth=0)
        axes.plot(users, share, color=_ORANGE, linewidth=2)

    return _svg("lorenz", draw, 3.6)


def calibration_curve(name: str, rows: Sequence[Mapping[str, Any]], t: Translator) -> str:
    """Draw the share of hand labels that is charged against the probability given."""

    def draw(axes: Axes) -> None:
        _unit_square(axes, t, t("axis.probability"), t("axis.hand"))
        at, middle, reach = Points.of(rows).known([row["probability"] for row in rows])
        axes.errorbar(at, middle, yerr=reach, fmt="o", color=_BLUE, capsize=3, markersize=5)

    return _svg(name, draw, 3.6)


def heat(
    name: str, labels: Sequence[str], cells: Sequence[Sequence[float | None]], t: Translator
) -> str:
    """Draw lifts of pairs below the diagonal: green above 1, purple below, white at 1."""

    def draw(axes: Axes) -> None:
        import numpy as np
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Rectangle

        lifts = np.array([[np.nan if v is None else v for v in row] for row in cells], dtype=float)
        with np.errstate(divide="ignore"):
            doublings = np.clip(np.log2(lifts), -4, 4)
        colours = LinearSegmentedColormap.from_list("lift", [_PURPLE, "#ffffff", _GREEN])
        limit = max(1.0, float(np.nanmax(np.abs(doublings))))
        for (down, across), lift in np.ndenumerate(lifts):
            if np.isnan(lift):
                continue
            colour = colours(0.5 + doublings[down, across] / (2 * limit))
            corner = (across - 0.5, down - 0.5)
            axes.add_patch(
                Rectangle(corner, 1, 1, facecolor=colour, edgecolor="#e3e6ea", linewidth=0.8)
            )
            dark = sum(part * k for part, k in zip(colour, (0.3, 0.59, 0.11), strict=False)) < 0.5
            axes.text(
                across, down, t.number(float(lift), 0 if lift >= 9.5 else 1),
                ha="center", va="center", fontsize=8, color="white" if dark else _INK,
            )  # fmt: skip
        count = len(labels)
        axes.set_xlim(-0.5, count - 1.5)
        axes.set_ylim(count - 0.5, 0.5)
        axes.set_xticks(range(count - 1), labels[:-1], rotation=55, ha="right")
        axes.set_yticks(range(1, count), labels[1:])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    return _svg(name, draw, 1.2 + 0.3 * len(labels))


def _unit_square(axes: Axes, t: Translator, x: str, y: str) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.xaxis.set_major_formatter(_percent(t))
    axes.yaxis.set_major_formatter(_percent(t))
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _percent(t: Translator) -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: t.tick(value))


def _svg(name: str, draw: Callable[[Axes], None], height: float) -> str:
    """Draw on new axes and return an ``svg`` element that scales with its container.

    Ids begin with `name`, so that those of several plots in a page differ.
    """
    with requires_extra("analysis"):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    with rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=empty)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
