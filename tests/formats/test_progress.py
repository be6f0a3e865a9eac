"""How much of an input was read, as the report says while it is read."""

from __future__ import annotations

import gzip
import io
import json
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affectlib.formats import ReadReport, read_conversations
from tests.transcript_files import chat

COUNT = 4000
NOISE = random.Random(0)
CHATS = [chat(f"number {n} {NOISE.randbytes(n % 200).hex()}") for n in range(COUNT)]


def json_lines(folder: Path) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in CHATS))
    return path


def array(folder: Path) -> Path:
    path = folder / "in.json"
    path.write_text(json.dumps(CHATS))
    return path


def compressed(folder: Path) -> Path:
    path = folder / "in.json.gz"
    path.write_bytes(gzip.compress(array(folder).read_bytes(), 1))
    return path


def several(folder: Path) -> Path:
    (folder / "many").mkdir()
    for part in range(8):
        path = folder / "many" / f"{part}.jsonl"
        path.write_text("".join(f"{json.dumps(one)}\n" for one in CHATS[part::8]))
    (folder / "many" / "notes.txt").write_text("no chat")
    return folder / "many"


def archive(folder: Path) -> Path:
    path = folder / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(array(folder), "conversations.json")
    return path


def archives(folder: Path) -> Path:
    for path in several(folder).glob("*.jsonl"):
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, "chats.jsonl")
            file.writestr("notes.txt", "no chat")
        path.unlink()
    return folder / "many"


def parquet(folder: Path) -> Path:
    path = folder / "in.parquet"
    pq.write_table(pa.Table.from_pylist(CHATS), path)
    return path


def rows_of_messages(folder: Path) -> Path:
    path = folder / "in.csv"
    rows = (f"{n},user,{one['messages'][0]['content']}\n" for n, one in enumerate(CHATS))
    path.write_text("conversation_id,role,content\n" + "".join(rows))
    return path


MAKERS = [json_lines, array, compressed, several, archive, archives, parquet, rows_of_messages]


@pytest.mark.parametrize("make", MAKERS)
def test_the_share_that_was_read_tells_how_many_there_are(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    report = ReadReport()
    conversations = read_conversations(make(tmp_path), report=report)
    shares = [report.share or 0.0 for _ in conversations]
    assert len(shares) == COUNT
    assert shares == sorted(shares)
    for read in (COUNT // 4, COUNT // 2, COUNT * 3 // 4):
        assert read / shares[read - 1] == pytest.approx(COUNT, rel=0.3)
    assert report.share == 1.0


def test_of_a_pipe_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO(json_lines(tmp_path).read_bytes())
    pipe.seekable = lambda: False  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    report = ReadReport()
    shares = {report.share for _ in read_conversations("-", report=report)}
    assert shares == {None}


def test_what_was_redirected_from_a_file_is_as_good_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ReadReport()
    with array(tmp_path).open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        shares = [report.share for _ in read_conversations("-", report=report)]
    assert shares[COUNT // 2] == pytest.approx(0.5, rel=0.3)
