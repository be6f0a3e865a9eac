"""What a type checker knows of frames: mypy reads this file with the library."""

from __future__ import annotations

import inspect
import re
from typing import assert_type

import polars as pl
from narwhals.typing import IntoDataFrame, IntoDataFrameT

import affectlib.analysis
from affectlib import label_table
from affectlib.analysis import (
    Annotation,
    Endpoint,
    agreement,
    annotate,
    disagreements,
    prevalence,
    users,
)
from tools.simulate import simulate


def test_the_kind_that_comes_out_is_the_kind_that_goes_in() -> None:
    people = simulate(40, seed=2)
    frame, lazy = people.messages, people.messages.lazy()
    assert isinstance(assert_type(users(frame), pl.DataFrame), pl.DataFrame)
    assert isinstance(assert_type(users(lazy), pl.DataFrame), pl.DataFrame)
    worst = disagreements(people.conversations.lazy(), people.gold_conversations)
    assert isinstance(assert_type(worst, pl.DataFrame), pl.DataFrame)


def test_no_frame_is_of_any_type() -> None:
    bare = [
        f"{name}: {place}"
        for name in affectlib.analysis.__all__
        if inspect.isfunction(function := getattr(affectlib.analysis, name))
        for place, annotation in inspect.get_annotations(function).items()
        if re.search(r"\bAny\b", annotation) and place != "options"
    ]
    assert not bare


def _known_of_every_kind(frame: IntoDataFrameT, other: IntoDataFrame, lazy: pl.LazyFrame) -> None:
    """State what mypy has to infer; nothing calls it."""
    assert_type(users(frame), IntoDataFrameT)
    assert_type(prevalence(frame, lazy), IntoDataFrameT)
    assert_type(agreement(frame, other, lazy), IntoDataFrameT)
    assert_type(agreement(lazy, frame), pl.DataFrame)
    assert_type(annotate(frame, [], Endpoint("", "")), Annotation[IntoDataFrameT])
    assert_type(label_table(frame), IntoDataFrameT)


def _refused(frame: IntoDataFrame) -> None:
    """State what mypy has to refuse; nothing calls it."""
    users("labels.parquet")  # type: ignore[arg-type]
    prevalence(frame, "gold.csv")  # type: ignore[arg-type]
    agreement(frame, [frame])  # type: ignore[arg-type]
