"""What is in the cells of Parquet and Arrow files: bytes, ids and times of every type."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.formats import ReadReport
from affectlib.formats._progress import Progress
from affectlib.formats.grouping import Row, grouped
from tests.transcript_files import error_of, read, texts


def table(folder: Path, **columns: Any) -> Path:
    """Write a long table of two messages, with some columns in the place of the usual ones."""
    usual = {"conversation_id": ["1", "1"], "role": ["user", "bot"], "content": ["hi", "oh"]}
    pq.write_table(pa.table(usual | columns), folder / "in.parquet")
    return folder / "in.parquet"


def nested(folder: Path, messages: pa.Array, **columns: Any) -> Path:
    pq.write_table(pa.table({"messages": messages, **columns}), folder / "in.parquet")
    return folder / "in.parquet"


BINARY = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary())]


@pytest.mark.parametrize("kind", BINARY, ids=str)
@pytest.mark.parametrize("text", ["so sad", "café", "naïve 🙂"])
def test_a_long_table_of_bytes_is_read_as_text(
    tmp_path: Path, kind: pa.DataType, text: str
) -> None:
    content = pa.array([text.encode(), b"oh"], pa.binary()).cast(kind)
    role = pa.array([b"user", b"bot"], pa.binary()).cast(kind)
    ids = pa.array([b"1", b"1"], pa.binary()).cast(kind)
    try:
        path = table(tmp_path, content=content, role=role, conversation_id=ids)
    except pa.ArrowNotImplementedError:
        pytest.skip(f"pyarrow {pa.__version__} writes no {kind} to Parquet")
    (found,) = read(path)
    assert texts(found) == [text, "oh"]
    assert found.id == "1"


@pytest.mark.parametrize(
    "content",
    [
        [b"\x00\x9d\x81", b"oh"],
        [datetime(2024, 1, 1), datetime(2024, 1, 2)],
        [date(2024, 1, 1), date(2024, 1, 2)],
        [Decimal("1.5"), Decimal("2.5")],
        pa.array([1, 2], pa.duration("s")),
        pa.array([uuid.UUID(int=n).bytes for n in (1, 2)], pa.uuid()),
        [1.5, 2.5],
    ],
    ids=["bytes", "times", "dates", "decimals", "durations", "uuids", "numbers"],
)
def test_what_is_no_text_never_becomes_one(tmp_path: Path, content: Any) -> None:
    (found,) = read(table(tmp_path, content=content))
    assert "messages[0].content: expected text, got" in error_of(found)


def test_bytes_in_nested_messages(tmp_path: Path) -> None:
    kind = pa.list_(pa.struct([("role", pa.binary()), ("content", pa.binary())]))
    messages = pa.array([[{"role": b"user", "content": "café".encode()}]], kind)
    (found,) = read(nested(tmp_path, messages))
    assert texts(found) == ["café"]
    messages = pa.array([[{"role": b"user", "content": b"\x00\xff"}]], kind)
    assert "content: expected text, got" in error_of(read(nested(tmp_path, messages))[0])


def test_a_nested_cell_of_json_in_bytes(tmp_path: Path) -> None:
    cell = b'[{"role": "user", "content": "so sad"}]'
    assert texts(read(nested(tmp_path, pa.array([cell])))[0]) == ["so sad"]


UUIDS = [uuid.UUID(int=n) for n in (1, 2)]
LONG = [Decimal(10**37 + n) for n in (1, 2)]
IDS: dict[str, tuple[pa.Array, list[str] | None]] = {
    "decimal": (pa.array([Decimal("7"), Decimal("8")]), ["7", "8"]),
    "decimal of 38 digits": (pa.array(LONG, pa.decimal128(38, 0)), [*map(str, LONG)]),
    "decimal with a fraction": (pa.array([Decimal("7.00"), Decimal("8.50")]), ["7", "8.50"]),
    "uuid": (pa.array([one.bytes for one in UUIDS], pa.uuid()), [*map(str, UUIDS)]),
    "binary": (pa.array([b"a1", b"a2"], pa.binary()), ["a1", "a2"]),
    "raw binary": (pa.array([sha256(b"1").digest(), sha256(b"2").digest()], pa.binary(32)), None),
    "big-endian integers": (pa.array([b"\0\0\0\t", b"\0\0\0\n"]), ["00000009", "0000000a"]),
    "dictionary": (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    "float": (pa.array([7.0, 8.0]), ["7", "8"]),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_of_every_type(tmp_path: Path, name: str) -> None:
    column, expected = IDS[name]
    path = table(
        tmp_path, conversation_id=column, role=["user"] * 2, message_id=column, user_id=column
    )
    found = read(path)
    assert all(isinstance(item, Conversation) for item in found), found
    assert len({item.id for item in found}) == 2
    if expected is not None:
        assert [item.id for item in found] == expected
        assert [item.messages[0].id for item in found] == expected
        assert [item.user_id for item in found] == expected


@pytest.mark.parametrize(
    ("value", "count", "problem"),
    [
        (date(2024, 1, 1), 300, "expected text or a number, got a date"),
        ([1], 300, "expected text or a number, got a list"),
        ({"a": 1}, 300, "expected text or a number, got an object"),
        (float("nan"), 150, "the cell is empty"),
    ],
)
def test_each_row_without_an_id_that_can_be_read_is_a_failure(
    tmp_path: Path, value: Any, count: int, problem: str
) -> None:
    path = table(
        tmp_path, conversation_id=[value] * count, role=["user"] * count, content=["hi"] * count
    )
    report = ReadReport()
    found = read(path, report=report)
    assert [item.id for item in found] == [None] * count
    assert error_of(found[7]).startswith(f"ConversationError: row 7: conversation_id: {problem}")
    assert (report.failures, report.conversations) == (count, 0)
    assert {kind: tally.count for kind, tally in report.problems.items()} == {
        f"conversation_id: {problem}": count
    }


@pytest.mark.parametrize("kind", ["timestamp[us]", "timestamp[us, tz=UTC]", "timestamp[ms]"])
def test_a_time_out_of_range_costs_itself_only(tmp_path: Path, kind: str) -> None:
    zone = "UTC" if "tz" in kind else None
    times = pa.array([2**62, 0], pa.timestamp("ms" if "[ms" in kind else "us", tz=zone))
    report = ReadReport()
    (found,) = read(table(tmp_path, timestamp=times), report=report)
    assert texts(found) == ["hi", "oh"]
    assert [m.timestamp for m in found.messages] == [None, datetime(1970, 1, 1, tzinfo=UTC)]
    assert (report.dropped["time"].count, report.dropped["time"].places) == (1, ["row 0"])
    assert report.failures == 0


def test_a_time_zone_that_is_unknown_loses_nothing(tmp_path: Path) -> None:
    times = pa.array([0, 60], pa.timestamp("s", tz="Mars/Olympus_Mons"))
    (found,) = read(table(tmp_path, timestamp=times))
    assert [message.timestamp for message in found.messages] == [
        datetime(1970, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 1)
    ]


def test_times_out_of_range_in_nested_messages(tmp_path: Path) -> None:
    kind = pa.list_(
        pa.struct(
            [("role", pa.string()), ("content", pa.string()), ("timestamp", pa.timestamp("us"))]
        )
    )
    turns = [{"role": "user", "content": "hi", "timestamp": time} for time in (2**62, 5)]
    report = ReadReport()
    path = nested(tmp_path, pa.array([turns, turns[1:]], kind), date=pa.array([5, 2**30]))
    first, second = read(path, report=report)
    assert texts(first) == ["hi", "hi"]
    assert [m.timestamp is None for m in first.messages] == [True, False]
    assert texts(second) == ["hi"]
    assert report.dropped["time"].count == 1


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=9),
        st.datetimes(timezones=st.none() | st.just(UTC)),
        st.dates(),
        st.decimals(allow_nan=False),
        st.uuids(),
        st.text(),
        st.dictionaries(st.sampled_from(["\x00type", "value", "a"]), st.text(max_size=9)),
    )
)
def test_values_that_go_through_the_temporary_file_keep_their_type(value: Any) -> None:
    row = Row("row 0", {"x": value})
    (group,) = grouped([("a", row)], limit=10**6, progress=Progress())
    found = group.rows[0].fields["x"]
    if not isinstance(value, dict):
        assert (type(found), found) == (type(value), value)
    else:
        assert not isinstance(found, str)


def test_bytes_of_windows_1252_are_read_as_those_of_a_file(tmp_path: Path) -> None:
    (found,) = read(table(tmp_path, content=["déjà".encode("cp1252"), b"oh"]))
    assert texts(found) == ["déjà", "oh"]
