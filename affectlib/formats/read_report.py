"""What was left out in reading, what could not be read, and where: counted, never silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

DROPS: Mapping[str, str] = MappingProxyType(
    {
        "branch": "messages on branches that were not asked for (edits, regenerations)",
        "hidden": "messages that the interface does not show",
        "system": "system messages of a product that does not show them",
        "context": "custom instructions, memories and other context of the user",
        "tool": "output of tools: code, browsing, files",
        "tool_call": "calls of tools, without a word to the user",
        "reasoning": "the model's thoughts",
        "empty": "messages with nothing in them",
        "deleted": "messages that were deleted",
        "event": "events that are not messages",
        "internal": "notes that the user did not see",
        "duplicate": "messages that appear twice",
        "not_text": "parts of messages that are not text: images, sound, files",
        "not_a_person": "messages of people who were given no role",
        "speaker": "speakers that are unclear; what they say is left in the turn before; name them",
        "time": "times that are unclear or unreadable, such as 3/4/2024; write them as "
        "2024-03-04 22:02",
    }
)
"""Why messages or parts of messages are left out, and what that means."""

_PLACES = 3
_KINDS = 100
_OTHERS = "other problems"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds beyond which an input is refused, as it may be meant to do harm.

    Attributes:
        record_characters: Characters of one record, line, cell or conversation. What is longer is
            a failure, and the reading goes on after it.
        branches: Paths of a conversation that is a tree, if all are read.
        files: Files in a folder, glob or archive.
        ratio: How many times larger than its compressed form unpacked data may become, beyond
            the first 64 MiB.
        unpacked_bytes: Bytes that one compressed file may become.

    Example:
        >>> Limits(files=10).files
        10
    """

    record_characters: int = 1 << 26
    branches: int = 1000
    files: int = 1_000_000
    ratio: int = 250
    unpacked_bytes: int = 1 << 40


@dataclass(slots=True)
class Tally:
    """How often something happened, and the first places where it did.

    Attributes:
        count: How often.
        places: The first three places.
    """

    count: int = 0
    places: list[str] = field(default_factory=list)

    def add(self, place: str, count: int = 1) -> None:
        """Count one more, or several, at a place."""
        self.count += count
        if len(self.places) < _PLACES and place not in self.places:
            self.places.append(place)


@dataclass(slots=True)
class ReadReport:
    """What was found in reading, filled in as it goes on.

    Give one to `read_conversations` and look at it afterwards. It holds no transcript text.

    Attributes:
        formats: The formats that were recognised, and by what.
        conversations: Conversations read.
        failures: Records that could not be read.
        dropped: What was left out, by reason; the reasons are the keys of `DROPS`.
        problems: What was wrong with the failures, by problem.
        skipped: Files of a folder or archive that were not read, by reason.
        share: How much of the input was read, from 0 to 1; None if that is unknown, as with a
            pipe.

    Example:
        >>> from affectlib.formats import read_conversations
        >>> report = ReadReport()
        >>> for _ in read_conversations("examples/conversations.json", report=report):
        ...     pass
        >>> report.conversations, report.formats
        (3, {'chatgpt': 'records with "mapping"'})
    """

    formats: dict[str, str] = field(default_factory=dict)
    conversations: int = 0
    failures: int = 0
    dropped: dict[str, Tally] = field(default_factory=dict)
    problems: dict[str, Tally] = field(default_factory=dict)
    skipped: dict[str, Tally] = field(default_factory=dict)
    share: float | None = None

    def drop(self, reason: str, place: str, count: int = 1) -> None:
        """Count something that was left out, for a reason in `DROPS`, at a place in the input."""
        if reason not in DROPS:
            raise KeyError(reason)
        self.dropped.setdefault(reason, Tally()).add(place, count)

    def fail(self, problem: str, place: str) -> None:
        """Count a record that could not be read."""
        _add(self.problems, problem, place)

    def skip(self, reason: str, place: str) -> None:
        """Count a file that was not read."""
        _add(self.skipped, reason, place)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        values = asdict(self)
        del values["share"]
        return values


def _add(tallies: dict[str, Tally], kind: str, place: str) -> None:
    if kind not in tallies and len(tallies) >= _KINDS:
        kind = _OTHERS
    tallies.setdefault(kind, Tally()).add(place)
