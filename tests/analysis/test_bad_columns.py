"""Labels, options and metadata that are not what they should be: a clear error or a result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib import cli
from affectlib.analysis import (
    Accuracy,
    AnalysisWarning,
    associate,
    calibration,
    concentration,
    lorenz,
    prevalence,
    report,
    sample,
    users,
)
from affectlib.errors import AffectlibError
from tools.simulate import simulate

pytestmark = pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning")

LABELS = simulate(60).conversations
GOLD = LABELS.select("record", "conversation_id").with_columns(gold=pl.lit("task"))
PEOPLE = users(LABELS)
COMMANDS = {
    "prevalence": ["prevalence", "l.parquet"],
    "sample": ["sample", "l.parquet", "-o", "s.csv", "--overwrite"],
    "report": ["report", "l.parquet", "-o", "r.html", "--overwrite"],
}


def ends_well(call: Callable[[], Any]) -> None:
    """A result, or an error of ours."""
    with suppress(AffectlibError):
        call()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD = {
    "text for numbers": [pl.lit("x1y2z3").alias(name) for name in ("probability", "user_messages")],
    "NaN": [pl.lit(float("nan")).alias(name) for name in ("rate", "adjusted", "probability")],
    "infinite": [pl.lit(float("inf")).alias(name) for name in ("rate", "probability")],
    "lists": [pl.lit([["a"]]).alias(name) for name in ("user_id", "label", "conversation_id")],
    "names of ours": [pl.lit(1).alias(name) for name in ("_row", "_user", "_moment", "_x")],
}


@pytest.mark.parametrize("command", ["prevalence", "sample"])
@pytest.mark.parametrize(
    ("kind", "number"), [(kind, n) for kind, all_of in BAD.items() for n in range(len(all_of))]
)
def test_columns_of_another_type(folder: Path, command: str, kind: str, number: int) -> None:
    LABELS.with_columns(BAD[kind][number]).write_parquet(folder / "l.parquet")
    status = cli.main(COMMANDS[command])
    assert status == (0 if kind == "names of ours" else status)
    assert status in (0, 2)


@pytest.mark.parametrize("command", ["prevalence", "sample"])
@pytest.mark.parametrize(
    "said", [b"{", b"[1]", b"{}", b'{"model": "affect-small"}', b'{"model": 3}', b"[" * 5000]
)
def test_damaged_metadata_is_no_metadata(folder: Path, command: str, said: bytes) -> None:
    table = LABELS.to_arrow().replace_schema_metadata({"affectlib": said})
    pq.write_table(table, folder / "l.parquet")
    assert cli.main(COMMANDS[command]) == 0


def test_a_flipped_bit_of_parquet(folder: Path) -> None:
    LABELS.write_parquet(folder / "whole.parquet")
    content = (folder / "whole.parquet").read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 25)
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        (folder / "l.parquet").write_bytes(flipped)
        assert cli.main(COMMANDS["prevalence"]) in (0, 2)


@pytest.mark.parametrize(
    "options",
    [
        ["prevalence", "l.parquet", "--by", "model,model"],
        ["prevalence", "l.parquet", "--measured", ",".join(["9" * 400] * 4)],
        ["prevalence", "l.parquet", "--confidence", "nan"],
        ["sample", "l.parquet", "-o", "s.csv", "--seed", "-1"],
        ["sample", "l.parquet", "-o", "s.csv", "--seed", str(2**80)],
        ["sample", "l.parquet", "-o", "s.csv", "-n", "-5"],
    ],
)
def test_options_beyond_reason(folder: Path, options: list[str]) -> None:
    LABELS.write_parquet(folder / "l.parquet")
    assert cli.main(options) == (0 if "--by" in options else 2)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**90), 2**90),
    st.floats(),
    st.text(max_size=3),
    st.just(5.5),
    st.lists(st.text(max_size=2), max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(
        [
            "sample.n",
            "sample.seed",
            "sample.strata",
            "users.time_zone",
            "prevalence.confidence",
            "prevalence.by",
            "prevalence.target",
            "accuracy",
        ]
    ),
    value=ODD,
)
def test_options_of_python(name: str, value: Any) -> None:
    function, _, option = name.partition(".")
    if function == "accuracy":
        ends_well(lambda: Accuracy(value, 1, 1, 1))
    elif function == "users":
        ends_well(lambda: users(LABELS, time_zone=value))
    else:
        call: Any = sample if function == "sample" else prevalence
        ends_well(lambda: call(LABELS, **{option: value}))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats() | st.none(), min_size=60, max_size=60))
def test_counts_of_people(values: list[float | None]) -> None:
    people = PEOPLE.head(60).with_columns(charged_turns=pl.Series(values, dtype=pl.Float64))
    ends_well(lambda: concentration(people))
    ends_well(lambda: lorenz(people))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([float("nan"), float("inf"), 1e16, 0.0]),
    st.sampled_from(["y", "x", "z"]),
    st.sampled_from([None, "x", "z"]),
)
def test_outcomes_and_predictors(value: float, column: str, clusters: str | None) -> None:
    rng = np.random.default_rng(0)
    people = pl.DataFrame(
        {"user_id": [str(n) for n in range(60)]}
        | {name: rng.normal(size=60) + (value if name == column else 0) for name in "xyz"}
    )
    ends_well(lambda: associate(people, outcome="y", predictors=["x"], clusters=clusters))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, None])
def test_calibration_with_odd_probabilities_and_weights(value: float | None) -> None:
    odd = pl.lit(value, dtype=pl.Float64)
    ends_well(lambda: calibration(LABELS.with_columns(probability=odd), GOLD))
    ends_well(lambda: calibration(LABELS, GOLD.with_columns(weight=odd)))
    ends_well(lambda: prevalence(LABELS, GOLD.with_columns(weight=odd)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text for numbers", "NaN", "infinite", "lists"])
def test_a_report_of_columns_of_another_type(folder: Path, kind: str) -> None:
    for column in BAD[kind]:
        LABELS.with_columns(column).write_parquet(folder / "l.parquet")
        assert cli.main(COMMANDS["report"]) in (0, 2)


@pytest.mark.parametrize("call", [report, lambda labels: prevalence(labels, by="week")])
@pytest.mark.parametrize("moment", [2**62, -(2**62), -62135596800000000])
def test_times_that_no_calendar_holds_count_as_missing(
    call: Callable[[pl.DataFrame], Any], moment: int
) -> None:
    at = pl.lit(moment).cast(pl.Datetime("us", "UTC"))
    first = pl.int_range(pl.len()) == 0
    labels = LABELS.with_columns(started_at=pl.when(first).then(at).otherwise("started_at"))
    with pytest.warns(AnalysisWarning) as noted:
        call(labels)
    assert sum("started_at: 1 rows" in str(note.message) for note in noted) == 1
