from __future__ import annotations

import dataclasses
from collections import UserDict, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib.conversation import (
    Conversation,
    Message,
    clean_text,
    join_text_blocks,
    parse_conversation,
    parse_message,
    parse_role,
)
from affectlib.errors import ConversationError, NoUserTextError

unhurried = settings(deadline=None)  # a busy machine is no failure

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL too
VALID_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
ROLES = ("user", "assistant", "system", "tool")


@unhurried
@given(ANY_TEXT)
def test_clean_text_can_be_encoded_and_needs_no_second_cleaning(text: str) -> None:
    clean = clean_text(text)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert "\x00" not in clean
    assert len(clean) == len(text)
    assert clean_text(clean) == clean


@unhurried
@given(VALID_TEXT)
def test_clean_text_leaves_valid_text_alone(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("\udfff é", "\ufffd é"),
        ("\x00 é \ud800", "\ufffd é \ufffd"),
        ("😀", "😀"),
    ],
)
def test_clean_text_replaces_what_broke(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@unhurried
@given(st.lists(st.tuples(st.sampled_from(ROLES), VALID_TEXT)))
def test_parsing_keeps_order_roles_and_text(messages: list[tuple[str, str]]) -> None:
    parsed = parse_conversation([{"role": role, "content": text} for role, text in messages])
    assert [(message.role, message.content) for message in parsed.messages] == messages


@unhurried
@given(st.lists(st.tuples(st.sampled_from(ROLES), ANY_TEXT)))
def test_parsing_twice_is_parsing_once(messages: list[tuple[str, str]]) -> None:
    once = parse_conversation([{"role": role, "content": text} for role, text in messages])
    again = parse_conversation([{"role": m.role, "content": m.content} for m in once.messages])
    assert again == once
    assert all(m.content.encode("utf-8").decode("utf-8") == m.content for m in once.messages)


@pytest.mark.parametrize(
    ("role", "meant"),
    [
        ("user", "user"),
        ("human", "user"),
        ("prompter", "user"),
        ("assistant", "assistant"),
        ("gpt", "assistant"),
        ("bot", "assistant"),
        ("model", "assistant"),
        ("developer", "system"),
        ("function", "tool"),
        ("Utilisateur", "user"),
        ("utilisatrice", "user"),
        ("Assistante", "assistant"),
        ("IA", "assistant"),
        ("Le Chat", "assistant"),
        ("Meta AI", "assistant"),
        ("Chatbot", "assistant"),
        (" User\n", "user"),
        ("ASSISTANT", "assistant"),
    ],
)
def test_roles_have_synonyms(role: str, meant: str) -> None:
    assert parse_role(role) == meant


@pytest.mark.parametrize(
    ("message", "field", "problem"),
    [
        ("hi", None, "got str"),
        (None, None, "got NoneType"),
        ({"content": "hi"}, "role", 'no "role"'),
        ({"role": "user"}, "content", 'no "content"'),
        ({"role": "wizard", "content": "hi"}, "role", "unknown role; use user, assistant"),
        ({"role": 3, "content": "hi"}, "role", "got int"),
        ({"role": None, "content": "hi"}, "role", "got null"),
        ({"role": ["user"], "content": "hi"}, "role", "got list"),
        ({"role": "user", "content": None}, "content", "got null"),
        ({"role": "user", "content": 3}, "content", "got int"),
        ({"role": "user", "content": b"hi"}, "content", "got bytes"),
        ({"role": "user", "content": bytearray(b"hi")}, "content", "got bytearray"),
        ({"role": "user", "content": {"text": "hi"}}, "content", "got dict"),
        ({"role": "user", "content": ["hi", 3]}, "content", "block 1 of the content is int"),
        ({"role": "user", "content": [None]}, "content", "block 0 of the content is null"),
    ],
)
def test_malformed_message_is_named_by_index_and_field(
    message: Any, field: str | None, problem: str
) -> None:
    with pytest.raises(ConversationError) as caught:
        parse_conversation([{"role": "user", "content": "hi"}, message])
    assert (caught.value.index, caught.value.field) == (1, field)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"messages[1].{field}: " if field else "messages[1]: ")


def test_text_in_the_place_of_a_role_is_not_quoted() -> None:
    with pytest.raises(ConversationError) as caught:
        parse_role("I told nobody that my wife left")
    assert "wife" not in str(caught.value)
    assert "unknown role; use" in str(caught.value)


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_null_content_is_empty_where_the_user_did_not_write_it(role: str) -> None:
    assert parse_message({"role": role, "content": None}, 0) == Message(role, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], ""),
        (["a", "b"], "a\nb"),
        (("a", "b"), "a\nb"),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}], "a"),
        ([{"type": "image"}, "", {"text": "a\ud800"}], "a\ufffd"),
        ([{"type": "text", "text": None}], ""),
    ],
)
def test_text_of_content_blocks_is_kept(content: Any, text: str) -> None:
    assert parse_message({"role": "user", "content": content}, 0).content == text


def test_blocks_are_joined_without_the_empty_ones() -> None:
    assert join_text_blocks(["a", "", {"text": ""}, {"text": "b"}, 3]) == "a\nb"


def test_any_sequence_and_any_mapping_will_do() -> None:
    message = UserDict({"role": "user", "content": "hi", "weight": 1})
    assert parse_conversation(deque([message])).messages == (Message("user", "hi"),)  # type: ignore[arg-type]


def test_message_objects_pass_as_they_are() -> None:
    message = Message("user", "hi", id="m1")
    assert parse_conversation([message]).messages[0] is message


def test_ids_are_kept_as_text() -> None:
    parsed = parse_conversation([{"role": "user", "content": "hi", "id": 5}], id="a1")
    assert parsed.id == "a1"
    assert parsed.messages[0].id == "5"


def test_no_messages_parse_but_have_no_user_text() -> None:
    with pytest.raises(NoUserTextError, match="is empty"):
        parse_conversation([]).require_user_text()


@pytest.mark.parametrize(
    "messages",
    [
        (Message("assistant", "hi"),),
        (Message("user", ""), Message("assistant", "hi")),
        (Message("user", " \n\t\u3000"),),
        (Message("system", "Be brief."), Message("tool", "42")),
    ],
)
def test_user_must_have_written_something(messages: tuple[Message, ...]) -> None:
    with pytest.raises(NoUserTextError, match='role "user"'):
        Conversation(messages).require_user_text()


def test_one_message_of_the_user_with_text_is_enough() -> None:
    chat = Conversation((Message("user", ""), Message("assistant", "?"), Message("user", "x")))
    chat.require_user_text()
    assert [message.content for message in chat.user_messages] == ["", "x"]


def test_conversations_cannot_be_changed_and_can_be_keys() -> None:
    chat = Conversation((Message("user", "hi"),), id="a1", metadata={"voice": True})
    with pytest.raises(dataclasses.FrozenInstanceError):
        chat.id = "a2"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        chat.messages[0].content = ""  # type: ignore[misc]
    assert {chat: 1}[dataclasses.replace(chat)] == 1


@pytest.mark.parametrize(
    ("role", "content", "field"), [("robot", "x", "role"), ("user", None, "content")]
)
def test_a_message_is_checked_and_cleaned_when_it_is_made(
    role: Any, content: Any, field: str
) -> None:
    with pytest.raises(ConversationError) as caught:
        Message(role, content)
    assert caught.value.field == field
    assert Message("human", "caf\ud800") == Message("user", "caf\ufffd")  # type: ignore[arg-type]


def test_a_conversation_takes_mappings_and_names_the_one_that_is_wrong() -> None:
    made: Any = Conversation
    assert made([{"role": "ai", "content": "hi"}]).messages == (Message("assistant", "hi"),)
    with pytest.raises(ConversationError) as caught:
        made(({"role": "user", "content": "hi"}, {"role": "user"}))
    assert (caught.value.index, caught.value.field) == (1, "content")
