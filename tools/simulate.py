"""A simulated population of users with known truth, to test the analyses against.

- A user has a log-normal number of conversations, spread evenly over the weeks, by voice or text,
  and a leaning towards affective use that goes with their number.
- A conversation is truly charged with ``logit(p) = base + leaning + voice_effect * voice +
  growth * (week - middle) (+ more growth for some)``, where ``base`` gives the `prevalence`.
- A charged conversation has charged turns, more of them towards its end, and one or two themes,
  which the classifier finds with `_THEME_GIVEN_TRUTH`.
- The classifier is binormal (scores of charged and other ones are normal with equal variance), with
  the `sensitivity` and `specificity` given and calibrated probabilities.
- Survey scores at the end depend on those at the start, the decile of usage, voice, the share of
  charged turns, and noise. They lie within the instruments' ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from affectlib.analysis._frames import decile
from affectlib.errors import OptionError
from affectlib.model.aggregation import adjusted
from affectlib.taxonomy import CUES, EMOTIONAL, TASK, THEME_COLUMNS, THEMES

__all__ = ["Population", "simulate"]

_START = datetime(2025, 3, 3, tzinfo=UTC)
_WEEK = 7 * 86_400
_SPREAD = 1.0
_GROWERS = 0.1
_CUE_GIVEN_CHARGE = (0.5, 0.02)
_EMPATHY_GIVEN_CHARGE = (0.7, 0.05)
_THEME_GIVEN_TRUTH = (0.8, 0.03)
_SECOND_THEME = 0.3
_COMMONEST_THEME = 0.25

_Floats = NDArray[np.float64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Population:
    """A simulated population, as `simulate` returns it.

    Attributes:
        messages: Labels of messages, the columns of ``output_schema("message")``.
        conversations: Labels of conversations, the columns of ``output_schema()``.
        gold_messages: The truth of each row: ``record, conversation_id, message, weight`` (1),
            ``gold``, ``themes`` (those of charged rows, separated by commas).
        gold_conversations: The same of conversations, without ``message``.
        participants: One row a user: ``user_id, modality, gender, age, loneliness_start,
            loneliness_end, dependence, growing``.
        truth: What was planted, by name.
    """

    messages: pl.DataFrame
    conversations: pl.DataFrame
    gold_messages: pl.DataFrame
    gold_conversations: pl.DataFrame
    participants: pl.DataFrame
    truth: Mapping[str, float]


def simulate(
    users: int = 1000,
    *,
    seed: int = 0,
    prevalence: float = 0.03,
    sensitivity: float = 0.8,
    specificity: float = 0.98,
    conversations_per_user: float = 8.0,
    weeks: int = 12,
    voice_effect: float = 0.5,
    growth: float = 0.05,
) -> Population:
    """Simulate users with their conversations and labels, whose truth is known.

    Args:
        users: How many users.
        seed: Seed of the random generator.
        prevalence: Share of the conversations that is truly charged, on average.
        sensitivity: Share of the charged ones that the classifier finds.
        specificity: Share of the others that it does not flag.
        conversations_per_user: Median over the users.
        weeks: How many weeks.
        voice_effect: What voice adds to the log-odds that a conversation is charged.
        growth: What each week adds to them.

    Returns:
        The population. ``truth`` holds ``prevalence`` and ``message_prevalence`` (realised),
        ``sensitivity``, ``specificity``, ``voice_effect``, ``growth``, and the coefficients of the
        survey scores: ``loneliness_per_decile``, ``loneliness_per_start``,
        ``dependence_of_voice``.
    """
    _check(users, weeks, prevalence, sensitivity, specificity)
    rng = np.random.default_rng(seed)
    truth = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "voice_effect": voice_effect,
        "growth": growth,
        "loneliness_per_decile": 0.03,
        "loneliness_per_start": 0.75,
        "dependence_of_voice": 1.5,
    }
    people = _people(rng, users, conversations_per_user)
    chats = _chats(rng, people, prevalence, weeks, truth)
    turns = _turns(rng, chats)
    labels = _classify(rng, turns.charged, sensitivity, specificity)
    of_chats = _classify(rng, chats.charged, sensitivity, specificity)
    later = turns.turn * 60 + rng.random(len(turns.turn)) * 30
    sent = chats.week[turns.conversation] * _WEEK + later
    names = _Names.of(users, len(chats.owner))
    messages = _messages(rng, names, chats, turns, sent, labels)
    conversations = _conversations(rng, names, chats, turns, labels[0], of_chats)
    conversations = conversations.join(
        messages.group_by("record").agg(pl.col(name).max() for name in CUES),
        on="record",
        how="left",
        maintain_order="left",
    )
    # With an rng of their own, so that the rest does not depend on them.
    for_themes = np.random.default_rng([seed, 1])
    about = _themes(for_themes, chats.charged)
    about_turns = about[turns.conversation] & turns.charged[:, None]
    user = chats.owner[turns.conversation]
    size = np.bincount(user, minlength=users)
    truth["prevalence"] = float(chats.charged.mean())
    truth["message_prevalence"] = float(turns.charged.mean())
    return Population(
        messages=_with_themes_of_users(for_themes, messages, about_turns),
        conversations=_with_themes(for_themes, conversations, about),
        gold_messages=_gold(
            messages.filter(pl.col("role") == "user"), ["message"], turns.charged, about_turns
        ),
        gold_conversations=_gold(conversations, [], chats.charged, about),
        participants=_participants(
            rng, names.users, people, 2 * size, _count(user, turns.charged, users) / size, truth
        ),
        truth=truth,
    )


def _check(
    users: int, weeks: int, prevalence: float, sensitivity: float, specificity: float
) -> None:
    if users < 2 or weeks < 2:
        raise OptionError("users and weeks must be at least 2")
    shares = {"prevalence": prevalence, "sensitivity": sensitivity, "specificity": specificity}
    for name, share in shares.items():
        if not 0 < share < 1:
            raise OptionError(f"{name} must be more than 0 and less than 1, got {share}")
    if sensitivity + specificity <= 1:
        raise OptionError("sensitivity and specificity must add up to more than 1")


@dataclass(frozen=True, slots=True)
class _People:
    counts: NDArray[np.int64]
    leaning: _Floats
    voice: _Flags
    growing: _Flags


def _people(rng: np.random.Generator, users: int, conversations: float) -> _People:
    usage = rng.normal(size=users)
    counts = np.maximum(1, conversations * np.exp(1.2 * usage)).round().astype(np.int64)
    leaning = _SPREAD * (0.5 * usage + np.sqrt(0.75) * rng.normal(size=users))
    voice = rng.random(users) < 0.5
    return _People(counts, leaning, voice, rng.random(users) < _GROWERS)


@dataclass(frozen=True, slots=True)
class _Chats:
    owner: NDArray[np.int64]
    week: _Floats
    charged: _Flags
    turns: NDArray[np.int64]


def _chats(
    rng: np.random.Generator,
    people: _People,
    prevalence: float,
    weeks: int,
    truth: Mapping[str, float],
) -> _Chats:
    owner = np.repeat(np.arange(len(people.counts)), people.counts)
    week = rng.random(len(owner)) * weeks
    order = np.lexsort((week, owner))
    owner, week = owner[order], week[order]
    slope = truth["growth"] + 0.3 * people.growing[owner]
    pull = people.leaning[owner] + truth["voice_effect"] * people.voice[owner]
    pull = pull + slope * (week - weeks / 2)
    base = brentq(lambda level: expit(level + pull).mean() - prevalence, -60, 60)
    charged = rng.random(len(owner)) < expit(base + pull)
    return _Chats(owner, week, charged, 1 + rng.geometric(0.25, len(owner)))


@dataclass(frozen=True, slots=True)
class _Turns:
    conversation: NDArray[np.int64]
    turn: NDArray[np.int64]
    charged: _Flags


def _turns(rng: np.random.Generator, chats: _Chats) -> _Turns:
    """Draw turns: one message of the user and its answer."""
    turns = chats.turns
    conversation = np.repeat(np.arange(len(turns)), turns)
    turn = np.arange(len(conversation)) - np.repeat(np.cumsum(turns) - turns, turns)
    last = turn == turns[conversation] - 1
    position = (turn + 1) / turns[conversation]
    charged = chats.charged[conversation] & (rng.random(len(turn)) < 0.2 + 0.6 * position)
    none = chats.charged & (_count(conversation, charged, len(turns)) == 0)
    return _Turns(conversation, turn, charged | (none[conversation] & last))


def _conversations(
    rng: np.random.Generator,
    names: _Names,
    chats: _Chats,
    turns: _Turns,
    found: _Flags,
    labels: tuple[_Flags, _Floats],
) -> pl.DataFrame:
    count = len(chats.owner)
    called, probability = labels
    return pl.DataFrame(
        {
            "conversation_id": names.conversations,
            "record": np.arange(count),
            "user_id": names.users[chats.owner],
            "model": rng.choice(["model-a", "model-b"], count),
            "language": rng.choice(["en", "fr"], count, p=[0.8, 0.2]),
            "source": "simulation",
            "started_at": _moments(chats.week * _WEEK),
            "status": "ok",
            "error": pl.Series([None] * count, dtype=pl.String),
            "label": np.where(called, EMOTIONAL, TASK),
            "probability": probability,
            "intensity": _intensity(probability),
            **_aggregations(_count(turns.conversation, found, count), chats.turns),
            "user_messages": chats.turns,
            "assistant_messages": chats.turns,
            "truncated_tokens": np.zeros(count, np.int64),
            "provenance": pl.Series([None] * count, dtype=pl.String),
        }
    )


def _gold(rows: pl.DataFrame, more: list[str], charged: _Flags, about: _Flags) -> pl.DataFrame:
    answers = pl.Series(np.where(charged, EMOTIONAL, TASK))
    names = pl.DataFrame(dict(zip(THEMES, about.T, strict=True)))
    named = pl.concat_str(
        [pl.when(name).then(pl.lit(name)) for name in THEMES], separator=",", ignore_nulls=True
    )
    keys = ["record", "conversation_id", *more]
    themes = names.select(named).to_series()
    return rows.select(*keys, weight=pl.lit(1.0), gold=answers, themes=themes)


def _themes(rng: np.random.Generator, charged: _Flags) -> _Flags:
    """Draw which themes each conversation has, shape ``[conversations, themes]``."""
    common = (1 - _COMMONEST_THEME) ** np.arange(len(THEMES))
    drawn = rng.choice(len(THEMES), (len(charged), 2), p=common / common.sum())
    about = np.zeros((len(charged), len(THEMES)), bool)
    about[np.arange(len(charged)), drawn[:, 0]] = charged
    second = charged & (rng.random(len(charged)) < _SECOND_THEME)
    about[np.flatnonzero(second), drawn[second, 1]] = True
    return about


def _with_themes(rng: np.random.Generator, rows: pl.DataFrame, about: _Flags) -> pl.DataFrame:
    columns = zip(THEME_COLUMNS.values(), about.T, strict=True)
    return rows.with_columns(
        pl.Series(column, _cue(rng, own, *_THEME_GIVEN_TRUTH)) for column, own in columns
    )


@dataclass(frozen=True, slots=True)
class _Names:
    users: pl.Series
    conversations: pl.Series

    @classmethod
    def of(cls, users: int, conversations: int) -> _Names:
        return cls(
            pl.Series([f"u{index:05}" for index in range(users)]),
            pl.Series([f"c{index:06}" for index in range(conversations)]),
        )


def _count(places: NDArray[np.int64], flags: _Flags, length: int) -> NDArray[np.int64]:
    return np.bincount(places[flags], minlength=length)


def _classify(
    rng: np.random.Generator, charged: _Flags, sensitivity: float, specificity: float
) -> tuple[_Flags, _Floats]:
    """Return what a binormal classifier finds, and its calibrated probabilities."""
    distance = norm.ppf(sensitivity) + norm.ppf(specificity)
    centre = distance**2 / 2 * np.where(charged, 1.0, -1.0)
    score = centre + distance * rng.normal(size=len(charged))
    threshold = -(distance**2) / 2 + distance * norm.ppf(specificity)
    prior = np.clip(charged.mean(), 1e-6, 1 - 1e-6)
    return score >= threshold, expit(score + np.log(prior / (1 - prior)))


def _with_themes_of_users(
    rng: np.random.Generator, messages: pl.DataFrame, about: _Flags
) -> pl.DataFrame:
    """Add the columns of themes to messages; those of the assistant have none."""
    of_user = pl.col("role") == "user"
    parts = [_with_themes(rng, messages.filter(of_user), about), messages.filter(~of_user)]
    return pl.concat(parts, how="diagonal").sort("record", "message")


def _intensity(probability: _Floats) -> _Floats:
    """Return expected charges that go with probabilities of being charged."""
    return np.asarray(probability**0.5 + probability + probability**2)


def _aggregations(
    found: NDArray[np.int64], turns: NDArray[np.int64]
) -> dict[str, NDArray[np.generic]]:
    pairs, inverse = np.unique(np.stack([found, turns]), axis=1, return_inverse=True)
    values = [
        adjusted([True] * charged + [False] * (total - charged))
        for charged, total in pairs.T.tolist()
    ]
    return {
        "any": found > 0,
        "adjusted": np.array(values)[inverse.ravel()],  # in numpy 2.0 it has two dimensions
        "rate": found / turns,
    }


def _messages(
    rng: np.random.Generator,
    names: _Names,
    chats: _Chats,
    turns: _Turns,
    sent: _Floats,
    labels: tuple[_Flags, _Floats],
) -> pl.DataFrame:
    conversation, turn, charged = turns.conversation, turns.turn, turns.charged
    owner, (found, probability) = chats.owner, labels
    common = {
        "conversation_id": names.conversations[conversation],
        "record": conversation,
        "user_id": names.users[owner[conversation]],
        "status": ["ok"] * len(turn),
    }
    cues = {name: _cue(rng, charged, *_CUE_GIVEN_CHARGE) for name in CUES}
    user = pl.DataFrame(
        {
            **common,
            "message": 2 * turn,
            "role": ["user"] * len(turn),
            "timestamp": _moments(sent),
            "label": np.where(found, EMOTIONAL, TASK),
            "probability": probability,
            "intensity": _intensity(probability),
            "truncated_tokens": np.zeros(len(turn), np.int64),
            **{name: values for name, values in cues.items() if CUES[name].unit == "user"},
        }
    )
    assistant = pl.DataFrame(
        {
            **common,
            "message": 2 * turn + 1,
            "role": ["assistant"] * len(turn),
            "timestamp": _moments(sent + 10),
            "truncated_tokens": np.zeros(len(turn), np.int64),
            "shows_empathy": _cue(rng, charged, *_EMPATHY_GIVEN_CHARGE),
            "claims_affection": _cue(rng, charged, 0.1, 0.001),
        }
    )
    none = pl.lit(None, pl.String)
    names_in_order = ["conversation_id", "record", "user_id", "message", "role", "timestamp"]
    names_in_order += ["status", "error", "label", "probability", "intensity"]
    names_in_order += ["truncated_tokens", "screened", "provenance", *CUES]
    return (
        pl.concat([user, assistant], how="diagonal")
        .with_columns(error=none, screened=pl.lit(False), provenance=none)
        .sort("record", "message")
        .select(names_in_order)
    )


def _cue(rng: np.random.Generator, charged: _Flags, given: float, otherwise: float) -> _Floats:
    """Return probabilities of a cue that exceed 0.5 at the rates given."""
    shown = rng.random(len(charged)) < np.where(charged, given, otherwise)
    return np.where(shown, 0.5, 0.0) + 0.5 * rng.random(len(charged))


def _participants(
    rng: np.random.Generator,
    ids: pl.Series,
    people: _People,
    volume: NDArray[np.int64],
    share: _Floats,
    truth: Mapping[str, float],
) -> pl.DataFrame:
    count, voice = len(ids), people.voice
    tenth = (
        pl.DataFrame({"messages": volume}).select(decile(pl.col("messages"))).to_series().to_numpy()
    )
    start = np.clip(rng.normal(2.2, 0.35, count), 1, 4)
    end = (
        0.4
        + truth["loneliness_per_start"] * start
        + truth["loneliness_per_decile"] * (tenth - 5.5)
        + 0.5 * share
        + rng.normal(0, 0.2, count)
    )
    dependence = 10 + truth["dependence_of_voice"] * voice + rng.normal(0, 3, count)
    return pl.DataFrame(
        {
            "user_id": ids,
            "modality": np.where(voice, "voice", "text"),
            "gender": rng.choice(["woman", "man"], count),
            "age": rng.integers(18, 80, count),
            "loneliness_start": start,
            "loneliness_end": np.clip(end, 1, 4),
            "dependence": np.clip(dependence, 0, None),
            "growing": people.growing,
        }
    )


def _moments(seconds: _Floats) -> pl.Series:
    start = int(_START.timestamp() * 1e6)
    moments = pl.Series(start + (seconds * 1e6).astype(np.int64))
    return moments.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
