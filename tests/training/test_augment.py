from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydantic", reason="training needs affectlib[train]")

from affectlib.conversation import Conversation, parse_conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.taxonomy import CHARGES, OUTPUTS, USER_CUES
from tests.conftest import assistant, user
from training.config import AugmentSettings
from training.data import augment
from training.data.augment import PASTED_CHARACTERS, Augmenter, wrap_in_task
from training.data.sources import from_gold

REWRITINGS = ("terse", "typos", "impersonal", "surrounded", "pasted")
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


def contents(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.messages]


def gold(*texts: str, charge: int = 0, turns: Sequence[int] = (), **about: Any) -> Any:
    """A conversation of user messages, each with an answer."""
    messages = [m for text in texts for m in (user(text), assistant(f"{text}? I see."))]
    labels = {"charge": charge, "cues": [], "turns": [*turns], **about.pop("labels", {})}
    return from_gold({"id": texts[0], "messages": messages, "labels": labels, **about}, "toy")


CHARGED = gold("Sort this.", "I feel lost.", "Thanks.", charge=2, turns=[2])
CALM = gold("What is a leap year?", "And the next one?", *(f"Year {n}?" for n in range(20)))


@contextmanager
def augmenter(
    seed: int = 0, others: Sequence[LabelledConversation] = (CALM,), **shares: float
) -> Iterator[Augmenter]:
    """One that rewrites in these ways alone, and takes calm talk of one conversation."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("terse", "several"):
            patch.setattr(augment, name.upper(), shares.pop(name, 0.0))
        yield Augmenter(AugmentSettings(**shares), others, random.Random(seed))


def surround(
    labelled: LabelledConversation, n: int = 40, **about: Any
) -> list[LabelledConversation]:
    with augmenter(**about) as found:
        return [found.surround(labelled, "en") for _ in range(n)]


def beside(made: LabelledConversation, labelled: LabelledConversation) -> list[int]:
    """The places of what stands beside a conversation."""
    start = contents(made.conversation).index(contents(labelled.conversation)[0])
    own = range(start, start + len(labelled.conversation.messages))
    return [place for place in range(len(made.conversation.messages)) if place not in own]


def test_calm_talk_stands_before_or_after_a_conversation() -> None:
    own, calm = contents(CHARGED.conversation), contents(CALM.conversation)
    before = set()
    for made in surround(CHARGED):
        found = contents(made.conversation)
        start = found.index(own[0])
        added = found[:start] + found[start + len(own) :]
        assert found[start : start + len(own)] == own
        assert start in (0, len(found) - len(own))
        assert 1 <= len(added) <= 8
        assert added == calm[: len(added)]
        assert made.conversation.id == CHARGED.conversation.id
        before.add(start > 0)
    assert before == {True, False}


def test_calm_talk_may_be_put_together_of_turns_of_several_conversations() -> None:
    others = [gold(*(f"Number {n}, part {part}?" for part in range(3))) for n in range(12)]
    for made in surround(CHARGED, others=others, several=1.0):
        messages = [made.conversation.messages[place] for place in beside(made, CHARGED)]
        assert len(messages) >= 6
        assert {m.role for m in messages[::2]} == {"user"}
        for said, answer in zip(messages[::2], messages[1::2], strict=True):
            assert answer.content == f"{said.content}? I see."
        assert len({m.content.split(",")[0] for m in messages}) > 1


@pytest.mark.parametrize("several", [0.0, 1.0])
@pytest.mark.parametrize(
    "labelled",
    [
        CHARGED,
        gold("I feel lost.", "Sort this.", charge=3, turns=[1], labels={"cues": ["U1", "A1"]}),
        gold("Hm.", "I wept.", charge=2, turns=[2], labels={"turn_cues": {"2": ["U1"]}}),
        gold("Sort this.", "And that."),
    ],
    ids=["charged", "cues", "cues by turn", "calm"],
)
def test_targets_move_with_the_messages(labelled: LabelledConversation, several: float) -> None:
    for made in surround(labelled, 20, several=several):
        shift = contents(made.conversation).index(contents(labelled.conversation)[0])
        targets = made.targets()
        for place, expected in labelled.targets().items():
            assert targets.pop(shift + place) == pytest.approx(expected, nan_ok=True)
        charged = [OUTPUTS.index(name) for name in (*CHARGES, *USER_CUES)]
        for place, values in targets.items():
            if made.conversation.messages[place].role == "user":
                assert {values[output] for output in charged} == {0.0}
        expected = labelled.whole_targets(range(len(labelled.conversation.messages)))
        whole = made.whole_targets(range(len(made.conversation.messages)))
        assert whole == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("several", [0.0, 1.0])
def test_a_window_of_calm_talk_is_calm_only_beside_a_calm_conversation(several: float) -> None:
    """Beside a charged one nothing is known of it: it holds nothing of what is charged."""
    emotional = OUTPUTS.index("emotional")
    for made in surround(CHARGED, 20, several=several):
        others = beside(made, CHARGED)
        own = [p for p in range(len(made.conversation.messages)) if p not in others]
        assert np.isnan(made.whole_targets(others)).all()
        assert made.whole_targets(own)[emotional] == 1.0
        (charged,) = made.charged
        assert made.conversation.messages[charged].content == "I feel lost."
    calm = gold("Sort this.", "And that.")
    for made in surround(calm, 20, several=several):
        assert made.whole_targets(beside(made, calm))[emotional] == 0.0


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_calm_talk_is_drawn_as_often_as_wanted(share: float) -> None:
    with augmenter(beside=share) as found:
        drawn = [found.draws_beside() for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(share, abs=0.04 * (0 < share < 1))


def test_only_calm_talk_in_the_same_language_is_put_beside() -> None:
    not_calm = [
        gold("I am a bit tired.", charge=1),
        gold("I feel lost.", charge=2, turns=[1]),
        gold("Be my friend.", labels={"cues": ["U4"]}),
        replace(gold("Nobody annotated me."), cues=None),
        gold("Quelle heure est-il ?", lang="fr"),
    ]
    with augmenter(others=[*not_calm, CALM]) as found:
        drawn = {contents(found.surround(CHARGED, "en").conversation)[0] for _ in range(60)}
        french = {contents(found.surround(CHARGED, "fr").conversation)[0] for _ in range(60)}
    assert drawn == {"Sort this.", "What is a leap year?"}
    assert french == {"Sort this.", "Quelle heure est-il ?"}


def test_where_there_is_no_calm_talk_a_greeting_takes_its_place() -> None:
    with augmenter(others=[]) as found:
        made = [found.surround(CHARGED, "en").conversation for _ in range(20)]
    own = {*contents(CHARGED.conversation)}
    for chat in made:
        added = [message for message in chat.messages if message.content not in own]
        assert [message.role for message in added] == ["user", "assistant"]


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


def test_rewritings_come_as_often_as_wanted() -> None:
    with augmenter(terse=0.2) as found:
        written = [found.rewrite(CHAT, "en") != CHAT for _ in range(2000)]
    assert sum(written) / 2000 == pytest.approx(0.2, abs=0.04)


def test_same_seed_same_alterations() -> None:
    settings = AugmentSettings(typos=0.5, surrounded=0.5, pasted=0.5)

    def draw(seed: int) -> list[list[str]]:
        found = Augmenter(settings, [CALM], random.Random(seed))
        made = (found.surround(CHARGED, "en") for _ in range(50))
        return [contents(found.rewrite(labelled.conversation, "en")) for labelled in made]

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
