"""A slice of ``python -m tools.faults``: each eighth step to the disk, and each read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from affectlib.corpus import label_file
from tools.faults.run import COMMANDS, fail_every_step, source, sources

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""On a disk that fails for good, closing a file fails as well."""


@pytest.fixture(autouse=True)
def nothing_left_for_other_tests() -> Iterator[None]:
    """Collect files that could not be closed here, so that no other test is blamed for them."""
    yield
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_step_to_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lasting: bool
) -> None:
    monkeypatch.setattr(label_file, "_SHARD", 4)
    steps = fail_every_step(
        name, source(tmp_path, 6), tmp_path, lasting=lasting, first=5 if lasting else 1, every=8
    )
    assert steps >= (4 if name == "convert" else 20)


KINDS = ("JSON Lines", "gzip", "Parquet", "ZIP", "folder")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lasting"), [*zip(KINDS, cycle([False, True]))])
def test_whatever_read_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lasting: bool
) -> None:
    monkeypatch.setattr(label_file, "_SHARD", 4)
    for name in ("label to Parquet", "convert"):
        folder = tmp_path / name
        folder.mkdir()
        found = sources(folder, 6)
        assert tuple(found) == KINDS
        steps = fail_every_step(name, found[kind], folder, lasting=lasting, reads=True)
        assert steps >= (2 if name == "convert" else 4), name


@pytest.mark.parametrize("lasting", [False, True])
def test_whatever_step_of_a_conversion_fails(tmp_path: Path, lasting: bool) -> None:
    assert fail_every_step("convert", source(tmp_path, 6), tmp_path, lasting=lasting) >= 4
