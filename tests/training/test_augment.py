from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("pydantic", reason="training needs affectlib[train]")

from affectlib.conversation import Conversation, parse_conversation
from tests.conftest import assistant, user
from training.config import AugmentSettings
from training.data import augment
from training.data.augment import PASTED_CHARACTERS, Augmenter, wrap_in_task
from training.data.sources import from_gold

ALWAYS = ("alone", "greeting", "other_context", "terse")
REWRITINGS = ("terse", "typos", "impersonal")
OTHERS = ["Another question.", "Yet another.", "And a third."]
CHAT = parse_conversation(
    [
        user("Can you sort this list?"),
        assistant("Sure, here it is."),
        user("Thanks! I'm so lonely tonight, honestly."),
        assistant("I am sorry."),
        user("It's fine."),
    ],
    id="c1",
)
TARGET = 2


def contents(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.messages]


@contextmanager
def augmenter(seed: int = 0, **shares: float) -> Iterator[Augmenter]:
    """One that makes these alterations alone."""
    of_recipes = {name: share for name, share in shares.items() if name not in ALWAYS}
    with pytest.MonkeyPatch.context() as patch:
        for name in ALWAYS:
            patch.setattr(augment, name.upper(), shares.get(name, 0.0))
        yield Augmenter(AugmentSettings(**of_recipes), OTHERS, random.Random(seed))


def alter(seed: int = 0, index: int = TARGET, **shares: float) -> tuple[Conversation, int]:
    with augmenter(seed, **shares) as found:
        return found.alter(CHAT, index)


def test_nothing_wanted_changes_nothing_up_to_the_target() -> None:
    altered, place = alter()
    assert altered.messages == CHAT.messages[: TARGET + 1]
    assert place == TARGET
    assert altered.id == "c1"


def test_alone_is_the_target_without_what_precedes_it() -> None:
    altered, place = alter(alone=1.0)
    assert altered.messages == (CHAT.messages[TARGET],)
    assert place == 0


def test_greeting_takes_the_place_of_what_precedes_the_target() -> None:
    altered, place = alter(greeting=1.0)
    assert [message.role for message in altered.messages] == ["user", "assistant", "user"]
    assert altered.messages[place] == CHAT.messages[TARGET]
    assert not {*contents(CHAT)} & {*contents(altered)[:2]}


def test_other_context_is_what_other_users_wrote() -> None:
    for seed in range(10):
        altered, place = alter(seed, other_context=1.0)
        *before, target = altered.messages
        assert target == CHAT.messages[TARGET]
        assert 1 <= len(before) <= 3
        assert {message.role for message in before} == {"user"}
        assert {message.content for message in before} <= {*OTHERS}
        assert place == len(before)


def rewrite(text: str, seed: int = 0, language: str = "en", **shares: float) -> str:
    with augmenter(seed, **shares) as found:
        return found.rewrite(parse_conversation([user(text)]), language).messages[0].content


def test_terse_is_lower_case_without_punctuation() -> None:
    text = "Thanks! I'm so lonely tonight, honestly."
    assert rewrite(text, terse=1.0) == "thanks im so lonely tonight honestly"


@pytest.mark.parametrize("rewriting", REWRITINGS)
def test_only_the_users_messages_are_rewritten(rewriting: str) -> None:
    with augmenter(1, **{rewriting: 1.0}) as found:
        rewritten = found.rewrite(CHAT, "en")
    answers = [1, 3]
    assert [rewritten.messages[i] for i in answers] == [CHAT.messages[i] for i in answers]
    assert contents(rewritten) != contents(CHAT)
    assert rewritten.id == CHAT.id


@pytest.mark.parametrize("rewriting", REWRITINGS)
@pytest.mark.parametrize("text", ["...", "I", "moi", " ", "6"])
def test_what_would_leave_nothing_leaves_the_message_alone(rewriting: str, text: str) -> None:
    assert rewrite(text, language="fr", **{rewriting: 1.0}).strip() or not text.strip()


def test_typing_errors_leave_most_words_as_they_are_and_their_first_letters() -> None:
    text = "my sister stopped speaking to me after a funeral " * 4
    for seed in range(20):
        rewritten = rewrite(text, seed, typos=1.0)
        before, after = text.split(), rewritten.split()
        assert [word[0] for word in after] == [word[0] for word in before]
        changed = sum(one != other for one, other in zip(before, after, strict=True))
        assert 0 < changed < len(before) / 2


@pytest.mark.parametrize(
    ("text", "language", "results"),
    [
        ("I'm sure my cat hates me", "en", {"_'m sure _ cat hates _", "sure cat hates"}),
        ("J'ai perdu mon chat", "fr", {"_'ai perdu _ chat", "perdu chat"}),
        ("Ich vermisse meine Katze", "de", {"Ich vermisse meine Katze"}),
    ],
)
def test_impersonal_blanks_pronouns_or_leaves_them_out(
    text: str, language: str, results: set[str]
) -> None:
    found = {rewrite(text, seed, language, impersonal=1.0) for seed in range(20)}
    assert found == results


@pytest.mark.parametrize("alteration", ["alone", "greeting", "other_context"])
def test_message_too_short_to_be_read_alone_keeps_its_context(alteration: str) -> None:
    altered, place = alter(index=4, **{alteration: 1.0})
    assert altered.messages == CHAT.messages
    assert place == 4


shares = st.floats(0, 0.33)


@hypothesis_settings(deadline=None)
@given(
    st.fixed_dictionaries({"alone": shares, "greeting": shares, "other_context": shares}),
    st.sampled_from([0, 2, 4]),
    st.integers(0, 2**32),
)
def test_target_keeps_its_words_and_comes_last(
    wanted: dict[str, float], index: int, seed: int
) -> None:
    altered, place = alter(seed, index, **wanted)
    assert place == len(altered.messages) - 1
    assert altered.messages[place] == CHAT.messages[index]


def test_alterations_come_as_often_as_wanted() -> None:
    with augmenter(alone=0.2, greeting=0.3, other_context=0.1) as found:
        alone = [len(found.alter(CHAT, TARGET)[0].messages) == 1 for _ in range(2000)]
        replaced = [contents(found.alter(CHAT, TARGET)[0])[0] for _ in range(2000)]
    assert sum(alone) / 2000 == pytest.approx(0.2, abs=0.04)
    kept = sum(text == CHAT.messages[0].content for text in replaced)
    assert kept / 2000 == pytest.approx(0.4, abs=0.04)


def test_same_seed_same_alterations() -> None:
    def draw(seed: int) -> list[list[str]]:
        augmenter = Augmenter(AugmentSettings(), OTHERS, random.Random(seed))
        return [contents(augmenter.alter(CHAT, TARGET)[0]) for _ in range(50)]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def emotional(text: str) -> Any:
    return charged([user(text), assistant("I hear you.")])


def charged(messages: list[dict[str, Any]]) -> Any:
    labels = {"charge": 2, "cues": [], "turns": [1]}
    return from_gold({"id": "1", "messages": messages, "labels": labels}, "toy")


def test_wrapped_text_is_a_task_that_contains_it() -> None:
    wrapped = wrap_in_task(emotional("I feel {lost} and 100% alone"), random.Random(0))
    assert not wrapped.emotional
    assert wrapped.cues == wrapped.charged == frozenset()
    assert wrapped.source == "toy_wrapped"
    [message] = wrapped.conversation.messages
    assert message.role == "user"
    assert "I feel {lost} and 100% alone" in message.content
    assert len(message.content) > len("I feel {lost} and 100% alone")
    assert all(values[0] == 0.0 for values in wrapped.targets().values())


def test_long_text_is_pasted_up_to_a_whole_word() -> None:
    text = "lonely " * 200
    [message] = wrap_in_task(emotional(text), random.Random(0)).conversation.messages
    assert text[:300] in message.content
    pasted = message.content.count("lonely")
    assert message.content.count("lonel") == pasted
    assert PASTED_CHARACTERS // 7 - 1 <= pasted <= PASTED_CHARACTERS // 7


def test_silent_first_message_is_not_what_is_pasted() -> None:
    labelled = charged([user(""), user("I feel lost")])
    [message] = wrap_in_task(labelled, random.Random(0)).conversation.messages
    assert "I feel lost" in message.content


def test_wrapping_varies_and_is_the_same_for_a_seed() -> None:
    def draw(seed: int) -> list[str]:
        state = random.Random(seed)
        wrapped = [wrap_in_task(emotional("I feel lost"), state) for _ in range(60)]
        return [labelled.conversation.messages[0].content for labelled in wrapped]

    assert draw(1) == draw(1)
    assert len(set(draw(1))) > 10
