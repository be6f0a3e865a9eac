from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.data import sources
from training.data.sources import (
    Source,
    load_manifest,
    read_corpus,
    read_source,
    require_training,
)

ROWS = [
    {"id": "1", "source": "toy", "messages": [{"role": "user", "content": "line\u2028break"}]},
    {"id": "2", "source": "toy", "messages": [{"role": "user", "content": "été"}]},
]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source of two rows, in the manifest and in the data folder `tmp_path`."""
    file = tmp_path / "public_train" / "toy.jsonl.gz"
    file.parent.mkdir()
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    file.write_bytes(gzip.compress(text.encode()))
    toy = Source(
        name="toy",
        use="train",
        repository="someone/toy",
        commit="c0ffee",
        licence="MIT",
        languages=("en",),
        file="public_train/toy.jsonl.gz",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        conversations=2,
    )
    heldout = replace(toy, name="heldout", use="eval")
    monkeypatch.setattr(sources, "load_manifest", lambda: {"toy": toy, "heldout": heldout})
    return toy


def test_rows_come_back_as_they_were_written(toy: Source, tmp_path: Path) -> None:
    assert list(read_source("toy", tmp_path)) == ROWS


def test_the_data_folder_may_be_named_from_where_one_is(
    toy: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    assert list(read_source("toy", Path(tmp_path.name))) == ROWS


def test_rows_that_the_manifest_leaves_out_are_never_read(
    toy: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(toy, left_out=(ROWS[0]["id"],))
    monkeypatch.setattr(sources, "load_manifest", lambda: {"toy": without})
    assert list(read_source("toy", tmp_path)) == ROWS[1:]


def test_altered_file_is_refused_before_a_row_is_read(toy: Source, tmp_path: Path) -> None:
    altered = gzip.compress(json.dumps(ROWS[0]).encode())
    (tmp_path / toy.file).write_bytes(altered)
    with pytest.raises(ValueError, match="not the file that the manifest lists") as caught:
        read_source("toy", tmp_path)
    for part in (str(tmp_path / toy.file), toy.sha256, hashlib.sha256(altered).hexdigest()):
        assert part in str(caught.value)
    assert "sources.jsonl" in str(caught.value)


def test_without_a_data_folder_the_error_says_what_to_give(toy: Source) -> None:
    with pytest.raises(FileNotFoundError, match=r"--data DIR.*public_train/toy\.jsonl\.gz"):
        read_source("toy", None)


def test_absent_file_is_named_with_where_to_get_it(toy: Source, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_source("toy", tmp_path / "elsewhere")
    for part in ("elsewhere", toy.file, "--data", toy.repository, toy.commit):
        assert part in str(caught.value)


def test_unknown_source_is_refused_with_the_known_ones(toy: Source, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'tay'.*toy, heldout"):
        read_source("tay", tmp_path)
    with pytest.raises(ValueError, match="'tay'"):
        require_training("tay")


def test_evaluation_source_may_not_be_trained_on(toy: Source) -> None:
    require_training("toy")
    with pytest.raises(ValueError, match=r"'heldout'.*eval.*train.*toy"):
        require_training("heldout")


@pytest.mark.parametrize("name", ["sharegpt_dev", "arena_wildchat_dev", "esconv", "meld"])
def test_real_dev_and_unlicensed_sets_are_not_for_training(name: str) -> None:
    with pytest.raises(ValueError, match="train"):
        require_training(name)


def test_manifest_is_complete() -> None:
    lines = (sources.DATA / "sources.jsonl").read_text(encoding="utf-8").splitlines()
    manifest = load_manifest()
    assert len(manifest) == len(lines)
    folders = {"train": ("public_train", "real"), "dev": ("real",), "eval": ("public_eval", "real")}
    for source in manifest.values():
        assert source.file.split("/")[0] in folders[source.use]
        assert source.shared_file or source.file.endswith(f"/{source.name}.jsonl.gz")
        assert len(source.sha256) == 64
        assert int(source.sha256, 16)
        assert source.conversations > 0
        assert all((source.repository, source.commit, source.licence, source.languages))
    own = [source.sha256 for source in manifest.values() if not source.shared_file]
    assert len({*own}) == len(own)


def test_corpus_splits_are_apart_and_together_everything() -> None:
    train, dev, test = (read_corpus(split) for split in ("train", "dev", "test"))
    assert len(train) > len(dev) > len(test) > 0
    ids = [row["id"] for row in (*train, *dev, *test)]
    assert len(ids) == len(set(ids)) == len(read_corpus())
    with pytest.raises(ValueError, match=r"'tests'.*dev, test, train"):
        read_corpus("tests")


def test_pair_is_conversations_of_one_split_with_other_labels() -> None:
    pairs: dict[str, list[dict[str, Any]]] = {}
    for row in read_corpus():
        if row["pair"]:
            pairs.setdefault(row["pair"], []).append(row)
    whole = [pair for pair in pairs.values() if len(pair) in (2, 3)]  # three in contrast sets
    assert len(whole) >= 490
    assert len(pairs) - len(whole) <= 1
    for pair in whole:
        assert len({row["split"] for row in pair}) == 1
        assert len({row["labels"]["charge"] for row in pair}) > 1
