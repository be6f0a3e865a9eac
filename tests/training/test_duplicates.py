from __future__ import annotations

import pytest

pytest.importorskip("datasets", reason="training needs affectlib[train]")
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.conversation import Conversation, Message, parse_conversation
from tests.conftest import assistant, user
from training.data.prepare import MOST_SHARED, SHINGLE_WORDS, EvaluationIndex

EVALUATION = "I have been awake since four because my sister stopped answering all of my messages"
UNRELATED = "Please write a small Python script that reads a file and counts its lines for me"
WORDS = EVALUATION.split()


def chat(*texts: str) -> Conversation:
    return parse_conversation([m for text in texts for m in (user(text), assistant("All right."))])


INDEX = EvaluationIndex([chat("hi there", EVALUATION)])


def test_same_words_are_found_wherever_they_stand() -> None:
    assert INDEX.contains(chat(EVALUATION))
    assert INDEX.contains(chat(UNRELATED, UNRELATED, UNRELATED, EVALUATION))


def test_case_punctuation_and_white_space_do_not_hide_them() -> None:
    assert INDEX.contains(chat(EVALUATION.upper() + "!!!"))
    assert INDEX.contains(chat("…" + ", ".join(WORDS)))
    assert INDEX.contains(chat("\n".join(WORDS)))


def test_unrelated_conversation_is_not_found() -> None:
    assert not INDEX.contains(chat(UNRELATED))
    assert not INDEX.contains(chat())


def test_shared_small_talk_is_no_duplicate() -> None:
    short = " ".join(WORDS[: SHINGLE_WORDS - 1])
    index = EvaluationIndex([chat("hi there", short)])
    assert not index.contains(chat("hi there", short))


def test_only_what_users_wrote_counts() -> None:
    spoken = Conversation((Message("user", UNRELATED), Message("assistant", EVALUATION)))
    assert not INDEX.contains(spoken)
    assert not EvaluationIndex([spoken]).contains(chat(EVALUATION))


def altered(shared: int, total: int) -> str:
    """A text with some of its runs of words taken from the evaluation, and `total` in all."""
    kept = WORDS[: shared + SHINGLE_WORDS - 1] if shared else []
    new = [f"w{i}" for i in range(total + SHINGLE_WORDS - 1 - len(kept))]
    return " ".join([*kept, *new])


def test_more_than_the_tolerated_share_of_runs_is_a_duplicate() -> None:
    assert MOST_SHARED == 0.3
    assert not INDEX.contains(chat(altered(3, 10)))
    assert INDEX.contains(chat(altered(4, 10)))
    assert not INDEX.contains(chat(altered(1, 20)))


def test_runs_are_counted_over_all_messages_of_the_user() -> None:
    half = altered(4, 10)
    assert INDEX.contains(chat(half))
    assert not INDEX.contains(chat(half, UNRELATED))
    assert INDEX.contains(chat(half, "ok thanks", "and then?"))


def test_empty_index_finds_nothing() -> None:
    assert not EvaluationIndex([]).contains(chat(EVALUATION))


words = st.lists(st.sampled_from("abcdefghij"), min_size=SHINGLE_WORDS, max_size=30)


@settings(deadline=None)
@given(words, st.randoms())
def test_a_message_is_found_in_any_case_and_punctuation(text: list[str], state: object) -> None:
    index = EvaluationIndex([chat(" ".join(text))])
    varied = " ".join(
        word.upper() + state.choice(["", ",", "!", " -"])  # type: ignore[attr-defined]
        for word in text
    )
    assert index.contains(chat(varied))
