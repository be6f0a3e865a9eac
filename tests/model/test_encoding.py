from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from affectlib.conversation import Conversation, Message, clean_text
from affectlib.model.encoding import (
    MAX_CHARACTERS,
    ROLE_TOKENS,
    TARGET_TOKEN,
    EncodedWindow,
    WindowEncoder,
    token_batches,
)
from affectlib.model.text.unicode import normalize_unicode
from affectlib.model.windows import WindowSettings

unhurried = settings(deadline=None)  # a busy machine is no failure

START, PAD, END, UNKNOWN = range(4)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", *ROLE_TOKENS.values(), TARGET_TOKEN]
USER, ASSISTANT, TARGET = (SPECIAL.index(token) for token in (*ROLE_TOKENS.values(), TARGET_TOKEN))
CONTROL = {START, PAD, END, USER, ASSISTANT, TARGET}
CHARACTERS = "abcdefghijklmnopqrstuvwxyz<>|/_"

SETTINGS = WindowSettings(
    max_tokens=40,
    target_tokens=24,
    lead_tokens=4,
    max_windows=3,
    context_messages=2,
    user_context_tokens=8,
    assistant_context_tokens=4,
    assistant_target_tokens=12,
)

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
def encoder(tmp_path_factory: pytest.TempPathFactory) -> WindowEncoder:
    return WindowEncoder(save(build(), tmp_path_factory.mktemp("tokenizer")), SETTINGS)


def pieces(text: str) -> list[int]:
    """The tokens of a text, looked up one by one."""
    return [
        len(SPECIAL) + CHARACTERS.index(character) if character in CHARACTERS else UNKNOWN
        for character in text
        if character != " "
    ]


def facts(windows: Sequence[EncodedWindow]) -> list[tuple[Any, ...]]:
    """What windows hold, as values that can be compared."""
    return [(w.conversation, w.message, w.ids.tolist(), w.truncated_tokens) for w in windows]


def test_window_marks_roles_and_target(encoder: WindowEncoder) -> None:
    chat = Conversation((Message("user", "ab"), Message("assistant", "c"), Message("user", "d")))
    first, reply, second = encoder.encode([chat])
    assert first.ids.tolist() == [START, TARGET, *pieces("ab"), END]
    assert reply.ids.tolist() == [START, USER, *pieces("ab"), ASSISTANT, *pieces("c"), END]
    assert second.ids.tolist() == [
        START,
        USER,
        *pieces("ab"),
        ASSISTANT,
        *pieces("c"),
        TARGET,
        *pieces("d"),
        END,
    ]
    assert [(w.conversation, w.message) for w in (first, reply, second)] == [(0, 0), (0, 1), (0, 2)]


def test_shortened_context_message_has_one_role_token(encoder: WindowEncoder) -> None:
    chat = Conversation((Message("user", "abcdefghijkl"), Message("user", "z")))
    *_, window = encoder.encode([chat])
    assert window.ids.tolist() == [START, USER, *pieces("abcdefkl"), TARGET, *pieces("z"), END]


@pytest.mark.parametrize("token", SPECIAL)
def test_control_token_that_a_user_types_becomes_ordinary_pieces(
    encoder: WindowEncoder, token: str
) -> None:
    (window,) = encoder.encode([Conversation((Message("user", f"a{token}b"),))])
    assert window.ids.tolist() == [START, TARGET, *pieces(f"a{token}b"), END]


@unhurried
@given(CHATS)
def test_control_tokens_are_only_where_we_put_them(
    encoder: WindowEncoder, chats: list[Conversation]
) -> None:
    for window in encoder.encode(chats):
        assert window.ids[0] == START
        assert window.ids[-1] == END
        assert not {START, END, PAD} & set(window.ids[1:-1].tolist())
        role = chats[window.conversation].messages[window.message].role
        assert window.ids.tolist().count(TARGET) == (role == "user")
        marks = [token for token in window.ids if token in (USER, ASSISTANT, TARGET)]
        assert marks[-1] == (TARGET if role == "user" else ASSISTANT)
        assert len(marks) <= SETTINGS.context_messages + 1
        assert len(window.ids) <= SETTINGS.max_tokens


@unhurried
@given(CHATS)
def test_neighbours_in_the_list_change_nothing(
    encoder: WindowEncoder, chats: list[Conversation]
) -> None:
    alone = [
        replace(window, conversation=position)
        for position, chat in enumerate(chats)
        for window in encoder.encode([chat])
    ]
    assert facts(encoder.encode(chats)) == facts(alone)


@unhurried
@given(
    st.lists(
        st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), TEXTS), max_size=12
    ),
    st.sets(st.integers(1, 12)),
    st.integers(0, 3),
    st.booleans(),
)
def test_a_conversation_in_stretches_gives_the_same_windows(
    encoder: WindowEncoder, messages: list[Message], cuts: set[int], context: int, both: bool
) -> None:
    chat = Conversation(tuple(messages))
    starts = [0, *sorted(cut for cut in cuts if cut < len(messages))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "settings", replace(SETTINGS, context_messages=context))
        whole = encoder.encode([chat], assistant_targets=both)
        parts = [*encoder.encode_stretches(chat, starts, assistant_targets=both)]
    assert len(parts) == len(starts)
    found = [window for part in parts for window in part]
    assert facts(found) == facts(whole)
    for start, end, part in zip(starts, [*starts[1:], len(messages)], parts, strict=True):
        assert all(start <= window.message < end for window in part)


@unhurried
@given(CHATS)
def test_every_message_with_something_to_read_is_a_target(
    encoder: WindowEncoder, chats: list[Conversation]
) -> None:
    windows = encoder.encode(chats)
    targets = {(window.conversation, window.message) for window in windows}
    assert targets == {
        (position, index)
        for position, chat in enumerate(chats)
        for index, message in enumerate(chat.messages)
        if message.role in ROLE_TOKENS and normalize_unicode(message.content).strip()
    }
    users = [w for w in windows if chats[w.conversation].messages[w.message].role == "user"]
    assert facts(encoder.encode(chats, assistant_targets=False)) == facts(users)


@unhurried
@given(st.integers(1, 200))
def test_tokens_of_a_message_are_read_or_counted(encoder: WindowEncoder, length: int) -> None:
    text = "".join(CHARACTERS[i % 26] for i in range(length))
    windows = encoder.encode([Conversation((Message("user", text),))])
    room = 24 + 20 * 2
    assert {window.truncated_tokens for window in windows} == {max(0, length - room)}


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_truncation_of_a_huge_message_is_counted(encoder: WindowEncoder, role: Any) -> None:
    length = 200_000
    text = "a" + "b" * (length - 2) + "c"
    windows = encoder.encode([Conversation((Message(role, text),))])
    assert windows[0].ids[2] == pieces("a")[0]
    assert windows[-1].ids[-2] == pieces("c")[0]
    mark = 3  # <s>, role, </s>
    read = sum(len(window.ids) - mark for window in windows)
    read -= SETTINGS.lead_tokens * (len(windows) - 1)
    assert {window.truncated_tokens for window in windows} == {length - read}


def test_message_just_short_enough_is_tokenized_whole(encoder: WindowEncoder) -> None:
    for length in (MAX_CHARACTERS, MAX_CHARACTERS + 1):
        windows = encoder.encode([Conversation((Message("assistant", "a" * length),))])
        assert windows[0].truncated_tokens == length - SETTINGS.assistant_target_tokens


def test_white_space_in_a_long_message_takes_no_room(encoder: WindowEncoder) -> None:
    gap = " " * MAX_CHARACTERS
    (window,) = encoder.encode([Conversation((Message("user", f"{gap}abc{gap}"),))])
    assert window.ids[2:-1].tolist() == pieces("abc")
    assert window.truncated_tokens == 0
    (window,) = encoder.encode([Conversation((Message("user", f"ab{gap}\n{gap}c"),))])
    (plain,) = encoder.encode([Conversation((Message("user", "ab c"),))])
    assert window.ids.tolist() == plain.ids.tolist()


def test_nothing_to_read_gives_no_windows(encoder: WindowEncoder) -> None:
    assert encoder.encode([]) == []
    chat = Conversation((Message("user", ""), Message("user", " \n"), Message("system", "abc")))
    assert encoder.encode([Conversation(()), chat]) == []


def test_truncation_and_padding_of_the_file_are_switched_off(tmp_path: Path) -> None:
    encoder = WindowEncoder(save(build(padded=True), tmp_path), SETTINGS)
    (window,) = encoder.encode([Conversation((Message("user", "abcdefgh"),))])
    assert window.ids.tolist() == [START, TARGET, *pieces("abcdefgh"), END]
    assert encoder.pad_id == PAD


@pytest.mark.parametrize("missing", [*ROLE_TOKENS.values(), TARGET_TOKEN, "<pad>"])
def test_tokenizer_without_a_control_token_is_refused(tmp_path: Path, missing: str) -> None:
    special = ["other" if token == missing else token for token in SPECIAL]
    problem = "padding token" if missing == "<pad>" else f"no token '{missing}'".replace("|", r"\|")
    with pytest.raises(ValueError, match=problem):
        WindowEncoder(save(build(special), tmp_path), SETTINGS)


def test_tokenizer_that_does_not_enclose_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one token before and one after"):
        WindowEncoder(save(build(template="<s> $A"), tmp_path), SETTINGS)


WINDOWS = st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=30), max_size=25).map(
    lambda rows: [EncodedWindow(0, i, np.array(ids), 0) for i, ids in enumerate(rows)]
)


@unhurried
@given(WINDOWS, st.integers(1, 120))
def test_batches_hold_every_window_once(windows: list[EncodedWindow], budget: int) -> None:
    batches = list(token_batches(windows, max_tokens=budget, pad_id=1))
    positions = [int(position) for batch, _, _ in batches for position in batch]
    assert sorted(positions) == list(range(len(windows)))
    for batch, ids, mask in batches:
        assert ids.shape == mask.shape
        assert ids.dtype == mask.dtype == np.int64
        for position, row, read in zip(batch, ids, mask, strict=True):
            length = len(windows[position].ids)
            assert row[:length].tolist() == windows[position].ids.tolist()
            assert (row[length:] == 1).all()
            assert read.tolist() == [1] * length + [0] * (len(row) - length)


@unhurried
@given(WINDOWS, st.integers(1, 120))
def test_batches_keep_the_budget_and_are_as_full_as_it_allows(
    windows: list[EncodedWindow], budget: int
) -> None:
    batches = list(token_batches(windows, max_tokens=budget, pad_id=1))
    lengths = [ids.shape[1] for _, ids, _ in batches]
    assert lengths == sorted(lengths)
    for index, (batch, ids, mask) in enumerate(batches):
        assert ids.size <= budget or len(batch) == 1
        assert 0 <= ids.shape[1] - mask.sum(axis=1).max() < 4
        assert ids.shape[1] % 4 == 0
        if index + 1 < len(batches):
            following = int(batches[index + 1][2].sum(axis=1).min())
            assert (len(batch) + 1) * (following + -following % 4) > budget
