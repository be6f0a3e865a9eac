"""Transcript files for the tests, written and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from affectlib.conversation import Conversation
from affectlib.formats import ReadOptions, ReadReport, read_conversations
from affectlib.predictions import ConversationFailure

EXAMPLES = Path(__file__).parent.parent / "examples"
SECRET = "the secret words of a user"


def chat(*texts: str, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return {"messages": messages, **fields}


def write(folder: Path, content: str | bytes, name: str = "in.dat") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def read(
    path: Path | str, *, report: ReadReport | None = None, **options: Any
) -> list[Conversation | ConversationFailure]:
    return list(read_conversations(path, ReadOptions(**options), report=report))


def texts(item: Conversation | ConversationFailure) -> list[str]:
    assert isinstance(item, Conversation), item
    return [message.content for message in item.messages]


def error_of(item: Conversation | ConversationFailure) -> str:
    assert isinstance(item, ConversationFailure), item
    assert SECRET not in item.error
    return item.error


LAYOUTS = {
    "lines": lambda records: lines(*records),
    "lines without a last newline": lambda records: lines(*records).rstrip(),
    "lines with CRLF": lambda records: lines(*records).replace("\n", "\r\n"),
    "lines with blanks": lambda records: "\n" + lines(*records).replace("\n", "\n\n"),
    "array": json.dumps,
    "array, one a line": lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
    "pretty array": lambda records: json.dumps(records, indent=2),
    "pretty documents": lambda records: "\n".join(json.dumps(r, indent=2) for r in records),
}
