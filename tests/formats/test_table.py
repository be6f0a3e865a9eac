from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.errors import OptionError, TranscriptFormatError
from affectlib.formats import ReadReport
from tests.transcript_files import (
    SECRET,
    error_of,
    read,
    texts,
    write,
)


def rows_of(content: str, tmp_path: Path, **options: Any) -> list[Any]:
    return read(write(tmp_path, content), **options)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_delimiters_quotes_and_line_ends(tmp_path: Path, delimiter: str, ending: str) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ending)
    words = 'several\nlines, "quoted"; and\t|'
    writer.writerows([["Chat ID", "Sender", "Body"], ["1", "human", words], ["1", "bot", "ok"]])
    (found,) = rows_of("\n" + buffer.getvalue() + ending, tmp_path)
    assert texts(found) == [words, "ok"]
    assert found.id == "1"


def test_column_names_and_precedence(tmp_path: Path) -> None:
    content = "author,thread-id,role,text,user_id,lang\nAnn,t,user,hi,u1,fr\n"
    (found,) = rows_of(content, tmp_path)
    assert (found.id, found.user_id, found.language) == ("t", "u1", "fr")
    content = "chat,who,words,role\n9,human,hi,x\n"
    given = {"conversation_id": "chat", "role": "who", "content": "words"}
    (found,) = rows_of(content, tmp_path, columns=given)
    assert (found.id, texts(found)) == ("9", ["hi"])
    with pytest.raises(OptionError, match="no column 'nope'"):
        rows_of(content, tmp_path, columns=given | {"role": "nope"})
    with pytest.raises(OptionError, match="unknown field 'wat'"):
        rows_of(content, tmp_path, columns=given | {"wat": "chat"})


def test_what_a_user_says_twice_without_a_turn_is_no_repeat(tmp_path: Path) -> None:
    rows = "1,user,thanks\n1,assistant,sure\n1,user,thanks\n"
    (found,) = rows_of(f"conversation_id,role,content\n{rows}", tmp_path)
    assert texts(found) == ["thanks", "sure", "thanks"]


@settings(max_examples=30, deadline=None)
@given(order=st.permutations([(c, t) for c in "abc" for t in range(4)]))
def test_any_order_of_rows_gives_the_same_conversations(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[str, int]]
) -> None:
    content = "conversation_id,turn,role,content\n" + "".join(
        f"{c},{t},user,{c}{t}\n" for c, t in order
    )
    found = read(write(tmp_path_factory.getbasetemp(), content, "order.csv"))
    assert {item.id: texts(item) for item in found} == {
        c: [f"{c}{t}" for t in range(4)] for c in "abc"
    }


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1,user,c,10,\n1,user,a,2,\n1,assistant,b,2,\n", "a b c"),
        ("1,user,b,,2024-01-02\n1,user,a,,2024-01-01\n", "a b"),
        ("1,user,b,x,\n1,user,a,2,2024-01-01\n", "b a"),
        ("1,user,q,,2024-01-01\n1,assistant,a,,2024-01-01\n1,user,r,,2024-01-01\n", "q a r"),
        ("1,user,b,1,2024-01-03\n1,user,a,1,2024-01-02\n1,user,c,2,2024-01-01\n", "a b c"),
    ],
    ids=["turns", "times", "neither", "equal times", "times within turns"],
)
def test_order_within_a_conversation(tmp_path: Path, rows: str, expected: str) -> None:
    (found,) = rows_of("conversation_id,role,content,turn,created_at\n" + rows, tmp_path)
    assert texts(found) == expected.split()


@pytest.mark.parametrize("turn", ["turn", "note"])
def test_the_newest_first_keeps_the_question_before_the_answer(tmp_path: Path, turn: str) -> None:
    head = f"conversation_id,role,content,created_at,{turn}\n"
    rows = [
        "1,assistant,a2,2024-01-01 12:05,2\n",
        "1,user,q2,2024-01-01 12:05,2\n",
        "1,assistant,a1,2024-01-01 12:03,1\n",
        "1,user,q1,2024-01-01 12:03,1\n",
    ]
    for content in (rows, rows[::-1]):
        (found,) = rows_of(head + "".join(content), tmp_path)
        assert texts(found) == ["q1", "a1", "q2", "a2"]


def test_numeric_ids_and_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "conversation_id": [12.0, 12.0, 13.0],
            "user_id": [1.0, None, None],
            "role": ["user", "assistant", "user"],
            "content": ["hi", None, None],
            "turn": [1, 2, 1],
            "timestamp": pd.to_datetime(["2024-01-01", None, None]),
        }
    )
    for content in (frame.to_csv(index=False).encode(), frame.to_parquet()):
        first, second = read(write(tmp_path, content))
        assert isinstance(first, Conversation)
        assert (first.id, first.user_id, texts(first)) == ("12", "1", ["hi", ""])
        assert first.messages[0].timestamp == datetime(2024, 1, 1, tzinfo=UTC)
        assert (second.id, texts(second)) == ("13", [""])
    numbers = pa.table(
        {
            "conversation_id": [1, 1, 2],
            "role": ["user"] * 3,
            "content": [float("nan"), 2.5, float("nan")],
        }
    )
    pq.write_table(numbers, tmp_path / "numbers.parquet")
    bad, empty = read(tmp_path / "numbers.parquet")
    assert "ConversationError: row 1: messages[1].content: expected text" in error_of(bad)
    assert texts(empty) == [""]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,narrator,hi", "messages[1].role: unknown role"),
        ("1", "the row has 1 cells, the header 3"),
        (f"1,user,unquoted, {SECRET}", "the row has 4 cells, the header 3"),
        (f'1,user,"{SECRET}', "the file ends inside a quoted cell"),
    ],
)
def test_bad_rows_cost_their_conversation_only(tmp_path: Path, row: str, problem: str) -> None:
    content = f"conversation_id,role,content\n1,user,a\n2,user,b\n{row}\n"
    good, bad = rows_of(content, tmp_path)
    assert texts(good) == ["b"]
    assert bad.id == "1"
    assert error_of(bad).startswith("ConversationError: line ")
    assert problem in error_of(bad)


def test_a_bad_first_row_costs_itself_only(tmp_path: Path) -> None:
    bad, good = rows_of("conversation_id,role,content\n1\n2,user,b\n", tmp_path)
    assert "line 2: the row has 1 cells, the header 3" in error_of(bad)
    assert texts(good) == ["b"]
    good_row = '{"conversation_id": 2, "role": "user", "content": "b"}\n'
    bad, good = rows_of('{"conversation_id": 1}\n' + good_row, tmp_path)
    assert "line 1: messages[0].role: expected text, got null" in error_of(bad).replace(
        "None", "null"
    )
    assert texts(good) == ["b"]
    columns = {"conversation": "chat", "role": "who", "content": "words"}
    given = '{"chat": 1}\n{"chat": 2, "who": "user", "words": "b"}\n'
    assert texts(rows_of(given, tmp_path, columns=columns)[1]) == ["b"]


def test_rows_without_an_id(tmp_path: Path) -> None:
    content = "conversation_id,role,content\n,user,a\n2,user,b\n,,\n"
    bad, good = sorted(rows_of(content, tmp_path), key=lambda item: item.id or "")
    assert "line 2: conversation_id: the cell is empty" in error_of(bad)
    assert texts(good) == ["b"]


def test_times_that_are_written_out_and_those_that_are_unclear(tmp_path: Path) -> None:
    head = "conversation_id,role,content,sent_at\n"
    written = '1,user,late,12 mars 2024 22:02\n1,user,early,"Tue, 12 Mar 2024 20:00:00 +0000"\n'
    report = ReadReport()
    assert texts(rows_of(head + written, tmp_path, report=report)[0]) == ["early", "late"]
    assert "time" not in report.dropped
    unclear = "1,user,one,3/12/2024 10:02 PM\n1,user,two,11/12/2024 22:02\n1,user,three,\n"
    (found,) = rows_of(head + unclear, tmp_path, report=report)
    assert texts(found) == ["one", "two", "three"]
    assert {message.timestamp for message in found.messages} == {None}
    assert (report.dropped["time"].count, report.dropped["time"].places[0]) == (2, "line 2")


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["3/4/2024 22:02", "27/04/2024"], ["2024-04-03T22:02:00", "2024-04-27T00:00:00"]),
        (["3/4/24 10:02 PM", "4/27/24 9:00 AM"], ["2024-03-04T22:02:00", "2024-04-27T09:00:00"]),
        (["03.04.2024 22:02:01", "2024-04-01"], [None, "2024-04-01T00:00:00"]),
        (["13/4/2024", "4/13/2024"], [None, None]),
    ],
)
def test_numeric_dates_are_read_if_one_tells_their_order(
    tmp_path: Path, dates: list[str], expected: list[str | None]
) -> None:
    rows = "".join(f"{n},user,hi,{date}\n" for n, date in enumerate(dates))
    report = ReadReport()
    found = rows_of("conversation_id,role,content,date\n" + rows, tmp_path, report=report)
    times = [item.messages[0].timestamp for item in found]
    assert [time and time.replace(tzinfo=None).isoformat() for time in times] == expected
    assert ("time" in report.dropped) == (None in expected)


def test_names_given_leave_the_roles_alone(tmp_path: Path) -> None:
    rows = "1,system,be kind\n1,Ana,hi\n1,Bot,hello\n1,Eve,me too\n"
    report = ReadReport()
    options: Any = {"assistants": ["Bot"], "report": report}
    (found,) = rows_of("conversation_id,role,content\n" + rows, tmp_path, **options)
    assert [m.role for m in found.messages] == ["system", "user", "assistant", "user"]
    options = {"users": ["Ana"], "assistants": ["Bot"], "report": report}
    (found,) = rows_of("conversation_id,role,content\n" + rows, tmp_path, **options)
    assert [m.role for m in found.messages] == ["system", "user", "assistant"]
    assert report.dropped["not_a_person"].count == 1
    (bad,) = rows_of("conversation_id,role,content\n1,Ana,hi\n1,Eve\n", tmp_path, **options)
    assert "line 3: the row has 2 cells" in error_of(bad)
    (found,) = rows_of("conversation_id,role,content\n1,user,hi\n", tmp_path, assistants=["user"])
    assert found.messages[0].role == "assistant"


def test_a_table_of_texts(tmp_path: Path) -> None:
    report = ReadReport()
    content = 'id;review;created\n7;"fine; thanks";2024-01-02\n8;;3/4/2024\n9\n'
    options: Any = {"columns": {"content": "review"}, "report": report}
    first, empty, bad = rows_of(content, tmp_path, **options)
    assert (first.id, texts(first), first.messages[0].role) == ("7", ["fine; thanks"], "user")
    assert first.metadata == {"started_at": datetime(2024, 1, 2, tzinfo=UTC)}
    assert texts(empty) == [""]
    assert report.dropped["time"].count == 1
    assert "line 4: the row has 1 cells" in error_of(bad)
    one = 'text\nhi\n"a, b"\n'
    assert [*map(texts, rows_of(one, tmp_path, columns={"content": "text"}))] == [["hi"], ["a, b"]]
    rows = '{"text": "hi"}\n{"text": 3}\n'
    good, bad = rows_of(rows, tmp_path, columns={"content": "text"})
    assert texts(good) == ["hi"]
    assert "expected text" in error_of(bad)
    with pytest.raises(TranscriptFormatError, match="if each row is a text by itself, name"):
        rows_of(one, tmp_path)
    with pytest.raises(TranscriptFormatError, match=r"or only .* if each row is a text by itself"):
        rows_of("id,text\n1,hi\n", tmp_path)


def test_files_put_together_and_what_the_likeliest_delimiter_lacks(tmp_path: Path) -> None:
    content = "conversation_id,role,content\n1,user,hi\n"
    assert [*map(texts, rows_of(content + content.replace("1,", "2,"), tmp_path))] == [["hi"]] * 2
    with pytest.raises(OptionError, match="no column 'Texte'"):
        rows_of("fil;qui;mot\n1;a;b\n", tmp_path, columns={"role": "qui", "content": "Texte"})
    with pytest.raises(TranscriptFormatError, match="the columns no, words, but none"):
        rows_of("no,words\n1,hi\n", tmp_path, columns={"conversation_id": "no"})


def test_huge_cells_nul_bytes_and_an_empty_table(tmp_path: Path) -> None:
    huge = "x" * 200_000
    content = f"conversation_id,role,content\n1,user,{huge}\n1,assistant,a\x00b\n"
    (found,) = rows_of(content, tmp_path)
    assert texts(found) == [huge, "a\ufffdb"]
    assert rows_of("conversation_id,role,content\n", tmp_path) == []


def test_parquet_lacking_columns_or_cut_short(tmp_path: Path) -> None:
    frame = pd.DataFrame({"conversation_id": ["a"], "text": ["hi"]})
    with pytest.raises(TranscriptFormatError, match="columns conversation_id, text"):
        read(write(tmp_path, frame.to_parquet()))
    frame = pd.DataFrame({"chat": ["a"], "who": ["user"], "text": ["hi"]}).astype("category")
    given = {"conversation_id": "chat", "role": "who"}
    (found,) = read(write(tmp_path, frame.to_parquet()), columns=given)
    assert texts(found) == ["hi"]
    with pytest.raises(TranscriptFormatError, match="damaged"):
        read(write(tmp_path, frame.to_parquet()[:-30]))


def test_texts_with_ids_of_conversations(tmp_path: Path) -> None:
    for head, columns in (
        ("id,comment", {"conversation_id": "id", "content": "comment"}),
        ("conversation_id,text", {"content": "text"}),
        ("chat id,words", {"conversation": "chat id", "content": "words"}),
    ):
        found = rows_of(f"{head}\n7,hi\n8,\n", tmp_path, columns=columns)
        assert [(item.id, texts(item)) for item in found] == [("7", ["hi"]), ("8", [""])]
        assert {item.messages[0].role for item in found} == {"user"}
        bad, good = rows_of(f"{head}\n7,hi\n7,{SECRET}\n8,ho\n", tmp_path, columns=columns)
        assert bad.id == "7"
        assert "has 2 rows, but no column says who wrote them; name it" in error_of(bad)
        assert texts(good) == ["ho"]
    rows = '{"chat_id": 1, "prompt": "hi"}\n{"chat_id": 2, "prompt": "ho"}\n'
    found = rows_of(rows, tmp_path, columns={"content": "prompt"})
    assert [item.id for item in found] == ["1", "2"]
    repeated = rows_of("id,comment\n7,a\n7,b\n", tmp_path, columns={"content": "comment"})
    assert [texts(item) for item in repeated] == [["a"], ["b"]]  # ids of rows may repeat


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_no_text_is_the_users_unless_it_is_the_only_one_of_its_conversation(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int]
) -> None:
    rows = "".join(f"{number},text {place}\n" for place, number in enumerate(ids))
    path = write(tmp_path_factory.getbasetemp(), "thread-id,words\n" + rows, "texts.csv")
    found = read(path, columns={"content": "words"})
    good = {item.id: texts(item) for item in found if isinstance(item, Conversation)}
    alone = {str(n): [f"text {ids.index(n)}"] for n in ids if ids.count(n) == 1}
    assert good == alone
    assert len(found) == len(set(ids))


@pytest.mark.parametrize(
    ("content", "columns", "remedies"),
    [
        ("id,words\n1,hi\n", {"conversation_id": "id"}, ["'role': 'who', 'content': 'words'"]),
        ("conversation_id,text\n1,hi\n", {}, ["'role': 'who'", "'content': 'text'"]),
        ("who,text\n1,hi\n", {"role": "who", "content": "text"}, ["'conversation_id': 'chat'"]),
        ('{"prompt": "hi"}\n', {}, ["'content': 'words'"]),
        ('{"text": "hi"}\n', {}, ["'content': 'text'"]),
        (pd.DataFrame({"prompt": ["hi"]}).to_parquet(), {}, ["'content': 'words'"]),
    ],
)
def test_errors_name_the_columns_that_are_missing(
    tmp_path: Path, content: Any, columns: dict[str, str], remedies: list[str]
) -> None:
    with pytest.raises(TranscriptFormatError) as caught:
        read(write(tmp_path, content), columns=columns)
    assert all(remedy in str(caught.value) for remedy in remedies)
    lacking = str(caught.value).partition("columns=")[2].partition(";")[0]
    assert not {f"'{field}'" for field in columns} & {*lacking.replace(":", "").split()}


def test_unknown_roles_say_how_to_name_who_is_who(tmp_path: Path) -> None:
    content = "conversation_id,role,content\n1,client,salut\n1,conseiller,bonjour\n"
    (bad,) = rows_of(content, tmp_path)
    assert "role: unknown role; use user, assistant, system or tool, or name" in error_of(bad)
    assert "(`users`, `assistants`)" in error_of(bad)
    (found,) = rows_of(content, tmp_path, users=["client"])
    assert [message.role for message in found.messages] == ["user", "assistant"]


def test_words_for_oneself_give_way_to_names(tmp_path: Path) -> None:
    content = "conversation_id,sender,content\n1,Ana,hi\n1,Me,hello\n"
    (found,) = rows_of(content, tmp_path, users=["Ana"])
    assert [message.role for message in found.messages] == ["user", "assistant"]
