"""Whole chats, or overlapping parts of long ones, in token counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlib.conversation import Role
from affectlib.model.windows import Turn, Window, WindowSettings, plan_windows

SMALL = WindowSettings(max_tokens=24, budgets=((12, 6), (6, 3)), overlap=1)

Messages = list[tuple[Role, int]]


@st.composite
def window_settings(draw: st.DrawFn) -> WindowSettings:
    limits = st.tuples(st.integers(1, 30), st.integers(1, 30))
    budgets = tuple(sorted(draw(st.lists(limits, min_size=1, max_size=4)), reverse=True))
    overlap = draw(st.integers(0, 3))
    least = 2 + (overlap + 1) * (1 + max(budgets[-1]))
    return WindowSettings(
        max_tokens=least + draw(st.integers(0, 60)), budgets=budgets, overlap=overlap
    )


ROLES: list[Role] = ["user", "assistant", "system", "tool"]
MESSAGES: st.SearchStrategy[Messages] = st.lists(
    st.tuples(st.sampled_from(ROLES), st.integers(0, 90)), max_size=30
)


def plan(messages: Messages, settings: WindowSettings) -> list[Window]:
    return plan_windows([role for role, _ in messages], [n for _, n in messages], settings)


def readable(messages: Messages) -> list[int]:
    return [i for i, (role, n) in enumerate(messages) if n and role in ("user", "assistant")]


def limit(messages: Messages, turn: Turn, budget: tuple[int, int]) -> int:
    return budget[messages[turn.message][0] == "assistant"]


@given(MESSAGES, window_settings())
def test_every_readable_message_and_no_other_is_read_in_order(messages, settings):
    windows = plan(messages, settings)
    assert sorted({turn.message for w in windows for turn in w}) == readable(messages)
    assert all(windows), "no window is empty"
    for window in windows:
        assert 2 + sum(map(len, window)) <= settings.max_tokens
        for turn in window:
            length = messages[turn.message][1]
            assert len(turn) - 1 + turn.truncated_tokens == length
            assert all(turn.segments), "no segment is empty"
            read = [position for segment in turn.segments for position in segment]
            assert read == sorted({*read}), "nothing is read twice"
            assert read[0] == 0
            assert read[-1] < length


@given(MESSAGES, window_settings())
def test_one_budget_holds_for_all_messages_the_largest_that_fits(messages, settings):
    windows = plan(messages, settings)

    def length(budget: tuple[int, int]) -> int:
        kept = (min(n, budget[role == "assistant"]) for role, n in messages if role in ROLES[:2])
        return 2 + sum(1 + n for n in kept if n)

    fits = [b for b in settings.budgets if length(b) <= settings.max_tokens]
    budget = fits[0] if fits else settings.budgets[-1]
    assert (len(windows) > 1) == (not fits)
    for turn in (turn for window in windows for turn in window):
        assert len(turn) - 1 == min(messages[turn.message][1], limit(messages, turn, budget))


@given(MESSAGES, window_settings())
def test_windows_overlap_by_some_messages_and_each_has_a_new_one(messages, settings):
    windows = plan(messages, settings)
    for window in windows:
        assert [turn.message for turn in window] == [
            place
            for place in readable(messages)
            if window[0].message <= place <= window[-1].message
        ], "no message between two others is left out"
    for first, second in pairwise(windows):
        shared = {*first} & {*second}
        assert len(shared) == min(settings.overlap, len(first))
        assert second[-1].message > first[-1].message
        room = settings.max_tokens - 2 - sum(map(len, first))
        assert len(second[len(shared)]) > room, "a window is as full as it can be"


def test_a_long_message_keeps_its_beginning_and_end():
    ((first, reply),) = plan([("user", 100), ("assistant", 50)], SMALL)
    assert first == Turn(0, (range(0, 8), range(96, 100)), 88)
    assert reply == Turn(1, (range(0, 4), range(48, 50)), 44)


def test_settings_survive_a_dict():
    assert WindowSettings(**SMALL.to_dict()) == SMALL
    assert WindowSettings(budgets=[[3, 2]]).budgets == ((3, 2),)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="window_tokens"):
        WindowSettings(window_tokens=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "changes",
    [
        {"budgets": ()},
        {"budgets": ((3, 0),)},
        {"overlap": -1},
        {"max_tokens": 100, "budgets": ((98, 4),), "overlap": 0},
        {"max_tokens": 100},
    ],
)
def test_settings_under_which_no_new_message_fits_are_refused(changes):
    with pytest.raises(ValueError, match="must"):
        WindowSettings(**changes)  # type: ignore[arg-type]
