"""How charge develops in a conversation, where it begins, and which cues go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis._frames import (
    AnyFrame,
    Frame,
    Labels,
    TableError,
    check_confidence,
    labels_table,
    like,
    shown_from,
    user_keys,
)
from affectlib.analysis._intervals import NONE, Estimate, clustered_mean, kish, wilson_share
from affectlib.analysis._privacy import check_min_users, is_few
from affectlib.taxonomy import CUES, EMOTIONAL

__all__ = ["cue_pairs", "onset", "trajectory"]

_PARTS = ("start", "middle", "end")
_CHARGED = "charged"
_FIRST = {
    "first at turn 1": (1, 1),
    "first at turn 2": (2, 2),
    "first at turns 3 to 5": (3, 5),
    "first at turns 6 to 10": (6, 10),
    "first after turn 10": (11, None),
}
READ = pl.col("label").is_not_null() | (pl.col("role") == "assistant")
"""A message that the model read: the assistant's have no label, but those of users do."""


def trajectory(
    labels: Frame[IntoDataFrameT],
    *,
    cue_threshold: float | Mapping[str, float] | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Follow charge and cues from the start of conversations to their end.

    Each role's messages are cut into thirds; conversations with fewer than three messages of a
    role are left out for that role. The assistant's cues are given next to the user's.

    Args:
        labels: Labels of messages, with ``role``, and ``conversation_id`` or ``record``.
        cue_threshold: The threshold of all cues, or of each by name (others: 0.5); by default the
            model's own, if the labels say which (see `read_labels`), else 0.5.
        confidence: Level of the intervals, which allow for users who have many messages.
        min_users: Figures from fewer users are suppressed; 0 shows all.

    Returns:
        A frame: ``part`` (start, middle, end), ``role``, ``measure`` (``charged`` or a cue),
        ``estimate, low, high`` (share of messages), ``units, users, suppressed``.

    Raises:
        TableError: The labels are not of messages, or cannot be told apart, or no conversation has
            three messages of one role.

    Example:
        >>> from affectlib.analysis import trajectory
        >>> from tools.simulate import simulate
        >>> found = trajectory(simulate(200).messages)
        >>> found["part"].unique(maintain_order=True).to_list()
        ['start', 'middle', 'end']
    """
    source, keys = _messages(labels, confidence, min_users)
    thresholds = shown_from(cue_threshold, source.provenance.cues)
    cues = {name: pl.col(name) >= thresholds[name] for name in CUES if name in source.columns}
    measures = {_CHARGED: pl.col("label") == EMOTIONAL, **cues}
    # A hash of the keys, and a bit for each probability, spare gigabytes for 10 million messages.
    messages = source.rows.filter(READ).select(
        "_user",
        "message",
        "role",
        pl.struct(*keys, "role").hash().alias("_of_role"),
        *(values.alias(name) for name, values in measures.items()),
    )
    place = pl.col("message").rank("ordinal").over("_of_role")
    length = pl.len().over("_of_role")
    sums = (
        messages.with_columns(
            ((place - 1) * 3 // length).cast(pl.Int64).alias("part"), length.alias("length")
        )
        .filter(pl.col("length") >= 3)
        .group_by("part", "role", "_user")
        .agg(*_sums(measures))
        .sort("part", "role", "_user", descending=[False, True, False])
        .collect(engine="streaming")
    )
    if sums.is_empty():
        raise TableError(f"{source.name}: no conversation has three messages of one role")
    rows = [
        {"part": _PARTS[part], "role": role, **row}
        for (part, role), group in sums.group_by(["part", "role"], maintain_order=True)
        for row in _shares(group, measures, confidence, min_users)
    ]
    return like(labels, _frame(rows))


def onset(
    labels: Frame[IntoDataFrameT], *, confidence: float = 0.95, min_users: int = 10
) -> IntoDataFrameT:
    """Say where charge first appears, and how often what begins with a task becomes charged.

    Args:
        labels: Labels of messages, with ``role``, and ``conversation_id`` or ``record``.
        confidence: Level of the intervals, which allow for users who have many conversations.
        min_users: Figures from fewer users are suppressed; 0 shows all.

    Returns:
        A frame: ``measure, estimate, low, high, units, users, suppressed``. Its rows are
        ``charged`` (share of conversations with a charged turn); ``first at turn 1`` and so on
        (share of the charged conversations in which charge first appears there); and ``turns
        personal`` (of the conversations of two turns or more that begin with a turn about a task,
        the share in which a later one is charged).

    Raises:
        TableError: The labels are not of messages, or cannot be told apart.
    """
    source, keys = _messages(labels, confidence, min_users)
    place = pl.col("message").rank("ordinal")
    conversations = (
        source.rows.filter(pl.col("label").is_not_null())
        .group_by(keys)
        .agg(
            pl.col("_user").first(),
            pl.len().alias("turns"),
            place.filter(pl.col("label") == EMOTIONAL).min().alias("first"),
        )
    )
    first, is_charged = pl.col("first"), pl.col("first").is_not_null()
    begins_with_task = (pl.col("turns") > 1) & (first.is_null() | (first > 1))
    measures = {
        _CHARGED: is_charged,
        **{
            name: first.is_between(low, pl.col("turns") if high is None else high)
            for name, (low, high) in _FIRST.items()
        },
        "turns personal": pl.when(begins_with_task).then(is_charged),
    }
    sums = _by_user(conversations, measures, _sums(measures))
    return like(labels, _frame([*_shares(sums, measures, confidence, min_users)]))


def cue_pairs(
    labels: Frame[IntoDataFrameT],
    *,
    cue_threshold: float | Mapping[str, float] | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Count how often two cues are shown together: in a message, or in a conversation.

    Args:
        labels: Labels with cues. In those of messages, only cues of the same role make pairs.
        cue_threshold: The threshold of all cues, or of each by name (others: 0.5); by default the
            model's own, if the labels say which (see `read_labels`), else 0.5.
        confidence: Level of the intervals, which allow for users who have many rows.
        min_users: Figures from fewer users are suppressed; 0 shows all.

    Returns:
        A frame: ``cue, other, estimate, low, high`` (share of rows with both), ``lift`` (that share
        over the one expected of independent cues; null if one is never shown), ``units, users,
        suppressed``. All of it is of the rows in which both cues are known. Pairs that some but too
        few users show are suppressed as well.

    Raises:
        TableError: There are not two columns of cues, for labels of messages of one role.
    """
    check_confidence(confidence)
    check_min_users(min_users)
    source = user_keys(labels_table(labels))
    thresholds = shown_from(cue_threshold, source.provenance.cues)
    names = [name for name in CUES if name in source.columns]
    pairs = [
        (one, other)
        for one, other in combinations(names, 2)
        if source.level == "conversation" or CUES[one].unit == CUES[other].unit
    ]
    if not pairs:
        raise TableError(
            f"{source.name}: two columns of cues"
            f"{' of one role' * (source.level == 'message')} are needed; there are "
            f"{', '.join(names) or 'none'}"
        )
    shown = {name: (pl.col(name) >= thresholds[name]).cast(pl.Float64) for name in names}
    measures = {f"{one}+{other}": shown[one] * shown[other] for one, other in pairs}
    # How often a cue is shown where the other one is known.
    beside = {
        f"{one} beside {other}": pl.when(shown[other].is_not_null()).then(shown[one])
        for pair in pairs
        for one, other in (pair, pair[::-1])
    }
    every = measures | beside
    sums = _by_user(source.rows, every, [*_sums(measures), pl.col(*beside).sum()])
    rows = []
    for one, other in pairs:
        name = f"{one}+{other}"
        figures = _share(sums, name, confidence, min_users)
        if figures is None:
            continue
        if is_few(sums[name].filter(sums[name] > 0).to_numpy(), min_users):
            figures = asdict(NONE) | {"units": None, "users": None, "suppressed": True}
        both, known, of_one, of_other = (
            float(sums[column].sum())
            for column in (name, f"{name} n", f"{one} beside {other}", f"{other} beside {one}")
        )
        expected = of_one * of_other / known
        lift = both / expected if expected and not figures["suppressed"] else None
        rows.append({"cue": one, "other": other, "lift": lift, **figures})
    return like(labels, _frame(rows))


def _messages(labels: AnyFrame, confidence: float, min_users: int) -> tuple[Labels, list[str]]:
    """Return labels of messages with user keys, and the columns that tell conversations apart."""
    check_confidence(confidence)
    check_min_users(min_users)
    source = labels_table(labels)
    if source.level != "message":
        raise TableError(
            f"{source.name}: labels of messages are needed; make them with "
            "affectlib label --level message"
        )
    source.require(["role"]).labelled()
    return user_keys(source), source.distinct_keys()


def _sums(measures: Mapping[str, pl.Expr]) -> Iterator[pl.Expr]:
    for name in measures:
        yield pl.col(name).sum().cast(pl.Float64)
        yield pl.col(name).count().alias(f"{name} n")


def _by_user(
    rows: pl.LazyFrame, measures: Mapping[str, pl.Expr], sums: Iterable[pl.Expr]
) -> pl.DataFrame:
    """Return sums over the measures of each user's rows."""
    measured = rows.select("_user", **measures)
    return measured.group_by("_user").agg(*sums).sort("_user").collect(engine="streaming")


def _shares(
    sums: pl.DataFrame, measures: Iterable[str], confidence: float, min_users: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for each measure that applies to something."""
    for name in measures:
        figures = _share(sums, name, confidence, min_users)
        if figures is not None:
            yield {"measure": name, **figures}


def _share(
    sums: pl.DataFrame, name: str, confidence: float, min_users: int
) -> dict[str, Any] | None:
    """Return a share over users' sums, None if it applies to nothing."""
    known = sums.filter(pl.col(f"{name} n") > 0)
    if known.is_empty():
        return None
    counts = known[f"{name} n"].cast(pl.Float64).to_numpy()
    hidden = is_few(counts, min_users)
    estimate: Estimate = NONE
    if not hidden:
        mean, spread = clustered_mean(known[name].to_numpy(), counts)
        estimate = wilson_share(mean, spread, kish(counts), confidence)
    return asdict(estimate) | {
        "units": None if hidden else int(counts.sum()),
        "users": None if hidden else len(known),
        "suppressed": hidden,
    }


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    kinds: dict[str, Any] = dict.fromkeys(("estimate", "low", "high", "lift"), pl.Float64)
    kinds |= dict.fromkeys(("units", "users"), pl.Int64)
    return pl.DataFrame(rows, schema_overrides=kinds).fill_nan(None)
