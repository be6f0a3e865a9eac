"""Does the model read what the user feels, or something that only goes with it?

Three checks: the assistant's replies are swapped, the user's first-person pronouns are masked, and
the source is guessed from the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import Engine
from training.data.pronouns import PRONOUNS, mask_pronouns
from training.evaluation import metrics
from training.evaluation.judged import (
    PLAIN_PART,
    Judged,
    estimate,
    judge_again,
    labels,
    probabilities,
    proportion,
)
from training.evaluation.metrics import share

REPLIES: dict[str, dict[str, tuple[str, ...]]] = {
    "warm": {
        "en": (
            "I'm really glad you told me that. I'm here with you, take all the time you need.",
            "That means a lot to me, and so do you. How are you feeling about it right now?",
            "You're not alone in this, and you're doing better than you think. I care about you.",
            "What a lovely thing to share! I'd love to hear more, whenever you feel like it.",
        ),
        "fr": (
            "Je suis vraiment content que tu m'en parles. Je suis là, prends tout ton temps.",
            "Ça me touche beaucoup, et toi aussi. Comment te sens-tu en ce moment ?",
            "Tu n'es pas seul, et tu t'en sors mieux que tu ne le crois. Je tiens à toi.",
            "Quelle belle chose à partager ! Raconte-m'en plus quand tu en auras envie.",
        ),
    },
    "cold": {
        "en": (
            "Noted. Specify the next item.",
            "The request was processed. The output is complete.",
            "This input is outside the scope. Provide the required parameters.",
            "Acknowledged. No further action is needed on this point.",
        ),
        "fr": (
            "Noté. Précisez l'élément suivant.",
            "La demande a été traitée. Le résultat est complet.",
            "Cette saisie est hors du périmètre. Indiquez les paramètres requis.",
            "Bien reçu. Aucune autre action n'est nécessaire sur ce point.",
        ),
    },
}
"""What the assistant's replies are swapped for; conversations in other languages get English."""

SOURCE_PAIRS: dict[str, tuple[bool, Callable[[Judged], bool], Callable[[Judged], bool]]] = {
    "uncharged: real or corpus": (False, lambda j: j.real, lambda j: not j.real),
    "uncharged: real or plain part of the corpus": (
        False,
        lambda j: j.real,
        lambda j: not j.real and j.part in PLAIN_PART,
    ),
    "uncharged: ShareGPT or Arena, WildChat": (
        False,
        lambda j: j.source == "sharegpt_dev",
        lambda j: j.source == "arena_wildchat_dev",
    ),
    "charged: real or corpus": (True, lambda j: j.real, lambda j: not j.real),
}
"""Pairs of sources that the score should not tell apart: the class, and which is which."""


def swapped_replies(
    judged: Sequence[Judged], encoder: WindowEncoder, engine: Engine
) -> dict[str, dict[str, Any]]:
    """Measure how far a conversation's probability moves when the assistant says other things.

    Args:
        judged: Dev conversations; those in which the assistant is silent are left out.
        encoder: Lays out and tokenizes conversations.
        engine: Runs the windows.

    Returns:
        The mean absolute change by kind of reply (and between both kinds) and group.
    """
    answered = [
        j
        for j in judged
        if any(m.role == "assistant" for m in j.scored.labelled.conversation.messages)
    ]
    found = {"as written": probabilities(answered)}
    for kind, replies in REPLIES.items():
        changed = [
            _with_replies(j.scored.labelled.conversation, replies.get(j.language, replies["en"]))
            for j in answered
        ]
        found[kind] = probabilities(judge_again(answered, changed, encoder, engine))
    real = np.array([j.real for j in answered], bool)
    groups = {"real transcripts": real, "corpus dev": ~real}
    return {
        f"{after} for {before}": {
            name: estimate(share, np.abs(found[after] - found[before])[rows])
            for name, rows in groups.items()
            if rows.any()
        }
        for before, after in (("as written", "warm"), ("as written", "cold"), ("warm", "cold"))
    }


def _with_replies(conversation: Conversation, replies: Sequence[str]) -> Conversation:
    messages = list(conversation.messages)
    places = [index for index, message in enumerate(messages) if message.role == "assistant"]
    for number, index in enumerate(places):
        messages[index] = replace(messages[index], content=replies[number % len(replies)])
    return replace(conversation, messages=tuple(messages))


def masked_pronouns(
    judged: Sequence[Judged], encoder: WindowEncoder, engine: Engine
) -> dict[str, dict[str, Any]]:
    """Measure the accuracy on the corpus with the user's first-person pronouns masked.

    Each is replaced by `training.data.pronouns.MASK`, in all the user's messages, context included.

    Args:
        judged: Dev conversations; those of the corpus in English and French count.
        encoder: Lays out and tokenizes conversations.
        engine: Runs the windows.

    Returns:
        For each language and for both: the accuracy at ``balanced`` as written and masked, and
        its fall.
    """
    chosen = [j for j in judged if not j.real and j.language in PRONOUNS]
    changed = [_without_pronouns(j.scored.labelled.conversation, j.language) for j in chosen]
    truth = labels(chosen)
    before, after = (
        np.array([j.flagged("balanced") for j in group]) == truth
        for group in (chosen, judge_again(chosen, changed, encoder, engine))
    )
    language = np.array([j.language for j in chosen])
    groups = {
        "English and French": np.ones(len(chosen), bool),
        "English": language == "en",
        "French": language == "fr",
    }
    return {
        name: {
            "as written": proportion(before[rows]),
            "masked": proportion(after[rows]),
            "fall": estimate(_fall, before[rows], after[rows]),
        }
        for name, rows in groups.items()
        if rows.any()
    }


def _without_pronouns(conversation: Conversation, language: str) -> Conversation:
    return replace(
        conversation,
        messages=tuple(
            replace(message, content=mask_pronouns(message.content, language))
            if message.role == "user"
            else message
            for message in conversation.messages
        ),
    )


def _fall(before: NDArray[Any], after: NDArray[Any]) -> float:
    return share(before) - share(after)


def source_probe(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Measure how well the score tells the sources of one class apart.

    Args:
        judged: Dev conversations.

    Returns:
        The AUROC by pair of sources, that of whichever direction is the better guess, so never
        below 0.5. Pairs of which one is missing are left out.
    """
    result = {}
    for name, (emotional, first, second) in SOURCE_PAIRS.items():
        chosen = [j for j in judged if j.emotional == emotional and (first(j) or second(j))]
        source = np.array([first(j) for j in chosen], int)
        if 0 < source.sum() < len(source):
            result[name] = estimate(_either_way, source, probabilities(chosen))
    return result


def _either_way(source: NDArray[Any], scores: NDArray[Any]) -> float:
    value = metrics.auroc(source, scores)
    return max(value, 1 - value)
