"""Times that cannot be read are counted in every format, and numbers that are none are none."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib._values import to_time
from affectlib.conversation import Conversation
from affectlib.formats import ReadReport
from tests.transcript_files import chat, lines, read, texts, write
from tools.fuzz.chat_exports import ALL_EXPORTS
from tools.fuzz.run import write as write_export

UNREADABLE = [
    "03/04/2025 10:00",
    "yesterday",
    "2025-13-45",
    99_999_999_999_999_999,
    True,
    {"seconds": 1},
    ["2025"],
]
FIELDS = {"timestamp", "created_at", "create_time", "created_date", "date", "date_unixtime"}


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_time_that_cannot_be_read_is_counted(tmp_path: Path, value: Any) -> None:
    record = chat("one", "two", timestamp=value)
    record["messages"][1]["timestamp"] = value
    report = ReadReport()
    (found,) = read(write(tmp_path, lines(record)), report=report)
    assert isinstance(found, Conversation)
    assert {message.timestamp for message in found.messages} == {None}
    assert not found.metadata
    assert (report.dropped["time"].count, report.dropped["time"].places) == (2, ["line 1"])


@pytest.mark.parametrize("value", [None, "", "  ", "2025-01-02", 1_735_776_000])
def test_no_time_and_a_good_one_are_not_counted(tmp_path: Path, value: Any) -> None:
    report = ReadReport()
    read(write(tmp_path, lines(chat("one", timestamp=value))), report=report)
    assert not report.dropped


def test_a_nested_table_counts_the_times_of_its_messages(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hi", "timestamp": "yesterday"}]
    row = {"conversation_id": "a", "dialogue": messages, "date": "2025-13-45"}
    report = ReadReport()
    read(write(tmp_path, lines(row)), report=report)
    assert report.dropped["time"].count == 2


def spoiled(value: Any) -> tuple[Any, int]:
    """Return JSON with no time that can be read, and how many of its times are so now."""
    if isinstance(value, list):
        parts = [spoiled(part) for part in value]
        return [part for part, _ in parts], sum(count for _, count in parts)
    if not isinstance(value, dict):
        return value, 0
    found = {key: spoiled(part) for key, part in value.items()}
    times = dict.fromkeys(found.keys() & FIELDS, "yesterday")
    counts = sum(count for _, count in found.values())
    return {key: part for key, (part, _) in found.items()} | times, counts + len(times)


@pytest.mark.parametrize(
    "format",
    ["chatgpt", "claude", "claude_code", "convokit", "discord", "intercom", "oasst", "oasst_flat",
     "telegram", "zendesk"],
)  # fmt: skip
def test_every_format_with_times_counts_those_it_cannot_read(
    format: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=[*HealthCheck])
    @given(export=ALL_EXPORTS[format])
    def run(export: Any) -> None:
        records, times = spoiled(copy.deepcopy(dict(export.records)))
        files = {name: json.dumps(record).encode() for name, record in records.items()}
        report = ReadReport()
        found = read(write_export(files, tmp_path_factory.mktemp("times")), report=report)
        assert [*report.formats] == [format]
        assert times
        assert report.dropped["time"].count > 0
        for item in found:
            assert isinstance(item, Conversation), item
            assert all(message.timestamp is None for message in item.messages)

    run()


@pytest.mark.parametrize(
    "content",
    [
        '[{"type": "message", "user": "U1", "bot_id": "B1", "text": "hi", "ts": "1714564800.0001"},'
        '{"type": "message", "user": "U1", "bot_id": "B1", "text": "oh", "ts": "yesterday"}]',
        "13/13/2024, 14:08 - Ana: hi\n12/03/2024, 14:09 - assistant: hello\n",
    ],
    ids=["slack", "whatsapp"],
)
def test_chats_count_a_time_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    report = ReadReport()
    (found,) = read(write(tmp_path, content), report=report)
    assert len(texts(found)) == 2
    assert report.dropped["time"].count == 1


_LATEST = datetime(2287, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1653, 1, 1, tzinfo=UTC)


@given(st.integers() | st.floats() | st.integers(9, 40).map(lambda digits: 10**digits - 1))
def test_no_number_is_a_time_in_a_far_year(number: float) -> None:
    time = to_time(number)
    assert time is None or _EARLIEST < time < _LATEST


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),
    st.sampled_from([1, 1000, 1_000_000, 1_000_000_000]),
)
def test_seconds_and_their_fractions_are_told_apart(time: datetime, unit: int) -> None:
    seconds = int(time.timestamp())
    for number in (seconds * unit, str(seconds * unit)):
        found = to_time(number)
        assert found is not None
        assert abs(found.timestamp() - seconds) < 0.001
