"""Labelled conversations, and what they say of each message: the targets that a model learns."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from affectlib.conversation import Conversation
from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, OUTPUTS, THEMES, USER_CUES

UNKNOWN = math.nan
SEVERAL_TURNS = 0.7
"""Target of a cue or theme at each charged turn when the conversation has several of them and only
the conversation is known to show it."""

Charge: TypeAlias = tuple[int, int]
"""The least and the highest charge that a message can have by what is known about it."""


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """A conversation with what is known about its messages.

    Attributes:
        conversation: The conversation.
        source: Name of its source.
        charge: Charge of the whole, 0 to 3.
        charges: Charge of each user message, by its position; messages that are not there are
            not trained on.
        cues: Names of the cues it shows; None if not annotated.
        turn_cues: Cues of each message that shows any, by its position; None if only those of the
            whole conversation are known.
        themes: Names of the themes of its charged messages; None if not annotated.
        row: The row it came from, less its messages.
    """

    conversation: Conversation
    source: str
    charge: int
    charges: Mapping[int, Charge] = field(default_factory=dict, hash=False)
    cues: frozenset[str] | None = None
    turn_cues: Mapping[int, frozenset[str]] | None = field(default=None, hash=False)
    themes: frozenset[str] | None = None
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def emotional(self) -> bool:
        """Whether it is emotional as a whole."""
        return self.charge >= 2

    @property
    def charged(self) -> frozenset[int]:
        """Positions of the messages that are known to be charged."""
        return frozenset(index for index, (least, _) in self.charges.items() if least >= 2)

    @property
    def turns_known(self) -> bool:
        """Whether it is known which of its messages are charged."""
        return not self.emotional or bool(self.charged)

    def with_charged(self, places: Collection[int]) -> LabelledConversation:
        """Take the messages at these positions for the charged ones, and no others."""
        charges = {i: (2, 3) if i in places else (0, 1) for i in self.charges}
        return replace(self, charges=charges)

    def targets(self) -> dict[int, list[float]]:
        """Return the targets of each user and assistant message, in the order of `OUTPUTS`.

        An output that does not apply to the role, or is not known, is `UNKNOWN` (NaN). Themes are
        asked of charged messages only, as they are shown for no others.
        """
        turns = len(self.charged)
        targets: dict[int, list[float]] = {}
        last_user: int | None = None
        for index, message in enumerate(self.conversation.messages):
            values = dict.fromkeys(OUTPUTS, UNKNOWN)
            if message.role == "user":
                last_user = index
                values |= self._of_user(index, turns)
            elif message.role == "assistant":
                values |= self._of_assistant(last_user, turns)
            else:
                continue
            if self.turn_cues is not None:
                cues = USER_CUES if message.role == "user" else ASSISTANT_CUES
                shown = self.turn_cues.get(index, ())
                values |= {cue: float(cue in shown) for cue in cues}
            targets[index] = [values[name] for name in OUTPUTS]
        return targets

    def whole_targets(self, places: Collection[int]) -> list[float]:
        """Return the targets of a window of some messages, in the order of `OUTPUTS`.

        Of a charged conversation's window without a charged message nothing is known.

        Args:
            places: Positions of the messages that the window holds.
        """
        values = dict.fromkeys(OUTPUTS, UNKNOWN)
        messages = self.conversation.messages
        everything = all(place in places for place in self.charges)
        if not everything and self.emotional and self.charged.isdisjoint(places):
            return [values[name] for name in OUTPUTS]
        values |= {name: float(self.charge >= level) for level, name in enumerate(CHARGES, 1)}
        if self.cues is not None:
            answered = any(messages[place].role == "assistant" for place in places)
            cues = (*USER_CUES, *(ASSISTANT_CUES if answered else ()))
            values |= {cue: float(cue in self.cues) for cue in cues}
        if self.emotional and self.themes:
            values |= {name: float(name in self.themes) for name in THEMES}
        return [values[name] for name in OUTPUTS]

    def _of_user(self, index: int, turns: int) -> dict[str, float]:
        if index not in self.charges:
            return {}
        least, most = self.charges[index]
        values = {
            name: 1.0 if least >= level else 0.0 if most < level else UNKNOWN
            for level, name in enumerate(CHARGES, 1)
        }
        charged = least >= 2
        if self.cues is not None:
            values |= {cue: self._cue(cue, turns if charged else None) for cue in USER_CUES}
        if charged and self.themes:
            shown = 1.0 if turns == 1 else SEVERAL_TURNS
            values |= {name: shown * (name in self.themes) for name in THEMES}
        return values

    def _of_assistant(self, last_user: int | None, turns: int) -> dict[str, float]:
        if self.cues is None:
            return {}
        charged = last_user in self.charged
        return {
            cue: UNKNOWN
            if cue in self.cues and not charged
            else self._cue(cue, turns if charged else None)
            for cue in ASSISTANT_CUES
        }

    def _cue(self, cue: str, turns: int | None) -> float:
        """Return a cue's target at a message of one of several charged turns, or of none."""
        if cue not in (self.cues or ()):
            return 0.0
        if not self.charged:
            return UNKNOWN
        if turns is None:
            return 0.0
        return 1.0 if turns == 1 else SEVERAL_TURNS
