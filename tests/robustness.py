"""How often a message's label changes when it is written otherwise.

python -m tests.robustness               the bundled model; --model NAME for another, --json

`data/robustness.jsonl` holds 480 messages that are plainly charged or plainly tasks, half of them
English and half French, each with a paraphrase. Every message is altered in several ways that
change nothing for a reader; a flip is a label that differs from that of the original. Intervals
are 95 % percentile bootstraps over messages. Training has seen typing errors and things
around messages of a like kind (`training/data/augment.py`, `training/data/surroundings.py`), on
other texts.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectlib.classifier import AffectClassifier

ROWS = Path(__file__).parent / "data" / "robustness.jsonl"
TARGET = 0.03
_RESAMPLES = 2000
_TYPOS = 0.06
_LOOKALIKES = str.maketrans("aeopcxyijsABEKMHOPCTX", "аеорсхуіјѕАВЕКМНОРСТХ")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\xad"
_EMOJI = "🙂"
_PLACEHOLDERS = ("image", "photo", "GIF", "voice message", "attachment: scan.pdf")
_SIGNATURES = ("Ana Lopez\n+44 7700 900123", "J. Martin, Lyon\nEnvoyé de mon téléphone")


@dataclass(frozen=True, slots=True)
class Figure:
    """A share with its interval, of so many messages."""

    name: str
    share: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return it as a line of a table."""
        interval = f"[{self.low:.3f}, {self.high:.3f}]"
        return f"{self.name:<30} {self.share:.3f} {interval}  n = {self.n}"


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


PERTURBATIONS: Mapping[str, Callable[[str, random.Random], str]] = {
    "typos": typos,
    "lower case": lambda text, rng: text.lower(),
    "upper case": lambda text, rng: text.upper(),
    "no punctuation": without_punctuation,
    "doubled blanks": doubled_blanks,
    "lookalike letters": lambda text, rng: text.translate(_LOOKALIKES),
    "invisible characters": invisible,
    "repeated letters": repeated_letters,
    "emoji appended": lambda text, rng: f"{text} {_EMOJI}",
    "placeholder appended": lambda text, rng: f"{text} [{rng.choice(_PLACEHOLDERS)}]",
    "number appended": lambda text, rng: f"{text} #{rng.randrange(10_000, 100_000)}",
    "date appended": lambda text, rng: f"{text}\n2024-{rng.randrange(1, 13):02}-14 22:05:37",
    "signature appended": lambda text, rng: f"{text}\n\n-- \n{rng.choice(_SIGNATURES)}",
    "in quotation marks": lambda text, rng: f'"{text}"',
    "in an HTML paragraph": lambda text, rng: f"<p>{text}</p>",
}


def read_rows(path: Path = ROWS) -> list[dict[str, str]]:
    """Read the messages."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def altered(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return the messages as they are, in each way altered, and paraphrased."""
    texts = {"original": [row["text"] for row in rows]}
    for name, alter in PERTURBATIONS.items():
        texts[name] = [
            alter(row["text"], random.Random(zlib.crc32(f"{name} {row['id']}".encode())))
            for row in rows
        ]
    return texts | {"paraphrase": [row["paraphrase"] for row in rows]}


def measure(classifier: AffectClassifier, rows: list[dict[str, str]]) -> Iterator[Figure]:
    """Yield the accuracy on the originals, then the share of flips of each alteration."""
    texts = altered(rows)
    flat = [text for group in texts.values() for text in group]
    labels = np.array([found.label for found in classifier.predict(flat)])
    found = dict(zip(texts, labels.reshape(len(texts), len(rows)), strict=True))
    truth = np.array([row["label"] for row in rows])
    yield figure("accuracy on originals", found["original"] == truth)
    for name in [*texts][1:]:
        yield figure(name, found[name] != found["original"])


def figure(name: str, hits: Any) -> Figure:
    """Return the share of hits with its interval."""
    rng = np.random.default_rng(0)
    shares = hits[rng.integers(len(hits), size=(_RESAMPLES, len(hits)))].mean(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return Figure(name, float(hits.mean()), float(low), float(high), len(hits))


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness", description=__doc__)
    parser.add_argument("--model", default="affect-small", help="a bundled model or a folder")
    parser.add_argument("--rows", type=int, help="only so many messages of each label")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")
    options = parser.parse_args(arguments)
    rows = read_rows()
    if options.rows is not None:
        kinds = {
            label: [row for row in rows if row["label"] == label] for label in ("emotional", "task")
        }
        rows = [row for kind in kinds.values() for row in kind[: options.rows]]
    classifier = AffectClassifier.from_pretrained(options.model, device="cpu", engine="onnx")
    for number, figure in enumerate(measure(classifier, rows)):
        if options.json:
            print(json.dumps(asdict(figure)))
            continue
        if number == 1:
            print(f"label flips (target: at most {TARGET:.0%})")
        print(figure)


if __name__ == "__main__":
    main()
