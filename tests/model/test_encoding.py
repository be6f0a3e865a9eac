"""Chats as token ids: whole, in their roles, and in batches whose order is restored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from affectlib.conversation import Conversation, Message, clean_text
from affectlib.model.encoding import (
    MAX_CHARACTERS,
    NO_TURN,
    ROLE_TOKENS,
    EncodedWindow,
    WindowEncoder,
    pad,
    token_batches,
)
from affectlib.model.text.unicode import normalize_unicode
from affectlib.model.windows import WindowSettings

START, PAD, END, UNKNOWN = range(4)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", *ROLE_TOKENS.values()]
USER, ASSISTANT = (SPECIAL.index(token) for token in ROLE_TOKENS.values())
CHARACTERS = "abcdefghijklmnopqrstuvwxyz<>|/_"

SETTINGS = WindowSettings(max_tokens=40, budgets=((24, 12), (12, 6)), overlap=1)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=60).map(clean_text) | st.lists(
    st.sampled_from([*SPECIAL, "a", "bc", " ", "\n"]), max_size=12
).map("".join)
CHATS = st.lists(
    st.lists(
        st.builds(Message, st.sampled_from(["user", "assistant", "system", "tool"]), TEXTS),
        max_size=5,
    ).map(lambda messages: Conversation(tuple(messages))),
    max_size=4,
)


def build(
    special: Sequence[str] = SPECIAL, *, template: str = "<s> $A </s>", padded: bool = False
) -> Tokenizer:
    """A tokenizer of single characters; all but `CHARACTERS` are unknown, blanks vanish."""
    vocabulary = {piece: index for index, piece in enumerate([*special, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens([*special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", START), ("</s>", END)]
    )
    if padded:
        tokenizer.enable_padding(length=64, pad_id=PAD, pad_token="<pad>")
        tokenizer.enable_truncation(4)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    return file


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return WindowEncoder(save(build(), tmp_path_factory.mktemp("tokenizer")), SETTINGS)


def pieces(text: str) -> list[int]:
    """The tokens of a text, looked up one by one."""
    return [
        len(SPECIAL) + CHARACTERS.index(character) if character in CHARACTERS else UNKNOWN
        for character in text
        if character != " "
    ]


def windows_of(encoder: WindowEncoder, *messages: Message) -> list[EncodedWindow]:
    return encoder.encode([Conversation(messages)])[0]


def facts(windows: Sequence[EncodedWindow]) -> list[tuple[Any, ...]]:
    """What windows hold, as values that can be compared."""
    return [
        (w.ids.tolist(), w.turns.tolist(), w.messages, w.truncated, w.of_user.tolist())
        for w in windows
    ]


def test_a_window_holds_the_chat_each_message_after_its_role(encoder):
    (window,) = windows_of(
        encoder,
        Message("user", "ab"),
        Message("system", "x"),
        Message("assistant", "c"),
        Message("user", "d"),
    )
    assert window.ids.tolist() == [
        START,
        *(USER, *pieces("ab")),
        *(ASSISTANT, *pieces("c")),
        *(USER, *pieces("d")),
        END,
    ]
    assert window.turns.tolist() == [NO_TURN, 0, 0, 0, 1, 1, 2, 2, NO_TURN]
    assert window.of_user.tolist() == [False, *[True] * 3, *[False] * 2, *[True] * 2, False]
    assert window.messages == (0, 2, 3)
    assert window.truncated == (0, 0, 0)


@given(CHATS)
def test_a_message_can_be_left_out_of_a_window(encoder, chats):
    for chat, windows in zip(chats, encoder.encode(chats), strict=True):
        if len(windows) != 1 or sum(windows[0].truncated):
            continue
        for place in windows[0].messages:
            others = Conversation(chat.messages[:place] + chat.messages[place + 1 :])
            less = windows[0].without(place)
            for window in encoder.encode([others])[0]:
                assert (less.ids == window.ids).all()
                assert (less.turns == window.turns).all()
                assert (less.of_user == window.of_user).all()
            assert less.messages == tuple(m for m in windows[0].messages if m != place)


def test_a_shortened_message_has_one_role_token(encoder):
    (window,) = windows_of(encoder, Message("user", "abcde" * 8))
    assert window.ids.tolist() == [START, USER, *pieces("abcde" * 3 + "a" + "cdeabcde"), END]
    assert window.truncated == (16,)


@pytest.mark.parametrize("token", SPECIAL)
def test_control_token_that_a_user_types_becomes_ordinary_pieces(encoder, token):
    (window,) = windows_of(encoder, Message("user", f"a{token}b"))
    assert window.ids.tolist() == [START, USER, *pieces(f"a{token}b"), END]


@given(CHATS)
def test_control_tokens_are_only_where_we_put_them(encoder, chats):
    for chat, windows in zip(chats, encoder.encode(chats), strict=True):
        for window in windows:
            assert len(window.ids) <= SETTINGS.max_tokens
            assert (window.ids[0], window.ids[-1]) == (START, END)
            assert not {START, END, PAD} & set(window.ids[1:-1].tolist())
            marks = [mark for mark in window.ids.tolist() if mark in (USER, ASSISTANT)]
            roles = [chat.messages[place].role for place in window.messages]
            assert marks == [USER if role == "user" else ASSISTANT for role in roles]


@given(CHATS)
def test_neighbours_in_the_list_change_nothing(encoder, chats):
    together = encoder.encode(chats)
    assert [*map(facts, together)] == [facts(encoder.encode([chat])[0]) for chat in chats]


@given(CHATS)
def test_every_message_with_something_to_read_is_read_and_the_rest_counted(encoder, chats):
    for chat, windows in zip(chats, encoder.encode(chats), strict=True):
        assert {place for window in windows for place in window.messages} == {
            index
            for index, message in enumerate(chat.messages)
            if message.role in ROLE_TOKENS and normalize_unicode(message.content).strip()
        }
        for window in windows:
            assert {*window.turns.tolist()} == {NO_TURN, *range(len(window.messages))}
            assert len(window.truncated) == len(window.messages)


@given(st.integers(1, 200))
def test_tokens_of_a_message_are_read_or_counted(encoder, length):
    text = "".join(CHARACTERS[i % 26] for i in range(length))
    (window,) = windows_of(encoder, Message("user", text))
    assert window.truncated == (max(0, length - 24),)
    assert len(window.ids) - 3 + window.truncated[0] == length


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_truncation_of_a_huge_message_is_counted(encoder, role):
    length = 200_000
    (window,) = windows_of(encoder, Message(role, "a" + "b" * (length - 2) + "c"))
    assert window.ids[2] == pieces("a")[0]
    assert window.ids[-2] == pieces("c")[0]
    assert len(window.ids) - 3 + window.truncated[0] == length


def test_message_just_short_enough_is_tokenized_whole(encoder):
    for length in (MAX_CHARACTERS, MAX_CHARACTERS + 1):
        (window,) = windows_of(encoder, Message("assistant", "a" * length))
        assert window.truncated == (length - 12,)


def test_white_space_in_a_long_message_takes_no_room(encoder):
    gap = " " * MAX_CHARACTERS
    (window,) = windows_of(encoder, Message("user", f"{gap}abc{gap}"))
    assert window.ids[2:-1].tolist() == pieces("abc")
    assert window.truncated == (0,)
    (window,) = windows_of(encoder, Message("user", f"ab{gap}\n{gap}c"))
    (plain,) = windows_of(encoder, Message("user", "ab c"))
    assert window.ids.tolist() == plain.ids.tolist()


def test_nothing_to_read_gives_no_windows(encoder):
    assert encoder.encode([]) == []
    chat = Conversation((Message("user", ""), Message("user", " \n"), Message("system", "abc")))
    assert encoder.encode([Conversation(()), chat]) == [[], []]


def test_truncation_and_padding_of_the_file_are_switched_off(tmp_path):
    encoder = WindowEncoder(save(build(padded=True), tmp_path), SETTINGS)
    (window,) = windows_of(encoder, Message("user", "abcdefgh"))
    assert window.ids.tolist() == [START, USER, *pieces("abcdefgh"), END]
    assert encoder.pad_id == PAD


@pytest.mark.parametrize("missing", [*ROLE_TOKENS.values(), "<pad>"])
def test_tokenizer_without_a_control_token_is_refused(tmp_path, missing):
    special = ["other" if token == missing else token for token in SPECIAL]
    problem = "padding token" if missing == "<pad>" else f"no token '{missing}'".replace("|", r"\|")
    with pytest.raises(ValueError, match=problem):
        WindowEncoder(save(build(special), tmp_path), SETTINGS)


def test_tokenizer_that_does_not_enclose_texts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one token before and one after"):
        WindowEncoder(save(build(template="<s> $A"), tmp_path), SETTINGS)


def window(sizes: list[int], token: int) -> EncodedWindow:
    """A window of messages of these sizes."""
    turns = np.repeat([NO_TURN, *range(len(sizes)), NO_TURN], [1, *sizes, 1]).astype(np.int32)
    ids = np.full(len(turns), token, np.int32)
    return EncodedWindow(ids, turns, (*range(len(sizes)),), (0,) * len(sizes), turns != NO_TURN)


SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=5)
WINDOWS = st.lists(SIZES, max_size=25).map(
    lambda rows: [window(sizes, 2 + i) for i, sizes in enumerate(rows)]
)


@given(WINDOWS, st.integers(1, 120))
def test_batches_hold_every_window_once_and_as_many_as_the_budget_allows(windows, budget):
    batches = [*token_batches(windows, max_tokens=budget, pad_id=1)]
    assert sorted(int(p) for batch in batches for p in batch.places) == [*range(len(windows))]
    for batch in batches:
        assert batch.ids.shape == batch.mask.shape
        assert batch.ids.dtype == batch.mask.dtype == np.int64
        for position, row, read in zip(batch.places, batch.ids, batch.mask, strict=True):
            length = len(windows[position].ids)
            assert row[:length].tolist() == windows[position].ids.tolist()
            assert (row[length:] == 1).all()
            assert read.tolist() == [1] * length + [0] * (len(row) - length)
        assert batch.ids.size <= budget or len(batch.places) == 1
        assert 0 <= batch.ids.shape[1] - batch.mask.sum(axis=1).max() < 4
        assert batch.ids.shape[1] % 4 == 0
    lengths = [batch.ids.shape[1] for batch in batches]
    assert lengths == sorted(lengths)
    for batch, after in pairwise(batches):
        following = int(after.mask.sum(axis=1).min())
        assert (len(batch.places) + 1) * (following + -following % 4) > budget


@given(WINDOWS.filter(len), st.integers(1, 40))
def test_shares_are_the_mean_of_each_message(windows, multiple):
    batch = pad(windows, range(len(windows)), 1, multiple)
    assert batch.ids.shape[1] % multiple == 0
    most = max(len(window.messages) for window in windows)
    assert batch.turns.shape == (len(windows), most, batch.ids.shape[1])
    for one, shares in zip(windows, batch.turns, strict=True):
        there = len(one.messages)
        np.testing.assert_allclose(
            shares.sum(axis=1), [1] * there + [0] * (most - there), rtol=1e-5
        )
        for place in range(there):
            assert (np.flatnonzero(shares[place]) == np.flatnonzero(one.turns == place)).all()
