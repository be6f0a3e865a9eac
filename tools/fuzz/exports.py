"""Strategies that build valid exports of every format, together with what is to be read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

SECRET = "zqx secret"
"""Words that stand in every text, and may be in no error and no report.

They are two: an error may quote a single word in the place of a column's name or of a role.
"""

Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class Export:
    """An export, and what is in it.

    Attributes:
        format: Its format.
        records: The records of its JSON files, or the text of others, by the files' names.
        turns: What is to be read: role and text of each conversation's messages.
    """

    format: str
    records: Mapping[str, Any]
    turns: list[Turns]

    def files(self, *, as_lines: bool = False) -> dict[str, bytes]:
        return {name: encode(value, as_lines=as_lines) for name, value in self.records.items()}


def encode(value: Any, *, as_lines: bool = False) -> bytes:
    """Return text as UTF-8, and records as a JSON array, or as lines."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if as_lines and isinstance(value, list):
        return "".join(json.dumps(record) + "\n" for record in value).encode()
    return json.dumps(value).encode()


_text = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters='"'),
    max_size=12,
).map(lambda text: f"{SECRET} {text}.")
_identifier = st.text("abcdefgh0123456789-", min_size=1, max_size=8).map(lambda text: f"i{text}")


@st.composite
def _turns(draw: st.DrawFn, *, least: int = 1, most: int = 5) -> Turns:
    texts = draw(st.lists(_text, min_size=least, max_size=most))
    return [(("user", "assistant")[index % 2], text) for index, text in enumerate(texts)]


@st.composite
def _chats(draw: st.DrawFn) -> list[tuple[str, Turns]]:
    identifiers = draw(st.lists(_identifier, min_size=1, max_size=3, unique=True))
    return [(identifier, draw(_turns())) for identifier in identifiers]


def _of(
    format: str, build: Callable[[str, Turns], Any], name: str = "in.json"
) -> st.SearchStrategy[Export]:
    """Make exports of which each record is a conversation."""
    return _chats().map(
        lambda chats: Export(
            format, {name: [build(*chat) for chat in chats]}, [turns for _, turns in chats]
        )
    )


def _rows_of(
    format: str, build: Callable[[str, int, str, str], Any], name: str = "in.json"
) -> st.SearchStrategy[Export]:
    """Make exports of which each record is a message."""
    return _chats().map(
        lambda chats: Export(
            format,
            {
                name: [
                    build(identifier, index, role, text)
                    for identifier, turns in chats
                    for index, (role, text) in enumerate(turns)
                ]
            },
            [turns for _, turns in chats],
        )
    )


def _chatgpt(identifier: str, turns: Turns) -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None}}
    parent = "root"
    for index, (role, text) in enumerate(turns):
        mapping[f"n{index}"] = {
            "id": f"n{index}",
            "parent": parent,
            "children": [f"n{index + 1}"] if index + 1 < len(turns) else [],
            "message": {
                "id": f"m{index}",
                "author": {"role": role, "metadata": {}},
                "create_time": 1714564800.5 + index,
                "content": {"content_type": "text", "parts": [text]},
                "weight": 1.0,
                "recipient": "all",
                "metadata": {"model_slug": "gpt-4o"},
            },
        }
        parent = f"n{index}"
    return {"id": identifier, "title": "t", "mapping": mapping, "current_node": parent}


def _claude(identifier: str, turns: Turns) -> dict[str, Any]:
    return {
        "uuid": identifier,
        "name": "t",
        "created_at": "2025-02-01T08:00:00Z",
        "account": {"uuid": "u"},
        "chat_messages": [
            {
                "uuid": f"m{index}",
                "parent_message_uuid": f"m{index - 1}",
                "sender": {"user": "human"}.get(role, role),
                "text": text,
                "content": [{"type": "text", "text": text}],
                "created_at": "2025-02-01T08:00:00Z",
                "attachments": [],
                "files": [],
            }
            for index, (role, text) in enumerate(turns)
        ],
    }


def _claude_code(identifier: str, index: int, role: str, text: str) -> dict[str, Any]:
    return {
        "type": role,
        "sessionId": identifier,
        "uuid": f"{identifier}-{index}",
        "parentUuid": f"{identifier}-{index - 1}" if index else None,
        "timestamp": "2025-06-01T10:00:00Z",
        "message": {"role": role, "content": [{"type": "text", "text": text}]},
    }


def _oasst_message(index: int, role: str, text: str) -> dict[str, Any]:
    return {
        "message_id": f"m{index}",
        "role": {"user": "prompter"}.get(role, role),
        "text": text,
        "lang": "en",
        "rank": 0,
        "deleted": False,
        "created_date": "2023-02-05T14:23:50.983374+00:00",
    }


def _oasst(identifier: str, turns: Turns) -> dict[str, Any]:
    replies: list[Any] = []
    for index, (role, text) in reversed([*enumerate(turns)]):
        replies = [_oasst_message(index, role, text) | {"replies": replies}]
    return {"message_tree_id": identifier, "tree_state": "ready_for_export", "prompt": replies[0]}


def _oasst_flat(identifier: str, index: int, role: str, text: str) -> dict[str, Any]:
    parent = f"m{index - 1}" if index else None
    return _oasst_message(index, role, text) | {"message_tree_id": identifier, "parent_id": parent}


def _utterance(identifier: str, index: int, role: str, text: str) -> dict[str, Any]:
    return {
        "id": f"{identifier}-{index}",
        "speaker": role,
        "conversation_id": identifier,
        "reply_to": f"{identifier}-{index - 1}" if index else None,
        "timestamp": 1714564800 + index,
        "text": text,
        "meta": {},
    }


def _messages(turns: Turns, role: str = "role", content: str = "content") -> list[dict[str, Any]]:
    return [{role: who, content: text} for who, text in turns]


def _human_assistant(turns: Turns) -> str:
    marks = {"user": "Human", "assistant": "Assistant"}
    return "".join(f"\n\n{marks[role]}: {text}" for role, text in turns)


def _csv(chats: list[tuple[str, Turns]]) -> Export:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["conversation_id", "turn", "role", "content"])
    for identifier, turns in chats:
        writer.writerows([identifier, index, *turn] for index, turn in enumerate(turns))
    return Export("table", {"in.csv": file.getvalue()}, [turns for _, turns in chats])


def _corpus(export: Export) -> Export:
    others = {"speakers.json": {"user": {"meta": {}}, "assistant": {"meta": {}}}, "corpus.json": {}}
    return Export(export.format, {**export.records, **others}, export.turns)


EXPORTS: dict[str, st.SearchStrategy[Export]] = {
    "affectlib": _of(
        "affectlib", lambda i, turns: {"affectlib": 1, "id": i, "messages": _messages(turns)}
    ),
    "chatgpt": _of("chatgpt", _chatgpt),
    "claude": _of("claude", _claude),
    "claude_code": _rows_of("claude_code", _claude_code),
    "openai": _of("openai", lambda i, turns: {"id": i, "model": "m", "messages": _messages(turns)}),
    "sharegpt": _of(
        "sharegpt", lambda i, turns: {"id": i, "conversations": _messages(turns, "from", "value")}
    ),
    "wildchat": _of(
        "wildchat",
        lambda i, turns: {
            "conversation_hash": i,
            "hashed_ip": "h",
            "toxic": False,
            "conversation": _messages(turns),
        },
    ),
    "lmsys": _of(
        "lmsys",
        lambda i, turns: {"conversation_id": i, "turn": 1, "conversation": _messages(turns)},
    ),
    "oasst": _of("oasst", _oasst),
    "oasst_flat": _rows_of("oasst_flat", _oasst_flat),
    "convokit": _rows_of("convokit", _utterance, "utterances.jsonl")
    | _rows_of("convokit", _utterance, "utterances.jsonl").map(_corpus),
    "anthropic_hh": _of("anthropic_hh", lambda _, turns: {"chosen": _human_assistant(turns)})
    | _turns().map(
        lambda turns: Export("anthropic_hh", {"in.txt": _human_assistant(turns)}, [turns])
    ),
    "table": _chats().map(_csv)
    | _rows_of(
        "table",
        lambda i, index, role, text: {
            "conversation_id": i,
            "turn": index,
            "role": role,
            "content": text,
        },
    )
    | _of("table", lambda i, turns: {"conversation_id": i, "dialogue": _messages(turns)}),
}
"""A strategy for each format."""
