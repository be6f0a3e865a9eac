"""What is in a collection of transcripts, without its text: counts, dates, languages, users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any

from affectlib._extras import requires_extra
from affectlib.conversation import Conversation
from affectlib.errors import ConversationFailure
from affectlib.formats._literals import PARSING

UNKNOWN = "unknown"

_LETTERS_NEEDED = 20
_LETTERS_READ = 1000
_PROBABILITY_NEEDED = 0.5
_MODELS = 1000
_OTHERS = "others"


@dataclass(slots=True)
class Inspection:
    """What is in a collection of transcripts; where nothing else is said, conversations."""

    conversations: int = 0
    failures: int = 0  # records that could not be read
    messages: Counter[str] = field(default_factory=Counter)  # by role
    empty_messages: int = 0  # without text: images, calls of tools
    without_user_text: int = 0  # in which the user wrote nothing that can be read
    first: datetime | None = None  # the earliest time of a message or conversation
    last: datetime | None = None
    undated: int = 0  # without any time
    languages: Counter[str] = field(default_factory=Counter)  # as detected, if that was asked for
    stated_languages: Counter[str] = field(default_factory=Counter)  # as the file states them
    modalities: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    users: int = 0  # different ids of users
    without_user: int = 0
    without_id: int = 0
    repeated_ids: int = 0  # whose id another one before them has

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def inspect_conversations(
    items: Iterable[Conversation | ConversationFailure],
    *,
    detect: Callable[[str], str] | None = None,
) -> Inspection:
    """Count what is in a collection of transcripts, as `read_conversations` yields it.

    `detect` returns the language of a text; see `language_detector`. Memory grows only by a short
    hash for each id and user.

    Example:
        >>> from affectlib.formats import read_conversations
        >>> found = inspect_conversations(read_conversations("examples/conversations.json"))
        >>> found.conversations, found.messages["user"], found.modalities
        (3, 7, Counter({'text': 3}))
    """
    found = Inspection()
    ids: set[bytes] = set()
    users: set[bytes] = set()
    for item in items:
        if isinstance(item, ConversationFailure):
            found.failures += 1
            continue
        found.conversations += 1
        for message in item.messages:
            found.messages[message.role] += 1
            found.empty_messages += not message.content.strip()
        found.without_user_text += not any(m.content.strip() for m in item.user_messages)
        _count_times(found, item)
        for tally, value in (
            (found.stated_languages, item.language),
            (found.modalities, item.modality),
            (found.models, item.model),
            (found.sources, item.source),
        ):
            if value is not None:
                tally[value if value in tally or len(tally) < _MODELS else _OTHERS] += 1
        if detect is not None:
            texts = "\n".join(message.content[:_LETTERS_READ] for message in item.user_messages)
            found.languages[detect(texts[:_LETTERS_READ])] += 1
        found.without_id += item.id is None
        found.without_user += item.user_id is None
        if item.id is not None:
            found.repeated_ids += _digest(item.id) in ids
            ids.add(_digest(item.id))
        if item.user_id is not None:
            users.add(_digest(item.user_id))
    found.users = len(users)
    return found


def language_detector() -> Callable[[str], str]:
    """Return a function that tells the language of a text by its ISO 639-1 code.

    It is ``unknown`` where a text has fewer than 20 letters, or no language reaches a probability
    of one half. The detector is langid.py's (Lui and Baldwin 2012) as py3langid carries it on; it
    knows 97 languages and works offline.

    Raises:
        MissingExtraError: The library is not installed.

    Example:
        >>> language_detector()("Je ne sais plus quoi faire depuis qu'il est parti.")
        'fr'
    """
    with requires_extra("formats"), PARSING:  # NumPy parses the headers of the tables as literals
        identifier = _load_identifier()

    def detect(text: str) -> str:
        if sum(map(str.isalpha, text[:_LETTERS_READ])) < _LETTERS_NEEDED and text.isascii():
            return UNKNOWN
        language, probability = identifier.classify(text)
        return str(language) if probability >= _PROBABILITY_NEEDED else UNKNOWN

    return detect


@cache
def _load_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _count_times(found: Inspection, conversation: Conversation) -> None:
    started_at = conversation.metadata.get("started_at")
    times = [message.timestamp for message in conversation.messages if message.timestamp]
    times += [started_at] if isinstance(started_at, datetime) else []
    if not times:
        found.undated += 1
        return
    found.first = min(filter(None, [*times, found.first]))
    found.last = max(filter(None, [*times, found.last]))


def _plain(value: Any) -> Any:
    if isinstance(value, Counter):
        return dict(value.most_common())
    return value.isoformat() if isinstance(value, datetime) else value


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
