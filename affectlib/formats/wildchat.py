"""WildChat and LMSYS-Chat-1M: ``conversation`` is a list of messages with role and content.

Both generations of WildChat's field names are read: ``conversation_id`` or ``conversation_hash``,
and address, country and time for the conversation or for each message. The user id is the hashed
address. Kept as metadata: ``country``, ``toxic``, ``redacted``. Moderation scores and request
headers are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from affectlib._values import to_text
from affectlib.conversation import Conversation
from affectlib.formats._objects import first_of, first_text, require_list
from affectlib.formats.fields import to_conversation, to_messages
from affectlib.formats.reader import Reading, RecordReader, each

_WILDCHAT = ("conversation_hash", "hashed_ip", "toxic", "turn_identifier")
_LMSYS = ("conversation_id", "question_id", "openai_moderation", "moderation", "turn")
_METADATA = ("country", "toxic", "redacted")


def _recognizes(keys: Sequence[str], record: Any) -> str | None:
    if not isinstance(record, Mapping) or not isinstance(record.get("conversation"), list):
        return None
    first = next((m for m in record["conversation"] if isinstance(m, Mapping)), {})
    found = next((key for key in keys if key in record or key in first), None)
    return None if found is None else f'records with "conversation" and "{found}"'


def parse(source: str, record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record of WildChat or LMSYS-Chat-1M into a conversation."""
    given = require_list(record, "conversation")
    messages = [
        replace(message, id=to_text(each.get("turn_identifier")))
        for message, each in zip(to_messages(given, reading.time), given, strict=True)
    ]
    mappings = [record, *given]
    about = {
        **record,
        "user_id": first_text(first_of(mapping, ("user_id", "hashed_ip")) for mapping in mappings),
        "source": record.get("source") or source,
    }
    conversation = to_conversation(about, messages, reading.time)
    found = {name: next((m[name] for m in mappings if name in m), None) for name in _METADATA}
    kept = {name: value for name, value in found.items() if isinstance(value, str | bool)}
    yield replace(conversation, metadata={**conversation.metadata, **kept})


READERS = tuple(
    RecordReader(name, partial(_recognizes, keys), each(partial(parse, name)))
    for name, keys in (("wildchat", _WILDCHAT), ("lmsys", _LMSYS))
)
