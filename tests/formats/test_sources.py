"""Folders, patterns, archives and compressed files."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from affectlib.conversation import Conversation
from affectlib.errors import OptionError, TranscriptFormatError
from affectlib.formats import Limits, ReadReport, read_conversations
from affectlib.predictions import ConversationFailure
from tests.formats.test_fixtures import FIXTURES
from tests.transcript_files import SECRET, chat, error_of, lines, read, texts, write

CHATGPT = FIXTURES / "chatgpt" / "list.json"


def zipped(files: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def skipped(report: ReadReport) -> dict[str, list[str]]:
    return {reason: tally.places for reason, tally in report.skipped.items()}


def test_the_archive_as_downloaded(tmp_path: Path) -> None:
    export = zipped(
        {
            "conversations.json": CHATGPT.read_bytes(),
            "chat.html": "<html><body>chats</body></html>",
            "user.json": '{"id": "user-1", "email": "x@example.org"}',
            "file-1.png": b"\x89PNG\r\n\x1a\n\x00\x00",
            "__MACOSX/conversations.json": "rubbish",
            "empty.json": "",
        }
    )
    report = ReadReport()
    found = read(write(tmp_path, export), report=report)
    assert found == read(CHATGPT)
    assert [*report.formats] == ["chatgpt"]
    others = ["chat.html", "empty.json", "file-1.png"]
    assert skipped(report) == {"it has no known format": others}
    assert report.skipped["it has no known format"].count == 4


def test_an_archive_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO(zipped({"deep/er/a.json": CHATGPT.read_bytes()}))
    pipe.seekable = lambda: False  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    assert read("-") == read(CHATGPT)


def test_folders_and_patterns_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path, lines(chat("one")), "a.jsonl")
    write(tmp_path / "b", "conversation_id,role,content\n1,user,two\n", "t.csv")
    write(tmp_path, gzip.compress(lines(chat("three")).encode()), "c.gz")
    write(tmp_path, "notes\nof mine\n", "d.txt")
    write(tmp_path, lines(chat("hidden")), ".hidden.jsonl")
    os.mkfifo(tmp_path / "pipe")
    report = ReadReport()
    found = read(tmp_path, report=report)
    assert [texts(item) for item in found] == [["one"], ["two"], ["three"]]
    assert {*report.formats} == {"openai", "table"}
    assert skipped(report) == {"it has no known format": ["d.txt"]}
    assert [texts(item) for item in read(str(tmp_path / "*.jsonl"))] == [["one"]]
    assert len(read(str(tmp_path / "**" / "*.[cg]*"))) == 2
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "*.none"))


def test_claudes_users_do_not_make_a_folder_one_of_slack(tmp_path: Path) -> None:
    write(tmp_path, json.dumps([{"uuid": "u", "full_name": "Ana"}]), "users.json")
    messages = [{"sender": "human", "text": "hi"}]
    write(tmp_path, json.dumps([{"uuid": "c1", "chat_messages": messages}]), "conversations.json")
    write(tmp_path, json.dumps({"mood": 1}), "2024-05-01.json")
    report = ReadReport()
    (found,) = read(tmp_path, report=report)
    assert (texts(found), [*report.formats]) == (["hi"], ["claude"])
    assert skipped(report) == {"it has no known format": ["2024-05-01.json", "users.json"]}
    (tmp_path / "diary").mkdir()
    write(tmp_path / "diary", json.dumps({"mood": 1}), "2024-05-02.json")
    assert read(tmp_path) == [found]


def test_slack_is_known_by_its_channels_and_their_days(tmp_path: Path) -> None:
    message = {"type": "message", "user": "W012A3CDE", "text": "hi", "ts": "1714564800.000100"}
    write(tmp_path, "[]", "dms.json")
    (tmp_path / "D1").mkdir()
    write(tmp_path / "D1", json.dumps([message]), "2024-05-01.json")
    report = ReadReport()
    (found,) = read(tmp_path, users=["W012A3CDE"], report=report)
    assert (texts(found), [*report.formats]) == (["hi"], ["slack"])


@pytest.mark.parametrize("format", ["slack/workspace", "convokit/corpus"])
def test_files_beside_an_export_of_several_files_are_counted(tmp_path: Path, format: str) -> None:
    folder = tmp_path / "export"
    shutil.copytree(FIXTURES / format, folder)
    report = ReadReport()
    alone = read(folder, report=report)
    assert skipped(report) == {}
    write(folder, lines(chat("one")), "chats.jsonl")
    assert read(folder, report=report) == alone
    name = format.partition("/")[0]
    assert skipped(report) == {
        f"it is no part of the {name} export beside it; read it by itself": ["chats.jsonl"]
    }


def test_a_bad_file_among_others_is_a_failure(tmp_path: Path) -> None:
    write(tmp_path, lines(chat("a")), "a.jsonl")
    write(tmp_path, gzip.compress(lines(chat("b")).encode())[:20], "b.gz")
    write(tmp_path, b"PAR1 and no Parquet", "c.parquet")
    write(tmp_path, "{broken\n" + lines(chat("d")), "d.jsonl")
    report = ReadReport()
    first, b, c, broken, last = read(tmp_path, report=report)
    assert (texts(first), texts(last)) == (["a"], ["d"])
    assert "b.gz: the compressed data is damaged" in error_of(b)
    assert "c.parquet: the Parquet file is damaged" in error_of(c)
    assert "d.jsonl: line 1: not valid JSON" in error_of(broken)
    assert (report.conversations, report.failures) == (2, 3)


@pytest.mark.parametrize("packing", ["gzip", "zstandard"])
@pytest.mark.parametrize("cut", [1, 8, 15, 60])
def test_of_a_compressed_file_cut_short_all_is_read_that_is_there(
    tmp_path: Path, packing: str, cut: int
) -> None:
    records = [chat(f"{number} {number * 7919}", id=str(number)) for number in range(50)]
    data = lines(*records).encode()
    if packing == "gzip":
        packed = gzip.compress(data)
    else:
        packed = b"".join(zstandard.compress(data[n : n + 99]) for n in range(0, len(data), 99))
    *good, bad = read(write(tmp_path, packed[:-cut]))
    if isinstance(good[-1], ConversationFailure):
        assert "it may have been cut short" in error_of(good.pop())
    assert len(good) > 40
    assert [item.id for item in good] == [str(number) for number in range(len(good))]
    assert "the compressed data is damaged or cut short; the rest was not read" in error_of(bad)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(TranscriptFormatError, match="it holds no files"):
        read(tmp_path)
    write(tmp_path, "notes\n", "a.txt")
    with pytest.raises(TranscriptFormatError, match=r": a\.txt: found neither"):
        read(tmp_path)


def test_what_is_left_out_is_counted_by_place() -> None:
    report = ReadReport()
    items = read_conversations(FIXTURES / "chatgpt", report=report)
    next(items)
    assert report.conversations == 1
    rest = sum(1 for _ in items)
    assert report.conversations == rest + 1
    assert report.dropped["branch"].places == [
        "branches.json: record 0",
        "cycle.json: record 0",
        "no_current_node.json: record 0",
    ]
    assert json.loads(json.dumps(report.to_dict()))["dropped"]["branch"]["count"] > 3


def test_columns_of_some_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, "chat,who,words\n1,user,hi\n", "a.csv")
    write(tmp_path, "name,age\nAna,30\n", "b.csv")
    columns = {"conversation": "chat", "role": "who", "content": "words"}
    report = ReadReport()
    (found,) = read(tmp_path, columns=columns, report=report)
    assert texts(found) == ["hi"]
    assert skipped(report) == {"it lacks the columns that were named": ["b.csv"]}
    with pytest.raises(OptionError, match="no column 'what'"):
        read(tmp_path, columns={"role": "what"})


def test_a_workbook_is_called_what_it_is(tmp_path: Path) -> None:
    book = tmp_path / "chats.xlsx"
    with zipfile.ZipFile(book, "w") as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml"):
            archive.writestr(name, "<a/>")
    with pytest.raises(TranscriptFormatError, match=r"an Office document; save its table as CSV"):
        read(book)


# --- archives among other files ------------------------------------------------------------------


def test_archives_that_fit_a_pattern_or_lie_in_a_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    one = {"conversations.json": CHATGPT.read_bytes(), "chat.html": "<html></html>"}
    write(folder, zipped(one), "a.zip")
    corpus = FIXTURES / "convokit" / "corpus"
    write(folder, zipped({path.name: path.read_bytes() for path in corpus.iterdir()}), "b.zip")
    write(folder, lines(chat("last")), "c.jsonl")
    expected = read(CHATGPT) + read(corpus)
    report = ReadReport()
    found = read(str(folder / "*.zip"), report=report)
    assert found == expected
    assert {*report.formats} == {"chatgpt", "convokit"}
    assert skipped(report) == {"it has no known format": [f"{folder}/a.zip/chat.html"]}
    report = ReadReport()
    assert read(folder, report=report)[:-1] == expected
    assert skipped(report) == {"it has no known format": ["a.zip/chat.html"]}
    assert report.share == 1.0


@pytest.mark.parametrize("place", ["", "export/"])
def test_an_archive_beside_its_unpacked_files_is_not_read_again(tmp_path: Path, place: str) -> None:
    write(tmp_path, zipped({"conversations.json": CHATGPT.read_bytes()}), "export.zip")
    (tmp_path / place).mkdir(exist_ok=True)
    write(tmp_path / place, CHATGPT.read_bytes(), "conversations.json")
    report = ReadReport()
    assert read(tmp_path, report=report) == read(CHATGPT)
    assert skipped(report) == {"its files lie unpacked beside it": ["export.zip"]}


def test_places_in_an_archive_among_others_begin_with_its_name(tmp_path: Path) -> None:
    write(tmp_path, "User: hi\nAssistant: Hello!\n", "talk.txt")
    content = lines(chat("good"), {"messages": SECRET})
    names = {"a/chats.jsonl": content, "b/talk.txt": "User: hi\nAssistant: Hello!\n"}
    for name in ("1.zip", "2.zip"):
        write(tmp_path, zipped(names), name)
    report = ReadReport()
    found = read(tmp_path, report=report)
    errors = [error_of(item) for item in found if isinstance(item, ConversationFailure)]
    assert ["2.zip/a/chats.jsonl: line 2: " in error for error in errors] == [False, True]
    assert [item.id for item in found if isinstance(item, Conversation)] == [
        *(None, "1.zip/b/talk.txt", None, "2.zip/b/talk.txt", "talk.txt")
    ]
    (problem,) = report.problems.values()
    assert problem.places == ["1.zip/a/chats.jsonl: line 2", "2.zip/a/chats.jsonl: line 2"]


def test_archives_that_cannot_be_read_cost_themselves_only(tmp_path: Path) -> None:
    write(tmp_path, lines(chat("good")), "z.jsonl")
    write(tmp_path, zipped({"a.jsonl": lines(chat("one"))})[:-30], "cut.zip")
    write(tmp_path, zipped({"[Content_Types].xml": "<a/>"}), "book.xlsx")
    inner = zipped({"a.jsonl": lines(chat("too deep"))})
    write(tmp_path, zipped({"inner.zip": inner}), "outer.zip")
    write(tmp_path, zipped({}), "empty.zip")
    write(tmp_path, zipped({"a.jsonl": '{"messages": [' + " " * 100_000_000}), "bomb.zip")
    report = ReadReport()
    bomb, cut, good = read(tmp_path, report=report)
    assert "bomb.zip/a.jsonl: it unpacks to more than 250 times its size" in error_of(bomb)
    assert "cut.zip: the ZIP archive is damaged or cut short" in error_of(cut)
    assert texts(good) == ["good"]
    assert report.skipped["it has no known format"].count == 4
    assert report.skipped["it has no known format"].places[:2] == ["book.xlsx", "empty.zip"]


# --- hostile archives ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../a.json", "/etc/a.json", "C:\\a.json", "b\\..\\..\\a.json"])
def test_paths_that_lead_out_of_an_archive(tmp_path: Path, name: str) -> None:
    content = lines(chat("good"))
    report = ReadReport()
    (found,) = read(write(tmp_path, zipped({name: content, "b.jsonl": content})), report=report)
    assert texts(found) == ["good"]
    assert skipped(report) == {"its path leads out of the archive": [name]}


def test_links_repeated_names_and_archives_in_archives(tmp_path: Path) -> None:
    file = io.BytesIO()
    good = lines(chat("good"))
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("link.jsonl")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.jsonl", lines(chat("first of its name")))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.jsonl", good)
        archive.writestr("inner.zip", zipped({"a.jsonl": good}))
    report = ReadReport()
    (found,) = read(write(tmp_path, file.getvalue()), report=report)
    assert texts(found) == ["good"]
    assert skipped(report) == {
        "it is a link": ["link.jsonl"],
        "the archive has two files of that name; the last one was read": ["a.jsonl"],
        "it has no known format": ["inner.zip"],
    }


def test_an_encrypted_file(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": lines(chat("a")), "b.jsonl": lines(chat("b"))}))
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    report = ReadReport()
    (found,) = read(write(tmp_path, bytes(data)), report=report)
    assert texts(found) == ["b"]
    assert skipped(report) == {"it is encrypted": ["a.jsonl"]}


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zip"])
def test_decompression_bombs(tmp_path: Path, packing: str) -> None:
    bomb = b'{"messages": [' + b" " * 110_000_000
    packed = {
        "gzip": lambda: gzip.compress(bomb, 6),
        "zstd": lambda: zstandard.compress(bomb),
        "zip": lambda: zipped({"a.json": bomb}),
    }[packing]()
    path = write(tmp_path, packed)
    if packing == "zip":
        (found,) = read(path)
        assert "decompression bomb" in error_of(found)
    else:
        with pytest.raises(TranscriptFormatError, match="decompression bomb"):
            read(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_the_size_of_unpacked_data(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    content = lines(*[chat("y" * 1000)] * 1000).encode()
    path = write(tmp_path, pack(content))
    *good, bad = read(path, limits=Limits(unpacked_bytes=500_000))
    assert good
    assert "more than 500,000 bytes (unpacked_bytes)" in error_of(bad)
    (bad,) = read(write(tmp_path, zipped({"a.json": content})), limits=Limits(unpacked_bytes=1000))
    assert "a.json: it unpacks to more than 1,000 bytes" in error_of(bad)


def test_too_many_files(tmp_path: Path) -> None:
    content = {f"{number}.jsonl": lines(chat("a")) for number in range(5)}
    path = write(tmp_path, zipped(content))
    assert len(read(path, limits=Limits(files=5))) == 5
    with pytest.raises(TranscriptFormatError, match=r"5 files, more than the limit of 4 \(files\)"):
        read(path, limits=Limits(files=4))
