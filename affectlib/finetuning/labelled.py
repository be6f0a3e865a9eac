"""Labelled conversations: rows of our sources turned into targets for single messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from affectlib.conversation import Conversation, parse_conversation
from affectlib.taxonomy import ASSISTANT_CUES, CHARGES, CUES, OUTPUTS, THEMES, USER_CUES

UNKNOWN = math.nan
SEVERAL_TURNS = 0.7
"""Target of a cue or theme at each charged turn when the conversation has several of them and only
the conversation is known to show it."""

Charge: TypeAlias = tuple[int, int]
"""The least and the highest charge that a message can have by what is known of it."""

_CODES = {cue.code: cue.name for cue in CUES.values()}
_POSITION = {name: i for i, name in enumerate(OUTPUTS)}


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """A conversation with what is known of its messages.

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

    def targets(self) -> dict[int, list[float]]:
        """Return the targets of each user and assistant message, in the order of `OUTPUTS`.

        An output that does not apply to the role, or is not known, is `UNKNOWN` (NaN). A message
        that is not charged has no theme.
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
        if not charged and most < 2:
            values |= dict.fromkeys(THEMES, 0.0)
        elif self.themes:
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


def from_gold(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Turn an annotated row into a labelled conversation.

    Its labels have ``charge``, ``cues`` and ``turns`` (numbers of the charged user turns), and
    optionally ``charges`` (by the number of the user turn its charge, or the least and the highest
    that it can have; 0 where there is none), ``turn_cues`` and ``themes``.
    """
    conversation = parse_conversation(_said_by_user(row["messages"]), id=row["id"])
    labels = row["labels"]
    user = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    return LabelledConversation(
        conversation,
        source,
        charge=labels["charge"],
        charges=dict(zip(user, _charges(labels, len(user)), strict=True)),
        cues=frozenset(_CODES[code] for code in labels["cues"]),
        turn_cues=_turn_cues(conversation, user, labels["turn_cues"])
        if "turn_cues" in labels
        else None,
        themes=frozenset(labels["themes"]) if "themes" in labels else None,
        row={key: value for key, value in row.items() if key != "messages"},
    )


def _charges(labels: Mapping[str, Any], turns: int) -> list[Charge]:
    """Return the charge of each user turn, as far as it is known."""
    if "charges" in labels:
        given = (labels["charges"].get(str(turn), 0) for turn in range(1, turns + 1))
        return [(c, c) if isinstance(c, int) else (c[0], c[1]) for c in given]
    charge, charged = labels["charge"], labels["turns"]
    least = 3 if charge == 3 and len(charged) == 1 else 2
    return [
        (least, charge) if turn in charged else (0, min(1, charge)) for turn in range(1, turns + 1)
    ]


def _turn_cues(
    conversation: Conversation, user: Sequence[int], codes: Mapping[str, Sequence[str]]
) -> dict[int, frozenset[str]]:
    """Return the cues of each message, from their codes by the number of the user's turn.

    A turn's assistant cues are those of the answer, the messages up to the user's next one.
    """
    ends = [*user[1:], len(conversation.messages)]
    cues: dict[int, frozenset[str]] = {}
    for turn, of_turn in codes.items():
        names = {_CODES[code] for code in of_turn}
        start, end = user[int(turn) - 1], ends[int(turn) - 1]
        for index in range(start, end):
            role = conversation.messages[index].role
            cues[index] = frozenset(n for n in names if CUES[n].unit == role)
    return cues


def _said_by_user(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the user as the speaker of those that are of neither role."""
    return [
        {"role": "user" if m["role"] == "other" else m["role"], "content": m["content"]}
        for m in messages
        if isinstance(m.get("content"), str)
    ]


def from_silver(row: Mapping[str, Any], source: str, emotional: bool) -> LabelledConversation:
    """Give a row of a public set the label of its source; all its user messages share it.

    Cues and themes stay unknown where the source is emotional; a task has none.
    """
    conversation = parse_conversation(_said_by_user(row["messages"]), id=str(row["id"]))
    charge: Charge = (2, 3) if emotional else (0, 0)
    return LabelledConversation(
        conversation,
        source,
        charge=charge[0],
        charges={i: charge for i, m in enumerate(conversation.messages) if m.role == "user"},
        cues=None if emotional else frozenset(),
        row={"lang": row["lang"]} if "lang" in row else {},
    )


def from_twin(row: Mapping[str, Any], twin: Mapping[str, Any]) -> LabelledConversation:
    """Put what a twin says otherwise into a real chat; only the altered messages have targets.

    Args:
        row: The real chat.
        twin: A line of ``twins.jsonl``: ``changed`` has the new text of user turns by their number,
            ``charges`` their charge, ``labels`` those of the altered chat.
    """
    messages = _said_by_user(row["messages"])
    user = [i for i, m in enumerate(messages) if m["role"] == "user"]
    changed = {user[int(turn) - 1]: text for turn, text in twin["changed"].items()}
    for index, text in changed.items():
        messages[index] = {**messages[index], "content": text}
    labels = {**twin["labels"], "charges": twin["charges"], "decoy": None}
    labelled = from_gold(
        {**row, "id": twin["id"], "messages": messages, "labels": labels, "pair": twin["of"]},
        "twins",
    )
    charges = {i: c for i, c in labelled.charges.items() if i in changed}
    return LabelledConversation(
        labelled.conversation,
        labelled.source,
        charge=labelled.charge,
        charges=charges,
        cues=labelled.cues,
        themes=labelled.themes,
        row=labelled.row,
    )
