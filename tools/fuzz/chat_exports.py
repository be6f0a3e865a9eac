"""Strategies that build valid exports of chat platforms, and those of all formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tools.fuzz.exports import EXPORTS, Export, Turns, _chats

_START = 1714564800
_NAMES = {"user": "Ana", "assistant": "ChatGPT"}


def _discord(chat: tuple[str, Turns]) -> Export:
    identifier, turns = chat
    messages = [
        {
            "id": str(index),
            "type": "Default" if index % 2 else "Reply",
            "timestamp": f"2024-05-01T12:00:{index:02}+00:00",
            "content": text,
            "author": {
                "id": role[0],
                "name": _NAMES[role],
                "isBot": role == "assistant",
            },
            "attachments": [],
            "embeds": [],
        }
        for index, (role, text) in enumerate(turns)
    ]
    channel = {"id": identifier, "type": "DirectTextChat", "name": "c"}
    record = {"guild": {"id": "0"}, "channel": channel, "messages": [*messages, _bot(len(turns))]}
    return Export("discord", {"in.json": record}, [[*turns, ("assistant", "!")]])


def _bot(index: int) -> dict[str, Any]:
    return {
        "id": str(index),
        "type": "20",
        "timestamp": f"2024-05-01T12:00:{index:02}+00:00",
        "content": "!",
        "author": {"id": "b", "name": "Helper", "isBot": True},
    }


def _slack_messages(turns: Turns) -> list[dict[str, Any]]:
    both = [*turns, ("assistant", "!")]
    return [
        {
            "type": "message",
            "user": {"user": "U1", "assistant": "U2"}[role],
            "text": _escaped(text),
            "ts": f"{_START + index}.000100",
            **({"bot_id": "B1"} if role == "assistant" else {}),
        }
        for index, (role, text) in enumerate(both)
    ]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack(found: list[tuple[str, Turns]]) -> Export:
    messages = [
        {**message, "thread_ts": f"{_START + number}.000200", "ts": f"{_START + number}.{index:06}"}
        for number, (_, turns) in enumerate(found)
        for index, message in enumerate(_slack_messages(turns))
    ]
    read = [[*turns, ("assistant", "!")] for _, turns in found]
    return Export("slack", {"in.json": messages}, read)


def _slack_folder(chat: tuple[str, Turns]) -> Export:
    messages = _slack_messages(chat[1])
    users = [
        {"id": "U1", "name": "ana", "is_bot": False, "profile": {"display_name": "Ana"}},
        {"id": "U2", "name": "helper", "is_bot": True, "profile": {"bot_id": "B1"}},
    ]
    files: dict[str, Any] = {
        "users.json": users,
        "channels.json": [{"id": "C1", "name": "general", "members": ["U1"]}],
        "general/2024-05-01.json": messages[:1],
        "general/2024-05-02.json": messages[1:],
    }
    return Export("slack", files, [[*chat[1], ("assistant", "!")]])


def _telegram_chat(identifier: int, turns: Turns) -> dict[str, Any]:
    bot = f"user{identifier}"
    messages = [
        {
            "id": index,
            "type": "message",
            "date": "2024-05-01T12:00:00",
            "date_unixtime": str(_START + index),
            "from": _NAMES[role],
            "from_id": {"user": "user1", "assistant": bot}[role],
            "text": [text[:3], {"type": "bold", "text": text[3:]}] if index % 2 else text,
            "text_entities": [],
        }
        for index, (role, text) in enumerate(turns)
    ]
    return {"name": "Helper", "type": "bot_chat", "id": identifier, "messages": messages}


def _telegram(found: list[tuple[str, Turns]]) -> Export:
    read = [[*turns, ("assistant", "!")] for _, turns in found]
    several = [_telegram_chat(1000 + number, turns) for number, turns in enumerate(read)]
    whole = {"about": "a", "chats": {"about": "b", "list": several}}
    record = several[0] if len(several) == 1 else whole
    return Export("telegram", {"result.json": record}, read)


def _html(text: str) -> str:
    return f"<p>{_escaped(text)}</p>"


def _intercom(identifier: str, turns: Turns) -> dict[str, Any]:
    parts = [
        {
            "type": "conversation_part",
            "id": str(index),
            "part_type": "comment",
            "body": _html(text),
            "created_at": _START + index,
            "author": {"id": role, "type": {"user": "lead", "assistant": "admin"}[role]},
        }
        for index, (role, text) in enumerate(turns)
    ]
    return {
        "type": "conversation",
        "id": identifier,
        "created_at": _START,
        "source": {**parts[0], "type": "conversation"},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": parts[1:]},
    }


def _zendesk(identifier: str, turns: Turns) -> dict[str, Any]:
    comments = [
        {
            "id": index,
            "type": "Comment",
            "author_id": {"user": 11, "assistant": 12}[role],
            "html_body": _html(text),
            "public": True,
            "created_at": "2024-05-01T12:00:00Z",
        }
        for index, (role, text) in enumerate(turns)
    ]
    return {"id": identifier, "subject": "s", "requester_id": 11, "comments": comments}


def _activities(turns: Turns) -> list[tuple[str, str]]:
    texts = [text for _, text in turns]
    return [(texts[index], (texts[index + 1 :] or [""])[0]) for index in range(0, len(texts), 2)]


def _gemini_json(found: list[tuple[str, Turns]]) -> Export:
    records = [
        {
            "header": "Gemini Apps",
            "title": f"Prompted {prompt}",
            "time": f"2024-05-{20 - number:02}T12:{index:02}:00.000Z",
            "products": ["Gemini Apps"],
            "safeHtmlItem": [{"html": _html(answer)}] if answer else [],
        }
        for number, (_, turns) in enumerate(found)
        for index, (prompt, answer) in reversed([*enumerate(_activities(turns))])
    ]
    return Export("gemini", {"MyActivity.json": records}, [turns for _, turns in found])


def _gemini_html(found: list[tuple[str, Turns]]) -> Export:
    cells = [
        '<div class="outer-cell mdl-cell"><div class="mdl-grid"><div class="header-cell mdl-cell">'
        '<p class="mdl-typography--title">Gemini Apps<br></p></div>'
        '<div class="content-cell mdl-cell mdl-typography--body-1">'
        f"Prompted\u00a0{_escaped(prompt)}<br>May {20 - number}, 2024, 12:{index:02}:00 PM UTC<br>"
        f"{_html(answer)}</div></div></div>"
        for number, (_, turns) in enumerate(found)
        for index, (prompt, answer) in reversed([*enumerate(_activities(turns))])
    ]
    page = f'<html><body><div class="mdl-grid">{"".join(cells)}</div></body></html>'
    return Export("gemini", {"MyActivity.html": page}, [turns for _, turns in found])


def _whatsapp(stamp: Callable[[int], str]) -> Callable[[tuple[str, Turns]], Export]:
    def build(chat: tuple[str, Turns]) -> Export:
        turns = [*chat[1], ("assistant", "!")]
        text = "".join(
            f"{stamp(index)}{_NAMES[role]}: {text}\n" for index, (role, text) in enumerate(turns)
        )
        return Export("whatsapp", {"chat.txt": text}, [turns])

    return build


def _typed(chat: tuple[str, Turns]) -> Export:
    turns: Turns = [("user", "?"), *chat[1], ("assistant", "!")]
    text = "".join(f"{role.title()}: {text}\n" for role, text in turns)
    return Export("plain", {"chat.txt": text}, [turns])


_plain = _chats().map(
    lambda found: [
        (identifier, [(role, re.sub(r"\s+", " ", text)) for role, text in turns])
        for identifier, turns in found
    ]
)
_one = _plain.map(lambda found: found[0])

ALL_EXPORTS: dict[str, st.SearchStrategy[Export]] = {
    **EXPORTS,
    "discord": _one.map(_discord),
    "slack": _plain.map(_slack) | _one.map(_slack_folder),
    "telegram": _plain.map(_telegram),
    "intercom": _plain.map(
        lambda found: Export(
            "intercom", {"in.json": [_intercom(*one) for one in found]}, [t for _, t in found]
        )
    ),
    "zendesk": _plain.map(
        lambda found: Export(
            "zendesk", {"in.json": [_zendesk(*one) for one in found]}, [t for _, t in found]
        )
    ),
    "gemini": _plain.map(_gemini_json) | _plain.map(_gemini_html),
    "plain": _one.map(_typed),
    "whatsapp": _one.map(_whatsapp(lambda index: f"12/03/2024, 14:{index:02} - "))
    | _one.map(_whatsapp(lambda index: f"\u200e[3/12/24, 2:{index:02}:18\u202fPM] "))
    | _one.map(_whatsapp(lambda index: f"12.3.2024 klo 14.{index:02} - ")),
}
"""A strategy for each format."""
