"""Labels of runs that did not finish, that were copied, and that say which model made them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from affectlib import cli
from affectlib.analysis import AnalysisWarning, TableError, prevalence, read_labels
from affectlib.analysis._frames import labels_table
from affectlib.cli._labels import reading_of
from affectlib.corpus.label_file import label_file
from affectlib.corpus.manifest import Manifest, Shard
from affectlib.corpus.output import FileFacts
from affectlib.corpus.rows import Counts
from affectlib.formats import Limits, ReadOptions
from affectlib.model.artifacts import load_artifact
from tests.fake_classifier import FakeClassifier
from tools.simulate import simulate

PEOPLE = simulate(60, seed=1)


def folder_of(path: Path, *, finished: bool, manifest: bool = True) -> Path:
    """Write two shards of labels, as a run does."""
    folder = path / "labels"
    (folder / "conversations").mkdir(parents=True)
    found = Manifest(folder / "_manifest.jsonl", {"input": {}, "model": {}, "options": {}})
    for first in (0, 100):
        name = f"conversations/part-{first:012d}.parquet"
        PEOPLE.conversations.slice(first, 100).write_parquet(folder / name)
        facts = FileFacts((folder / name).stat().st_size, "")
        found.shards[first] = Shard(first, 100, {name: facts}, Counts())
    found.finished = {} if finished else None
    if manifest:
        found.write()
    return folder


def test_a_run_that_stopped_is_refused_or_taken_with_a_warning(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, finished=False)
    with pytest.raises(TableError, match=r"stopped after 200 records; finish it .* --resume"):
        read_labels(folder)
    with pytest.warns(AnalysisWarning, match="stopped after 200 records"):
        found = read_labels(folder, unfinished=True)
    assert len(found.collect()) == 200
    assert cli.main(["prevalence", str(folder)]) == 2


def test_a_run_that_finished_is_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, finished=True)
    for path in (folder, folder / "conversations"):
        assert len(read_labels(path).collect()) == 200


def test_a_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    for finished in (True, False):
        folder = folder_of(tmp_path / str(finished), finished=finished)
        (folder / "conversations" / "part-000000000100.parquet").unlink()
        for path in (folder, folder / "conversations"):
            with pytest.raises(TableError, match=r"000100\.parquet: .* is gone; .* --resume"):
                read_labels(path, unfinished=not finished)


def test_a_table_is_read_without_the_shards_of_the_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, finished=True)
    found = Manifest.read(folder / "_manifest.jsonl")
    assert found is not None
    for shard in found.ordered():
        files = {name.replace("conversations", "messages"): f for name, f in shard.files.items()}
        found.shards[shard.first] = replace(shard, files={**shard.files, **files})
    found.write()
    assert len(read_labels(folder).collect()) == 200


@pytest.mark.parametrize("manifest", [True, False])
def test_a_shard_that_was_copied_does_not_count_twice(tmp_path: Path, manifest: bool) -> None:
    folder = folder_of(tmp_path, finished=True, manifest=manifest)
    shard = folder / "conversations" / "part-000000000000.parquet"
    shutil.copy(shard, shard.with_name("part-000000000000 (copy).parquet"))
    with pytest.raises(TableError, match=r"\(a copy\?\)|shards hold the same records"):
        read_labels(folder)


def test_labels_know_what_the_model_says_of_itself(tmp_path: Path) -> None:
    artifact = load_artifact()
    made = {"model": artifact.name, "model_version": artifact.version}
    made |= {"fingerprint": artifact.fingerprint, "operating_point": "balanced"}
    table = PEOPLE.conversations.to_arrow().replace_schema_metadata({"affectlib": json.dumps(made)})
    path = tmp_path / "labels.parquet"
    pq.write_table(table, path)
    for labels in (read_labels(path), pq.read_table(path)):
        assert labels_table(labels).provenance.cues == artifact.cue_thresholds
        accuracy = labels_table(labels).accuracy()
        assert accuracy is not None
        with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
            found = pl.DataFrame(prevalence(labels))
        with pytest.warns(AnalysisWarning, match="measured on other transcripts"):
            expected = prevalence(PEOPLE.conversations, measured=accuracy)
        assert found.equals(expected)
    assert (
        labels_table(read_labels(path)).provenance.name
        == f"{artifact.name} {artifact.version}, balanced"
    )
    assert labels_table(PEOPLE.conversations).accuracy() is None


def test_commands_read_transcripts_as_the_labels_were_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chats = tmp_path / "chats.csv"
    rows = [f"c{n},user,say {n}" for n in range(30)]
    chats.write_text("\n".join(["chat,who,words", *rows]), encoding="utf-8")
    labels = tmp_path / "labels.parquet"
    pl.DataFrame(
        {"conversation_id": [f"c{n}" for n in range(30)], "record": range(30), "probability": 0.4}
        | {"label": ["emotional", "task", "task"] * 10}
    ).write_parquet(labels)
    gold = tmp_path / "gold.csv"
    gold.write_text("record,weight,gold\n0,1,task\n1,1,emotional\n", encoding="utf-8")
    commands = (
        ["evaluate", str(labels), "--gold", str(gold), "--show-text", str(chats)],
        ["sample", str(labels), "--transcripts", str(chats), "-o", str(tmp_path / "sheet.csv")],
        ["report", str(labels), "--show-text", str(chats), "-o", str(tmp_path / "page.html")],
    )
    for command in commands:
        assert cli.main(command) == 2  # nothing says what the columns are
    columns = {"conversation_id": "chat", "role": "who", "content": "words"}
    options = {"format": "table", "columns": columns, "branches": "active"}
    made = Manifest(tmp_path / "labels.parquet.manifest", {"options": options})
    made.finished = {}
    made.write()
    for command in commands:
        assert cli.main(command) == 0
    for page in ("sheet.html", "page.html"):
        assert "say " in (tmp_path / page).read_text(encoding="utf-8")
    assert "    say 0" in capsys.readouterr().out


def test_sample_reads_transcripts_within_the_limits_of_the_labels(tmp_path: Path) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"User: so sad {name}\nAI: oh\n", encoding="utf-8")
    labels = tmp_path / "labels.parquet"
    limits = Limits(files=2, branches=7)
    options = ReadOptions(limits=limits)
    label_file(folder, labels, classifier=FakeClassifier(), options=options)  # type: ignore[arg-type]
    assert reading_of(str(labels)) == options
    sample = ["sample", str(labels), "--transcripts", str(folder), "--overwrite", "-n", "2", "-o"]
    assert cli.main([*sample, str(tmp_path / "sheet.csv")]) == 0
    (folder / "c.txt").write_text("User: one file too many\nAI: oh\n", encoding="utf-8")
    assert cli.main([*sample, str(tmp_path / "sheet.csv")]) == 2
