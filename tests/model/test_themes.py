"""Themes: of charged messages and of conversations, and with models that know none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.corpus.rows import Labelled, output_schema
from affectlib.errors import OptionError
from affectlib.model.calibration import sigmoid
from affectlib.predictions import to_frame
from affectlib.tables import AffectMapper
from affectlib.taxonomy import THEME_COLUMNS, THEMES
from tests.conftest import BIAS, CHAT, SINGLE_MESSAGE, TASK, user


def test_themes_are_those_of_the_user(tiny_classifier):
    found = tiny_classifier.predict(CHAT)
    for turn in found.messages:
        assert tuple(turn.themes) == (tuple(THEMES) if turn.role == "user" else ())
    assert tiny_classifier.predict(SINGLE_MESSAGE).themes["loneliness"] == pytest.approx(
        sigmoid(BIAS + 5), abs=1e-5
    )


def test_shown_are_those_that_reach_their_threshold_the_likeliest_first(tiny_classifier):
    assert tiny_classifier.predict(SINGLE_MESSAGE).shown_themes == ("loneliness", "love")
    artifact = tiny_classifier.artifact
    thresholds = {**artifact.theme_thresholds, "loneliness": 0.99, "grief": 0.01}
    other = AffectClassifier(
        replace(artifact, theme_thresholds=thresholds), tiny_classifier._engine
    )
    assert other.predict(SINGLE_MESSAGE).shown_themes == ("love", "grief")


def test_what_is_no_charge_shows_none(tiny_classifier):
    sad = tiny_classifier.predict("sad")
    assert sad.label == "task"
    assert sad.themes["grief"] > 0.9
    assert sad.shown_themes == ()
    assert tiny_classifier.predict("sad", operating_point="high_recall").shown_themes == ("grief",)


def test_those_of_a_conversation_are_what_the_model_says_of_it(tiny_classifier):
    found = tiny_classifier.predict([user("sad"), user(SINGLE_MESSAGE), user(TASK)])
    assert [turn.label for turn in found.messages] == ["task", "emotional", "task"]
    assert found.label == "emotional"
    assert found.themes["loneliness"] == pytest.approx(sigmoid(BIAS + 5), abs=1e-5)
    assert found.themes["grief"] == pytest.approx(sigmoid(BIAS + 6), abs=1e-5)
    assert found.shown_themes == ("grief", "loneliness", "love")
    calm = tiny_classifier.predict([user("sad"), user(TASK)])
    assert calm.label == "task"
    assert calm.themes["grief"] > 0.9
    assert calm.shown_themes == ()


def test_views_name_them(tiny_classifier):
    found = tiny_classifier.predict(CHAT)
    assert "Loneliness and company 0.88" in found._repr_html_()
    assert "Loneliness and company" in tiny_classifier.predict([CHAT])._repr_html_()


def test_words_are_explained_by_theme(tiny_classifier):
    explained = tiny_classifier.explain_words("hello i am so alone", output="loneliness")
    assert explained.output == "loneliness"
    assert "alone" in explained.top(1)[0][0]
    with pytest.raises(OptionError, match="shows_empathy"):
        tiny_classifier.explain_words(SINGLE_MESSAGE, output="shows_empathy")


def test_columns_have_a_prefix_so_that_those_of_users_keep_their_names():
    for level in ("conversation", "message"):
        names = output_schema(level, keep=["money", "health"]).names
        assert [name for name in names if name.startswith("theme_")] == [*THEME_COLUMNS.values()]
        assert names[-2:] == ["money", "health"]


def test_an_older_model_has_neither_themes_nor_intensity(older_classifier):
    found: Any = older_classifier.predict([CHAT, [user(SINGLE_MESSAGE)]])
    for one in (turn for chat in found for turn in (chat, *chat.messages)):
        assert (one.themes, one.shown_themes, one.intensity) == ({}, (), None)
    assert {*older_classifier.artifact.theme_thresholds} == {*THEMES}
    frame = to_frame(found)
    assert frame["intensity"].isna().all()
    assert not {*THEME_COLUMNS.values()} & {*frame.columns}
    assert "intensity" not in found[0]._repr_html_()
    chat = Conversation(tuple(Message(**message) for message in CHAT))
    for level in ("conversation", "message"):
        for row in Labelled(0, chat, found[0]).rows(level):
            assert row.get("intensity") is None
            assert not {*THEME_COLUMNS.values()} & row.keys()


def test_a_schema_of_spark_has_them():
    types = pytest.importorskip("pyspark.sql.types", reason="needs pyspark")
    names = AffectMapper().spark_schema(types.StructType().add("messages", "string")).names
    assert {"intensity", *THEME_COLUMNS.values()} <= {*names}
