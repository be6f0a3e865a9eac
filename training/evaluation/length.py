"""Does the length of a conversation move its probability, or hide a charged turn?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from affectlib.conversation import Conversation, Message
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from training.evaluation.judged import Judged, estimate, judge_again, probabilities, proportion
from training.evaluation.metrics import share

TURNS = (4, 20)
"""User turns of the conversations that a charged turn is put into, as the last but one."""
Turn = tuple[Message, ...]

FILLINGS: dict[str, Callable[[Judged], bool]] = {
    "real chats": lambda j: j.real and j.row["pool"] == "random" and not j.emotional,
    "tasks of the corpus": lambda j: (
        not j.real and j.row["labels"]["charge"] == 0 and j.row["labels"]["decoy"] is None
    ),
}
"""What a charged turn is put among: uncharged real transcripts that were drawn at random, or the
corpus's conversations of charge 0 without decoys, many of which have the words of charged ones."""


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
) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure whether a charged turn is found late in a long chat as it is in a short one.

    The first charged turn of each charged conversation of the corpus becomes the last but one of
    4 and of 20 turns; the others are drawn from uncharged conversations in the same language
    (`FILLINGS`), of which there must be 20 turns. The two turns before it and the one after it are
    the same in both lengths. Thresholds are those of the conversation that the charged turn is
    from.

    Args:
        judged: Dev conversations.
        encoder: Lays out and tokenizes conversations.
        engine: Runs the windows.
        seed: Seed of the drawing.

    Returns:
        By filling and length the share found as a message and as a conversation, and the share of
        the same conversations found with another turn in the charged one's place (``without``);
        and the difference of the two lengths. Fillings without turns enough are left out.
    """
    charged = [j for j in judged if not j.real and j.emotional and j.charged_turns().any()]
    result = {}
    for name, fills in FILLINGS.items():
        pools = _turns([j for j in judged if fills(j)])
        chosen = [j for j in charged if len(pools.get(j.language, ())) >= max(TURNS)]
        if chosen:
            result[name] = _among(chosen, pools, encoder, engine, seed)
    return result


def _among(
    charged: Sequence[Judged],
    pools: dict[str, list[Turn]],
    encoder: WindowEncoder,
    engine: Engine,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return the figures by length of charged turns among others, by language, of a pool."""
    generator = np.random.default_rng(seed)
    chats: dict[int, list[Conversation]] = {turns: [] for turns in TURNS}
    without: dict[int, list[Conversation]] = {turns: [] for turns in TURNS}
    for j in charged:
        pool = pools[j.language]
        around = [pool[i] for i in generator.permutation(len(pool))[: max(TURNS)]]
        for turns in TURNS:
            # One turn after it, the others before: the two nearest are those of each length.
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


def _turns(judged: Sequence[Judged]) -> dict[str, list[Turn]]:
    """Return the turns of conversations by language."""
    turns: dict[str, list[Turn]] = {}
    for j in judged:
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
