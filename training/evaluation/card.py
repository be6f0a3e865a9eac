"""Last step: the results as tables, and the card of the artifact (its README.md) made of them.

    python -m training.evaluation.card RESULTS.json [--model NAME_OR_FOLDER] [-o FOLDER]
        [--readme README.md]

The folder is that of the artifact if none is given; --readme is where the short table goes.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import yaml
from matplotlib.figure import Figure

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from training.config import Recipe, read_beside
from training.evaluation.figures import FEWEST_POSITIVES
from training.screen.chats import NATURAL, PERSONAL

POINTS = ("balanced", "high_precision", "high_recall")
POINT_GROUPS = ("shared logs", "shared logs: random half", "studies", "corpus dev")
DIAGRAM = "reliability.svg"
MARKS = ("<!-- results -->", "<!-- end of results -->")
"""Between them, another file holds the short table of results."""

RESULTS = "results.json"
"""What the step before writes into the folder of a run."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the results."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """Return it as Markdown, without the title."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("|" + "|".join(str(cell) for cell in line) + "|" for line in lines)

    def text(self) -> str:
        """Return it as aligned text, with the title."""
        lines = [[str(cell) for cell in line] for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = (
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        return "\n".join([self.title, *aligned])


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of the results, where it is in them, and the bounds that are set for it."""

    what: str
    path: tuple[str, ...]
    least: float | None = None
    most: float | None = None

    def met(self, results: Mapping[str, Any]) -> bool | None:
        """Return whether the value is within the bounds; None if it was not measured."""
        found = find(results, self.path)
        if found is None:
            return None
        value = found["value"] if isinstance(found, Mapping) else found
        low = self.least is None or value >= self.least
        return bool(low and (self.most is None or value <= self.most))

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        signs = (("≥", self.least), ("≤", self.most))
        return " and ".join(f"{sign} {bound:,.12g}" for sign, bound in signs if bound is not None)


def find(results: Any, path: Sequence[str]) -> Any:
    """Return what lies at a path of the results; None if it is not there."""
    for key in path:
        if not isinstance(results, Mapping) or key not in results:
            return None
        results = results[key]
    return results


_DECLARED: dict[str, Any] = read_beside(__file__)
_TABLES: dict[str, dict[str, Any]] = _DECLARED["tables"]
TARGETS = tuple(Target(**{**row, "path": (*row["path"],)}) for row in _DECLARED["targets"])
"""The targets, in the order of the tables."""


def tables(results: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """Yield the tables of what was measured with their names, in the order of printing."""
    measured = {**results, "targets": results, "points": results.get("groups")}
    for name, declared in _TABLES.items():
        if values := measured.get(name):
            table = _table(_ROWS[name](values) if name in _ROWS else values, **declared)
            if table.rows:
                yield name, table


def _table(
    values: Any, title: str, columns: Mapping[str, str], names: Sequence[str] = ("",)
) -> Table:
    """Return the table of values in a list or by name; by two names, in mappings of mappings."""
    listed = values if isinstance(values, list) else [values]
    rows: list[tuple[tuple[str, ...], Any]] = [((), own) for own in listed]
    for _ in names:
        rows = [((*name, key), own) for name, inner in rows for key, own in inner.items()]
    cells = [
        [*name, *(_cell(find(own, path.split(".") if path else ())) for path in columns.values())]
        for name, own in rows
        if own not in (None, {"n": 0, "emotional": 0})  # a group without conversations
    ]
    return Table(title, [*names, *columns], cells)


def _cell(value: Any) -> str:
    """Return a value as text: an estimate with its interval, a dash for what is not there."""
    if isinstance(value, Mapping):
        if math.isnan(value["value"]):
            return "-"
        known = not math.isnan(value["low"])
        interval = f" ({value['low']:.3f}–{value['high']:.3f})" if known else ""
        return f"{value['value']:.3f}{interval}"
    return "-" if value is None else str(value)


def _targets(results: Mapping[str, Any]) -> dict[str, Any]:
    rows = {}
    for target in TARGETS:
        if (value := find(results, target.path)) is not None:
            met = {"target": target.bounds, "met": "yes" if target.met(results) else "no"}
            known = isinstance(value, Mapping)
            shown = {"value": value, "n": value["n"]} if known else {"value": f"{value:,}", "n": ""}
            rows[target.what] = shown | met
    return rows


def _points(groups: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: groups[name] for name in POINT_GROUPS if name in groups}
    return {
        point: {n: {**own[point], "n": own["n"]} for n, own in shown.items() if point in own}
        for point in POINTS
    }


def _named(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of cues or themes, and below them macro F1."""
    rows = dict(found["by_name"])
    if found["macro_f1"]:
        name = f"macro, {found['frequent']} {kind}s of {FEWEST_POSITIVES} or more positives"
        rows[name] = {"positives": "", "average_precision": "", "f1": found["macro_f1"]}
    return rows


def _screen(screen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{kind}, {said}": _left(found)
        for part, said in (("chosen_on", "chose the bounds"), ("checked_on", "took no part"))
        for kind, found in screen.get(part, {}).items()
    }


def _trade_off(rows: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    shown = []
    for found in rows:
        lost = [kind["charged_lost"] for kind in found.values()]
        hits, of = (sum(loss[key] for loss in lost) for key in ("hits", "of"))
        kinds = {"logs": _left(found[NATURAL]), "personal": _left(found[PERSONAL])}
        shown.append({**kinds, "lost": f"{hits} of {of:,}"})
    return shown


def _left(found: Mapping[str, Any]) -> dict[str, str]:
    """Return, as text, what a screen leaves to the encoder, and loses, with its upper ends."""
    shown = {
        name: f"{loss['hits']} of {loss['of']:,} (up to {loss['most']:.2%})"
        for name, loss in found.items()
        if isinstance(loss, Mapping) and loss["of"]
    }
    shown["conversations"] = f"{found['conversations']:,}"
    if found["conversations"]:
        shown["read"] = f"{1 - found['settled'] / found['conversations']:.1%}"
    return shown


_ROWS: dict[str, Callable[[Any], Any]] = {
    "targets": _targets,
    "points": _points,
    "test": lambda test: test["groups"],
    "small_talk": lambda group: {"between students": group},
    "cues": partial(_named, "cue"),
    "themes": partial(_named, "theme"),
    "calibration": lambda calibration: calibration["error"],
    "robustness": lambda found: {"accuracy on originals": found["accuracy"], **found["flips"]},
    "engines": lambda found: {name.replace("_", " "): own for name, own in found.items()},
    "screen": _screen,
    "screen_trade_off": _trade_off,
}
"""How the rows of a table come from what was measured; others are what was measured, by name."""


def write(results: Path, artifact: Artifact, folder: Path) -> Path:
    """Write the card of an artifact and its diagram into a folder; returns the card's path."""
    values = json.loads(results.read_text(encoding="utf-8"))
    measured = values["artifact"]["fingerprint"]
    if measured != artifact.fingerprint:
        raise ValueError(
            f"{results}: results of the artifact {measured[:8]}, but {artifact.folder} is "
            f"{artifact.fingerprint[:8]}; measure it with python -m training.evaluate --json, or "
            "python -m training.run --start evaluate"
        )
    folder.mkdir(parents=True, exist_ok=True)
    draw(values.get("calibration", {}).get("bins", {}), folder / DIAGRAM)
    path = folder / "README.md"
    path.write_text(render(values, artifact), encoding="utf-8")
    return path


def write_of_run(recipe: Recipe, _: Path | None) -> dict[str, str]:
    """Write the card of a run's artifact."""
    folder = recipe.folder / "artifact"
    return {"card": str(write(recipe.folder / RESULTS, load_artifact(folder), folder))}


class _NotMeasured(jinja2.Undefined):
    def __str__(self) -> str:
        return "Not measured."


def render(results: Mapping[str, Any], artifact: Artifact) -> str:
    """Return the card's text; what was not measured is said to be so."""
    own = [
        f"{name}: {of['conversations']:,} conversations, {of['emotional']:,} of them charged "
        f"({of['emotional'] / of['conversations']:.0%})"
        for name, of in results.get("own_data", {}).items()
    ]
    given = dict(tables(results)) | _training_data(results.get("training_data", {}))
    template = jinja2.Template(
        Path(__file__).with_suffix(".md").read_text(encoding="utf-8"),
        undefined=_NotMeasured,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    text = template.render(
        {name: table.markdown() for name, table in given.items()},
        header=header(artifact, results.get("groups", {}), bool(own)),
        artifact=artifact,
        config=json.loads(artifact.file("config.json").read_text(encoding="utf-8")),
        own_data="; ".join(own),
        room=results.get("screen", {}).get("room"),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def header(artifact: Artifact, groups: Mapping[str, Any], own_data: bool = False) -> str:
    """Return the head of the card, which hubs read, with figures of some dev conversations."""
    head = _DECLARED["head"]
    results: list[dict[str, Any]] = []
    for group, dataset in head["datasets"].items():
        metrics = []
        for kind, name, *path in head["metrics"]:
            estimate = find(groups, [group, *path])
            if estimate is not None and math.isfinite(estimate["value"]):
                metrics.append({"type": kind, "name": name, "value": round(estimate["value"], 3)})
        if metrics:
            results.append({"task": {**head["task"]}, "dataset": dataset, "metrics": metrics})
    base = artifact.description.get("base_model")
    hub_id = isinstance(base, str) and re.fullmatch(r"[\w-]+/[\w.-]+", base)
    values = {
        "license": None if own_data else "apache-2.0",
        "language": list(artifact.description["languages"]),
        **head["about"],
        "base_model": base if hub_id else None,
        "metrics": sorted({m["type"] for result in results for m in result["metrics"]}),
        # Hubs take no index without results.
        "model-index": [{"name": artifact.name, "results": results}] if results else None,
    }
    said = {name: value for name, value in values.items() if value}
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True)}---\n"


def _training_data(report: Mapping[str, Mapping[str, int]]) -> dict[str, Table]:
    left_out = ("near_duplicates", "same_writers")
    columns = {name: name for name in ("conversations", "windows", "emotional", "left out")}
    rows = {
        name: {**dict.fromkeys(columns, 0), **of, "left out": sum(of.get(n, 0) for n in left_out)}
        for name, of in report.items()
    }
    return {"training_data": _table(rows, "", columns, ["source"])} if rows else {}


def short_table(results: Mapping[str, Any]) -> str:
    """Return the four rows that say how good an artifact is, as Markdown."""
    groups, studies = results["groups"], results.get("studies", {})
    balanced = {name: group.get("balanced", {}) for name, group in groups.items()}
    natural = {"specificity": balanced["shared logs: random half"].get("specificity")}
    rows = {
        "shared logs": balanced["shared logs"] | natural,
        "personal chats of studies": studies.get("all", {}),
        "the same, a second reader": studies.get("second reader", {}),
        "our corpus, dev": balanced["corpus dev"],
    }
    columns = {"charged chats found": "recall", "others not flagged": "specificity"}
    return _table(rows, "", columns).markdown()


def put_between_marks(text: str, table: str) -> str:
    """Return a text with another table between its `MARKS`, which it must have."""
    first, last = MARKS
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise ValueError(f"the file must hold {first} and, after it, {last}")
    before, after = text.split(first)[0], text.split(last)[1]
    return f"{before}{first}\n\n{table}\n\n{last}{after}"


def draw(bins: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw the reliability diagram as SVG; the same points give the same bytes."""
    style: Any = {"svg.hashsalt": "reliability", "svg.fonttype": "none", "font.size": 8}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(2.6 * max(1, len(bins)), 2.9), layout="constrained")
        for place, (name, points) in enumerate(bins.items(), 1):
            axes = figure.add_subplot(1, len(bins), place)
            _draw_points(axes, points)
            axes.set_title(name.replace(", ", ",\n"), fontsize=8)
            if place == 1:
                axes.set_ylabel("share emotional")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw_points(axes: Any, points: Sequence[Mapping[str, float]]) -> None:
    x = [p["probability"] for p in points]
    y = [p["share"] for p in points]
    bars = [p["share"] - p["low"] for p in points], [p["high"] - p["share"] for p in points]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar(x, y, bars, color="C0", marker="o", markersize=3, linewidth=1)
    below: Any = {"xytext": (4, -7), "textcoords": "offset points", "fontsize": 6, "color": "0.4"}
    for p in points:
        axes.annotate(f"{p['n']:.0f}", (p["probability"], p["share"]), **below)
    axes.set(xlabel="probability", xlim=(0, 1), ylim=(0, 1))
    axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.set_aspect("equal")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the card from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation.card")
    parser.add_argument("results", type=Path, help="what training.evaluate wrote with --json")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="artifact: name or folder")
    parser.add_argument("-o", "--output", type=Path, help="folder of the card")
    parser.add_argument("--readme", type=Path, help="file with marks for the short table")
    options = parser.parse_args(arguments)
    try:
        artifact = load_artifact(options.model)
        print(write(options.results, artifact, options.output or artifact.folder))
        if options.readme:
            results = json.loads(options.results.read_text(encoding="utf-8"))
            text = options.readme.read_text(encoding="utf-8")
            table = put_between_marks(text, short_table(results))
            options.readme.write_text(table, encoding="utf-8")
    except (AffectlibError, OSError, ValueError) as error:
        print(f"training.evaluation.card: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
