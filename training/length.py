"""Does the length of a conversation move its probability, or hide a charged turn?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from affectlib.conversation import Conversation, Message
from affectlib.encoding import WindowEncoder
from affectlib.engines import Engine
from training.judged import Judged, estimate, judge_again, probabilities, proportion
from training.metrics import share

TURNS = (4, 20)
"""User turns of the conversations that a charged turn is put into, as the last but one."""
LANGUAGES = ("en", "fr")
"""Those of which the dev split has turns enough to fill a chat."""

Turn = tuple[Message, ...]


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Spearman's rank correlation; NaN where one of both is constant."""
    ranks = rankdata(first), rankdata(second)
    if not len(first) or min(np.ptp(r) for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def drift(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the rank correlation of probability and number of user turns on uncharged chats.

    Args:
        judged: Dev conversations.
    """
    result = {}
    for name, real in (("real transcripts", True), ("corpus dev", False)):
        chosen = [j for j in judged if j.real == real and not j.emotional]
        if chosen:
            turns = np.array([len(j.turns) for j in chosen])
            result[name] = estimate(rank_correlation, probabilities(chosen), turns)
    return result


def late_turn(
    judged: Sequence[Judged], encoder: WindowEncoder, engine: Engine, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Measure whether a charged turn is found late in a long chat as it is in a short one.

    The first charged turn of each charged conversation of the corpus becomes the last but one of
    4 and of 20 turns; the others are drawn from the corpus's dev conversations of charge 0
    without decoys, in the same language, English or French. The two turns before it and the one
    after it are the same in both lengths. Thresholds are those of the conversation that the
    charged turn is from.

    Args:
        judged: Dev conversations.
        encoder: Lays out and tokenizes conversations.
        engine: Runs the windows.
        seed: Seed of the drawing.

    Returns:
        By length the share found as a message and as a conversation, and the share of the same
        conversations found with a task turn in the charged one's place (``without``); and the
        difference of the two lengths.
    """
    generator = np.random.default_rng(seed)
    tasks = _task_turns(judged)
    charged = [j for j in judged if not j.real and j.emotional and j.charged_turns().any()]
    charged = [j for j in charged if j.language in LANGUAGES and tasks.get(j.language)]
    chats: dict[int, list[Conversation]] = {turns: [] for turns in TURNS}
    without: dict[int, list[Conversation]] = {turns: [] for turns in TURNS}
    for j in charged:
        pool = tasks[j.language]
        order = generator.permutation(len(pool))
        around = [pool[order[i % len(order)]] for i in range(max(TURNS))]
        for turns in TURNS:
            # One task turn after it, the others before: the two nearest are those of each length.
            before, after = around[2:turns][::-1], around[:1]
            chats[turns].append(_chat([*before, _first_charged(j), *after]))
            without[turns].append(_chat([*before, around[1], *after]))
    found = {}
    for turns in TURNS:
        seen = judge_again(charged, chats[turns], encoder, engine)
        empty = judge_again(charged, without[turns], encoder, engine)
        found[turns] = {
            "message": np.array([j.flagged_turns("balanced")[-2] for j in seen], float),
            "conversation": np.array([j.flagged("balanced") for j in seen], float),
            "without": np.array([j.flagged("balanced") for j in empty], float),
        }
    short, long = TURNS
    result = {
        f"{turns} turns": {level: proportion(values) for level, values in found[turns].items()}
        for turns in TURNS
    }
    result[f"{long} less {short} turns"] = {
        level: estimate(share, found[long][level] - found[short][level]) for level in found[long]
    }
    return result


def _task_turns(judged: Sequence[Judged]) -> dict[str, list[Turn]]:
    """Return the turns of the corpus's plain tasks by language."""
    turns: dict[str, list[Turn]] = {}
    for j in judged:
        if not j.real and j.row["labels"]["charge"] == 0 and j.row["labels"]["decoy"] is None:
            messages = j.scored.labelled.conversation.messages
            for index in j.scored.logits:
                if messages[index].role == "user":
                    turns.setdefault(j.language, []).append(_turn(messages, index))
    return turns


def _first_charged(judged: Judged) -> Turn:
    return _turn(
        judged.scored.labelled.conversation.messages, min(judged.scored.labelled.charged or ())
    )


def _turn(messages: Sequence[Message], index: int) -> Turn:
    """Return a user's message with the reply to it, if there is one."""
    reply = messages[index + 1 : index + 2]
    return (messages[index], *(m for m in reply if m.role == "assistant"))


def _chat(turns: Sequence[Turn]) -> Conversation:
    return Conversation(tuple(message for turn in turns for message in turn))
