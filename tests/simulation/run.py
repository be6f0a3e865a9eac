"""Bias and coverage of figures whose truth is known.

``python -m tests.simulation --users 150 --prevalence 0.01 --gold 200 --repetitions 100`` draws that
many corpora and says of every figure how far off it is on average, in widths of its interval, and
how often its interval holds the truth. Without options it goes through all settings, which takes
hours: give some of them, and several runs go side by side.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from affectlib.analysis import (
    Accuracy,
    AnalysisWarning,
    associate,
    concentration,
    prevalence,
)
from affectlib.analysis._frames import labels_table, user_keys
from affectlib.analysis._trends import share_change, user_trends
from affectlib.analysis.prevalence import label_errors
from tests.simulation.population import Drawn, Setting, draw, hand_labels, measured, shares

CONVERSATIONS = {40: 100.0, 150: 30.0, 1500: 10.0}
SHARES = [0.003, 0.01, 0.03, 0.1, 0.3]
_GROUP_TRUTH = shares()


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

    def add(self, estimate: float, low: float, high: float, truth: float) -> None:
        """Count one repetition."""
        self.errors.append(estimate - truth)
        self.widths.append(high - low)
        self.below += truth < low
        self.above += truth > high

    def __str__(self) -> str:
        count, width = len(self.errors), float(np.mean(self.widths))
        bias = float(np.mean(self.errors)) / width if width else 0.0
        inside = 1 - (self.below + self.above) / count
        return (
            f"coverage {inside:6.1%}  below {self.below / count:5.1%}  above "
            f"{self.above / count:5.1%}  bias/width {bias:+.3f}  width {width:.4f}  n {count}"
        )


def figures(
    drawn: Drawn, gold: pl.DataFrame | None, accuracy: Accuracy | None
) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield figures with their truth: name, estimate, low, high, truth."""
    share = drawn.setting.prevalence
    options = {"measured": accuracy, "min_users": 0}
    for target, truth in (("corpus", float(drawn.truth.mean())), ("population", share)):
        for row in prevalence(drawn.labels, gold, target=target, **options).to_dicts():
            yield from _row(f"share, {row['method']}, {target}", row, truth)
    for row in prevalence(drawn.labels, gold, by="group", **options).to_dicts():
        if row["method"] in ("ppi", "rogan_gladen"):
            truth = share * _GROUP_TRUTH[row["group"]]
            yield from _row(f"share of group {row['group']}, {row['method']}", row, truth)
    errors = label_errors(drawn.labels, gold, accuracy)
    if errors is not None:
        time = pl.col("started_at").cast(pl.Int64)
        place = ((time - time.min()) / (time.max() - time.min())).alias("place")
        rows = user_keys(labels_table(drawn.labels).labelled()).rows
        slope, error = share_change(rows.select("_user", place, "charged").collect())
        change = errors.difference(slope, error, 0.95)
        yield "change over time", change.estimate, change.low, change.high, 0.0


def of_users(drawn: Drawn, population: pl.DataFrame) -> Iterator[tuple[str, float, ...]]:
    """Yield how concentrated labelled conversations are, against a very large population."""
    truth = dict(concentration(population, min_users=0)["measure", "estimate"].iter_rows())
    counts = per_user(drawn)
    if counts["charged_turns"].sum():
        for row in concentration(counts).to_dicts():
            if row["estimate"] is not None:
                yield from _row(f"concentration, {row['measure']}", row, truth[row["measure"]])


def per_user(drawn: Drawn) -> pl.DataFrame:
    """Count labelled conversations of each user."""
    called = (pl.col("label") == "emotional").sum().alias("charged_turns")
    return drawn.labels.group_by("user_id").agg(called)


def false_trend(drawn: Drawn) -> bool:
    """Tell whether any user is said to rise or fall where nobody does."""
    rows = drawn.labels.select(
        "user_id",
        first="started_at",
        turns=pl.lit(1),
        charged=(pl.col("label") == "emotional").cast(pl.Int64),
    )
    return bool((user_trends(rows, 0.05)["direction"] != "flat").any())


def type_one(chance: np.random.Generator, clusters: int) -> bool:
    """Tell whether a predictor that has nothing to do with an outcome is said to."""
    sizes = chance.integers(10, 60, clusters)
    own = np.repeat(np.arange(clusters), sizes)
    x = chance.normal(size=clusters)[own] + 0.5 * chance.normal(size=len(own))
    y = chance.normal(size=clusters)[own] + chance.normal(size=len(own))
    frame = pl.DataFrame({"site": own, "x": x, "y": y})
    found = associate(frame, outcome="y", predictors=["x"], clusters="site")
    return bool(found["p"][0] < 0.05)


def _row(
    name: str, row: dict[str, float], truth: float
) -> Iterator[tuple[str, float, float, float, float]]:
    if row["estimate"] is not None and row["low"] is not None:
        yield name, row["estimate"], row["low"], row["high"], truth


def _slice(arguments: argparse.Namespace, users: int, share: float, rows: int) -> None:
    chance = np.random.default_rng([arguments.seed, users, int(share * 1e4), rows])
    setting = Setting(users, CONVERSATIONS.get(users, 10.0), arguments.inequality, share)
    large = Setting(100_000, setting.conversations, setting.inequality, share)
    population = per_user(draw(chance, large)) if users >= 1000 and not rows else None
    tallies: dict[str, Tally] = {}
    trends = 0
    start = time.monotonic()
    for repetition in range(arguments.repetitions):
        drawn = draw(chance, setting)
        gold = hand_labels(drawn, rows, repetition) if rows else None
        accuracy = None if arguments.unmeasured else measured(chance)
        for name, *values in figures(drawn, gold, accuracy):
            tallies.setdefault(name, Tally()).add(*values)
        if population is not None:
            for name, *values in of_users(drawn, population):
                tallies.setdefault(name, Tally()).add(*values)
        trends += false_trend(drawn)
    print(
        f"{users} users, {share:.1%} charged, {rows} gold labels, {time.monotonic() - start:.0f} s",
        flush=True,
    )
    for name, tally in tallies.items():
        print(f"  {name:<38} {tally}", flush=True)
    print(f"  corpora with a false trend of a user   {trends / arguments.repetitions:.1%}")


def main(argv: list[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        "python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, nargs="+", default=[*CONVERSATIONS])
    parser.add_argument(
        "--prevalence", type=float, nargs="+", default=[0.003, 0.01, 0.03, 0.1, 0.3]
    )
    parser.add_argument("--gold", type=int, nargs="+", default=[0, 100, 200])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--inequality", type=float, default=1.0, help="of activity; 1")
    parser.add_argument("--unmeasured", action="store_true", help="nothing is known of errors")
    parser.add_argument("--clusters", type=int, nargs="+", default=[], help="of associate, only")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore", AnalysisWarning)
    if arguments.clusters:
        chance = np.random.default_rng(arguments.seed)
        for clusters in arguments.clusters:
            wrong = sum(type_one(chance, clusters) for _ in range(arguments.repetitions))
            print(f"{clusters} clusters: type I error {wrong / arguments.repetitions:.1%}")
        return 0
    for users in arguments.users:
        for share in arguments.prevalence:
            for rows in arguments.gold:
                _slice(arguments, users, share, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
