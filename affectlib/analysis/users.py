"""For each user: how much they use the assistant, how affectively, and whether that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib.analysis._frames import (
    KEYS,
    Frame,
    Labels,
    TableError,
    decile,
    labels_table,
    like,
    shown_from,
    warn,
)
from affectlib.analysis._trends import user_trends
from affectlib.errors import OptionError
from affectlib.model.aggregation import adjusted
from affectlib.taxonomy import CUES, EMOTIONAL

__all__ = ["users"]

_SAMPLE = 20
_GAP_MINUTES = 10
_RATES = ("any_rate", "mean_rate")


def users(
    labels: Frame[IntoDataFrameT],
    *,
    usage: Literal["messages", "conversations", "hours"] = "messages",
    cue_threshold: float | Mapping[str, float] | None = None,
    time_zone: str = "UTC",
    false_discovery_rate: float = 0.05,
) -> IntoDataFrameT:
    """Summarise labels by user.

    Labels of messages give all columns. Labels of conversations lack ``hours``, count active days
    by the days on which conversations began, take cues by conversation, and count all of a user's
    messages as turns, so that ``turns`` and ``charged_turns`` are upper bounds.

    - ``user_id, conversations, messages, user_messages``
    - ``active_days``: days, in `time_zone`, with a message
    - ``hours``: time in chat, the gaps between messages, each of 10 minutes at most
    - ``first, last``: times of the first and last message, or start of a conversation
    - ``turns, charged_turns``: the user's messages that have a label, and those emotional
    - ``turn_rate``: share of the turns that are charged
    - ``any_rate, adjusted_rate, mean_rate``: means of `any`, `adjusted`, `rate` of conversations
    - ``emotional_rate``: share of conversations labelled so; null from labels of messages
    - ``any_rate_shrunken, mean_rate_shrunken``: shrunken towards the mean of all users, the more
      the fewer conversations there are, by linear empirical Bayes (Buhlmann, ASTIN Bulletin 4,
      1967)
    - a column for each cue: share of messages of its role, or of conversations, that show it
    - ``trend``: change of the turn rate a week, by weighted least squares over active weeks
    - ``trend_p, trend_q``: its p-value by permutation of the user's conversations over their weeks,
      and that adjusted for the number of users (Benjamini and Hochberg 1995); null with fewer than
      4 active weeks
    - ``direction``: ``rising``, ``falling`` or ``flat``, by ``trend_q``
    - ``usage_decile``: tenth by `usage`, 10 the heaviest

    Rates count the classifier's labels, errors included. Rows without a user id are left out, with
    a warning.

    Args:
        labels: Labels with ``user_id`` and ``label``. Of messages also ``conversation_id`` or
            ``record``, ``message``, ``role`` and ``timestamp``; of conversations ``rate``, ``any``,
            ``adjusted``, ``user_messages``, ``assistant_messages`` and ``started_at``.
        usage: What the deciles are of.
        cue_threshold: The threshold of all cues, or of each by name (others: 0.5); by default the
            model's own, if the labels say which (see `read_labels`), else 0.5.
        time_zone: Where a day begins.
        false_discovery_rate: The ``trend_q`` below which a trend counts.

    Returns:
        A frame, one row per user, in the order of their ids.

    Raises:
        TableError: No row has a user id, or conversations (or messages) cannot be told apart.

    Example:
        >>> from affectlib.analysis import users
        >>> from tools.simulate import simulate
        >>> people = users(simulate(100).messages)
        >>> people.height, people["usage_decile"].max()
        (100, 10)
    """
    _check_options(usage, time_zone, false_discovery_rate)
    source = labels_table(labels)
    thresholds = shown_from(cue_threshold, source.provenance.cues)
    rows = _of_known_users(source)
    if source.level == "message":
        if usage == "hours":
            source.require(["timestamp"])
        base, conversations = _from_messages(source, rows)
    elif usage == "hours":
        raise OptionError("usage='hours' needs labels of messages (affectlib label --level)")
    else:
        base, conversations = _from_conversations(source, rows)
    days = pl.col(source.time).dt.convert_time_zone(time_zone).dt.date().drop_nulls().n_unique()
    by_row = base.group_by("user_id").agg(
        pl.when(pl.col(source.time).count() > 0).then(days).cast(pl.Int64).alias("active_days"),
        *((pl.col(cue) >= thresholds[cue]).mean() for cue in CUES if cue in source.columns),
    )
    people = _by_user(conversations).join(
        by_row.collect(engine="streaming"), on="user_id", how="left"
    )
    people = people.with_columns(
        turn_rate=pl.when(pl.col("turns") > 0).then(pl.col("charged_turns") / pl.col("turns"))
    )
    _warn_of_sameness(people)
    for name in _RATES:
        people = people.with_columns(_shrunken(people, name).alias(f"{name}_shrunken"))
    people = people.join(
        user_trends(conversations, false_discovery_rate), on="user_id", how="left"
    ).with_columns(decile(pl.col(usage)).alias("usage_decile"))
    people = people.select(_columns(people)).with_columns(pl.col(pl.UInt32).cast(pl.Int64))
    return like(labels, people.sort("user_id"))


def _check_options(usage: str, zone: str, rate: float) -> None:
    if usage not in ("messages", "conversations", "hours"):
        raise OptionError(f"unknown usage {usage!r}; use messages, conversations or hours")
    if not 0 < rate < 1:
        raise OptionError("false_discovery_rate must lie between 0 and 1")
    try:
        pl.Series([0]).cast(pl.Datetime("us", zone or "None"))
    except (pl.exceptions.PolarsError, TypeError):
        raise OptionError(f"unknown time_zone {zone!r}; use one such as Europe/Paris") from None


def _of_known_users(source: Labels) -> pl.LazyFrame:
    source.require(["user_id", "label"]).labelled()
    known = source.rows.select(pl.col("user_id").is_not_null().mean()).collect().item() or 0.0
    if not known:
        raise TableError(
            f"{source.name}, user_id: no row has one, so nothing can be said about users; give "
            "each conversation its user's id"
        )
    if known < 1:
        warn(f"{source.name}: {1 - known:.1%} of the rows have no user id and are left out")
    timed = source.time in source.columns
    if not timed or not source.rows.select(pl.col(source.time).count()).collect().item():
        warn(
            f"{source.name}, {source.time}: no row has a time, so there are no active days, time "
            "in chat or trends"
        )
    return source.rows.filter(pl.col("user_id").is_not_null())


def _from_messages(source: Labels, rows: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Return the messages, and a row for each conversation."""
    source.require(["role"])
    keys = source.having(rows).distinct_keys()
    base = rows.with_columns(
        _time_of(source),
        charged=pl.col("label") == EMOTIONAL,
        # The keys of 10 million messages would take gigabytes.
        _conversation=pl.struct(keys).hash(),
    )
    conversations = (
        base.group_by("_conversation")
        .agg(
            pl.col("user_id").first(),
            pl.len().alias("messages"),
            (pl.col("role") == "user").sum().alias("user_messages"),
            pl.col("label").count().alias("turns"),
            pl.col("charged").sum(),
            pl.col("timestamp").min().alias("first"),
            pl.col("timestamp").max().alias("last"),
            pl.lit(None, pl.Boolean).alias("emotional"),
        )
        .collect(engine="streaming")
        .join(_hours(base), on="_conversation", how="left")
        .with_columns(pl.col("hours").fill_null(0.0))
        .sort("user_id", "_conversation")  # so that permutation tests can be repeated
    )
    return base, _aggregated(conversations)


def _hours(messages: pl.LazyFrame) -> pl.DataFrame:
    """Return the hours of each ``_conversation`` that has times."""
    moments = messages.select("_conversation", "timestamp").drop_nulls()
    ordered = moments.collect(engine="streaming").sort("_conversation", "timestamp")
    goes_on = pl.col("_conversation") == pl.col("_conversation").shift()
    longest = _GAP_MINUTES * 60_000_000
    gap = pl.col("timestamp").diff().dt.total_microseconds().clip(upper_bound=longest)
    return (
        ordered.select("_conversation", hours=pl.when(goes_on).then(gap))
        .group_by("_conversation")
        .agg(pl.col("hours").sum() / 3.6e9)
    )


def _from_conversations(source: Labels, rows: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Return the conversations, as they are and with the columns of `_from_messages`."""
    source.require(["any", "adjusted", "rate", "user_messages", "assistant_messages"])
    if {*KEYS} & {*source.columns}:
        source.having(rows).distinct_keys()
    base = rows.filter(pl.col("label").is_not_null()).with_columns(_time_of(source))
    turns = pl.col("user_messages").cast(pl.Int64)
    conversations = base.select(
        "user_id",
        (turns + pl.col("assistant_messages")).cast(pl.Int64).alias("messages"),
        turns,
        turns.alias("turns"),
        (pl.col("rate") * turns).round().cast(pl.Int64).alias("charged"),
        pl.col("started_at").alias("first"),
        pl.col("started_at").alias("last"),
        (pl.col("label") == EMOTIONAL).alias("emotional"),
        pl.lit(None, pl.Float64).alias("hours"),
        pl.col("any", "adjusted", "rate").cast(pl.Float64),
    )
    return base, conversations.collect()


def _time_of(source: Labels) -> pl.Expr:
    """Return the times, null if there is no such column."""
    missing = pl.lit(None, pl.Datetime("us", "UTC")).alias(source.time)
    return pl.col(source.time) if source.time in source.columns else missing


def _aggregated(conversations: pl.DataFrame) -> pl.DataFrame:
    """Add `any`, `adjusted` and `rate`, null for conversations without a labelled turn."""
    has_turns = pl.col("turns") > 0
    with_rate = conversations.with_columns(
        any=pl.when(has_turns).then((pl.col("charged") > 0).cast(pl.Float64)),
        rate=pl.when(has_turns).then(pl.col("charged") / pl.col("turns")),
    )
    pairs = with_rate.filter((pl.col("turns") > _SAMPLE) & (pl.col("charged") > 0))
    pairs = pairs.select("charged", "turns").unique()
    found = [
        adjusted([True] * charged + [False] * (turns - charged), _SAMPLE)
        for charged, turns in pairs.iter_rows()
    ]
    known = pairs.with_columns(adjusted=pl.Series(found, dtype=pl.Float64))
    return with_rate.join(known, on=["charged", "turns"], how="left").with_columns(
        adjusted=pl.coalesce("adjusted", "any")
    )


def _by_user(conversations: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each user."""
    timed = (pl.col("first").count() > 0) & (pl.col("hours").count() > 0)
    return conversations.group_by("user_id").agg(
        pl.len().alias("conversations"),
        pl.col("messages", "user_messages", "turns").sum(),
        pl.col("charged").sum().alias("charged_turns"),
        pl.when(timed).then(pl.col("hours").sum()).alias("hours"),
        pl.col("first").min(),
        pl.col("last").max(),
        pl.col("emotional").mean().alias("emotional_rate"),
        pl.col("any").mean().alias("any_rate"),
        pl.col("adjusted").mean().alias("adjusted_rate"),
        pl.col("rate").mean().alias("mean_rate"),
        pl.col("rate").count().alias("_counted"),
        pl.col("any").pow(2).sum().alias("any_rate_squares"),
        pl.col("rate").pow(2).sum().alias("mean_rate_squares"),
    )


def _shrunken(people: pl.DataFrame, name: str) -> pl.Series:
    """Return users' means shrunken towards that of all (Buhlmann's credibility)."""
    known = people.filter(pl.col("_counted") > 0)
    counts = known["_counted"].to_numpy().astype(float)
    means = known[name].to_numpy()
    squares = known[f"{name}_squares"].to_numpy()
    total, groups = counts.sum(), len(counts)
    if groups < 2 or total <= groups:
        return people[name]  # the variance within users is unknown
    within = float((squares - counts * means**2).sum() / (total - groups))
    overall = float((counts * means).sum() / total)
    between = (float((counts * (means - overall) ** 2).sum()) - (groups - 1) * within) / (
        total - float((counts**2).sum()) / total
    )
    if within <= 0:
        return people[name]
    own = max(between, 0.0) / within
    weight = counts * own / (1 + counts * own)
    centre = float((weight * means).sum() / weight.sum()) if weight.sum() > 0 else overall
    credibility = pl.col("_counted") * own / (1 + pl.col("_counted") * own)
    return people.select(centre + credibility * (pl.col(name) - centre)).to_series()


def _warn_of_sameness(people: pl.DataFrame) -> None:
    if len(people) == 1:
        problem = "there is one user only: no comparison between users means anything"
    elif people["charged_turns"].sum() in (0, people["turns"].sum()):
        problem = "all turns have the same label: rates tell users apart no more"
    else:
        return
    warn(f"labels: {problem}")


def _columns(people: pl.DataFrame) -> list[str]:
    order = ["user_id", "conversations", "messages", "user_messages", "active_days", "hours"]
    order += ["first", "last", "turns", "charged_turns", "turn_rate", "any_rate", "adjusted_rate"]
    order += ["mean_rate", "emotional_rate", *(f"{name}_shrunken" for name in _RATES), *CUES]
    order += ["trend", "trend_p", "trend_q", "direction", "usage_decile"]
    return [name for name in order if name in people.columns]
