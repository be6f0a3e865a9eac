"""ConvoKit corpora: a folder with ``utterances.jsonl`` and other files, or only that file.

Older dumps, with ``user``, ``root`` and ``reply-to``, are read too. ConvoKit knows speakers, not
roles. A speaker's role is the one that the caller gave (``users``, ``assistants``). Otherwise it is
the ``role`` or ``type`` in the speaker's meta, or the speaker's name if that is a role (user, bot
…). If an utterance has several replies, the conversation is a tree, and the longest path is the
active one. Meta of utterances and conversations, vectors and the index are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation, Message, Role, is_role, parse_role
from affectlib.errors import ConversationError
from affectlib.formats._json import Record
from affectlib.formats._objects import as_dict, as_text, first_of, text_or_none
from affectlib.formats._tree import Tree
from affectlib.formats.fields import in_order, to_conversation
from affectlib.formats.grouping import Group
from affectlib.formats.reader import (
    HOW_TO_NAME,
    Files,
    FolderReader,
    Item,
    Reading,
    RecordReader,
    read_groups,
)
from affectlib.formats.sources import file_records

_UTTERANCES = ("utterances.jsonl", "utterances.json")
_SPEAKERS = ("speakers.json", "users.json")
_OTHERS = re.compile(r"(?:conversations|corpus|index)\.json|(?:info|vectors?)\.[^/]+")
_SPEAKER = ("speaker", "user")
_CONVERSATION = ("conversation_id", "root")
_REPLY = ("reply_to", "reply-to")


def _recognizes(record: Any) -> str | None:
    record = as_dict(record)
    groups = (("id",), _SPEAKER, _CONVERSATION, _REPLY)
    found = [next((name for name in names if name in record), None) for names in groups]
    return None if None in found else 'utterances with "{}", "{}", "{}" and "{}"'.format(*found)


def _recognizes_folder(files: Files, reading: Reading) -> str | None:
    names = [name for name in (*_UTTERANCES, "corpus.json", "index.json") if name in files.names]
    return " and ".join(names) if len(names) > 1 and names[0] in _UTTERANCES else None


def read(
    records: Iterator[Record], reading: Reading, roles: Mapping[str, Any] | None = None
) -> Iterator[Item]:
    """Read conversations from utterances; `roles` are those in the meta of speakers."""
    return read_groups(
        records,
        reading,
        lambda utterance: to_text(first_of(utterance, _CONVERSATION)),
        lambda group, _: _conversations(group, roles or {}, reading),
    )


def read_folder(files: Files, reading: Reading) -> Iterator[Item]:
    """Read conversations from a corpus's folder."""
    utterances = next(name for name in _UTTERANCES if name in files.names)
    roles: dict[str, Any] = {}
    for name in _SPEAKERS:
        if name in files.names:
            for record in file_records(files, name, reading):
                speakers = as_dict(record.value).items()
                roles |= {speaker: _role_in_meta(about) for speaker, about in speakers}
    reading.file = utterances
    yield from read(file_records(files, utterances, reading), reading, roles)


def _owns(name: str) -> bool:
    return name in (*_UTTERANCES, *_SPEAKERS) or _OTHERS.fullmatch(name) is not None


READERS = (
    FolderReader("convokit", _recognizes_folder, read_folder, _owns),
    RecordReader("convokit", _recognizes, read),
)


def _role_in_meta(about: Any) -> Any:
    about = as_dict(about)
    return first_of(as_dict(about.get("meta", about)), ("role", "type"))


def _conversations(
    group: Group, roles: Mapping[str, Any], reading: Reading
) -> Iterator[Conversation]:
    messages: dict[str, Message] = {}
    parents: dict[str, str | None] = {}
    speakers: dict[str, str | None] = {}
    for index, utterance in enumerate(reading.rows(group)):
        name = to_text(utterance.get("id")) or f"utterance {index}"
        if name in messages:
            reading.drop("duplicate")
            continue
        messages[name] = _message(utterance, index, roles, reading)
        parents[name] = to_text(first_of(utterance, _REPLY))
        speakers[name] = to_text(first_of(utterance, _SPEAKER))
    if not any(parent in parents for parent in parents.values()):
        times = [message.timestamp for message in messages.values()]
        order = [*messages] if None in times else in_order([*messages], times)
        parents = dict(zip(order, [None, *order], strict=False))
    for branch, path in Tree.of(parents, parents.keys()).paths(None, reading):
        users = [speakers[name] for name in path if messages[name].role == "user"]
        about = {
            "id": group.key,
            "user_id": users[0] if users else None,
            "timestamp": messages[path[0]].timestamp if path else None,
            "source": "convokit",
        }
        yield to_conversation(about, [messages[name] for name in path], branch=branch)


def _message(
    utterance: Mapping[str, Any], index: int, roles: Mapping[str, Any], reading: Reading
) -> Message:
    text = text_or_none(utterance.get("text"), "text", index)
    return Message(
        _role(first_of(utterance, _SPEAKER), index, roles, reading),
        text or "",
        id=to_text(utterance.get("id")),
        timestamp=reading.time(utterance.get("timestamp")),
    )


def _role(speaker: Any, index: int, roles: Mapping[str, Any], reading: Reading) -> Role:
    if (named := reading.role_of(speaker)) is not None:
        return named
    for word in (roles.get(as_text(speaker)), speaker):
        if is_role(word):
            return parse_role(word)
    raise ConversationError(
        f"the speaker has no role; name the users or the assistants {HOW_TO_NAME}",
        index=index,
        field="speaker",
    )
