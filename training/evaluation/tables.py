"""The results as tables: the command prints them as text, the card shows them as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from training.evaluation.ablations import FIGURES
from training.evaluation.figures import FEWEST_CUE_POSITIVES
from training.evaluation.metrics import Estimate
from training.evaluation.targets import TARGETS

POINTS = ("balanced", "high_precision", "high_recall")
POINT_GROUPS = (
    "real transcripts",
    "real: random pool",
    "corpus dev",
    "corpus dev: English",
    "corpus dev: French",
)
DECISIONS = ("recall", "specificity", "precision", "accuracy")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the results.

    Attributes:
        title: What it shows.
        head: Headings of its columns.
        rows: Its cells.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """Return it as Markdown, without the title."""
        if not self.rows:
            return "Not measured."
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)

    def text(self) -> str:
        """Return it as aligned text, with the title."""
        lines = [[str(cell) for cell in line] for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = (
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        return "\n".join([self.title, *aligned])


def show(values: Mapping[str, Any], key: str) -> str:
    """Return an estimate or a number of the results as text, a dash if it is not there."""
    return _show(values.get(key))


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        estimate = Estimate(**value)
        return "-" if isnan(estimate.value) else str(estimate)
    return f"{value:,}"


def tables(results: Mapping[str, Any], ablations: Iterable[Mapping[str, Any]]) -> dict[str, Table]:
    """Return the tables of the results by name, in the order in which they are printed.

    Args:
        results: What `training.evaluate.evaluate` gives.
        ablations: The rows of `training.evaluation.ablations`.
    """
    return {
        "targets": _targets(results),
        "groups": _groups(results["groups"]),
        "points": _points(results["groups"]),
        "corpus": _estimates("Corpus dev, balanced", results["corpus"]),
        "test": _as_shipped("Corpus test", results["test"]["groups"]),
        "test_corpus": _estimates(
            "Corpus test, balanced, English and French",
            {
                **{k: v for k, v in results["test"]["corpus"].items() if k != "accuracy"},
                "cues, macro F1": results["test"]["cues"]["macro_f1"],
                "accuracy in French less in English": results["test"]["french_less_english"][
                    "accuracy"
                ],
            },
        ),
        "small_talk": _as_shipped(
            "Real small talk",
            {"between people": results["small_talk"]} if "small_talk" in results else {},
        ),
        "languages": _languages(results["languages"]),
        "cues": _cues(results["cues"]),
        "calibration": _estimates("Expected calibration error", results["calibration"]["error"]),
        "replies": Table(
            "Mean absolute change of P(emotional) with other replies",
            ["replies", "on", "change", "n"],
            [
                [kind, name, _show(value), value["n"]]
                for kind, groups in results["replies"].items()
                for name, value in groups.items()
            ],
        ),
        "source": _estimates("Source guessed from the score, AUROC", results["source"]),
        "pronouns": Table(
            "Accuracy on corpus dev with first-person pronouns masked",
            ["", "as written", "masked", "fall", "n"],
            [
                [name, *(_show(value) for value in values.values()), values["fall"]["n"]]
                for name, values in results["pronouns"].items()
            ],
        ),
        "drift": _estimates(
            "Rank correlation of P(emotional) and user turns, uncharged", results["drift"]
        ),
        "late": Table(
            "Share found with a charged turn as the last but one",
            [
                "among",
                "",
                "as a message",
                "as a conversation",
                "without it, as a conversation",
                "n",
            ],
            [
                [filling, name, *map(_show, values.values()), values["message"]["n"]]
                for filling, lengths in results["late"].items()
                for name, values in lengths.items()
            ],
        ),
        "engines": _estimates("int8 against fp32, by window", results["engines"]),
        "speed": _estimates("Speed, by batch", results["speed"]),
        "sizes": Table(
            "Size",
            ["file", "bytes"],
            [
                *([name, f"{size:,}"] for name, size in results["sizes"]["files"].items()),
                ["all", f"{results['sizes']['total']:,}"],
            ],
        ),
        "baselines": _baselines(results.get("baselines", {})),
        "public": Table(
            "Share labelled emotional in public sets without labels of ours",
            ["set", "share", "n"],
            [[name, _show(v), v["n"]] for name, v in results.get("public", {}).items()],
        ),
        "ablations": Table(
            "Measured variants",
            ["variant", *FIGURES, "command"],
            [
                [
                    row["variant"],
                    *(show(row["figures"], name) for name in FIGURES),
                    f"`{row['command']}`",
                ]
                for row in ablations
            ],
        ),
        "probes": Table(
            "Probes, P(emotional)",
            ["message", "expected", "alone", "after a greeting"],
            [
                [p["text"], p["expected"], f"{p['alone']:.3f}", f"{p['after_greeting']:.3f}"]
                for p in results["probes"]
            ],
        ),
    }


def _estimates(title: str, values: Mapping[str, Any]) -> Table:
    """Return the values one below the other, but for those that could not be measured (None)."""
    rows = [
        [name.replace("_", " "), _show(value), value["n"]]
        for name, value in values.items()
        if value is not None
    ]
    return Table(title, ["", "value", "n"], rows)


def _targets(results: Mapping[str, Any]) -> Table:
    said = {True: "yes", False: "no", None: "not measured"}
    rows = []
    for target in TARGETS:
        value = target.value(results)
        n = value["n"] if isinstance(value, dict) else ""
        rows.append([target.what, _show(value), n, target.bounds, said[target.met(results)]])
    return Table("Against the targets", ["", "value", "n", "target", "met"], rows)


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
    """All groups at the first operating point, the main ones at the others."""
    return Table(
        "Operating points; thresholds are cross-fitted",
        ["operating point", "on", "n", *DECISIONS],
        [
            [point, name, group["n"], *(show(group[point], metric) for metric in DECISIONS)]
            for point in POINTS
            for name, group in groups.items()
            if point in group and (point == POINTS[0] or name in POINT_GROUPS)
        ],
    )


def _as_shipped(what: str, groups: Mapping[str, Any]) -> Table:
    figures = ("auroc", "average_precision")
    return Table(
        f"{what}, balanced, thresholds as shipped",
        ["", "n", "emotional", "AUROC", "average precision", *DECISIONS],
        [
            [
                name,
                g["n"],
                g["emotional"],
                *(show(g, figure) for figure in figures),
                *(show(g[POINTS[0]], metric) for metric in DECISIONS),
            ]
            for name, g in groups.items()
            if g["n"]
        ],
    )


def _languages(languages: Mapping[str, Any]) -> Table:
    rows = [
        [f"French less English, corpus dev: {name}", _show(value), value["n"], ""]
        for name, value in languages["french_less_english"].items()
    ]
    for name, group in languages["others"].items():
        accuracy = show(group.get("balanced", {}), "accuracy")
        rows.append([f"{name}, all dev: accuracy", accuracy, group["n"], group["emotional"]])
    return Table("Languages, balanced", ["", "value", "n", "emotional"], rows)


def _cues(cues: Mapping[str, Any]) -> Table:
    rows = [
        [name, c["positives"], show(c, "average_precision"), show(c, "f1"), c["f1"]["n"]]
        for name, c in cues["by_cue"].items()
    ]
    if cues["macro_f1"]:
        name = f"macro, {cues['macro_cues']} cues of {FEWEST_CUE_POSITIVES} or more positives"
        rows.append([name, "", "", _show(cues["macro_f1"]), cues["macro_f1"]["n"]])
    return Table("Cues of conversations", ["cue", "positives", "AP", "F1", "n"], rows)


def _baselines(groups: Mapping[str, Any]) -> Table:
    return Table(
        "Beside other systems",
        ["on", "system", "AUROC", "average precision", "recall at 0.98", "recall at 0.995", "n"],
        [
            [group, name, *(_show(value) for value in values.values()), values["auroc"]["n"]]
            for group, systems in groups.items()
            for name, values in systems.items()
        ],
    )
