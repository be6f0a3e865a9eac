"""Where models of this kind go wrong: altered messages, pastes, short chats, length, services."""

from __future__ import annotations

import random
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.taxonomy import EMOTIONAL
from training.config import read_beside
from training.data.prepare import EvaluationIndex
from training.data.sources import HELD_OUT_TENTH, from_silver, is_held_out, read_rows, read_source
from training.evaluation.figures import MAIN_GROUPS
from training.evaluation.judged import GROUPS, STUDIES, Judged, Reader, judge_again
from training.evaluation.metrics import proportion

ROBUSTNESS = Path(__file__).with_name("robustness.jsonl")
"""480 messages that are plainly charged or plainly tasks, half of them English and half French,
each with a paraphrase. None of them is in the corpus. Training has seen typing errors and things
around messages of a like kind, on other texts."""
SHORT_CHATS = Path(__file__).with_name("short_chats.jsonl")
"""304 messages of one to seven words, half English and half French, half charged; annotated a
second time, blind, with the same labels. None of them is in the corpus."""
SERVICES = ("msre2e", "casino", *HELD_OUT_TENTH)
"""Bookings, orders, support and negotiations, in which hardly anything is charged."""
OTHER_KINDS = ("parfum_support_fr", "red_robot_it", "convai_wild_en", "shared_reality_en")
"""Real chats of kinds that no model has learnt, not annotated: customers of a French web shop,
Italians with a robot, volunteers with bots and paid participants with each other, of whom few say
what moves them."""
SAMPLE = 500
"""Conversations of a set at most whose labels are counted."""
TURNS = (4, 20)
"""User turns of the chats that are put together."""
Row = Mapping[str, str]
Rewriting = Callable[[str, random.Random], str]
T = TypeVar("T")
Turn = tuple[Message, ...]
Pool = tuple[str, int]
"""A language, and which calibration judges."""

_TYPOS = 0.06
_LOOKALIKES = str.maketrans("aeopcxyijsABEKMHOPCTX", "аеорсхуіјѕАВЕКМНОРСТХ")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\xad"
_PLACEHOLDERS = ("image", "photo", "GIF", "voice message", "attachment: scan.pdf")
_SIGNATURES = ("Ana Lopez\n+44 7700 900123", "J. Martin, Lyon\nEnvoyé de mon téléphone")


def typos(text: str, rng: random.Random) -> str:
    """Swap, drop or double one letter in some words, never their first."""
    letters = [*text]
    for place in range(1, len(letters) - 1):
        if all(map(str.isalpha, letters[place - 1 : place + 2])) and rng.random() < _TYPOS:
            kind = rng.randrange(3)
            if kind == 0:
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
            else:
                letters[place] = "" if kind == 1 else 2 * letters[place]
    return "".join(letters)


def invisible(text: str, rng: random.Random) -> str:
    """Put characters that nobody sees between the letters."""
    return "".join(c + (rng.choice(_INVISIBLE) if rng.random() < 0.3 else "") for c in text)


def doubled_blanks(text: str, rng: random.Random) -> str:
    """Put two spaces or a line break where there was a space."""
    return re.sub(" ", lambda _: rng.choice(["  ", "\n"]), text)


def repeated_letters(text: str, rng: random.Random) -> str:
    """Draw out a vowel in some words, as in "soooo"."""
    return re.sub(r"[aeiou]", lambda m: m[0] * (4 if rng.random() < 0.1 else 1), text)


def without_punctuation(text: str, rng: random.Random) -> str:
    """Leave out punctuation, but for apostrophes and hyphens within words."""
    return " ".join(re.sub(r"(?<!\w)[^\w\s]|[^\w\s](?!\w)", " ", text).split())


ALTERATIONS: Mapping[str, Rewriting] = {
    "typos": typos,
    "lower case": lambda text, rng: text.lower(),
    "upper case": lambda text, rng: text.upper(),
    "no punctuation": without_punctuation,
    "doubled blanks": doubled_blanks,
    "lookalike letters": lambda text, rng: text.translate(_LOOKALIKES),
    "invisible characters": invisible,
    "repeated letters": repeated_letters,
    "emoji appended": lambda text, rng: f"{text} 🙂",
    "placeholder appended": lambda text, rng: f"{text} [{rng.choice(_PLACEHOLDERS)}]",
    "number appended": lambda text, rng: f"{text} #{rng.randrange(10_000, 100_000)}",
    "date appended": lambda text, rng: f"{text}\n2024-{rng.randrange(1, 13):02}-14 22:05:37",
    "signature appended": lambda text, rng: f"{text}\n\n-- \n{rng.choice(_SIGNATURES)}",
    "in quotation marks": lambda text, rng: f'"{text}"',
    "in an HTML paragraph": lambda text, rng: f"<p>{text}</p>",
}
"""Ways to write a message that change nothing for a reader."""


def rewritten(rows: Sequence[Row], name: str, rewrite: Rewriting) -> list[str]:
    """Return the texts of rows, each rewritten by draws that follow from its id."""
    seeds = (zlib.crc32(f"{name} {row['id']}".encode()) for row in rows)
    return [rewrite(row["text"], random.Random(s)) for row, s in zip(rows, seeds, strict=True)]


def altered(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the messages as they are, in each way altered, and paraphrased."""
    return {
        "original": [row["text"] for row in rows],
        **{name: rewritten(rows, name, alter) for name, alter in ALTERATIONS.items()},
        "paraphrase": [row["paraphrase"] for row in rows],
    }


def robustness(classifier: AffectClassifier) -> dict[str, Any]:
    """Return ``accuracy`` on messages, and how often their label flips when written otherwise."""
    rows = [*read_rows(ROBUSTNESS)]
    flags = {name: flags_of(classifier, texts) for name, texts in altered(rows).items()}
    original = flags.pop("original")
    flips = {name: proportion(changed != original) for name, changed in flags.items()}
    return {
        "accuracy": proportion(original == [row["label"] == EMOTIONAL for row in rows]),
        "flips": flips,
        "worst": max(flips.values(), key=lambda flip: flip["value"]),
    }


_BESIDE: Mapping[str, Mapping[str, str]] = read_beside(__file__)
"""What is put beside a line, by what it is, and the gap between both."""


def _numbers(count: int) -> Callable[[random.Random], str]:
    return lambda rng: " ".join(str(rng.randrange(10_000)) for _ in range(count))


def _filled(template: str) -> Callable[[random.Random], str]:
    return lambda rng: template.format(*(rng.randrange(1, 28) for _ in range(3)))


_link = _filled(_BESIDE["link"]["template"])


def _put(side: str, thing: Callable[[random.Random], str], gap: str) -> Rewriting:
    if side == "before":
        return lambda line, rng: f"{thing(rng)}{gap}{line}"
    return lambda line, rng: f"{line}{gap}{thing(rng)}"


WRAPPINGS: Mapping[str, Rewriting] = {
    **{f"{count} numbers before": _put("before", _numbers(count), " ") for count in (5, 20, 40)},
    "20 numbers after": _put("after", _numbers(20), " "),
    **{
        f"{name} {side}": _put(side, _filled(thing["template"]), thing["gap"])
        for name, thing in _BESIDE.items()
        for side in ("before", "after")
    },
    "in a code fence": lambda line, _: f"```\n{line}\n```",
    "in a comment": lambda line, rng: f"x = {rng.randrange(100)}  # {line}",
    "in a cell": lambda line, rng: f"{rng.randrange(1000)};{line};{rng.randrange(1000)}",
    "in a list of links": lambda line, rng: f"- {_link(rng)}\n- {line}\n- {_link(rng)}",
}
"""What exports and pastes put beside what a person says, or around it."""


def charged_lines() -> list[Row]:
    """Return the charged lines, English and French, that were written for measuring."""
    rows = (row for path in (ROBUSTNESS, SHORT_CHATS) for row in read_rows(path))
    return [row for row in rows if row["label"] == EMOTIONAL]


def wrappings(screened: AffectClassifier, unscreened: AffectClassifier) -> dict[str, Any]:
    """Measure how many lines that the encoder finds are lost in each wrapping, and by what."""
    lines = charged_lines()
    plain = flags_of(unscreened, [row["text"] for row in lines])
    found = [row for row, flag in zip(lines, plain, strict=True) if flag]
    result = {}
    for name, wrap in WRAPPINGS.items():
        texts = rewritten(found, name, wrap)
        encoder, whole = flags_of(unscreened, texts), flags_of(screened, texts)
        result[name] = {"screen": proportion(encoder & ~whole), "encoder": proportion(~encoder)}
    return result


def short_chats(classifier: AffectClassifier) -> dict[str, dict[str, Any]]:
    """Return accuracy, recall and specificity on chats of one short message, by language."""
    rows = [*read_rows(SHORT_CHATS)]
    flagged = flags_of(classifier, [row["text"] for row in rows])
    charged = np.array([row["label"] == EMOTIONAL for row in rows])
    result = {}
    for code, name in (("en", "English"), ("fr", "French")):
        own = np.array([row["language"] == code for row in rows])
        result[name] = {
            "accuracy": proportion((flagged == charged)[own]),
            "recall": proportion(flagged[own & charged]),
            "specificity": proportion(~flagged[own & ~charged]),
        }
    return result


def flags_of(classifier: AffectClassifier, chats: Sequence[Any]) -> NDArray[np.bool_]:
    """Return whether each chat is labelled emotional."""
    found = classifier.predict(chats, on_error="raise")
    return np.array([prediction.label == EMOTIONAL for prediction in found], bool)


def shares_flagged(
    classifier: AffectClassifier, sets: Sequence[str], data: Path | None
) -> dict[str, Any]:
    """Return the share of unseen conversations labelled emotional, of each set and of all."""
    flags = {}
    for name in sets:
        flags[name] = flags_of(classifier, spread([*_unseen(name, data)], SAMPLE))
    flags = {"all": np.concatenate([*flags.values()]), **flags}
    return {name: proportion(own) for name, own in flags.items()}


def spread(rows: Sequence[T], most: int) -> list[T]:
    """Return at most so many of the rows, at even distances from the first to the last."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[place] for place in places]


def _unseen(name: str, data: Path | None) -> Iterator[Conversation]:
    """Yield the dialogues of a set that no training can have learnt."""
    learnt: list[Conversation] = []
    own: list[Conversation] = []
    for row in read_source(name, data):
        chat = from_silver(row, name).conversation
        unseen = name not in HELD_OUT_TENTH or is_held_out(name, str(row["id"]))
        (own if unseen else learnt).append(chat)
    index = EvaluationIndex(learnt)
    for chat in own:
        if any(m.content.strip() for m in chat.user_messages) and not index.contains(chat):
            yield chat


FILLINGS: dict[str, Callable[[Judged], bool]] = {
    "shared logs": lambda j: j.at_random and not j.emotional,
    "studies": lambda j: j.source == STUDIES and not j.emotional,
    "tasks of the corpus": lambda j: (
        j.source == "corpus" and j.scored.labelled.charge == 0 and j.row["labels"]["decoy"] is None
    ),
}
"""Uncharged conversations of whose turns chats are put together."""


def long_chats(judged: Sequence[Judged], reader: Reader) -> dict[str, Any]:
    """Measure what length does: to chats without charge, and to one charged turn among others.

    The first charged turn of each charged conversation of the corpus becomes the last but one of 4
    and of 20 turns; the others are drawn from uncharged conversations in the same language and fold
    (`FILLINGS`). The share of chats flagged with another turn in the charged one's place is
    ``uncharged``. Intervals do not allow for how few people the other turns are of.
    """
    ours = (j for j in judged if j.source == "corpus" and j.emotional)
    charged = [j for j in ours if j.charged_turns().any()]
    result = {}
    for name, fills in FILLINGS.items():
        pools = _pools(filter(fills, judged))
        chosen = [j for j in charged if len(pools[_pool(j)]) >= max(TURNS)]
        if chosen:
            result[name] = _among(chosen, pools, reader)
    return result


def _among(
    charged: Sequence[Judged], pools: Mapping[Pool, Sequence[Turn]], reader: Reader
) -> dict[str, dict[str, Any]]:
    """Return the figures by length of charged turns among those of a pool."""
    generator = np.random.default_rng(0)
    own = [pools[_pool(j)] for j in charged]
    around = [[x[i] for i in generator.permutation(len(x))[: max(TURNS)]] for x in own]
    figures = {}
    for turns in TURNS:
        with_turn: list[Conversation] = []
        without: list[Conversation] = []
        for j, others in zip(charged, around, strict=True):
            # One turn after it, the others before: the two nearest are those of each length.
            before, after = others[2:turns][::-1], others[:1]
            first = _turn(j, int(np.array(j.scored.user_places)[j.charged_turns()][0]))
            for chats, turn in ((with_turn, first), (without, others[1])):
                chats.append(Conversation(tuple(chain(*before, turn, *after))))
        seen = judge_again(charged, with_turn, reader)
        empty = judge_again(charged, without, reader)
        flags = {
            "uncharged": [j.flagged("balanced") for j in empty],
            "conversation": [j.flagged("balanced") for j in seen],
            "message": [j.flagged_turns("balanced")[-2] for j in seen],
        }
        figures[f"{turns} turns"] = {n: proportion(np.array(own)) for n, own in flags.items()}
    return figures


def consistency(judged: Sequence[Judged], reader: Reader) -> dict[str, Any]:
    """Measure whether a conversation and its parts are judged alike, at ``balanced``.

    One exchange of the corpus is added at the end of each conversation, in the same language and
    fold: a calm one, of a task, or a charged one. ``disagree`` are those that are flagged where no
    message of the user is, or the other way round.
    """
    generator = np.random.default_rng(0)
    calm = _pools(filter(FILLINGS["tasks of the corpus"], judged))
    ours = (j for j in judged if j.source == "corpus" and j.emotional)
    charged = _pools(ours, charged=True)
    own = [j for j in judged if calm[_pool(j)] and charged[_pool(j)]]
    before = np.array([j.flagged("balanced") for j in own])
    messages = np.array([j.flagged_turns("balanced").any() for j in own])

    def flagged(turns: Mapping[Pool, Sequence[Turn]]) -> NDArray[np.bool_]:
        pools = [turns[_pool(j)] for j in own]
        added = [pool[int(generator.integers(len(pool)))] for pool in pools]
        chats = [
            replace(j.conversation, messages=(*j.conversation.messages, *turn))
            for j, turn in zip(own, added, strict=True)
        ]
        return np.array([j.flagged("balanced") for j in judge_again(own, chats, reader)])

    with_calm, with_charged = flagged(calm), flagged(charged)
    result = {}
    for name in MAIN_GROUPS:
        rows = np.array([GROUPS[name](j) for j in own])
        result[name] = {
            "disagree": proportion(messages[rows] != before[rows]),
            "raised": proportion(with_calm[rows & ~before]),
            "lowered": proportion(~with_calm[rows & before]),
            "found": proportion(with_charged[rows & ~before]),
        }
    return result


def _pool(judged: Judged) -> Pool:
    return judged.language, id(judged.calibration)


def _pools(judged: Iterable[Judged], *, charged: bool = False) -> dict[Pool, list[Turn]]:
    """Return the turns of conversations by pool, all or the charged ones."""
    pools: dict[Pool, list[Turn]] = defaultdict(list)
    for j in judged:
        for place, flag in zip(j.scored.user_places, j.charged_turns(), strict=True):
            if flag or not charged:
                pools[_pool(j)].append(_turn(j, place))
    return pools


def _turn(judged: Judged, index: int) -> Turn:
    """Return a user's message with the reply to it, if there is one."""
    messages = judged.conversation.messages
    reply = messages[index + 1 : index + 2]
    return (messages[index], *(m for m in reply if m.role == "assistant"))
