"""Text with one message a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation, clean_text
from affectlib.errors import TranscriptFormatError
from affectlib.formats import Limits, ReadOptions, read_conversations
from affectlib.predictions import ConversationFailure

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"))


def read(path: Path, **options: object) -> list[Conversation | ConversationFailure]:
    return [*read_conversations(path, ReadOptions(format="text", **options))]  # type: ignore[arg-type]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=1), ending=st.sampled_from(["\n", "\r\n"]))
def test_every_line_is_a_conversation(tmp_path: Path, lines: list[str], ending: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("".join(line + ending for line in lines).encode())
    found = read(path)
    texts = [item.messages[0].content for item in found if isinstance(item, Conversation)]
    assert texts == [clean_text(line) for line in lines]


def test_it_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("I miss her\nsort this list\n")
    with pytest.raises(TranscriptFormatError, match="known formats are"):
        [*read_conversations(path)]


def test_a_line_that_is_too_long_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text(f"short\n{'x' * 100}\nlast")
    first, second, last = read(path, limits=Limits(record_characters=20))
    assert isinstance(second, ConversationFailure)
    assert "line 2: it is longer than the limit" in second.error
    assert "xx" not in second.error
    assert [item.messages[0].content for item in (first, last)] == ["short", "last"]  # type: ignore[union-attr]
