"""ShareGPT records: ``{"id", "conversations": [{"from", "value"}, …]}``.

Converters have produced variants: ``role`` and ``content`` instead of ``from`` and ``value``, and
pieces of long conversations that begin with the assistant. A bare list of messages is read too. All
roles are kept, including the system; calls and results of functions have the role ``tool``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from affectlib.conversation import Conversation
from affectlib.formats._objects import as_dict, require_list
from affectlib.formats.fields import require_one_conversation, to_conversation, to_messages
from affectlib.formats.reader import Reading, RecordReader, each, with_keys


def _recognizes(record: Any) -> str | None:
    if isinstance(record, list) and record and all("from" in as_dict(each) for each in record):
        return 'lists of messages with "from"'
    return with_keys("conversations")(record)


def parse(record: Any, reading: Reading) -> Iterator[Conversation]:
    """Turn a record into a conversation."""
    if isinstance(record, list):
        require_one_conversation(record)
        record = {"conversations": record}
    messages = to_messages(require_list(record, "conversations"), reading.time)
    yield to_conversation(record, messages, reading.time)


READERS = (RecordReader("sharegpt", _recognizes, each(parse)),)
