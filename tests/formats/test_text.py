"""Text with one message a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import clean_text
from affectlib.errors import TranscriptFormatError
from affectlib.formats import Limits
from tests.transcript_files import error_of, read, texts

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=1), ending=st.sampled_from(["\n", "\r\n"]))
def test_every_line_is_a_conversation(tmp_path: Path, lines: list[str], ending: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("".join(line + ending for line in lines).encode())
    found = read(path, format="text")
    assert [texts(item) for item in found] == [[clean_text(line)] for line in lines]


def test_it_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("I miss her\nsort this list\n")
    with pytest.raises(TranscriptFormatError):
        read(path)


def test_a_line_that_is_too_long_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text(f"short\n{'x' * 100}\nlast")
    first, second, last = read(path, format="text", limits=Limits(record_characters=20))
    assert "line 2: it is longer than the limit" in error_of(second)
    assert "xx" not in error_of(second)
    assert (texts(first), texts(last)) == (["short"], ["last"])
