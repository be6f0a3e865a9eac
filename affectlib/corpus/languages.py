"""Which languages a model does not know are in the transcripts that it labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from affectlib.conversation import Conversation
from affectlib.errors import MissingExtraError
from affectlib.formats.inspection import UNKNOWN, language_detector
from affectlib.model.artifacts import Artifact

_LOOKED_AT = 1000
"""Conversations, the first of a run: a detector is slower than the screen."""
_FEWEST = 3
_LEAST_SHARE = 0.02
"""Detectors mistake about one short text in a hundred."""
_LETTERS = 500


@dataclass(slots=True)
class ForeignLanguages:
    """The languages of the first conversations of a run.

    Attributes:
        known: Languages that the model was made for, by their ISO 639-1 codes.
        detect: Tells the language of a text.
        seen: Conversations that were looked at.
        counts: How many of them are in each language that the model does not know.
    """

    known: tuple[str, ...]
    detect: Callable[[str], str]
    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, artifact: Artifact) -> ForeignLanguages | None:
        """Begin to count; None if the model names no languages, or no detector can be loaded."""
        known = tuple(artifact.description.get("languages", ()))
        try:
            return cls(known, language_detector()) if known else None
        except (MissingExtraError, OSError):  # it unpacks its tables into a file
            return None

    def add(self, conversation: Conversation) -> None:
        """Count a conversation."""
        if self.seen < _LOOKED_AT:
            self.seen += 1
            text = "\n".join(m.content[:_LETTERS] for m in conversation.user_messages)
            language = self.detect(text[:_LETTERS])
            if language not in (*self.known, UNKNOWN):
                self.counts[language] += 1

    def line(self) -> str | None:
        """Say in one line which languages the model does not know; None if there are none."""
        least = max(_FEWEST, _LEAST_SHARE * self.seen)
        found = [
            f"{name}: {count:,}" for name, count in self.counts.most_common() if count >= least
        ]
        if not found:
            return None
        return (
            f"of {self.seen:,} conversations looked at, some seem to be in languages that the "
            f"model was not made for ({', '.join(found)}; it knows {', '.join(self.known)}); do "
            "not trust their labels"
        )
