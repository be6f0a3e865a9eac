"""Last step: the results as tables, and the card of the artifact (its README.md) made of them.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import yaml
from matplotlib.figure import Figure

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from training.config import Recipe
from training.evaluation.figures import FEWEST_POSITIVES
from training.evaluation.hard_cases import FILLINGS
from training.evaluation.metrics import Estimate
from training.screen.chats import NATURAL, PERSONAL

POINTS = ("balanced", "high_precision", "high_recall")
POINT_GROUPS = ("shared logs", "shared logs: random half", "studies", "corpus dev")
DECISIONS = ("recall", "specificity", "precision", "accuracy")
DIAGRAM = "reliability.svg"
MARKS = ("<!-- results -->", "<!-- end of results -->")
"""Between them, another file holds the short table of results."""

TEXT = Path(__file__).with_suffix(".md")
"""The card, with the names of what is filled in between braces."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the results: what it shows, the headings of its columns, its cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """Return it as Markdown, without the title."""
        if not self.rows:
            return "Not measured."
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

    def value(self, results: Mapping[str, Any]) -> Any:
        """Return the estimate (or the plain number); None if it was not measured."""
        return find(results, self.path)

    def met(self, results: Mapping[str, Any]) -> bool | None:
        """Return whether the value is within the bounds; None if it was not measured."""
        found = self.value(results)
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


_LOGS = ("groups", "shared logs")
_RANDOM = ("groups", "shared logs: random half", "balanced", "specificity")
_STUDIES = ("studies", "all")
_FRENCH = ("corpus", "french_less_english")
_ERROR = ("calibration", "error")

TARGETS = (
    Target("studies: recall", (*_STUDIES, "recall"), least=0.9),
    Target("studies: specificity", (*_STUDIES, "specificity"), least=0.85),
    Target("studies: AUROC", (*_STUDIES, "auroc"), least=0.95),
    Target("studies: flagged of charge 0", (*_STUDIES, "flagged_charge_0"), most=0.03),
    Target("studies: flagged of charge 1", (*_STUDIES, "flagged_charge_1"), most=0.2),
    Target("studies: F1 of charged turns", (*_STUDIES, "turn_f1"), least=0.78),
    Target("studies: Spearman of intensity", (*_STUDIES, "intensity"), least=0.8),
    Target("shared logs: average precision", (*_LOGS, "average_precision"), least=0.8),
    Target("shared logs: recall", (*_LOGS, "balanced", "recall"), least=0.85),
    Target("shared logs: specificity", (*_LOGS, "balanced", "specificity"), least=0.98),
    Target("shared logs, random half: specificity", _RANDOM, least=0.997),
    Target("corpus dev: accuracy", ("corpus", "accuracy"), least=0.9),
    Target("corpus dev: accuracy, French less English", _FRENCH, least=-0.02),
    Target("corpus test: accuracy", ("test", "corpus", "accuracy"), least=0.97),
    Target("corpus test: accuracy, French less English", ("test", *_FRENCH), least=-0.02),
    Target("themes, macro F1: dev", ("themes", "macro_f1"), least=0.75),
    Target("themes, macro F1: corpus test", ("test_themes", "macro_f1"), least=0.75),
    *(
        Target(f"20 turns of {x}: flagged", ("long_chats", x, "20 turns", "uncharged"), most=0.05)
        for x in FILLINGS
    ),
    Target("service dialogues: flagged", ("services", "all"), most=0.01),
    Target("altered messages, worst: flips", ("robustness", "worst"), most=0.03),
    Target("calibration error: shared logs", (*_ERROR, "shared logs, as it is"), most=0.02),
    Target("calibration error: studies", (*_ERROR, "studies, shifted to its own share"), most=0.05),
    Target("bytes of the artifact", ("sizes", "total"), most=81e6),
    Target("int8 and fp32: same label", ("engines", "same_label"), least=0.997),
)
"""The targets, in the order of the tables."""


def show(values: Mapping[str, Any], key: str) -> str:
    """Return an estimate or a number of the results as text, a dash if it is not there."""
    return _show(values.get(key))


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        estimate = Estimate(**value)
        return "-" if math.isnan(estimate.value) else str(estimate)
    return f"{value:,}"


def tables(results: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """Yield the tables of the results with their names, in the order in which they are printed.

    Args:
        results: What `training.evaluate.evaluate` gives; what was not measured has no table.
    """
    measured = {**results, "targets": results, "points": results.get("groups")}
    for name, make in _TABLES.items():
        if measured.get(name) and (table := make(measured[name])).rows:
            yield name, table


def _estimates(title: str) -> Callable[[Mapping[str, Any]], Table]:
    """Return what puts values one below the other, but for those that are not there (None)."""

    def table(values: Mapping[str, Any]) -> Table:
        rows = [
            [name.replace("_", " "), _show(value), value["n"]]
            for name, value in values.items()
            if value is not None
        ]
        return Table(title, ["", "value", "n"], rows)

    return table


def _targets(results: Mapping[str, Any]) -> Table:
    said = {True: "yes", False: "no", None: "-"}
    rows = []
    for target in TARGETS:
        if (value := target.value(results)) is not None:
            n = value["n"] if isinstance(value, Mapping) else ""
            rows.append([target.what, _show(value), n, target.bounds, said[target.met(results)]])
    return Table("Against the targets, balanced", ["", "value", "n", "target", "met"], rows)


def _studies(studies: Mapping[str, Any]) -> Table:
    figures = {
        "AUROC": "auroc",
        "recall": "recall",
        "specificity": "specificity",
        "flagged of charge 0": "flagged_charge_0",
        "of charge 1": "flagged_charge_1",
        "F1 of charged turns": "turn_f1",
        "intensity": "intensity",
    }
    rows = [
        [name, values["accuracy"]["n"], *(show(values, figure) for figure in figures.values())]
        for name, values in studies.items()
    ]
    return Table("Studies, balanced", ["", "n", *figures], rows)


def _study_errors(errors: Sequence[Mapping[str, Any]]) -> Table:
    head = ["study", "id", "charge", "second", "probability"]
    return Table(
        "Studies: what is judged wrongly", head, [[row[n] for n in head] for row in errors]
    )


def _groups(groups: Mapping[str, Any]) -> Table:
    return Table(
        "Conversations",
        ["", "n", "emotional", "AUROC", "average precision"],
        [
            [name, g["n"], g["emotional"], show(g, "auroc"), show(g, "average_precision")]
            for name, g in groups.items()
            if g["n"]
        ],
    )


def _points(groups: Mapping[str, Any]) -> Table:
    return Table(
        "Operating points; thresholds are cross-fitted",
        ["operating point", "on", "n", *DECISIONS],
        [
            [point, name, groups[name]["n"], *(show(groups[name][point], d) for d in DECISIONS)]
            for point in POINTS
            for name in POINT_GROUPS
            if point in groups.get(name, {})
        ],
    )


def _as_shipped(what: str, groups: Mapping[str, Any]) -> Table:
    return Table(
        f"{what}, balanced, thresholds as shipped",
        ["", "n", "emotional", "AUROC", *DECISIONS],
        [
            [
                name,
                g["n"],
                g["emotional"],
                show(g, "auroc"),
                *(show(g["balanced"], decision) for decision in DECISIONS),
            ]
            for name, g in groups.items()
            if g["n"]
        ],
    )


def _by_name(title: str, kind: str) -> Callable[[Mapping[str, Any]], Table]:
    def table(found: Mapping[str, Any]) -> Table:
        rows = [
            [name, values["positives"], show(values, "average_precision"), show(values, "f1")]
            for name, values in found["by_name"].items()
        ]
        if found["macro_f1"]:
            name = f"macro, {found['frequent']} {kind}s of {FEWEST_POSITIVES} or more positives"
            rows.append([name, "", "", _show(found["macro_f1"])])
        return Table(title, [kind, "positives", "AP", "F1"], rows)

    return table


def _long_chats(fillings: Mapping[str, Any]) -> Table:
    return Table(
        "Chats put together of uncharged turns, and with a charged one as the last but one",
        ["of", "", "uncharged: flagged", "charged: found", "its message found", "n"],
        [
            [filling, name, *map(_show, values.values()), values["message"]["n"]]
            for filling, lengths in fillings.items()
            for name, values in lengths.items()
        ],
    )


def _robustness(values: Mapping[str, Any]) -> Table:
    rows = {"accuracy on originals": values["accuracy"], **values["flips"]}
    return _estimates("Altered messages: share of labels that change")(rows)


def _short_chats(languages: Mapping[str, Any]) -> Table:
    return Table(
        "Chats of one very short message",
        ["", "n", *DECISIONS[:2], "accuracy"],
        [
            [name, v["accuracy"]["n"], *(show(v, d) for d in (*DECISIONS[:2], "accuracy"))]
            for name, v in languages.items()
        ],
    )


def _systems(groups: Mapping[str, Any]) -> Table:
    return Table(
        "Beside other systems",
        ["on", "system", "AUROC", "average precision", "recall at 0.98", "n"],
        [
            [group, name, *(_show(value) for value in values.values()), values["auroc"]["n"]]
            for group, systems in groups.items()
            for name, values in systems.items()
        ],
    )


def _agreement(sets: Mapping[str, Any]) -> Table:
    return Table(
        "Two annotations of the same rows",
        ["", "n", "same label", "kappa of the label", "kappa of the charge"],
        [
            [name, values["same label"]["n"], *map(_show, values.values())]
            for name, values in sets.items()
        ],
    )


def _screen(screen: Mapping[str, Any]) -> Table:
    rows = []
    for name, said in (("chosen_on", "chose the bounds"), ("checked_on", "took no part")):
        users, assistants = (screen.get(name, {}).get(role, {}) for role in ("user", "assistant"))
        for kind, user in users.items():
            assistant = assistants[kind]
            rows.append(
                [
                    f"{kind}, {said}",
                    f"{user['conversations']:,}",
                    *(
                        f"{1 - found['settled'] / found['windows']:.1%}"
                        if found["windows"]
                        else "-"
                        for found in (user, assistant)
                    ),
                    *(_lost(user[loss]) for loss in ("other_label", "charged_lost")),
                    _lost(user["messages_lost"]) if "messages_lost" in user else "-",
                    _lost(user["other_cues"]),
                    _lost(assistant["other_cues"]),
                ]
            )
    head = ["conversations", "n", "users' windows read", "assistants' windows read"]
    head += ["other label", "charged lost", "messages lost", "other cues of users", "of assistants"]
    return Table("What the screen leaves to the encoder, and what it loses", head, rows)


def _trade_off(rows: Sequence[Mapping[str, Mapping[str, Any]]]) -> Table:
    cells = []
    for found in rows:
        natural, charged = found[NATURAL], [kind["charged_lost"] for kind in found.values()]
        hits, of = (sum(loss[key] for loss in charged) for key in ("hits", "of"))
        shares = [1 - kind["settled"] / kind["windows"] for kind in (natural, found[PERSONAL])]
        others = [_lost(kind["other_label"]) for kind in (natural, found[PERSONAL])]
        cells.append([*(f"{share:.1%}" for share in shares), *others, f"{hits} of {of:,}"])
    head = ["natural logs: windows read", "personal chats: windows read"]
    head += ["natural logs: other label", "personal chats: other label", "charged lost, all kinds"]
    return Table("What a screen with other bounds would leave and lose", head, cells)


def _lost(loss: Mapping[str, Any]) -> str:
    """Return a loss with the upper end of its one-sided interval."""
    return f"{loss['hits']} of {loss['of']:,} (up to {loss['most']:.2%})" if loss["of"] else "-"


_TABLES: dict[str, Callable[[Any], Table]] = {
    "choice": _estimates("The figure by which recipes are chosen"),
    "targets": _targets,
    "studies": _studies,
    "study_errors": _study_errors,
    "groups": _groups,
    "points": _points,
    "test": lambda test: _as_shipped("Corpus test", test["groups"]),
    "small_talk": lambda g: _as_shipped("Real small talk", {"between students": g}),
    "cues": _by_name("Cues of conversations", "cue"),
    "themes": _by_name("Themes of charged conversations", "theme"),
    "calibration": lambda c: _estimates("Expected calibration error")(c["error"]),
    "long_chats": _long_chats,
    "services": _estimates("Service dialogues, share flagged"),
    "robustness": _robustness,
    "short_chats": _short_chats,
    "systems": _systems,
    "engines": _estimates("int8 against fp32, by window"),
    "screen": _screen,
    "screen_trade_off": _trade_off,
    "agreement": _agreement,
}


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


_SCREEN = {
    "screen": """\
The screen settles plain tasks before the encoder reads them. The table shows the share of windows
that the encoder still reads, and what is lost: conversations with another label at the worst
operating point, charged ones that are no longer found, users' messages that are no longer labelled
emotional, messages with other cues. In brackets is the most that is lost, with a confidence of 95 %
(Clopper-Pearson, one-sided). Most of the natural logs also taught the encoder to see tasks.
{room}""",
    "screen_trade_off": """\
The same with other bounds for users' messages, on conversations that took no part:""",
}
"""What stands above the tables of the screen."""
_ROOM = """\
Labels count at points {} logits lower too, so that `affectlib calibrate` can lower thresholds a
little and keep the screen."""
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
    asked = {*names, *_SCREEN}
    shown = {name: table.markdown() for name, table in tables(results) if name in asked}
    about = {
        "header": header(
            artifact, results.get("groups", {}), licence=None if own else "apache-2.0"
        ),
        "artifact": artifact,
        "reads": _reads(artifact),
        "config": config,
        "outputs": len(artifact.outputs),
        "base": artifact.description["base_model"],
        "training_data": _training_data(results.get("training_data", {})),
        "origin": _origin(own),
        "screen": _of_screen(shown, results.get("screen", {}).get("room")),
    }
    found = text.format(**dict.fromkeys(names, "Not measured.") | shown | about)
    return re.sub(r"\n{3,}", "\n\n", found)


def _reads(artifact: Artifact) -> str:
    windows = artifact.windows
    length = f"{windows.max_tokens} tokens in all"
    if windows.context_messages and any(windows.context_tokens.values()):
        return f"a user's message after up to {windows.context_messages} earlier ones ({length})"
    return f"each message by itself ({windows.target_tokens} tokens at a time)"


def _of_screen(shown: Mapping[str, str], room: float | None) -> str:
    said = _ROOM.format(room) if room else ""
    return "".join(
        f"{text.format(room=said)}\n\n{shown[name]}\n\n"
        for name, text in _SCREEN.items()
        if name in shown
    )


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
    # No precision: it is that of a set's own share of charged chats, which no collection has.
    found += [(key, f"{key} at balanced", decisions.get(key)) for key in ("recall", "specificity")]
    for kind, name, estimate in found:
        if estimate is not None and math.isfinite(estimate["value"]):
            yield {"type": kind, "name": name, "value": round(estimate["value"], 3)}


def _training_data(report: Mapping[str, Any]) -> str:
    """Return the table of what a run was trained on."""
    figures = ("conversations", "windows", "emotional")
    left_out = ("near_duplicates", "same_writers")
    rows = [
        [name, *(counts.get(f, 0) for f in figures), sum(counts.get(f, 0) for f in left_out)]
        for name, counts in report.items()
    ]
    return Table("Training data", ["source", *figures, "left out"], rows).markdown()


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
