"""Stray quotes in CSV: what they cost, and that they cost no other rows."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.formats import Limits
from affectlib.predictions import ConversationFailure
from tests.transcript_files import error_of, read, texts, write

HEAD = "conversation_id,role,content\n"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('2,user,"unclosed\n3,user,I feel so lonely\n4,user,"other"\n5,user,fine\n', "3 4 5"),
        ('2,user,"unclosed\n3,user,no quote\n4,user,at all\n', "3 4"),
        ('2,user,"unclosed\n3,user,"two\nlines"\n4,user,fine\n', "3 4"),
        ('2,user,"unclosed\n3,user,"closed"\n4,user,"unclosed too\n5,user,fine\n', "3 5"),
        ('2,user,"closes in a later one\n3,user,a"b\n4,user,"fine"', "3 4"),
    ],
)
def test_a_stray_quote_costs_its_row_only(tmp_path: Path, rows: str, expected: str) -> None:
    found = read(write(tmp_path, HEAD + "1,user,hello\n" + rows))
    assert [item.id for item in found if isinstance(item, Conversation)] == ["1", *expected.split()]
    bad = [item for item in found if isinstance(item, ConversationFailure)]
    assert [item.id for item in bad] == ["2", "4"][: len(bad)]
    assert error_of(bad[0]).startswith("ConversationError: line 3: ")
    assert "a quote" in error_of(bad[0])


def test_quotes_within_a_cell_of_one_line_are_read(tmp_path: Path) -> None:
    rows = '1,user,"She said "no" to me"\n1,assistant,"oh" ,\n1,user,so "what"\n'
    (found,) = read(write(tmp_path, HEAD + rows))
    assert texts(found) == ['She said no" to me"', "oh ", 'so "what"']


def test_a_cell_left_open_in_a_line_with_stray_quotes_is_a_failure(tmp_path: Path) -> None:
    bad, good = read(write(tmp_path, HEAD + '"1"x,user,"open\n3,user,y\n'))
    assert "line 2: a quote is missing" in error_of(bad)
    assert texts(good) == ["y"]


_words = st.text("ab ,;é", max_size=8).map(lambda text: f"w{text}")
_lines_of_words = st.lists(_words, min_size=1, max_size=3).map("\n".join)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(contents=st.lists(_lines_of_words, min_size=1, max_size=8), data=st.data())
def test_any_row_with_a_stray_quote_costs_itself_only(
    tmp_path: Path, contents: list[str], data: st.DataObject
) -> None:
    stray = data.draw(st.integers(0, len(contents) - 1))
    file = io.StringIO()
    file.write(HEAD)
    writer = csv.writer(file, lineterminator="\n")
    for number, content in enumerate(contents):
        if number == stray:
            file.write(f'{number},user,"never closed\n')
        else:
            writer.writerow([number, "user", content])
    found = read(write(tmp_path, file.getvalue()))
    good = {item.id: texts(item) for item in found if isinstance(item, Conversation)}
    assert good == {str(n): [text] for n, text in enumerate(contents) if n != stray}
    assert [item.id for item in found if isinstance(item, ConversationFailure)] == [str(stray)]


@pytest.mark.parametrize("last", ['z"w\n', ""])
def test_hostile_quotes_take_little_time(tmp_path: Path, last: str) -> None:
    # Each line opens a cell that goes on to the end, and so would the next one, read again.
    rows = "".join(f'{number}","y\n' for number in range(20_000)) + last
    begun = time.perf_counter()
    found = read(write(tmp_path, HEAD + rows), limits=Limits(record_characters=1 << 20))
    assert time.perf_counter() - begun < 10
    assert all(isinstance(item, ConversationFailure) for item in found)
    assert any("lines were not read" in error_of(item) for item in found)
