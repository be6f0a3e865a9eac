"""Which conversations repeat what others say, such as evaluation data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from affectlib.conversation import Conversation

SHINGLE_WORDS = 8
MOST_SHARED = 0.3

_WORDS = re.compile(r"\w+")


class EvaluationIndex:
    """Recognises conversations whose user's words occur in others, such as evaluation data.

    A conversation is a near-duplicate if a message of its user of at least `SHINGLE_WORDS` words
    is also one of theirs (letter case and punctuation aside), or if more than `MOST_SHARED` of the
    user's runs of `SHINGLE_WORDS` words are.
    """

    def __init__(self, conversations: Iterable[Conversation]) -> None:
        """Index the words of the users."""
        self._messages: set[int] = set()
        self._shingles: set[int] = set()
        for conversation in conversations:
            for words in _long_messages(conversation):
                self._messages.add(hash(words))
                self._shingles.update(_shingles(words))

    def contains(self, conversation: Conversation) -> bool:
        """Tell whether the conversation is a near-duplicate of an evaluation conversation."""
        shared = total = 0
        for words in _long_messages(conversation):
            if hash(words) in self._messages:
                return True
            shingles = _shingles(words)
            total += len(shingles)
            shared += len(shingles & self._shingles)
        return total > 0 and shared / total > MOST_SHARED


def _long_messages(conversation: Conversation) -> Iterator[tuple[str, ...]]:
    """Yield the words of the user's messages that have enough of them."""
    for message in conversation.user_messages:
        words = tuple(_WORDS.findall(message.content.lower()))
        if len(words) >= SHINGLE_WORDS:
            yield words


def _shingles(words: tuple[str, ...]) -> set[int]:
    last = len(words) - SHINGLE_WORDS
    return {hash(words[start : start + SHINGLE_WORDS]) for start in range(last + 1)}
