"""Bias and coverage of figures whose truth is known.

``python -m tools.simulation`` draws corpora of every setting and says of every corrected figure of
the report how far off it is on average, in widths of its interval, and how often its interval holds
the truth. ``--users 150 --prevalence 0.01 --gold 200`` takes some settings only. With ``--results
FILE``, settings that the file has are not drawn again, and the others are added to it; ``--docs``
writes the tables into docs/explanation/coverage.md. ``--labelled`` looks at trends of users and
concentration instead, which are of labels; ``--clusters 5 8 20`` at regressions with clustered
errors (with ``--docs``, into the same page). ``--check`` names the figures whose coverage lies
below 93 % or, with hand labels, above 98 %, by more than chance, and exits 1 if there are any and
errors are as measured. Without hand labels, intervals that allow for errors of another kind hold
more often where errors are as measured, so that 98 % is no limit there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import binomtest

from affectlib.analysis import AnalysisWarning, TableError, associate
from tools.simulation import figures
from tools.simulation.figures import Corpus, Found
from tools.simulation.population import SENSITIVITY, SPECIFICITY, Setting, draw

CONVERSATIONS = {40: 100.0, 150: 30.0, 1500: 10.0}
SHARES = (0.003, 0.01, 0.03, 0.1, 0.3)
GOLD = (0, 200)
REPETITIONS = 1000
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "coverage.md"
_FEWEST = 50
_PROMISED = 0.95
_ALLOWED = 0.93, 0.98
_SURE = 0.99
_SLOPE = 0.3


@dataclass
class Tally:
    """How a figure did.

    Attributes:
        errors: Estimates minus truths.
        widths: Widths of the intervals.
        below: How often the truth lay below the interval.
        above: How often it lay above.
    """

    errors: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    below: int = 0
    above: int = 0

    def add(self, found: Found) -> None:
        """Count one repetition."""
        self.errors.append(found.estimate - found.truth)
        self.widths.append(found.high - found.low)
        self.below += found.truth < found.low
        self.above += found.truth > found.high

    def summary(self) -> dict[str, float]:
        """Return the shares and means."""
        count, width = len(self.errors), float(np.mean(self.widths))
        return {
            "coverage": 1 - (self.below + self.above) / count,
            "below": self.below / count,
            "above": self.above / count,
            "bias": float(np.mean(self.errors)) / width if width else 0.0,
            "width": width,
            "count": count,
        }


def error_of(coverage: float, count: int) -> float:
    """Return how far chance moves a coverage (two standard errors)."""
    return 2 * float(np.sqrt(max(coverage * (1 - coverage), _PROMISED * 0.05) / count))


def simulated(setting: Setting, rows: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw corpora of a setting; return how each figure did."""
    seed = [arguments.seed, setting.users, int(setting.prevalence * 1e4), rows]
    rng = np.random.default_rng(seed)
    truths = figures.concentrations(setting, rng) if arguments.labelled else {}
    tallies: dict[str, Tally] = {}
    trends = 0
    elsewhere = None if arguments.unmeasured else arguments.elsewhere
    start = time.monotonic()
    for _ in range(arguments.repetitions):
        drawn = draw(rng, setting)
        corpus = Corpus.of(rng, drawn, rows, elsewhere)
        found = [] if corpus is None else [*figures.figures(corpus, rng)]
        if arguments.labelled:
            found = [*figures.concentrated(drawn, truths["label"])]
            trends += figures.false_trend(drawn)
        for each in found:
            tallies.setdefault(each.name, Tally()).add(each)
    return {
        **asdict(setting),
        "gold": rows,
        "repetitions": arguments.repetitions,
        "seconds": round(time.monotonic() - start, 1),
        "figures": {name: tally.summary() for name, tally in tallies.items()},
        "false_trends": trends / arguments.repetitions if arguments.labelled else None,
        "concentration": truths,
    }


def chance(row: dict[str, float]) -> tuple[float, float]:
    """Return between which values the coverage of a figure lies (Clopper and Pearson, 99 %)."""
    count = round(row["count"])
    interval = binomtest(round(row["coverage"] * count), count).proportion_ci(_SURE)
    return float(interval.low), float(interval.high)


def outside(cells: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield which figures cover less or, with hand labels, more than they should."""
    least, most = _ALLOWED
    for cell in cells:
        for name, row in cell["figures"].items():
            low, high = chance(row)
            if row["count"] >= _FEWEST and (high < least or (cell["gold"] and low > most)):
                yield (
                    f"{name}, {cell['users']} users, {cell['prevalence']:.1%} charged, "
                    f"{cell['gold']} gold labels: {row['coverage']:.1%} "
                    f"({low:.1%} to {high:.1%}) of {row['count']:.0f}"
                )


def lines(cell: dict[str, Any]) -> Iterator[str]:
    """Yield what to print of a setting."""
    yield (
        f"{cell['users']} users, {cell['prevalence']:.1%} charged, {cell['gold']} gold labels; "
        f"{cell['repetitions']} repetitions in {cell['seconds']:.0f} s, so that 95.0% is "
        f"95.0 ± {error_of(_PROMISED, cell['repetitions']):.1%}"
    )
    for name, row in cell["figures"].items():
        low, high = chance(row)
        yield (
            f"  {name:<28} coverage {row['coverage']:6.1%} ({low:.1%} to {high:.1%})  "
            f"below {row['below']:5.1%}  above {row['above']:5.1%}  "
            f"bias/width {row['bias']:+.3f}  width {row['width']:.4f}  n {row['count']:.0f}"
        )
    if cell["false_trends"] is not None:
        yield f"  corpora with a false trend of a user   {cell['false_trends']:.1%}"
    if cell["concentration"]:
        for name, of_labels in cell["concentration"]["label"].items():
            true = cell["concentration"]["truth"][name]
            yield f"  {name}: {of_labels:.3f} of labels, {true:.3f} true"


def tables(cells: list[dict[str, Any]]) -> str:
    """Return the coverage of every figure by prevalence, as Markdown."""
    count = min(cell["repetitions"] for cell in cells)
    about = (
        f"Coverage in percent, of at least {count:,} simulated corpora for each number; chance "
        f"moves a number by {100 * error_of(_PROMISED, count):.1f}. In brackets: the largest bias "
        "over the prevalences, in widths of the interval. A figure that fewer than "
        f"{_FEWEST} of the corpora have is left out."
    )
    parts = [fill(about, 100)]
    for rows in sorted({cell["gold"] for cell in cells}):
        own = [cell for cell in cells if cell["gold"] == rows]
        shares = sorted({cell["prevalence"] for cell in own})
        title = f"With {rows} rows labelled by hand" if rows else "Without rows labelled by hand"
        parts += [f"**{title}**", _table(own, shares)]
    return "\n\n".join(parts)


def _table(cells: list[dict[str, Any]], shares: list[float]) -> str:
    names = dict.fromkeys(name for cell in cells for name in cell["figures"])
    sizes = sorted({cell["users"] for cell in cells})
    head = ["figure", "users", *(f"{100 * share:g} %" for share in shares), "bias"]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in names:
        for users in sizes:
            found = [
                next((c for c in cells if (c["users"], c["prevalence"]) == (users, share)), None)
                for share in shares
            ]
            own = [None if cell is None else cell["figures"].get(name) for cell in found]
            own = [row if row and row["count"] >= _FEWEST else None for row in own]
            if not any(own):
                continue
            texts = ["–" if row is None else f"{100 * row['coverage']:.1f}" for row in own]
            bias = max((row["bias"] for row in own if row), key=abs)
            out.append(f"| {name} | {users:,} | " + " | ".join(texts) + f" | ({bias:+.2f}) |")
    return "\n".join(out)


def regressions(rng: np.random.Generator, clusters: int, repetitions: int) -> tuple[float, ...]:
    """Return how often a regression with clustered errors is wrong without a relation, and right.

    The predictor differs between clusters as well as within them, and so does the outcome.

    Returns:
        The share of data without a relation in which one is found at 5 %, and the share of data
        with one whose interval holds it.

    Raises:
        TableError: There are too few clusters.
    """
    false, covered = 0, 0
    for _ in range(repetitions):
        sizes = rng.integers(10, 60, clusters)
        own = np.repeat(np.arange(clusters), sizes)
        x = rng.normal(size=clusters)[own] + 0.5 * rng.normal(size=len(own))
        noise = rng.normal(size=clusters)[own] + rng.normal(size=len(own))
        frame = pl.DataFrame({"site": own, "x": x, "null": noise, "y": _SLOPE * x + noise})
        options: dict[str, Any] = {"predictors": ["x"], "clusters": "site"}
        false += associate(frame, outcome="null", **options)["p"][0] < 1 - _PROMISED
        row = associate(frame, outcome="y", **options).row(0, named=True)
        covered += row["low"] <= _SLOPE <= row["high"]
    return false / repetitions, covered / repetitions


def _clustered(arguments: argparse.Namespace) -> int:
    """Print how regressions with clustered errors do; returns the exit code."""
    rng, count = np.random.default_rng(arguments.seed), arguments.repetitions
    rows = ["| clusters | false findings | coverage |", "|---|---|---|"]
    for clusters in arguments.clusters:
        try:
            shares = regressions(rng, clusters, count)
        except TableError as error:
            print(f"{clusters} clusters: {error}")
            return 2
        texts = [f"{100 * share:.1f}" for share in shares]
        rows.append(f"| {clusters} | {texts[0]} | {texts[1]} |")
        print(f"{clusters} clusters: type I error {texts[0]} %, coverage {texts[1]} %", flush=True)
    if arguments.docs:
        error = 100 * error_of(_PROMISED, count)
        said = f"In percent, of {count:,} data sets each; chance moves a number by {error:.1f}."
        _write("\n\n".join([said, "\n".join(rows)]), "clusters")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        "python -m tools.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, nargs="+", default=[*CONVERSATIONS])
    parser.add_argument("--prevalence", type=float, nargs="+", default=SHARES)
    parser.add_argument("--gold", type=int, nargs="+", default=GOLD)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--inequality", type=float, default=1.0, help="of activity; 1")
    parser.add_argument("--unmeasured", action="store_true", help="nothing is known of errors")
    parser.add_argument(
        "--elsewhere",
        type=float,
        nargs=2,
        default=(SENSITIVITY, SPECIFICITY),
        help="sensitivity and specificity where they were measured; as here",
    )
    parser.add_argument("--clusters", type=int, nargs="+", default=[], help="of associate, only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--labelled", action="store_true", help="look at what is not corrected instead"
    )
    parser.add_argument("--results", type=Path, help="JSON Lines to keep settings in")
    parser.add_argument("--check", action="store_true", help="exit 1 if coverage is off")
    parser.add_argument("--docs", action="store_true", help="write the tables into the docs")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore", AnalysisWarning)
    if arguments.clusters:
        return _clustered(arguments)
    cells = []
    for cell in _cells(arguments):
        cells.append(cell)
        print("\n".join(lines(cell)), flush=True)
    if arguments.docs:
        _write(tables(cells), "simulation")
    wrong = [*outside(cells)] if arguments.check else []
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    own = tuple(arguments.elsewhere) == (SENSITIVITY, SPECIFICITY)
    return int(bool(wrong) and own)


def _cells(arguments: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """Yield every setting, from the file of results if it has it."""
    kept: Path | None = arguments.results
    old = kept.read_text(encoding="utf-8").splitlines() if kept and kept.exists() else []
    done = {_key(cell): cell for cell in map(json.loads, old)}
    for users in arguments.users:
        for share in arguments.prevalence:
            for rows in arguments.gold:
                setting = Setting(
                    users, CONVERSATIONS.get(users, 10.0), arguments.inequality, share
                )
                key = _key({**asdict(setting), "gold": rows})
                cell = done.get(key)
                if cell is None or cell["repetitions"] < arguments.repetitions:
                    cell = simulated(setting, rows, arguments)
                    if kept is not None:
                        with kept.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(cell) + "\n")
                yield cell


def _key(cell: dict[str, Any]) -> tuple[float, ...]:
    return tuple(
        cell[name] for name in ("users", "conversations", "inequality", "prevalence", "gold")
    )


def _write(text: str, name: str) -> None:
    """Put tables between the marks of a name in the page."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(first)
    _, after = rest.split(last)
    PAGE.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
