"""Rows of our sources turned into labelled conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from affectlib.conversation import Conversation, parse_conversation
from affectlib.finetuning.labelled import Charge, LabelledConversation
from affectlib.taxonomy import CUES

_CODES = {cue.code: cue.name for cue in CUES.values()}


def from_gold(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Turn an annotated row into a labelled conversation.

    Its labels have ``charge``, ``cues`` and ``turns`` (numbers of the charged user turns), and
    optionally ``charges`` (by the number of the user turn its charge, or the least and the highest
    that it can have; 0 where there is none), ``turn_cues`` and ``themes``.
    """
    conversation = parse_conversation(said_by_user(row["messages"]), id=row["id"])
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


def said_by_user(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the user as the speaker of those that are of neither role."""
    return [
        {"role": "user" if m["role"] == "other" else m["role"], "content": m["content"]}
        for m in messages
        if isinstance(m.get("content"), str)
    ]


def from_silver(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Take a row of a public set for a task: no message of it is charged or shows a cue."""
    conversation = parse_conversation(said_by_user(row["messages"]), id=str(row["id"]))
    return LabelledConversation(
        conversation,
        source,
        charge=0,
        charges={i: (0, 0) for i, m in enumerate(conversation.messages) if m.role == "user"},
        cues=frozenset(),
        row={"lang": row["lang"]} if "lang" in row else {},
    )


def from_twin(row: Mapping[str, Any], twin: Mapping[str, Any]) -> LabelledConversation:
    """Put what a twin says otherwise into a real chat; only the altered messages have targets.

    Args:
        row: The real chat.
        twin: A line of ``twins.jsonl``: ``changed`` has the new text of user turns by their number,
            ``charges`` their charge, ``labels`` those of the altered chat.
    """
    messages = said_by_user(row["messages"])
    user = [i for i, m in enumerate(messages) if m["role"] == "user"]
    changed = {user[int(turn) - 1]: text for turn, text in twin["changed"].items()}
    for index, text in changed.items():
        messages[index] = {**messages[index], "content": text}
    labels = {**twin["labels"], "charges": twin["charges"], "decoy": None}
    labelled = from_gold(
        {**row, "id": twin["id"], "messages": messages, "labels": labels, "pair": twin["of"]},
        "twins",
    )
    return replace(labelled, charges={i: c for i, c in labelled.charges.items() if i in changed})
