"""Labelling on Spark, really: a local session."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from affectlib.tables import AffectMapper
from tests.conftest import SINGLE_MESSAGE, TASK, assistant, user
from tests.pages import DOCS, run_page

sql = pytest.importorskip("pyspark.sql", reason="needs affectlib[spark]")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java", allow_module_level=True)

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CHATS = [[user(SINGLE_MESSAGE if n % 3 else TASK), assistant("sorry")] for n in range(40)]
SCHEMA = "key bigint, messages array<struct<role:string,content:string>>"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield from session_in(tmp_path_factory.mktemp("warehouse"))


def session_in(folder: Path) -> Iterator[Any]:
    session = (
        sql.SparkSession.builder.master("local[2,4]")  # a task is tried four times, as on a cluster
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(folder))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def test_map_in_pandas_takes_the_mapper(spark: Any, tiny_folder: Path) -> None:
    mapper = AffectMapper(str(tiny_folder), device="cpu", threads=1)
    expected = mapper(pa.table({"key": [*range(40)], "messages": CHATS})).to_pylist()
    frame = spark.createDataFrame([*enumerate(CHATS)], SCHEMA).repartition(2)
    labelled = frame.mapInPandas(mapper, mapper.spark_schema(frame.schema))
    rows = [row.asDict() for row in labelled.orderBy("key").collect()]
    for name in ("key", "status", "label", "probability", "intensity", "any", "in_crisis"):
        assert [row[name] for row in rows] == [row[name] for row in expected], name
    assert [row["shows_empathy"] for row in rows] == [row["shows_empathy"] for row in expected]


def dying(mark: Path, folder: Path, *, once: bool) -> AffectMapper:
    """Return a mapper whose process dies at a batch, the first time or always."""

    class Dying(AffectMapper):
        def __call__(self, batch: Any) -> Any:
            if not (once and mark.exists()):
                mark.touch()
                os._exit(1)
            return super().__call__(batch)

    return Dying(str(folder), device="cpu", threads=1)


def test_spark_calls_again_what_a_dead_worker_had(
    spark: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    mapper = dying(tmp_path / "died", tiny_folder, once=True)
    frame = spark.createDataFrame([*enumerate(CHATS)], SCHEMA).repartition(2)
    labelled = frame.mapInPandas(mapper, mapper.spark_schema(frame.schema))
    labelled.drop("messages").write.parquet(str(tmp_path / "out"))
    assert (tmp_path / "died").exists()
    assert (tmp_path / "out" / "_SUCCESS").exists()
    rows = spark.read.parquet(str(tmp_path / "out")).collect()
    assert sorted(row["key"] for row in rows) == [*range(40)], "each row once"


def test_spark_leaves_no_output_if_workers_always_die(
    spark: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    mapper = dying(tmp_path / "died", tiny_folder, once=False)
    frame = spark.createDataFrame([*enumerate(CHATS)], SCHEMA).repartition(2)
    labelled = frame.mapInPandas(mapper, mapper.spark_schema(frame.schema))
    with pytest.raises(Exception, match=r"(?s)Python worker exited unexpectedly|Job aborted"):
        labelled.drop("messages").write.parquet(str(tmp_path / "out"))
    assert not [*(tmp_path / "out").rglob("*.parquet")]
    assert not (tmp_path / "out" / "_SUCCESS").exists()


@pytest.mark.usefixtures("spark")
def test_the_page_on_spark_shows_what_happens() -> None:
    run_page(DOCS / "how-to" / "spark.md")
