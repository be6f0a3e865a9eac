from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.conversation import Role
from affectlib.model.windows import Segment, Window, WindowSettings, plan_windows

unhurried = settings(deadline=None)  # a busy machine is no failure

SMALL = WindowSettings(
    max_tokens=24,
    target_tokens=10,
    lead_tokens=2,
    max_windows=3,
    context_messages=2,
    user_context_tokens=6,
    assistant_context_tokens=3,
    assistant_target_tokens=9,
)

Messages = list[tuple[Role, int]]


@st.composite
def window_settings(draw: st.DrawFn) -> WindowSettings:
    target = draw(st.integers(1, 20))
    assistant = draw(st.integers(1, 20))
    return WindowSettings(
        max_tokens=max(target, assistant) + 3 + draw(st.integers(0, 20)),
        target_tokens=target,
        lead_tokens=draw(st.integers(0, target - 1)),
        max_windows=draw(st.integers(1, 4)),
        context_messages=draw(st.integers(0, 4)),
        user_context_tokens=draw(st.integers(0, 12)),
        assistant_context_tokens=draw(st.integers(0, 12)),
        assistant_target_tokens=assistant,
    )


ROLES: list[Role] = ["user", "assistant", "system", "tool"]
MESSAGES: st.SearchStrategy[Messages] = st.lists(
    st.tuples(st.sampled_from(ROLES), st.integers(0, 90)), max_size=7
)


def plan(messages: Messages, settings: WindowSettings, **options: Any) -> list[Window]:
    roles, lengths = [role for role, _ in messages], [length for _, length in messages]
    return list(plan_windows(roles, lengths, settings, **options))


def tokens(segments: tuple[Segment, ...]) -> list[tuple[int, int]]:
    """The tokens of segments: message and position."""
    return [(s.message, position) for s in segments for position in range(s.start, s.stop)]


@unhurried
@given(MESSAGES, window_settings())
def test_every_token_of_a_target_is_read_or_counted(
    messages: Messages, settings: WindowSettings
) -> None:
    windows = plan(messages, settings)
    for index, (role, length) in enumerate(messages):
        mine = [window for window in windows if window.message == index]
        assert bool(mine) == (length > 0 and role in ("user", "assistant"))
        if mine:
            read = {token for window in mine for token in tokens(window.target)}
            assert read <= {(index, position) for position in range(length)}
            (truncated,) = {window.truncated_tokens for window in mine}
            assert len(read) + truncated == length


@unhurried
@given(st.integers(1, 200), window_settings())
def test_nothing_of_a_user_is_left_out_while_windows_suffice(
    length: int, settings: WindowSettings
) -> None:
    windows = plan([("user", length)], settings)
    step = settings.target_tokens - settings.lead_tokens
    room = settings.target_tokens + step * (settings.max_windows - 1)
    assert windows[0].truncated_tokens == max(0, length - room)
    assert len(windows) <= settings.max_windows
    assert len(windows) == 1 or length > settings.target_tokens


@unhurried
@given(st.integers(0, 3), window_settings())
def test_every_token_is_read_once_when_pieces_fit_exactly(
    further: int, settings: WindowSettings
) -> None:
    further = min(further, settings.max_windows - 1)
    step = settings.target_tokens - settings.lead_tokens
    length = settings.target_tokens + step * further
    windows = plan([("user", length)], settings)
    lead = set(tokens((Segment(0, 0, settings.lead_tokens),)))
    assert len(windows) == further + 1
    for window in windows:
        assert lead <= set(tokens(window.target))
    counts = Counter(token for window in windows for token in tokens(window.target))
    assert {counts.pop(token) for token in lead} <= {len(windows)}
    assert set(counts.values()) == {1}
    assert len(counts) + len(lead) == length


@unhurried
@given(MESSAGES, window_settings())
def test_no_window_is_too_long(messages: Messages, settings: WindowSettings) -> None:
    for window in plan(messages, settings):
        context, target = tokens(window.context), tokens(window.target)
        assert window.length <= settings.max_tokens
        assert window.length == 2 + 1 + len({m for m, _ in context}) + len(context) + len(target)
        user = messages[window.message][0] == "user"
        limit = settings.target_tokens if user else settings.assistant_target_tokens
        assert 1 <= len(target) <= limit


@unhurried
@given(MESSAGES, window_settings())
def test_context_is_the_newest_readable_messages_before_the_target(
    messages: Messages, settings: WindowSettings
) -> None:
    limits = {
        "user": settings.user_context_tokens,
        "assistant": settings.assistant_context_tokens,
    }
    readable = [i for i, (role, n) in enumerate(messages) if n and limits.get(role)]
    for window in plan(messages, settings):
        earlier = [index for index in readable if index < window.message]
        used = list(dict.fromkeys(segment.message for segment in window.context))
        assert len(used) <= settings.context_messages
        assert used == earlier[len(earlier) - len(used) :]
        context = tokens(window.context)
        assert context == sorted(set(context))
        for index, count in Counter(message for message, _ in context).items():
            role, length = messages[index]
            user = role == "user"
            limit = settings.user_context_tokens if user else settings.assistant_context_tokens
            assert count <= min(limit, length)


@unhurried
@given(MESSAGES, window_settings())
def test_targets_come_in_order_and_pieces_in_reading_order(
    messages: Messages, settings: WindowSettings
) -> None:
    windows = plan(messages, settings)
    assert [w.message for w in windows] == sorted(w.message for w in windows)
    for first, second in pairwise(windows):
        if first.message == second.message:
            assert tokens(first.target)[-1] < tokens(second.target)[-1]
            assert first.context == second.context
    for window in windows:
        target = tokens(window.target)
        assert target == sorted(set(target))
        assert {message for message, _ in target} == {window.message}


@unhurried
@given(MESSAGES, window_settings())
def test_last_window_of_a_user_reaches_the_end(
    messages: Messages, settings: WindowSettings
) -> None:
    last = {window.message: window for window in plan(messages, settings)}
    for index, window in last.items():
        role, length = messages[index]
        if role == "user" and (settings.max_windows > 1 or settings.target_tokens >= 3):
            assert window.target[-1].stop == length


@unhurried
@given(MESSAGES, window_settings())
def test_leaving_assistant_targets_out_changes_nothing_else(
    messages: Messages, settings: WindowSettings
) -> None:
    users = [w for w in plan(messages, settings) if messages[w.message][0] == "user"]
    assert plan(messages, settings, assistant_targets=False) == users


def test_long_message_is_covered_with_its_beginning_in_each_window() -> None:
    windows = plan([("user", 21)], SMALL)
    assert [window.target for window in windows] == [
        (Segment(0, 0, 10),),
        (Segment(0, 0, 2), Segment(0, 10, 18)),
        (Segment(0, 0, 2), Segment(0, 13, 21)),
    ]
    assert {window.truncated_tokens for window in windows} == {0}


def test_what_lies_before_the_end_of_too_long_a_message_is_counted() -> None:
    windows = plan([("user", 100)], SMALL)
    assert [window.target[-1] for window in windows] == [
        Segment(0, 0, 10),
        Segment(0, 10, 18),
        Segment(0, 92, 100),
    ]
    assert {window.truncated_tokens for window in windows} == {74}


def test_assistant_target_keeps_beginning_and_end() -> None:
    (window,) = plan([("assistant", 100)], SMALL)
    assert window.target == (Segment(0, 0, 6), Segment(0, 97, 100))
    assert window.truncated_tokens == 91


def test_context_is_shortened_and_not_counted() -> None:
    *_, window = plan([("user", 50), ("assistant", 50), ("user", 10)], SMALL)
    assert window.context == (
        Segment(0, 0, 4),
        Segment(0, 48, 50),
        Segment(1, 0, 2),
        Segment(1, 49, 50),
    )
    assert window.truncated_tokens == 0


def test_system_tool_and_empty_messages_are_passed_over() -> None:
    messages: Messages = [
        ("user", 4),
        ("system", 5),
        ("assistant", 0),
        ("tool", 5),
        ("user", 3),
    ]
    first, second = plan(messages, SMALL)
    assert (first.message, second.message) == (0, 4)
    assert second.context == (Segment(0, 0, 4),)


def test_settings_survive_a_dict() -> None:
    assert WindowSettings.from_dict(SMALL.to_dict()) == SMALL
    assert WindowSettings.from_dict({}) == WindowSettings()
    with pytest.raises(TypeError, match="window_tokens"):
        WindowSettings.from_dict({"window_tokens": 3})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"max_windows": 0}, "max_windows"),
        ({"target_tokens": 0, "lead_tokens": 0}, "target_tokens"),
        ({"assistant_target_tokens": 0}, "assistant_target_tokens"),
        ({"lead_tokens": -1}, "lead_tokens"),
        ({"lead_tokens": 128}, "lead_tokens"),
        ({"max_tokens": 130}, "max_tokens"),
        ({"max_tokens": 160, "assistant_target_tokens": 158}, "max_tokens"),
    ],
)
def test_settings_under_which_no_target_fits_are_refused(
    changes: dict[str, int], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        WindowSettings(**changes)
