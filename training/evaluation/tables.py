"""The results as tables, and beside what they are meant to reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from training.evaluation.figures import FEWEST_POSITIVES
from training.evaluation.hard_cases import FILLINGS
from training.evaluation.metrics import Estimate

POINTS = ("balanced", "high_precision", "high_recall")
POINT_GROUPS = ("shared logs", "shared logs: random half", "studies", "corpus dev")
DECISIONS = ("recall", "specificity", "precision", "accuracy")


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
    Target("bytes of the artifact", ("sizes", "total"), most=75e6),
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
        return "-" if isnan(estimate.value) else str(estimate)
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
                    _lost(user["other_cues"]),
                    _lost(assistant["other_cues"]),
                ]
            )
    head = ["conversations", "n", "users' windows read", "assistants' windows read"]
    head += ["other label", "charged lost", "other cues of users", "of assistants"]
    return Table("What the screen leaves to the encoder, and what it loses", head, rows)


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
    "agreement": _agreement,
}
