"""The state machine, and the command that runs it."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

import tools.state_machine
from affectlib import label_file
from affectlib.analysis import (
    AnalysisWarning,
    calibrate,
    evaluate,
    prevalence,
    read_gold,
    read_labels,
    report,
    sample,
)
from affectlib.errors import AffectlibError
from affectlib.model.artifacts import Artifact, load_artifact
from tools.state_machine.world import (
    KINDS,
    PARTS,
    SHARD,
    THRESHOLDS,
    Sheet,
    StandIn,
    Table,
    World,
    conversation_probability,
    in_kind,
)

SURE = 0.999999
STEPS = 25
"""In each walk."""

steps: Counter[str] = Counter()
refusals: Counter[str] = Counter()


class Violation(AssertionError):
    """What must not happen."""


class Work(RuleBasedStateMachine):
    """Labels and sheets in any order."""

    world: World
    tables = Bundle("tables")
    sheets = Bundle("sheets")
    models = Bundle("models")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.world.folder))
        self.known = {self.world.model.fingerprint: self.world.model}
        self.calibrated: dict[tuple[Any, ...], Artifact] = {}
        self.number = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def ask(self, name: str, function: Callable[..., Any], /, *given: Any, **options: Any) -> Any:
        """Return what a function gives and whether it warned; None if it refused."""
        steps[name] += 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = function(*given, **options)
            except AffectlibError as error:
                refusals[f"{name}: {type(error).__name__}"] += 1
                self.refused = str(error)
                return None
        self.notes = [str(each.message) for each in caught if each.category is AnalysisWarning]
        return found

    def must(self, truth: bool, said: str) -> None:
        if not truth:
            raise Violation(said)

    def path(self, suffix: str = "") -> Path:
        self.number += 1
        return self.folder / f"{self.number}{suffix}"

    # --- labels -----------------------------------------------------------------------------------

    @initialize(target=models)
    def bundled(self) -> str:
        return self.world.model.fingerprint

    @initialize(target=tables)
    def labelled(self) -> Table:
        return self._labelled(self.world.model, "balanced", "all", ".parquet", None)

    @rule(
        target=tables,
        model=models,
        point=st.sampled_from([*THRESHOLDS]),
        part=st.sampled_from([*PARTS]),
        suffix=st.sampled_from(["", *KINDS[4:]]),
        stop=st.none() | st.integers(1, 60),
    )
    def label(self, model: str, point: str, part: str, suffix: str, stop: int | None) -> Table:
        """Label, perhaps stop, and resume."""
        return self._labelled(self.known[model], point, part, suffix, stop)

    def _labelled(
        self, model: Artifact, point: str, part: str, suffix: str, stop: int | None
    ) -> Table:
        steps["label"] += 1
        source, target = self.world.folder / f"{part}.jsonl", self.path(suffix)
        classifier: Any = StandIn(model, point)
        if stop is not None:
            steps["label, stopped"] += 1

            def progress(summary: Any) -> None:
                if summary.conversations == stop:
                    raise KeyboardInterrupt

            try:
                label_file(source, target, classifier=classifier, progress=progress)
            except KeyboardInterrupt:
                label_file(source, target, classifier=classifier, resume=True)
        else:
            label_file(source, target, classifier=classifier)
        rows = read_labels(target).collect()
        past = rows.select(
            "record",
            pl.col("conversation_id").alias("chat"),
            pl.lit(f"{model.fingerprint} {point}").alias("origin"),
            "label",
            lost=False,
        )
        chats = [*self.world.truth][PARTS[part]]
        self.must(rows["conversation_id"].to_list() == chats, "rows are missing or out of order")
        given = [conversation_probability(model, self.world.logit[chat]) for chat in chats]
        self.must(rows["probability"].to_list() == given, "other labels")
        return Table(rows, past)

    @rule(target=tables, one=tables, other=tables)
    def concatenate(self, one: Table, other: Table) -> Table:
        steps["concatenate"] += 1
        sides = [
            each.past.with_columns(lost=pl.col("lost") | ("provenance" not in each.rows.columns))
            for each in (one, other)
        ]
        return Table(pl.concat([one.rows, other.rows], how="diagonal_relaxed"), pl.concat(sides))

    @rule(target=tables, table=tables, language=st.sampled_from(["en", "fr"]))
    def filter(self, table: Table, language: str) -> Table:
        steps["filter"] += 1
        found = table.take((table.rows["language"] == language).arg_true())
        return found if len(found.rows) else table

    @rule(target=tables, table=tables, share=st.sampled_from([0.5, 0.9]), at=st.integers(0, 99))
    def keep_some(self, table: Table, share: float, at: int) -> Table:
        steps["keep some"] += 1
        chosen = np.random.default_rng(at).random(len(table.rows)) < share
        return table.take(np.flatnonzero(chosen)) if chosen.any() else table

    @rule(target=tables, table=tables, at=st.integers(0, 99))
    def shuffle(self, table: Table, at: int) -> Table:
        steps["shuffle"] += 1
        return table.take(np.random.default_rng(at).permutation(len(table.rows)))

    @rule(target=tables, table=tables, count=st.integers(1, 20))
    def copy_rows(self, table: Table, count: int) -> Table:
        steps["copy rows"] += 1
        copied = table.take(slice(0, count))
        return Table(pl.concat([table.rows, copied.rows]), pl.concat([table.past, copied.past]))

    @rule(
        target=tables,
        table=tables,
        name=st.sampled_from(
            ["provenance", "probability", "record", "user_id", "started_at", "label"]
        ),
    )
    def drop_column(self, table: Table, name: str) -> Table:
        steps["drop a column"] += 1
        return replace(table, rows=table.rows.drop(name, strict=False))

    @rule(target=tables, table=tables, threshold=st.floats(0.05, 0.95))
    def recompute(self, table: Table, threshold: float) -> Table:
        steps["recompute labels"] += 1
        if not {"label", "probability"} <= {*table.rows.columns}:
            return table
        reached = pl.when(pl.col("probability") >= threshold)
        label = reached.then(pl.lit("emotional")).otherwise(pl.lit("task"))
        return replace(table, rows=table.rows.with_columns(label=label))

    # --- sheets -----------------------------------------------------------------------------------

    @rule(target=sheets, table=tables, n=st.integers(20, 200), at=st.integers(0, 999))
    def draw(self, table: Table, n: int, at: int) -> Any:
        found = self.ask("sample", sample, table.rows, n, seed=at)
        wanted = "probability" in table.rows.columns and not table.faults
        self.must(not (found is not None and table.faults), f"sampled from {table.faults}")
        if found is None:
            self.must(not wanted, f"not sampled: {self.refused}")
            return multiple()
        self.must(abs(found["weight"].sum() - len(table.rows)) < 1e-6, "weights do not add up")
        drawn = frozenset(found.select("conversation_id", "design").iter_rows())
        sheet = Sheet(found, table, frozenset(table.chats), drawn)
        return self.filled(sheet, 0.0, at) if at % 4 else sheet

    @rule(target=sheets, sheet=sheets, left=st.sampled_from([0.0, 0.0, 0.2]), at=st.integers(0, 99))
    def fill(self, sheet: Sheet, left: float, at: int) -> Sheet:
        """Answer, and leave some rows open at random."""
        steps["fill"] += 1
        return self.filled(sheet, left, at)

    def filled(self, sheet: Sheet, left: float, at: int) -> Sheet:
        rng = np.random.default_rng(at)
        answers = [
            ("emotional" if self.world.truth[chat] else "task") if rng.random() >= left else None
            for chat in sheet.rows["conversation_id"]
        ]
        answered = sum(answer is not None for answer in answers)
        gold = pl.Series("gold", answers, pl.String)
        complete = answered == len(sheet.drawn_from) == len(sheet.rows)
        return replace(sheet, rows=sheet.rows.with_columns(gold), complete=complete)

    @rule(target=sheets, sheet=sheets, which=st.sampled_from(["some", "emotional", "half"]))
    def lose_rows(self, sheet: Sheet, which: str) -> Sheet:
        steps["lose rows of a sheet"] += 1
        if "design" not in sheet.rows.columns or len(sheet.rows) < 4:
            return sheet
        place = pl.int_range(pl.len())
        gone = {"some": place % 7 == 0, "half": place * 2 >= pl.len()}.get(
            which, (pl.col("gold") == "emotional").fill_null(False)
        )
        rows = sheet.rows.filter(~gone)
        if len(rows) == len(sheet.rows) or rows.is_empty():
            return sheet
        chosen = sheet.chosen or which == "emotional"
        return replace(sheet, rows=rows, chosen=chosen, complete=False)

    @rule(target=sheets, sheet=sheets)
    def complete_at_random(self, sheet: Sheet) -> Any:
        """Say that what is missing is missing at random, where it is."""
        if sheet.chosen or "design" not in sheet.rows.columns:
            return multiple()
        found = self.ask("read_gold at random", read_gold, sheet.rows, missing_at_random=True)
        if found is None or found.is_empty():
            return multiple()
        if "empty" not in sheet.wrong:
            total = len(sheet.drawn_from)
            draws = found["weight"].sum() / total
            self.must(abs(draws - round(draws)) < 1e-6, "weights do not add up")
        return replace(sheet, rows=found, drawn=frozenset())

    @rule(target=sheets, one=sheets, other=sheets)
    def concatenate_sheets(self, one: Sheet, other: Sheet) -> Any:
        if one.drawn_from != other.drawn_from or one.rows.columns != other.rows.columns:
            return multiple()
        steps["concatenate sheets"] += 1
        rows = pl.concat([one.rows, other.rows])
        chosen = one.chosen or other.chosen
        return Sheet(rows, one.table, one.drawn_from, one.drawn | other.drawn, chosen)

    # --- figures ----------------------------------------------------------------------------------

    def given(self, table: Table, sheet: Sheet, kind: str) -> tuple[Any, Any, set[str]]:
        """Return labels and sheet as frames of a kind, and why they must be refused."""
        wrong = table.faults | sheet.wrong
        shared = {"record", "conversation_id"} & {*sheet.rows.columns} & {*table.rows.columns}
        asked, there = (
            {*rows.select(sorted(shared)).iter_rows()} for rows in (sheet.answered, table.rows)
        )
        if not asked <= there:
            wrong |= {"a sheet of other rows"}
        labels = in_kind(table.rows, kind, self.path(), read_labels)
        if wrong & {"random rows gone", "chosen rows gone"}:
            return labels, sheet.rows, wrong  # read_gold would refuse it before
        gold = in_kind(sheet.rows, kind, self.path(), read_labels if wrong else read_gold)
        return labels, gold, wrong

    def check(self, name: str, found: Any, wrong: set[str], *, may_refuse: bool = False) -> bool:
        """Tell whether there are figures to look at."""
        if found is not None:
            self.must(not wrong, f"{name} gave figures in spite of {sorted(wrong)}")
            return True
        self.must(bool(wrong) or may_refuse, f"{name} was refused: {getattr(self, 'refused', '')}")
        return False

    def truth_of(self, table: Table) -> pl.Series:
        return table.past["chat"].replace_strict(self.world.truth, return_dtype=pl.Boolean)

    def noted(self, table: Table, sheet: Sheet | None) -> bool:
        """Tell whether the sheet is of other rows, of which a warning must tell."""
        if sheet is None or sheet.drawn_from == table.chats:
            return False
        drawn, here = len(sheet.drawn_from), len(table.chats)
        if drawn == here or "design" not in sheet.rows.columns:
            return True  # nothing in the sheet tells
        told = any(f"{drawn:,}" in note and f"{here:,}" in note for note in self.notes)
        self.must(told, f"a sheet drawn from {drawn} rows is used with {here}, without a word")
        return True

    @rule(table=tables, kind=st.sampled_from(KINDS), by=st.sampled_from([None, "language"]))
    def count(self, table: Table, kind: str, by: str | None) -> None:
        """Ask for prevalence without a sheet."""
        labels = in_kind(table.rows, kind, self.path(), read_labels)
        options = {"min_users": 0, "confidence": SURE, "target": "corpus", "by": by}
        found = self.ask("prevalence", prevalence, labels, **options)
        if self.check("prevalence", found, table.faults):
            gone = "provenance" not in table.rows.columns
            told = any("no column 'provenance'" in note for note in self.notes)
            self.must(
                told == gone, "labels that lost their origin are not corrected without a word"
            )
            self.shares(table, found, by)

    @rule(
        table=st.none() | tables,
        sheet=sheets,
        kind=st.sampled_from(KINDS),
        by=st.sampled_from([None, "language"]),
    )
    def estimate(self, table: Table | None, sheet: Sheet, kind: str, by: str | None) -> None:
        """Ask for prevalence with a sheet, and again in another order."""
        table = table or sheet.table
        labels, gold, wrong = self.given(table, sheet, kind)
        options = {"min_users": 0, "confidence": SURE, "target": "corpus", "by": by}
        found = self.ask("prevalence with gold", prevalence, labels, gold, **options)
        if not self.check("prevalence with gold", found, wrong):
            return
        if not self.noted(table, sheet):
            self.shares(table, found, by, sheet)
        mixed = table.rows.sample(fraction=1.0, shuffle=True, seed=1)
        again = self.ask("prevalence, shuffled", prevalence, mixed, sheet.rows[::-1], **options)
        self.same(found, again, "the order of rows changes figures")
        if "" in table.origins or not table.origins:
            return
        (origin,) = table.origins
        if "calibrated" in self.known[origin.split()[0]].description:
            bare = table.rows.drop("provenance")
            once = self.ask("prevalence, bare", prevalence, bare, sheet.rows, **options)
            self.same(found, once, "hand labels count twice")

    def same(self, one: Any, other: Any, said: str) -> None:
        self.must(other is not None, f"{said}: refused")
        sides = [figures_of(each) for each in (one, other)]
        apart = [
            name
            for name in sides[0].columns
            if sides[0][name].dtype.is_numeric()
            and not np.allclose(
                *(each[name].cast(pl.Float64).fill_null(-1).to_numpy() for each in sides),
                atol=1e-7,
                rtol=0,
            )
        ]
        self.must(not apart, f"{said}: {apart}\n{sides[0]}\n{sides[1]}")

    def shares(self, table: Table, found: Any, by: str | None, sheet: Sheet | None = None) -> None:
        """Compare shares with the truth."""
        truth, flags = self.truth_of(table), table.rows["label"] == "emotional"
        for row in figures_of(found).iter_rows(named=True):
            inside = pl.Series([True] * len(table.rows))
            if by is not None:
                inside = table.rows[by] == row[by]
            wanted = (flags if row["method"] == "naive" else truth).filter(inside).mean()
            exact = row["method"] == "naive" or (
                row["method"] == "gold" and sheet and sheet.complete
            )
            if row["estimate"] is None:
                continue
            if exact:
                self.must(abs(row["estimate"] - wanted) < 1e-9, f"{row} is not {wanted}")
            elif not table.recomputed:
                inside_of = row["low"] - 1e-9 <= wanted <= row["high"] + 1e-9
                self.must(inside_of, f"{row} does not hold {wanted} of {table}")

    @rule(table=st.none() | tables, sheet=sheets, kind=st.sampled_from(KINDS))
    def measure(self, table: Table | None, sheet: Sheet, kind: str) -> None:
        """Evaluate."""
        table = table or sheet.table
        labels, gold, wrong = self.given(table, sheet, kind)
        found = self.ask("evaluate", evaluate, labels, gold, min_users=0, confidence=SURE)
        answers = sheet.rows["gold"].drop_nulls().n_unique()
        if not self.check("evaluate", found, wrong, may_refuse=answers < 2):
            return
        if self.noted(table, sheet):
            return
        truth, flags = self.truth_of(table), table.rows["label"] == "emotional"
        right = {
            "recall": flags.filter(truth).mean(),
            "specificity": (~flags).filter(~truth).mean(),
            "precision": truth.filter(flags).mean(),
        }
        for row in figures_of(found).iter_rows(named=True):
            wanted = right.get(row["measure"])
            if wanted is None or row["estimate"] is None:
                continue
            if sheet.complete:
                self.must(abs(row["estimate"] - wanted) < 1e-9, f"{row} is not {wanted}")
            held = row["low"] - 1e-9 <= wanted <= row["high"] + 1e-9
            self.must(held, f"{row} does not hold {wanted} of {table}")

    @rule(
        target=models,
        table=st.none() | tables,
        sheet=sheets,
        model=models,
        kind=st.sampled_from(KINDS),
    )
    def fit(self, table: Table | None, sheet: Sheet, model: str, kind: str) -> Any:
        """Calibrate a model, and once more with the same labels."""
        table = table or sheet.table
        labels, gold, wrong = self.given(table, sheet, kind)
        if table.origins - {""}:
            made_by = {origin.split()[0] for origin in table.origins if origin}
            model = sorted(made_by)[0] if sheet.rows.height % 3 else model
            wrong |= {"labels of another model"} if {model} != made_by else set()
        options = {"name": "fitted", "force": False}
        old = self.known[model]
        target = self.path()
        found = self.ask("calibrate", calibrate, labels, gold, old, target, **options)
        if not self.check("calibrate", found, wrong, may_refuse=True) or not table.origins:
            return multiple()
        self.noted(table, sheet)
        new = load_artifact(target)
        for name, point in new.operating_points.items():
            aim = self.world.model.operating_points[name].aim
            self.must(abs(point.aim - aim) < 1e-6, f"{name} aims at {point.aim}, not at {aim}")
        again = self.path()
        self.ask("calibrate again", calibrate, table.rows, sheet.rows, old, again, **options)
        self.must(load_artifact(again).operating_points == new.operating_points, "another model")
        self.alike(new, table, sheet)
        self.known[new.fingerprint] = new
        return new.fingerprint

    def alike(self, new: Artifact, table: Table, sheet: Sheet) -> None:
        """Compare with what another model in the line became by the same sheet."""
        users = "user_id" in table.rows.columns  # whose chats are kept together
        key = (tuple(sheet.rows.sort(pl.all()).iter_rows()), frozenset(table.chats), users)
        old = self.calibrated.setdefault(key, new)
        lines = [(each.recalibration.intercept, each.recalibration.slope) for each in (old, new)]
        self.must(np.allclose(*lines, atol=0.02), f"one sheet, two models: {lines}")

    @rule(table=tables, sheet=st.none() | sheets)
    def tell(self, table: Table, sheet: Sheet | None) -> None:
        """Compare a report with `prevalence`."""
        if steps["report"] * 40 > sum(steps.values()):  # it takes as long as many others
            return
        gold = None if sheet is None else sheet.rows
        wrong = table.faults if sheet is None else self.given(table, sheet, "polars")[2]
        found = self.ask("report", report, table.rows, gold=gold, min_users=0)
        if not self.check("report", found, wrong):
            return
        self.noted(table, sheet)
        shares = self.ask("prevalence", prevalence, table.rows, gold, min_users=0)
        told = found.figures().filter(pl.col("group").is_null(), section="overall", measure="share")
        own = dict(told.select("method", "estimate").iter_rows())
        for method, estimate in shares.select("method", "estimate").iter_rows():
            if method in own and method != "naive":
                self.must(
                    abs(own[method] - estimate) < 1e-9, f"the report says {own}, not {shares}"
                )


def figures_of(found: Any) -> pl.DataFrame:
    """Return a result as polars, of whatever kind it is."""
    if isinstance(found, pl.DataFrame):
        return found
    return pl.from_pandas(found) if hasattr(found, "iloc") else pl.DataFrame(found)


@contextmanager
def world() -> Iterator[type[Work]]:
    """Build what all walks share."""
    shards = mock.patch.object(import_module("affectlib.corpus.label_file"), "_SHARD", SHARD)
    with tempfile.TemporaryDirectory() as folder, shards:
        Work.world = World.build(Path(folder))
        yield Work


def walk(number: int, walks: int, *, shrink: bool = False) -> str | None:
    """Walk some times, and return what went wrong."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    chosen = settings(
        max_examples=walks,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Work), settings=chosen)
    except Exception as error:  # whatever it is, it is what is looked for
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Walk, and print the counts."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.state_machine",
        description=tools.state_machine.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=1000, help="about how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="look for the shortest way to each")
    options = parser.parse_args(argv)
    steps.clear()
    refusals.clear()
    violations = []
    number = options.seed
    with world():
        while sum(steps.values()) < options.steps:
            if (found := walk(number, 4, shrink=options.shrink)) is not None:
                violations.append(found)
                print(f"seed {number}: {found}\n")
            number += 1
    for title, counts in (("steps", steps), ("refusals", refusals)):
        print(f"{sum(counts.values()):,} {title}")
        for name, count in sorted(counts.items()):
            print(f"  {count:7,}  {name}")
    print(f"{len(violations)} violations")
    return int(bool(violations))
