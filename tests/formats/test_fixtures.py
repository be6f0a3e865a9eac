"""Each file in `tests/formats`, one a format and trap, and what is to be read from it.

A folder is a format. Its ``expected.json`` names the files, and for each of them the conversations
(``role: text``, with the modality if it is voice), what is left out, parts of the failures, fields
of the first conversation, and the same for other choices of branches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affectlib.conversation import Conversation, Message
from affectlib.formats import FORMATS, ReadOptions, ReadReport, read_conversations
from affectlib.predictions import ConversationFailure

FIXTURES = Path(__file__).parents[1] / "data" / "formats"


def cases() -> Iterator[Any]:
    for expected in sorted(FIXTURES.glob("*/expected.json")):
        for name, case in json.loads(expected.read_text(encoding="utf-8")).items():
            path = expected.parent / name
            yield pytest.param(path, case, case, "active", id=f"{path.parent.name}/{name}")
            for branches, other in case.get("branches", {}).items():
                test_id = f"{path.parent.name}/{name} {branches}"
                yield pytest.param(path, case, other, branches, id=test_id)


def line(message: Message) -> str:
    spoken = " (voice)" if message.modality == "voice" else ""
    return f"{message.role}{spoken}: {message.content}"


@pytest.mark.parametrize(("path", "case", "expected", "branches"), [*cases()])
def test_fixture(path: Path, case: dict[str, Any], expected: dict[str, Any], branches: Any) -> None:
    report = ReadReport()
    options = {
        name: case[name]
        for name in ("format", "columns", "users", "assistants", "gap")
        if name in case
    }
    items = list(read_conversations(path, ReadOptions(branches=branches, **options), report=report))
    assert [*report.formats] == [path.parent.name]
    conversations = [item for item in items if isinstance(item, Conversation)]
    assert [
        {"id": found.id, "messages": [*map(line, found.messages)]} for found in conversations
    ] == expected["conversations"]
    dropped = {reason: tally.count for reason, tally in report.dropped.items()}
    assert dropped == expected.get("dropped", {})
    failures = [item.error for item in items if isinstance(item, ConversationFailure)]
    assert len(failures) == len(expected.get("failures", ()))
    for failure, part in zip(failures, expected.get("failures", ()), strict=True):
        assert part in failure
    for field, value in expected.get("first", {}).items():
        first = conversations[0]
        found = first.metadata[field] if field == "started_at" else getattr(first, field)
        assert (found.isoformat() if field == "started_at" else found) == value
    assert (report.conversations, report.failures) == (len(conversations), len(failures))


def test_every_file_is_expected_and_every_format_has_files() -> None:
    folders = {path.parent.name: path for path in FIXTURES.glob("*/expected.json")}
    assert set(folders) == set(FORMATS)
    for expected in folders.values():
        names = {path.name for path in expected.parent.iterdir()} - {"expected.json"}
        assert names == set(json.loads(expected.read_text(encoding="utf-8")))
