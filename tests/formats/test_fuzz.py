"""Valid exports of every format are read whole, damaged ones without a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation
from affectlib.formats import FORMATS, ReadReport, read_conversations
from tools.fuzz.chat_exports import ALL_EXPORTS as EXPORTS
from tools.fuzz.exports import Export
from tools.fuzz.run import MUTATIONS, fuzz, write


def test_every_format_has_exports() -> None:
    named_only = {"text"}  # any text has lines, so that nothing tells it
    assert set(EXPORTS) == set(FORMATS) - named_only


@pytest.mark.parametrize("format", EXPORTS)
def test_valid_exports_are_read_whole(
    format: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(export=EXPORTS[format], as_lines=st.booleans())
    def run(export: Export, as_lines: bool) -> None:
        path = write(export.files(as_lines=as_lines), tmp_path_factory.mktemp("valid"))
        report = ReadReport()
        found = []
        for item in read_conversations(path, report=report):
            assert isinstance(item, Conversation), item
            found.append([(message.role, message.content) for message in item.messages])
        assert [*report.formats] == [format]
        assert found == export.turns
        assert not report.dropped

    run()


@pytest.mark.parametrize("format", EXPORTS)
def test_damaged_exports_do_no_harm(format: str, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    outcome = fuzz(format, 8, folder)
    assert outcome.inputs == 8 * MUTATIONS
    assert outcome.conversations > 0
    assert outcome.failures > 0
