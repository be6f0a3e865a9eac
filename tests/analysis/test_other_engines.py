"""Labels that DuckDB or Spark wrote again keep their origin, or are refused or noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest
from pyarrow import parquet

from affectlib import AffectClassifier, label_file
from affectlib.analysis import (
    AnalysisWarning,
    TableError,
    _provenance,
    measured_accuracy,
    prevalence,
    read_labels,
    sample,
)
from affectlib.analysis._frames import labels_table
from affectlib.conversation import Conversation, Message
from affectlib.corpus.provenance import provenance, provenance_code
from tests.analysis.test_provenance import BASE, made_by

Query: TypeAlias = Callable[[str], Path]
"""Runs a query over ``balanced`` and ``high_recall``, and writes what it finds as Parquet."""


@contextmanager
def duckdb(folder: Path) -> Iterator[Query]:
    engine = pytest.importorskip("duckdb", reason="needs duckdb")
    with engine.connect() as connection:
        for file in folder.glob("*.parquet"):
            connection.sql(f"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'")

        def query(text: str) -> Path:
            connection.sql(f"COPY ({text}) TO '{folder / 'again.parquet'}'")
            return folder / "again.parquet"

        yield query


@contextmanager
def spark(folder: Path) -> Iterator[Query]:
    sql = pytest.importorskip("pyspark.sql", reason="needs affectlib[spark]")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java")
    builder = sql.SparkSession.builder.master("local[2]")
    options = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    session = builder.config(map={**options, "spark.sql.warehouse.dir": str(folder)}).getOrCreate()
    for file in folder.glob("*.parquet"):
        session.read.parquet(str(file)).createOrReplaceTempView(file.stem)

    def query(text: str) -> Path:
        session.sql(text).write.mode("overwrite").parquet(str(folder / "again"))
        return folder / "again"

    yield query
    session.stop()


@pytest.fixture(
    scope="module",
    params=[duckdb, pytest.param(spark, marks=[pytest.mark.slow, pytest.mark.loopback])],
    ids=["duckdb", "spark"],
)
def query(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Query]:
    folder = tmp_path_factory.mktemp("labels")
    for seed, point in enumerate(("balanced", "high_recall"), 1):
        said = {"affectlib": json.dumps(provenance(BASE, point))}
        labels = made_by(point, seed=seed).to_arrow().replace_schema_metadata(said)
        parquet.write_table(labels, folder / f"{point}.parquet")
    with request.param(folder) as run:
        yield run


pytestmark = [
    pytest.mark.filterwarnings("ignore:sensitivity and specificity"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
BALANCED = provenance_code(BASE, "balanced")
_CHANGED = ("label", "provenance")
KEPT = ", ".join(f"l.{name}" for name in made_by("balanced").columns if name not in _CHANGED)
AGAIN = "CASE WHEN probability >= 0.6 THEN 'emotional' ELSE 'task' END AS label"


def files(written: Path) -> list[Path]:
    return [*written.glob("*.parquet")] if written.is_dir() else [written]


def test_what_is_written_again_is_corrected_as_before(query: Query) -> None:
    whole = made_by("balanced")
    found = prevalence(read_labels(query("SELECT * FROM balanced")).collect())
    assert found["method"].to_list() == ["naive", "rogan_gladen"]
    expected = prevalence(whole, measured=measured_accuracy(BASE))
    assert found["estimate"].to_list() == pytest.approx(expected["estimate"].to_list())


@pytest.mark.parametrize("part", ["WHERE record % 2 = 0", "WHERE random() < 0.5", "LIMIT 900"])
def test_a_part_keeps_its_origin(query: Query, part: str) -> None:
    labels = read_labels(query(f"SELECT * FROM balanced {part}"))
    for frame in (labels, labels.collect(), labels.collect().to_pandas()):
        known = labels_table(frame)
        assert known.provenance.code == BALANCED
        assert known.accuracy() == measured_accuracy(BASE)
    drawn = sample(labels.collect(), 100)
    assert drawn["weight"].sum() == pytest.approx(len(labels.collect()))


@pytest.mark.parametrize("order", ["balanced high_recall", "high_recall balanced"])
def test_labels_of_two_operating_points_are_refused(query: Query, order: str) -> None:
    one, other = order.split()
    nameless = f"SELECT {KEPT}, label, CAST(NULL AS VARCHAR(12)) AS provenance FROM {other} l"
    for text in (
        f"SELECT * FROM {one} UNION ALL SELECT * FROM {other}",
        f"SELECT {KEPT}, label, provenance FROM {one} l UNION ALL {nameless}",
    ):
        mixed = pl.scan_parquet(files(query(text)))
        with pytest.raises(TableError, match="several models or operating points"):
            prevalence(mixed)


@pytest.mark.parametrize("label", ["label", AGAIN])
def test_a_lost_column_is_noticed(query: Query, label: str) -> None:
    labels = read_labels(query(f"SELECT {KEPT}, {label} FROM balanced l"))
    with pytest.warns(AnalysisWarning, match="no column 'provenance'"):
        assert prevalence(labels)["method"].to_list() == ["naive"]


def test_labels_of_a_model_that_is_not_known_here_are_noticed(
    tiny_classifier: AffectClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_provenance, "_read", {})  # as in a process of its own
    chats = [Conversation((Message("user", text),)) for text in ("so sad", "a csv file")]
    label_file(chats, tmp_path / "labels.parquet", classifier=tiny_classifier)
    with duckdb(tmp_path) as query:
        labels = read_labels(query("SELECT * FROM labels"))
    with pytest.warns(AnalysisWarning, match="nothing says any more which model"):
        known = labels_table(labels).provenance
    assert known.code == provenance_code(tiny_classifier.artifact, tiny_classifier.operating_point)
    read_labels(tmp_path / "labels.parquet")
    again = read_labels(tmp_path / "again.parquet")
    assert labels_table(again).provenance.model == tiny_classifier.artifact.name
