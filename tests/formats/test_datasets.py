"""Data sets of the library ``datasets``, saved on disk or on the Hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from affectlib.errors import MissingExtraError, OptionError, TranscriptFormatError
from affectlib.formats import ReadReport
from tests.transcript_files import SECRET, chat, error_of, lines, read, texts, write

ROWS = [chat("one", "two", id="a"), chat("three", id="b"), chat("four", id="c")]
LONG = [
    {"conversation_id": key, "role": role, "content": text}
    for key, role, text in (("a", "user", "one"), ("b", "user", "three"), ("a", "assistant", "two"))
]


def arrow(rows: list[dict[str, Any]], *, as_file: bool = False, batch: int = 2) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    make = ipc.new_file if as_file else ipc.new_stream
    with make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return bytes(sink.getvalue())


def save(folder: Path, *shards: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{n:05}-of-{len(shards):05}.arrow" for n in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        (folder / name).write_bytes(arrow(rows))
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))
    return folder


@pytest.mark.parametrize("as_file", [False, True])
def test_an_arrow_file(tmp_path: Path, as_file: bool) -> None:
    report = ReadReport()
    found = read(write(tmp_path, arrow(ROWS, as_file=as_file)), report=report)
    assert [texts(item) for item in found] == [["one", "two"], ["three"], ["four"]]
    assert report.formats == {"openai": 'records with "messages"'}


def test_rows_that_belong_together_lie_in_several_files(tmp_path: Path) -> None:
    found = read(save(tmp_path / "saved", LONG[:2], LONG[2:]))
    assert {item.id: texts(item) for item in found} == {"a": ["one", "two"], "b": ["three"]}
    for format in ("table", "auto"):
        assert read(tmp_path / "saved", format=format) == found


def test_splits_are_read_one_after_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    save(folder / "test", ROWS[2:])
    save(folder / "train", ROWS[:2])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert [item.id for item in read(folder)] == ["c", "a", "b"]


def test_what_the_library_itself_saves(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs affectlib[hub]")
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "conversations": {
                "from": datasets.Sequence(datasets.Value("string")),
                "value": datasets.Sequence(datasets.Value("string")),
            },
        }
    )
    row = {"id": "a", "conversations": {"from": ["human", "gpt"], "value": ["hi", "Hello!"]}}
    saved = datasets.Dataset.from_list([row], features=features)
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "saved")
    (found,) = read(tmp_path / "saved")
    assert (found.id, texts(found)) == ("a", ["hi", "Hello!"])


def test_only_the_files_that_the_state_names_are_read_in_its_order(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", ROWS[:1], ROWS[1:])
    for name in ("cache-0123456789abcdef.arrow", "indices-01234567.arrow", "tmp12345.arrow"):
        (folder / name).write_bytes(arrow(ROWS))
    assert [item.id for item in read(folder)] == ["a", "b", "c"]
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"].reverse()
    (folder / "state.json").write_text(json.dumps(state))
    assert [item.id for item in read(folder)] == ["b", "c", "a"]


def test_files_beside_a_data_set_are_read_too_or_counted(tmp_path: Path) -> None:
    save(tmp_path / "ds" / "train", ROWS)
    (tmp_path / "ds" / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    (tmp_path / "ds" / "train" / "cache-0123456789abcdef.arrow").write_bytes(arrow(ROWS))
    write(tmp_path, lines(chat("five", id="d")), "chats.jsonl")
    write(tmp_path, "notes\nof mine\n", "notes.txt")
    report = ReadReport()
    found = read(tmp_path, report=report)
    assert [item.id for item in found] == ["a", "b", "c", "d"]
    assert {reason: tally.places for reason, tally in report.skipped.items()} == {
        "state.json does not name it as part of its data set": [
            "ds/train/cache-0123456789abcdef.arrow"
        ],
        "it has no known format": ["notes.txt"],
    }


def test_a_file_that_the_state_names_and_that_is_missing_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", ROWS[:1], ROWS[1:])
    (folder / "data-00001-of-00002.arrow").unlink()
    good, bad = read(folder)
    assert good.id == "a"
    assert "data-00001-of-00002.arrow is missing, which state.json names" in error_of(bad)


@pytest.mark.parametrize("state", ["{broken", "[1]", '{"_data_files": [1, {"filename": 2}]}'])
def test_a_state_that_names_no_files_leaves_the_files_to_themselves(
    tmp_path: Path, state: str
) -> None:
    folder = save(tmp_path / "saved", ROWS)
    (folder / "state.json").write_text(state)
    assert [item.id for item in read(folder)] == ["a", "b", "c"]


def test_a_split_without_conversations_is_skipped(tmp_path: Path) -> None:
    save(tmp_path / "saved" / "labels", [{"x": 1}])
    save(tmp_path / "saved" / "train", ROWS)
    report = ReadReport()
    assert len(read(tmp_path / "saved", report=report)) == 3
    assert report.skipped["it has no known format"].places == ["labels"]
    with pytest.raises(TranscriptFormatError, match="a table with the columns x"):
        read(save(tmp_path / "other", [{"x": 1}]))


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("cut", [6, 60, 300])
def test_damaged_files(tmp_path: Path, as_file: bool, cut: int) -> None:
    path = write(tmp_path, arrow(ROWS, as_file=as_file)[:cut])
    with pytest.raises(TranscriptFormatError, match="damaged or cut short"):
        read(path)


def test_what_came_before_the_damage_is_kept(tmp_path: Path) -> None:
    data = arrow([chat(SECRET)] * 5, batch=1)
    found = read(write(tmp_path, data[: len(data) * 3 // 4]))
    assert len(found) > 1
    assert "the rest was not read" in error_of(found[-1])
    folder = save(tmp_path / "saved", ROWS, ROWS)
    (folder / "data-00001-of-00002.arrow").write_bytes(b"nothing")
    *good, bad = read(folder)
    assert [item.id for item in good] == ["a", "b", "c"]
    assert "damaged" in error_of(bad)


def test_the_hub_needs_leave_to_use_the_network() -> None:
    with pytest.raises(OptionError, match="local_files_only=False"):
        read("hf://datasets/owner/name")
    with pytest.raises(OptionError, match="OWNER/NAME"):
        read("hf://datasets/name", local_files_only=False)


def test_a_data_set_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*names: Any, **options: Any) -> Any:
        asked.append((*names, options["split"]))
        assert options["streaming"]
        rows = iter(ROWS)
        return rows if options["split"] else {"train": rows}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    for name in ("owner/name", "owner/name/part:train"):
        found = read(f"hf://datasets/{name}", local_files_only=False)
        assert [item.id for item in found] == ["a", "b", "c"]
    assert asked == [("owner/name", None, None), ("owner/name", "part", "train")]


def test_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: Any, **__: Any) -> Any:
        raise ConnectionError(SECRET)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(TranscriptFormatError, match="cannot be loaded") as caught:
        read("hf://datasets/owner/name", local_files_only=False)
    assert SECRET not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"affectlib\[hub\]"):
        read("hf://datasets/owner/name", local_files_only=False)
