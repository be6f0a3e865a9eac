"""Last step: the card of the artifact (its README.md), rendered from the results.

    python -m training.evaluation.card RESULTS.json [--model NAME_OR_FOLDER] [-o FOLDER]
        [--readme README.md]

writes the card and its diagram into a folder (that of the artifact if none is given), and the short
table of results between the marks of another file.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import yaml
from matplotlib.figure import Figure

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from training.config import Recipe
from training.evaluation.tables import Table, show, tables

DIAGRAM = "reliability.svg"
MARKS = ("<!-- results -->", "<!-- end of results -->")
"""Between them, another file holds the short table of results."""

TEXT = Path(__file__).with_suffix(".md")
"""The card, with the names of what is filled in between braces."""


def write_card(recipe: Recipe) -> Path:
    """Write the card of a run into its artifact, from ``results.json``; returns its path.

    Raises:
        ValueError: The results are those of another artifact.
    """
    folder = recipe.folder / "artifact"
    return write(recipe.folder / "results.json", load_artifact(folder), folder)


def write(results: Path, artifact: Artifact, folder: Path) -> Path:
    """Write the card of an artifact and its diagram into a folder; returns the card's path.

    Raises:
        ValueError: The results are those of another artifact.
    """
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


_SCREEN = """\
The screen settles plain tasks before the encoder reads them. The table shows the share of windows
that the encoder still reads, and what is lost: conversations with another label at the worst
operating point, charged ones that are no longer found, messages with other cues. In brackets is the
most that is lost, with a confidence of 95 % (Clopper-Pearson, one-sided)."""
"""What stands above the table of the screen."""
_OURS = """\
Our corpus and annotations were written by a large language model that followed the project's
codebook, and were not checked by people. Near-duplicates of evaluation data were removed. Origins
and licences of the other sets are in `training/data/sources.jsonl`."""
_THEIRS = """\
labelled by the maker of this model. The project affectlib has seen neither them nor this model, and
no licence was stated. The other sets in the table are the project's; `training/data/README.md`
describes them. Near-duplicates of evaluation data were removed."""


def render(results: Mapping[str, Any], artifact: Artifact) -> str:
    """Return the card's text; what was not measured is said to be so."""
    own = results.get("own_data", {})
    config = json.loads(artifact.file("config.json").read_text(encoding="utf-8"))
    text = TEXT.read_text(encoding="utf-8")
    names = set(re.findall(r"\{(\w+)\}", text))
    shown = {name: table.markdown() for name, table in tables(results) if name in names}
    about = {
        "header": header(
            artifact, results.get("groups", {}), licence=None if own else "apache-2.0"
        ),
        "artifact": artifact,
        "config": config,
        "outputs": len(artifact.outputs),
        "base": artifact.description["base_model"],
        "training_data": _training_data(results.get("training_data", {})),
        "origin": _origin(own),
        "screen": f"{_SCREEN}\n\n{shown['screen']}" if "screen" in shown else "",
    }
    found = text.format(**dict.fromkeys(names, "Not measured.") | shown | about)
    return re.sub(r"\n{3,}", "\n\n", found)


def _origin(own: Mapping[str, Any]) -> str:
    """Say where the training data come from; of a user's files only what is in them."""
    files = [
        f"{name}: {counts['conversations']:,} conversations, {counts['emotional']:,} of them "
        f"charged ({counts['emotional'] / counts['conversations']:.0%})"
        for name, counts in own.items()
    ]
    return f"{'; '.join(files)}, {_THEIRS}" if files else _OURS


_DATASETS = {
    "shared logs": "Shared logs (ShareGPT, Chatbot Arena, WildChat), dev",
    "studies": "Chats of people with assistants in published studies, dev",
    "corpus dev": "Corpus of affectlib, dev",
}
"""The groups of dev conversations that stand in the head, and what they are called there."""
_RANKING = {"auroc": "roc_auc", "average_precision": "average_precision"}


def header(
    artifact: Artifact, groups: Mapping[str, Any], *, licence: str | None = "apache-2.0"
) -> str:
    """Return the head of the card, which model hubs read, with the lines of dashes around it.

    Args:
        artifact: The artifact.
        groups: Figures of groups of dev conversations, by name.
        licence: The licence; None to state none.
    """
    results: list[dict[str, Any]] = [
        {
            "task": {"type": "text-classification", "name": "Emotionally charged or task-oriented"},
            "dataset": {
                "type": f"affectlib-{group.replace(' ', '-')}",
                "name": name,
                "split": "dev",
            },
            "metrics": metrics,
        }
        for group, name in _DATASETS.items()
        if (metrics := [*_metrics(groups.get(group, {}))])
    ]
    base = artifact.description.get("base_model")
    hub_id = isinstance(base, str) and re.fullmatch(r"[\w-]+/[\w.-]+", base)
    values = {
        **({"license": licence} if licence else {}),
        "language": list(artifact.description["languages"]),
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["affective-computing", "chat-transcripts", "multi-label", "onnx", "affectlib"],
        **({"base_model": base} if hub_id else {}),
        "metrics": sorted({m["type"] for result in results for m in result["metrics"]}),
        "model-index": [{"name": artifact.name, "results": results}],
    }
    if not results:  # hubs take no index without results
        del values["metrics"], values["model-index"]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def _metrics(figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = [(kind, kind, figures.get(key)) for key, kind in _RANKING.items()]
    decisions = figures.get("balanced", {})
    found += [
        (key, f"{key} at balanced", decisions.get(key))
        for key in ("recall", "specificity", "precision")
    ]
    for kind, name, estimate in found:
        if estimate is not None and math.isfinite(estimate["value"]):
            yield {"type": kind, "name": name, "value": round(estimate["value"], 3)}


def _training_data(report: Mapping[str, Any]) -> str:
    """Return the table of what a run was trained on."""
    figures = ("conversations", "windows", "emotional", "near_duplicates")
    rows = [[name, *(counts.get(f, 0) for f in figures)] for name, counts in report.items()]
    return Table("Training data", ["source", *figures[:3], "near-duplicates"], rows).markdown()


def short_table(results: Mapping[str, Any]) -> str:
    """Return the four rows that say how good an artifact is, as Markdown."""
    groups, studies = results["groups"], results.get("studies", {})
    balanced = {name: group.get("balanced", {}) for name, group in groups.items()}
    rows = {
        "shared logs": (balanced["shared logs"], balanced["shared logs: random half"]),
        "personal chats of studies": (studies.get("all", {}),) * 2,
        "the same, a second reader": (studies.get("second reader", {}),) * 2,
        "our corpus, dev": (balanced["corpus dev"],) * 2,
    }
    cells = [
        [name, show(found, "recall"), show(calm, "specificity")]
        for name, (found, calm) in rows.items()
    ]
    return Table("", ["", "charged chats found", "others not flagged"], cells).markdown()


def put_between_marks(text: str, table: str) -> str:
    """Return a text with another table between its `MARKS`.

    Raises:
        ValueError: It has no marks.
    """
    first, last = MARKS
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise ValueError(f"the file must hold {first} and, after it, {last}")
    before, after = text.split(first)[0], text.split(last)[1]
    return f"{before}{first}\n\n{table}\n\n{last}{after}"


def draw(bins: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Draw the reliability diagram as SVG; the same points give the same bytes.

    Args:
        bins: What `training.evaluation.figures.calibration_figures` gives.
        path: The file to write.
    """
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
    for p in points:
        axes.annotate(
            f"{p['n']:.0f}",
            (p["probability"], p["share"]),
            xytext=(4, -7),
            textcoords="offset points",
            fontsize=6,
            color="0.4",
        )
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
