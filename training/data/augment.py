"""Alterations of training conversations that keep their labels, or are known to flip them.

They keep the model from reading the label off what does not carry it: how much calm talk stands
beside what is charged, how it is spelt and punctuated, a pronoun, an emotional word, and what
stands around messages in exports and pastes and is no prose: marks, numbers, dates, signatures,
code, tables. Tasks are full of the last and charged messages as people write them are not.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from affectlib.conversation import Conversation, Message
from affectlib.finetuning.labelled import LabelledConversation
from training.config import AugmentSettings, read_beside

_DRAWN: dict[str, list[Any]] = read_beside(__file__)
"""What the alterations draw from, by what it is."""

SEVERAL = 0.5
"""Of the calm talk beside a conversation, how much is put together of turns of several."""
TERSE = 0.1
"""Of which the user writes in lower case without punctuation."""
MASK = "_"
PRONOUNS = {
    "en": re.compile(
        r"\b(?:[Ii](?:m|ve)?|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself|[Ww]e|us|Us|[Oo]urs?|[Oo]urselves"
        r"|MY|ME|WE|OUR|IM)\b"
    ),
    "fr": re.compile(
        r"\b(?:[jm](?=['’])|je|me|moi|mon|ma|mes|mien(?:ne)?s?|nous|notre|nos|nôtres?)\b",
        re.IGNORECASE,
    ),
}
"""First-person pronouns and possessives, singular and plural; "US" may be a country."""

PASTED_CHARACTERS = 400
_PUNCTUATION = re.compile(r"[.,!?;:\"'’…]+")
_NEIGHBOURS = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for place, letter in enumerate(row)
}


class Augmenter:
    """Makes altered copies of conversations."""

    def __init__(
        self, settings: AugmentSettings, others: Sequence[LabelledConversation], rng: random.Random
    ) -> None:
        self._settings = settings
        self._random = rng
        self._calm: dict[str, list[LabelledConversation]] = defaultdict(list)
        for labelled in others:
            if labelled.charge == 0 and labelled.cues == frozenset():
                self._calm[labelled.row.get("lang", "en")].append(labelled)

    def draws_beside(self) -> bool:
        """Return whether the next conversation gets calm talk beside it."""
        return self._random.random() < self._settings.beside

    def surround(self, labelled: LabelledConversation, language: str) -> LabelledConversation:
        """Put calm talk before a conversation, or after it; its labels stay."""
        other = self._calm_talk(language)
        own = labelled.conversation.messages
        before = self._random.random() < 0.6
        shift = len(other) if before else 0
        messages = (*other, *own) if before else (*own, *other)
        start = 0 if before else len(own)
        calm = {start + i: (0, 0) for i, m in enumerate(other) if m.role == "user"}
        cues = labelled.turn_cues
        return replace(
            labelled,
            conversation=Conversation(messages, id=labelled.conversation.id),
            charges=calm | {shift + place: charge for place, charge in labelled.charges.items()},
            turn_cues=cues and {shift + place: shown for place, shown in cues.items()},
        )

    def _calm_talk(self, language: str) -> Sequence[Message]:
        """Return the beginning of a calm conversation, or turns of several; or else a greeting."""
        if not self._calm[language]:
            user, assistant = self._random.choice(_DRAWN["greetings"])
            return Message("user", user), Message("assistant", assistant)
        if self._random.random() >= SEVERAL:
            other = self._random.choice(self._calm[language]).conversation.messages
            return other[: self._random.choice((1, 2, 2, 4, 6, 8))]
        turns: list[Message] = []
        for _ in range(self._random.choice((3, 6, 10, 14, 19))):
            messages = self._random.choice(self._calm[language]).conversation.messages
            users = [place for place, m in enumerate(messages) if m.role == "user"]
            place = self._random.choice(users)
            reply = messages[place + 1 : place + 2]
            turns += [messages[place], *(m for m in reply if m.role == "assistant")]
        return turns

    def rewrite(self, conversation: Conversation, language: str) -> Conversation:
        """Return the conversation with the user's messages written otherwise."""
        shares: dict[Callable[[str, random.Random], str], float] = {
            _terse: TERSE,
            partial(_impersonal, language=language): self._settings.impersonal,
            _typos: self._settings.typos,
            surrounded: self._settings.surrounded,
            pasted: self._settings.pasted,
        }
        chosen = [change for change, share in shares.items() if self._random.random() < share]
        messages = []
        for message in conversation.messages:
            content = message.content
            for change in chosen if message.role == "user" else ():
                content = change(content, self._random) or content
            messages.append(replace(message, content=content))
        return Conversation(tuple(messages), id=conversation.id)


def _terse(text: str, _: random.Random) -> str:
    return _PUNCTUATION.sub("", text).lower()


def _impersonal(text: str, rng: random.Random, language: str) -> str:
    """Blank the first-person pronouns, or leave them out."""
    masked = mask_pronouns(text, language)
    if rng.random() < 0.5:
        return masked
    return re.sub(rf"(?<!\w){MASK}(?:['’]\w+)?\s*", "", masked).strip()


def _typos(text: str, rng: random.Random) -> str:
    """Swap, leave out, double or miss letters, as hasty fingers do, but for a word's first."""
    share = rng.uniform(0.02, 0.08)
    letters = [*text]
    for place in range(1, len(letters) - 1):
        inside = letters[place - 1].isalpha() and letters[place].isalpha()
        if not inside or rng.random() >= share:
            continue
        kind = rng.randrange(4)
        if kind == 0 and letters[place + 1].isalpha():
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif kind == 1:
            letters[place] = ""
        elif kind == 2:
            letters[place] *= 2
        elif neighbours := _NEIGHBOURS.get(letters[place].lower()):
            letters[place] = rng.choice(neighbours)
    return "".join(letters)


def mask_pronouns(text: str, language: str) -> str:
    """Replace the first-person pronouns of a text in ``en`` or ``fr``; others stay as they are."""
    pronouns = PRONOUNS.get(language)
    return pronouns.sub(MASK, text) if pronouns else text


def wrap_in_task(labelled: LabelledConversation, rng: random.Random) -> LabelledConversation:
    """Turn a charged text into text that is pasted into a task, and so into a negative."""
    text = next(m.content for m in labelled.conversation.user_messages if m.content.strip())
    text = text[:PASTED_CHARACTERS].rsplit(" ", 1)[0] if len(text) > PASTED_CHARACTERS else text
    wrapped = rng.choice(_DRAWN["tasks"]).format(text)
    return LabelledConversation(
        Conversation((Message("user", wrapped),), id=labelled.conversation.id),
        f"{labelled.source}_wrapped",
        charge=0,
        charges={0: (0, 0)},
        cues=frozenset(),
    )


def surrounded(text: str, rng: random.Random) -> str:
    """Put something that is no prose around a message, or two such things."""
    for _ in range(rng.choice((1, 1, 2))):
        text = rng.choice(_SURROUNDINGS)(text, rng)
    return text


def pasted(text: str, rng: random.Random) -> str:
    """Put code, an error, a table, records, numbers or links beside a message, or it into them."""
    kind = rng.random()
    if kind < 0.25:
        return _numbered(rng.choice(_DRAWN["within"]), rng).replace("@", " ".join(text.split()))
    if kind < 0.4:
        gap = rng.choice((" ", " ", "\n", ", "))
        most = 10 ** rng.randint(1, 5)
        block = gap.join(str(rng.randrange(most)) for _ in range(rng.randint(4, 45)))
    else:
        block = _numbered(rng.choice(_DRAWN["blocks"]), rng).strip()
    if "\n" in block and rng.random() < 0.2:
        block = f"```\n{block}\n```"
    gap = rng.choice(("\n", "\n\n", "\n\n")) if "\n" in block else rng.choice((" ", "\n", "\n\n"))
    return f"{block}{gap}{text}" if rng.random() < 0.5 else f"{text}{gap}{block}"


def _numbered(template: str, rng: random.Random) -> str:
    """Put a number of one to five digits in each place for one."""
    return re.sub("~", lambda _: str(rng.randrange(10 ** rng.randint(1, 5))), template)


def _framed(text: str, rng: random.Random, frames: str) -> str:
    return str(rng.choice(_DRAWN[frames])).replace("{}", text)


def _placeholder(text: str, rng: random.Random) -> str:
    frame, thing = rng.choice(_DRAWN["placeholders"]), rng.choice(_DRAWN["things"])
    name = f"IMG_{rng.randrange(10_000)}"
    return _beside(text, frame.format(thing, name, rng.choice(_DRAWN["extensions"])), rng)


def _number(text: str, rng: random.Random) -> str:
    number = rng.randrange(10 ** rng.randint(1, 8))
    return _beside(text, rng.choice(_DRAWN["numbers"]).format(number), rng)


def _date(text: str, rng: random.Random) -> str:
    parts: dict[str, Any] = {"day": rng.randint(1, 28), "month": rng.randint(1, 12)}
    parts["year"] = rng.randint(2021, 2026)
    parts["short_year"] = parts["year"] % 100
    parts |= {"hour": rng.randrange(24), "minute": rng.randrange(60)}
    parts["time"] = rng.choice(_DRAWN["times"]).format(**parts)
    parts["name"] = rng.choice(_DRAWN["months"])
    parts["date"] = rng.choice(_DRAWN["dates"]).format(**parts)
    return _beside(text, rng.choice(_DRAWN["stamps"]).format(**parts), rng)


def _link(text: str, rng: random.Random) -> str:
    code = f"{rng.randrange(16**6):06x}"
    return _beside(text, rng.choice(_DRAWN["links"]).format(code), rng)


def _beside(text: str, thing: str, rng: random.Random) -> str:
    """Put a thing after the text, or more seldom before it."""
    gap = rng.choice((" ", " ", "\n"))
    return f"{thing}{gap}{text}" if rng.random() < 0.3 else f"{text}{gap}{thing}"


def _signature(text: str, rng: random.Random) -> str:
    phone = f"+{rng.randrange(1, 99)} {rng.randrange(10**8, 10**9)}"
    frame = rng.choice(_DRAWN["signatures"])
    return f"{text}\n\n{frame.format(rng.choice(_DRAWN['names']), phone)}"


_SURROUNDINGS: tuple[Callable[[str, random.Random], str], ...] = (
    *(partial(_framed, frames=name) for name in ("quoted", "quoted", "marked")),
    *(_placeholder, _number, _date, _signature),
    *(partial(_framed, frames="prefixed"), _link),
)
