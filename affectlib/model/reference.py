"""What a model was measured on, and whether other transcripts look like it.

A reference holds, of each kind of transcript that the model was measured on, how many conversations
have few or many messages, short or long ones, and so on: a histogram of each of `FEATURES`, and the
most frequent words of their users. No text, and no figure of a single conversation, is in it.

Other transcripts are compared with the mixture of these kinds that they are nearest to. Their
distance in each feature is the largest difference between the two cumulative histograms (the
statistic of Kolmogorov and Smirnov): 0 is alike, and 1 is nothing in common.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.conversation import Conversation
from affectlib.model.calibration import finite_logit

__all__ = [
    "FEATURES",
    "Comparison",
    "Difference",
    "FeatureHistogram",
    "Reference",
    "add_domain",
    "reference_of",
]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Feature:
    title: str
    low: float
    high: float
    unit: str
    far: float = 0.4


_BINS = 40
FEATURES: Mapping[str, _Feature] = {
    "messages": _Feature("messages of the user", 0.0, 6.0, "log", far=0.7),
    "words": _Feature("words in a message of the user", 0.0, 8.0, "log"),
    "reply": _Feature("words in a reply", 0.0, 8.0, "log"),
    "known": _Feature("words of the user that are common there", 0.0, 1.0, "share"),
    "letters": _Feature("letters in what the user writes", 0.0, 1.0, "share"),
    "score": _Feature("probability of emotional", -9.0, 5.0, "logit"),
}
"""What is compared: the name in the reference, what it is, and the distance that is far.

Many collections hold the first message only, or few, so that their number must differ more.
"""

KNOWN_WORDS = 500
FEWEST = 30
"""Conversations without which nothing is said."""
_READ = 2000
_CLOSE = 1000
_STEPS = 200
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class Difference:
    """How transcripts differ most from those that a model was measured on.

    Attributes:
        feature: Its name in `FEATURES`.
        distance: From 0, alike, to 1, nothing in common.
        here: The median here.
        there: The median in the nearest mixture of kinds.
    """

    feature: str
    distance: float
    here: float
    there: float

    def __str__(self) -> str:
        """Name the feature and both medians."""
        feature = FEATURES[self.feature]
        here, there = (_shown(value, feature.unit) for value in (self.here, self.there))
        return f"{feature.title} ({here} here, {there} there)"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a model was measured on.

    Attributes:
        words: The most frequent words of the users, in lower case.
        kinds: Of each kind of transcript, the shares of conversations in the bins of each feature.
    """

    words: frozenset[str]
    kinds: Mapping[str, Mapping[str, Sequence[float]]]

    @classmethod
    def read(cls, values: Mapping[str, Any] | None) -> Reference | None:
        """Take what an artifact holds under ``reference``; None if it is not there or unreadable.

        It is advice, without which a model works: one that is damaged, or of a later version, is
        passed over.
        """
        try:
            kinds = {
                str(kind): {
                    name: [float(share) for share in shares]
                    for name, shares in features.items()
                    if name in FEATURES and len(shares) == _BINS
                }
                for kind, features in (values or {})["kinds"].items()
            }
            words = frozenset(map(str, (values or {})["words"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        shared = set.intersection(*map(set, kinds.values())) if kinds else set()
        return cls(words, kinds) if {*FEATURES} - {"score"} <= shared else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        kinds = {
            kind: {
                name: [round(float(share), 4) for share in shares] for name, shares in each.items()
            }
            for kind, each in self.kinds.items()
        }
        return {"words": sorted(self.words), "kinds": kinds}

    def without_scores(self) -> Reference:
        """Return the reference of a model that gives other probabilities: it has none of these."""
        kinds = {
            kind: {name: shares for name, shares in each.items() if name != "score"}
            for kind, each in self.kinds.items()
        }
        return Reference(self.words, kinds)


def add_domain(reference: Reference, conversations: Sequence[Conversation]) -> Reference:
    """Add a user's own transcripts to the kinds of a reference, but none of their words.

    Scores are no longer compared, as the kinds that were there have those of another model. Fewer
    than 30 conversations are not added.
    """
    histogram = FeatureHistogram(reference.words)
    for conversation in conversations:
        histogram.add(conversation, every=True)
    kinds = {**reference.kinds}
    if histogram.seen >= FEWEST:
        kinds["own transcripts"] = histogram.all_shares()
    return Reference(reference.words, kinds).without_scores()


def reference_of(
    conversations: Iterable[tuple[str, Conversation, float | None]],
) -> Reference:
    """Compute a reference from the conversations that a model is measured on.

    Args:
        conversations: Of each its kind (such as its source), itself, and its probability, None if
            there is none. Kinds of fewer than 30 conversations count as one, ``others``.

    Raises:
        ValueError: There is no conversation.

    Example:
        >>> from affectlib.conversation import Conversation, Message
        >>> chat = Conversation((Message("user", "hello there"), Message("assistant", "Hi!")))
        >>> found = reference_of([("mine", chat, 0.1)] * 40)
        >>> sorted(found.words), [*found.kinds]
        (['hello', 'there'], ['mine'])
    """
    rows = list(conversations)
    if not rows:
        raise ValueError("a reference needs conversations")
    counts: Counter[str] = Counter()
    for _, conversation, _ in rows:
        counts.update({*_words(conversation)})
    words = frozenset(word for word, _ in counts.most_common(KNOWN_WORDS))
    sizes = Counter(kind for kind, _, _ in rows)
    kinds: dict[str, FeatureHistogram] = {}
    for kind, conversation, probability in rows:
        name = kind if sizes[kind] >= FEWEST else "others"
        kinds.setdefault(name, FeatureHistogram(words)).add(conversation, probability, every=True)
    found = Reference(words, {name: each.all_shares() for name, each in sorted(kinds.items())})
    scored = all(probability is not None for _, _, probability in rows)
    return found if scored else found.without_scores()


@dataclass(slots=True)
class FeatureHistogram:
    """Histograms of transcripts as they go by; the first thousand, then fewer and fewer, are read.

    Attributes:
        words: Words that are common in the reference.
        seen: Conversations that went by.
    """

    words: frozenset[str]
    seen: int = 0
    _counts: dict[str, _Floats] = field(default_factory=dict)

    def add(
        self, conversation: Conversation, probability: float | None = None, *, every: bool = False
    ) -> None:
        """Count a conversation, with what the model found unless it was not asked.

        With `every`, it is read however many there were.
        """
        self.seen += 1
        if not every and self.seen > _CLOSE and self.seen % 10 ** (len(str(self.seen)) - 3):
            return
        for name, value in _features(conversation, self.words, probability).items():
            feature = FEATURES[name]
            share = (value - feature.low) / (feature.high - feature.low)
            place = min(max(int(share * _BINS), 0), _BINS - 1)
            self._counts.setdefault(name, np.zeros(_BINS))[place] += 1

    def shares(self, name: str) -> _Floats:
        """Return the share of conversations in each bin of a feature."""
        counts = self._counts.get(name, np.zeros(_BINS))
        return counts / max(float(counts.sum()), 1.0)

    def all_shares(self) -> dict[str, list[float]]:
        """Return the shares of every feature, by its name."""
        return {name: self.shares(name).tolist() for name in FEATURES}

    def differences(self, reference: Reference) -> list[Difference]:
        """Return how these transcripts differ from the reference, the largest difference first.

        Nothing is returned of too few, or where they are alike. What chance makes of few is allowed
        for.
        """
        read = float(self._counts["messages"].sum()) if self._counts else 0.0
        if read < FEWEST:
            return []
        names = [
            name
            for name in FEATURES
            if name in self._counts and all(name in each for each in reference.kinds.values())
        ]
        here = np.array([np.cumsum(self.shares(name)) for name in names])
        kinds = np.array(
            [[np.cumsum(each[name]) for name in names] for each in reference.kinds.values()]
        )
        there = np.tensordot(_mixture(kinds, here), kinds, 1)
        chance = 1 / sqrt(read)
        found = [
            Difference(name, float(np.abs(a - b).max()), _median(a, name), _median(b, name))
            for name, a, b in zip(names, here, there, strict=True)
        ]
        far = (d for d in found if d.distance > FEATURES[d.feature].far + chance)
        return sorted(far, key=lambda d: -d.distance)


@dataclass(slots=True)
class Comparison:
    """Transcripts on their way past the reference of a model.

    Attributes:
        reference: What the model was measured on.
        model: Its name.
        histogram: What went by.
    """

    reference: Reference
    model: str
    histogram: FeatureHistogram

    @classmethod
    def of(cls, reference: Reference | None, model: str) -> Comparison | None:
        """Begin to compare; None if the model does not say what it was measured on."""
        if reference is None:
            return None
        return cls(reference, model, FeatureHistogram(reference.words))

    def line(self) -> str | None:
        """Say in one line how the transcripts differ; None if they are alike."""
        if not (found := self.histogram.differences(self.reference)):
            return None
        named = " and ".join(map(str, found[:2]))
        return (
            f"these transcripts look unlike those that {self.model} was measured on, above all in "
            f"{named}; label a sample by hand before you trust the labels (affectlib sample)"
        )


def _mixture(kinds: _Floats, here: _Floats) -> _Floats:
    """Return the weights of the kinds whose mixture is nearest, by exponentiated gradient."""
    weights = np.full(len(kinds), 1 / len(kinds))
    for _ in range(_STEPS):
        gap = np.tensordot(weights, kinds, 1) - here
        gradient = (kinds * gap).sum((1, 2)) / here.size
        weights *= np.exp(-20.0 * (gradient - gradient.min()))
        weights /= weights.sum()
    return weights


def _median(cumulated: _Floats, name: str) -> float:
    feature = FEATURES[name]
    place = float(np.interp(0.5, np.concatenate([[0.0], cumulated]), np.arange(_BINS + 1)))
    return feature.low + place / _BINS * (feature.high - feature.low)


def _shown(value: float, unit: str) -> str:
    if unit == "log":
        return f"{np.expm1(value):.0f}"
    return f"{value if unit == 'share' else 1 / (1 + np.exp(-value)):.0%}"


def _words(conversation: Conversation) -> list[str]:
    texts = (message.content[:_READ] for message in conversation.user_messages)
    return [word.lower() for text in texts for word in _WORD.findall(text)]


def _features(
    conversation: Conversation, known: frozenset[str], probability: float | None
) -> dict[str, float]:
    texts = [m.content[:_READ] for m in conversation.user_messages if m.content.strip()]
    replies = [
        len(m.content.split())
        for m in conversation.messages
        if m.role == "assistant" and m.content.strip()
    ]
    if not texts:
        return {}
    words = _words(conversation)
    signs = "".join(texts)
    written = sum(map(str.isalpha, signs)) + sum(map(str.isspace, signs))
    found = {
        "messages": log(1 + len(texts)),
        "words": log(1 + sum(len(text.split()) for text in texts) / len(texts)),
        "reply": log(1 + sum(replies) / len(replies)) if replies else 0.0,
        # A few words say little of which are common, so they count beside four of which half are.
        "known": (sum(word in known for word in words) + 2) / (len(words) + 4),
        "letters": written / len(signs),
    }
    if probability is not None:
        found["score"] = finite_logit(probability)
    return found
