from __future__ import annotations

import random

import pytest

pytest.importorskip("pydantic", reason="training needs affectlib[train]")
from hypothesis import given
from hypothesis import strategies as st

from affectlib.conversation import parse_conversation
from tests.conftest import assistant, user
from training.config import AugmentSettings
from training.data import augment
from training.data.augment import Augmenter, pasted, surrounded


@given(st.text(min_size=1), st.integers(0, 2**32))
def test_message_stays_whole_and_something_is_around_it(text: str, seed: int) -> None:
    found = surrounded(text, random.Random(seed))
    assert text in found
    assert len(found) > len(text)
    assert found == surrounded(text, random.Random(seed))


@given(st.text(min_size=1), st.integers(0, 2**32))
def test_message_is_still_there_in_what_is_pasted_around_it(text: str, seed: int) -> None:
    found = pasted(text, random.Random(seed))
    assert " ".join(text.split()) in " ".join(found.split())
    assert found != text
    assert found == pasted(text, random.Random(seed))


def test_code_tables_and_numbers_stand_before_a_message_after_it_or_around_it() -> None:
    text = "nobody loves me @ all ~"
    found = {pasted(text, random.Random(seed)) for seed in range(500)}
    assert all(text in one for one in found)
    assert len(found) > 400
    assert {(one.startswith(text), one.endswith(text)) for one in found} == {
        (True, False),
        (False, True),
        (False, False),
    }
    for kind in ("```\n", "http", "\n|", "Error", "def "):
        assert any(kind in one for one in found), kind


def test_there_is_much_that_can_stand_around_a_message() -> None:
    found = {surrounded("so sad", random.Random(seed)) for seed in range(2000)}
    assert len(found) > 1000
    beginnings = {text.split("so sad")[0] for text in found}
    assert {"", '"', "<p>", "Me: "} < beginnings


def test_only_the_users_messages_are_surrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "TERSE", 0.0)
    chat = parse_conversation([user("hi"), assistant("yes?"), user("go")])
    settings = AugmentSettings(surrounded=1.0)
    found = Augmenter(settings, [], random.Random(0)).rewrite(chat, "en").messages
    assert [m.content for m in found if m.role == "assistant"] == ["yes?"]
    for before, after in zip(chat.user_messages, (found[0], found[2]), strict=True):
        assert before.content in after.content
        assert before.content != after.content
