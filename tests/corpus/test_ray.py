"""Labelling on Ray, really: a cluster of this machine."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from affectlib import _version
from affectlib.classifier import AffectClassifier
from affectlib.corpus.label_file import label_file
from affectlib.errors import OptionError, WorkerError
from affectlib.tables import AffectMapper
from tests.conftest import SINGLE_MESSAGE, TASK, assistant, user
from tests.corpus.test_label_file import record, rows_of, source
from tests.pages import DOCS, run_page

ray = pytest.importorskip("ray", reason="needs affectlib[ray]")

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=4,  # Ray Data needs some beside its actors
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> AffectClassifier:
    return AffectClassifier.from_pretrained(tiny_folder, device="cpu")


@pytest.mark.usefixtures("cluster")
def test_the_same_rows_as_one_process(tmp_path: Path, tiny: AffectClassifier) -> None:
    texts = [f"{SINGLE_MESSAGE if n % 3 else TASK} {'word ' * (n % 5)}" for n in range(700)]
    src = source(tmp_path, *(record(text, "sorry", id=str(n)) for n, text in enumerate(texts)), "{")
    options: dict[str, Any] = {"classifier": tiny, "level": "message"}
    one = label_file(src, tmp_path / "one.jsonl", **options)
    two = label_file(src, tmp_path / "two.jsonl", ray="local", workers=2, **options)
    assert one.failed == two.failed == 1
    assert rows_of(tmp_path / "one.jsonl") == rows_of(tmp_path / "two.jsonl")


@pytest.mark.usefixtures("cluster")
def test_an_actor_that_dies_is_told_and_the_run_resumes(
    tmp_path: Path, tiny: AffectClassifier
) -> None:
    src = source(tmp_path, *(record(SINGLE_MESSAGE, id=str(n)) for n in range(3000)))
    dst = tmp_path / "out.jsonl"

    def progress(summary: Any) -> None:
        if summary.conversations == 300:
            for child in psutil.Process().children(recursive=True):
                if child.name().startswith("ray::Labeller"):
                    child.kill()

    with pytest.raises(WorkerError, match="an actor on Ray died"):
        label_file(src, dst, classifier=tiny, ray="local", workers=2, progress=progress)
    assert label_file(src, dst, classifier=tiny, resume=True).resumed >= 300
    assert [row["conversation_id"] for row in rows_of(dst)] == [str(n) for n in range(3000)]


@pytest.mark.usefixtures("cluster")
def test_an_actor_with_another_version_is_refused(
    tmp_path: Path, tiny: AffectClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = source(tmp_path, *(record(SINGLE_MESSAGE, id=str(n)) for n in range(30)))
    monkeypatch.setattr(_version, "__version__", "0.0.1")
    with pytest.raises(WorkerError, match=r'differently \(version was "0\.0\.1"') as caught:
        label_file(src, tmp_path / "out.jsonl", classifier=tiny, ray="local")
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.usefixtures("cluster")
def test_ray_data_calls_again_what_a_dead_actor_had(tmp_path: Path, tiny_folder: Path) -> None:
    died = tmp_path / "died"

    class DiesOnce(AffectMapper):
        def __call__(self, batch: Any) -> Any:
            if not died.exists():
                died.touch()
                os._exit(1)
            return super().__call__(batch)

    table = pa.table(
        {"key": [*range(40)], "messages": [[user(SINGLE_MESSAGE), assistant("sorry")]] * 40}
    )
    mapped = ray.data.from_arrow(table).map_batches(
        DiesOnce,
        fn_constructor_args=(str(tiny_folder),),
        fn_constructor_kwargs={"device": "cpu", "threads": 1},
        concurrency=1,
        batch_size=10,
        batch_format="pyarrow",
    )
    rows = mapped.take_all()
    assert died.exists()
    assert sorted(row["key"] for row in rows) == [*range(40)], "each row once"
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "numpy"])
def test_ray_data_takes_the_mapper(tiny_folder: Path, batch_format: str) -> None:
    chats = [[user(SINGLE_MESSAGE if n % 3 else TASK), assistant("sorry")] for n in range(40)]
    table = pa.table({"key": [*range(40)], "messages": chats})
    mapper = AffectMapper(str(tiny_folder), device="cpu", threads=1)
    expected = mapper(table).to_pylist()
    data = ray.data.from_arrow(table).repartition(2)
    mapped = data.map_batches(
        AffectMapper,
        fn_constructor_args=(str(tiny_folder),),
        fn_constructor_kwargs={"device": "cpu", "threads": 1},
        concurrency=2,
        batch_size=7,
        batch_format=batch_format,
    )
    rows = sorted(mapped.take_all(), key=lambda row: row["key"])
    for name in ("key", "label", "probability", "any", "shares_feelings"):
        assert [row[name] for row in rows] == [row[name] for row in expected]


@pytest.mark.usefixtures("cluster", "beside_examples")
def test_the_page_on_ray_shows_what_happens() -> None:
    run_page(DOCS / "how-to" / "ray.md")


def test_a_cluster_that_does_not_answer(tmp_path: Path, tiny: AffectClassifier) -> None:
    ray.shutdown()  # the fixture's, if it is there
    src = source(tmp_path, record(SINGLE_MESSAGE))
    with pytest.raises(OptionError, match="no Ray cluster answers"):
        label_file(src, tmp_path / "o.csv", classifier=tiny, ray="127.0.0.1:1")
