"""What stands around messages in exports and is no prose: marks, numbers, dates, signatures.

Tasks are full of it and charged messages as people write them are not, so that a model takes it
for a task's. Copies of windows of both labels get some (`AugmentSettings.surrounded`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

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
