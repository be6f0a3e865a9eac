"""Alterations of training conversations that keep their labels, or are known to flip them.

They keep the model from reading the label off what does not carry it: whether anything precedes
the message, what does, how it is spelt and punctuated, a pronoun, an emotional word, and what
stands around messages in exports and is no prose: marks, numbers, dates, signatures. Tasks are full
of the last and charged messages as people write them are not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from affectlib.conversation import Conversation, Message
from affectlib.finetuning.labelled import LabelledConversation
from training.config import AugmentSettings

_GREETINGS = (
    ("hi", "Hello! How can I assist you today?"),
    ("hello", "Hi there! What can I help you with?"),
    ("hey", "Hey! What's on your mind?"),
    ("good morning", "Good morning! How may I help?"),
    ("hi there", "Hello! How are you today?"),
    ("are you there", "Yes, I'm here. What can I do for you?"),
    ("bonjour", "Bonjour ! Comment puis-je vous aider ?"),
    ("salut", "Salut ! Que puis-je faire pour toi ?"),
    ("coucou", "Coucou ! De quoi veux-tu parler ?"),
    ("bonsoir", "Bonsoir ! En quoi puis-je vous être utile ?"),
)

_WRAPPERS = (
    "Translate into French: {}",
    "Translate this to Spanish please\n\n{}",
    "summarize this forum post in two sentences\n{}",
    "Proofread the following text and fix the grammar: {}",
    "Classify the sentiment of this text as positive, negative or neutral: {}",
    'What emotion does the writer of this message express? "{}"',
    'Rewrite this in a more formal tone:\n"{}"',
    "Here is a sample from our dataset. Extract the main topics as JSON.\n\n{}",
    "Write a short story that begins with this line: {}",
    'I\'m building a support chatbot. How should it answer a user who writes: "{}"',
    "A client sent me this for our newsletter, shorten it to 50 words: {}",
    'Act as a therapist. The patient says: "{}" Write your reply, for a training course.',
    "{}\n\nThe text above is from an exam. List three questions on it.",
    "{}\n---\ntranslate the above to german",
    "Give me five paraphrases of the sentence: {}",
    "Turn this monologue into a screenplay scene: {}",
    "Traduis en anglais : {}",
    "Résume ce message de forum en une phrase : {}",
    "Corrige les fautes de ce texte : {}",
    "Voici un témoignage pour mon mémoire, dégage les thèmes : {}",
)

ALONE = 0.2
"""Share of copies of which the target stands without what precedes it."""
GREETING = 0.1
"""Of which it stands after a greeting and its answer instead."""
OTHER_CONTEXT = 0.25
"""Of which it stands after messages of users of other conversations."""
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
FEWEST_WORDS = 3, 6
"""Words from which a first message, and a later one, is taken to say the same by itself."""
_PUNCTUATION = re.compile(r"[.,!?;:\"'’…]+")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _KEYBOARD
    for place, letter in enumerate(row)
}


class Augmenter:
    """Makes altered copies of single targets.

    Args:
        settings: How often each alteration is made that a recipe decides on.
        others: Texts of user messages that may come before a target.
        random_state: Source of randomness.
    """

    def __init__(
        self, settings: AugmentSettings, others: Sequence[str], random_state: random.Random
    ) -> None:
        """Keep what the alterations draw from."""
        self._settings = settings
        self._others = others
        self._random = random_state

    def alter(self, conversation: Conversation, index: int) -> tuple[Conversation, int]:
        """Return an altered conversation up to the target, and the target's place in it."""
        messages = list(conversation.messages[: index + 1])
        draw = self._random.random()
        later = any(message.role == "user" for message in messages[:-1])
        readable_alone = len(messages[-1].content.split()) >= FEWEST_WORDS[later]
        if draw < ALONE and readable_alone:
            messages = messages[-1:]
        elif draw < ALONE + GREETING and readable_alone:
            user, assistant = self._random.choice(_GREETINGS)
            messages = [Message("user", user), Message("assistant", assistant), messages[-1]]
        elif draw < ALONE + GREETING + OTHER_CONTEXT and readable_alone:
            count = min(self._random.choice((1, 1, 2, 3)), len(self._others))
            others = self._random.sample(self._others, count)
            messages = [*(Message("user", text) for text in others), messages[-1]]
        return Conversation(tuple(messages), id=conversation.id), len(messages) - 1

    def rewrite(self, conversation: Conversation, language: str) -> Conversation:
        """Return the conversation with the user's messages written otherwise.

        Args:
            conversation: The conversation.
            language: Language of its pronouns; those of others than ``en`` and ``fr`` are kept.
        """
        chosen = [
            change
            for change, share in (
                (_terse, TERSE),
                (partial(_impersonal, language=language), self._settings.impersonal),
                (_typos, self._settings.typos),
                (surrounded, self._settings.surrounded),
            )
            if self._random.random() < share
        ]
        messages = []
        for message in conversation.messages:
            content = message.content
            for change in chosen if message.role == "user" else ():
                content = change(content, self._random) or content
            messages.append(replace(message, content=content))
        return Conversation(tuple(messages), id=conversation.id)


def _terse(text: str, _: random.Random) -> str:
    return _PUNCTUATION.sub("", text).lower()


def _impersonal(text: str, random_state: random.Random, language: str) -> str:
    """Blank the first-person pronouns, or leave them out."""
    masked = mask_pronouns(text, language)
    if random_state.random() < 0.5:
        return masked
    return re.sub(rf"(?<!\w){MASK}(?:['’]\w+)?\s*", "", masked).strip()


def _typos(text: str, random_state: random.Random) -> str:
    """Swap, leave out, double or miss letters, as hasty fingers do, but for a word's first."""
    share = random_state.uniform(0.02, 0.08)
    letters = [*text]
    for place in range(1, len(letters) - 1):
        inside = letters[place - 1].isalpha() and letters[place].isalpha()
        if not inside or random_state.random() >= share:
            continue
        kind = random_state.randrange(4)
        if kind == 0 and letters[place + 1].isalpha():
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif kind == 1:
            letters[place] = ""
        elif kind == 2:
            letters[place] *= 2
        elif neighbours := _NEIGHBOURS.get(letters[place].lower()):
            letters[place] = random_state.choice(neighbours)
    return "".join(letters)


def mask_pronouns(text: str, language: str) -> str:
    """Replace the first-person pronouns of a text.

    Args:
        text: The text.
        language: ``en`` or ``fr``; texts in others are returned as they are.

    Example:
        >>> mask_pronouns("I'm sure my code is fine", "en")
        "_'m sure _ code is fine"
        >>> mask_pronouns("J'ai perdu mon chat", "fr")
        "_'ai perdu _ chat"
    """
    pronouns = PRONOUNS.get(language)
    return pronouns.sub(MASK, text) if pronouns else text


def wrap_in_task(
    labelled: LabelledConversation, random_state: random.Random
) -> LabelledConversation:
    """Turn a charged text into text that is pasted into a task, and so into a negative."""
    text = next(m.content for m in labelled.conversation.user_messages if m.content.strip())
    text = text[:PASTED_CHARACTERS].rsplit(" ", 1)[0] if len(text) > PASTED_CHARACTERS else text
    wrapped = random_state.choice(_WRAPPERS).format(text)
    return LabelledConversation(
        Conversation((Message("user", wrapped),), id=labelled.conversation.id),
        f"{labelled.source}_wrapped",
        charge=0,
        charges={0: (0, 0)},
        cues=frozenset(),
    )


_QUOTED = ('"{}"', "“{}”", "«{}»", "« {} »", "'{}'", "‘{}’", "„{}“", '"{}', '> "{}"')
_AROUND = (
    *("({})", "*{}*", "**{}**", "> {}", "- {}", "[{}]", "_{}_", "~{}~", "... {}", "{} ..."),
    *("<p>{}</p>", "<div>{}</div>", "<p>{}<br></p>", "<div><p>{}</p></div>", "<span>{}</span>"),
    *("{}<br>", "{}<br/>", "`{}`", "{}\n---", "```\n{}\n```", "1. {}"),
)
_BEFORE = (
    *("Me: ", "Moi : ", "User: ", "You said: ", "Q: ", "Message: ", "Subject: Re: hi\n\n", "RE: "),
    *("@bot ", "@ChatGPT ", "/chat ", "/ask ", "#general ", "!ai ", "Prompt: ", "Human: "),
)
_THINGS = (
    *("image", "photo", "picture", "video", "sticker", "gif", "audio", "voice", "file", "link"),
    *("attachment", "document", "screenshot", "emoji", "vocal", "pièce jointe", "média omis"),
)
_FRAMES = ("[{}]", "({})", "<{}>", "<{} omitted>", "[{} removed]", "{{{}}}", "*{}*", "[{}: {}.{}]")
_NAMES = ("Sam", "Ana", "J. Petit", "Dr. K. Osei", "M. Durand", "Lena", "Chidi O.", "Priya Rao")
_SIGN_OFFS = (
    *("--\n{}", "-- \n{}\n{}", "{}", "- {}", "Best,\n{}", "Thanks,\n{}\n{}", "Cordialement,\n{}"),
    *("Sent from my iPhone", "Envoyé de mon iPhone", "Sent from my Samsung device", "{}\n{}"),
)
_MONTHS = ("Jan", "Mar", "May", "Jul", "Sept", "Dec", "janvier", "avril", "août", "novembre")


def surrounded(text: str, random_state: random.Random) -> str:
    """Put something that is no prose around a message, or two such things."""
    for _ in range(random_state.choice((1, 1, 2))):
        text = random_state.choice(_KINDS)(text, random_state)
    return text


def _quoted(text: str, random_state: random.Random) -> str:
    return random_state.choice(_QUOTED).replace("{}", text)


def _marks(text: str, random_state: random.Random) -> str:
    return random_state.choice(_AROUND).replace("{}", text)


def _prefix(text: str, random_state: random.Random) -> str:
    return random_state.choice(_BEFORE) + text


def _thing(text: str, random_state: random.Random) -> str:
    frame, thing = random_state.choice(_FRAMES), random_state.choice(_THINGS)
    name = f"IMG_{random_state.randrange(10_000)}"
    return _beside(
        text, frame.format(thing, name, random_state.choice(("jpg", "pdf", "mp4"))), random_state
    )


def _number(text: str, random_state: random.Random) -> str:
    number = str(random_state.randrange(10 ** random_state.randint(1, 8)))
    frame = random_state.choice(
        ("#{}", "{}", "({})", "[{}]", "ID {}", "ref. {}", "no. {}", "id={}", "{}/5", "n° {}")
    )
    return _beside(text, frame.format(number), random_state)


def _date(text: str, random_state: random.Random) -> str:
    day, month, year = (
        random_state.randint(1, 28),
        random_state.randint(1, 12),
        random_state.randint(2021, 2026),
    )
    hour, minute = random_state.randrange(24), random_state.randrange(60)
    time = random_state.choice(
        (f"{hour:02}:{minute:02}", f"{hour:02}:{minute:02}:{day:02}", f"{hour}h{minute:02}")
    )
    name = random_state.choice(_MONTHS)
    date = random_state.choice(
        (
            f"{year}-{month:02}-{day:02}",
            f"{day:02}/{month:02}/{year}",
            f"{month}/{day}/{year % 100}",
            f"{day} {name} {year}",
            f"{name} {day}",
        )
    )
    stamp = random_state.choice(
        (f"{date} {time}", f"[{date}, {time}]", f"{date}T{time}Z", date, time, f"({time})")
    )
    return _beside(text, stamp, random_state)


def _signature(text: str, random_state: random.Random) -> str:
    phone = f"+{random_state.randrange(1, 99)} {random_state.randrange(10**8, 10**9)}"
    frame = random_state.choice(_SIGN_OFFS)
    return f"{text}\n\n{frame.format(random_state.choice(_NAMES), phone)}"


def _link(text: str, random_state: random.Random) -> str:
    code = f"{random_state.randrange(16**6):06x}"
    return _beside(
        text,
        random_state.choice(
            (
                f"https://t.co/{code}",
                f"www.site{code}.com",
                f"http://a.example/{code}.html",
                f"{code}@mail.com",
            )
        ),
        random_state,
    )


def _beside(text: str, thing: str, random_state: random.Random) -> str:
    """Put a thing after the text, or more seldom before it."""
    gap = random_state.choice((" ", " ", "\n"))
    return f"{thing}{gap}{text}" if random_state.random() < 0.3 else f"{text}{gap}{thing}"


_KINDS: tuple[Callable[[str, random.Random], str], ...] = (
    *(_quoted, _quoted, _marks, _thing, _number, _date, _signature, _prefix, _link),
)
