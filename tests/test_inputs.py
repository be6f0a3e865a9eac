"""What the classifier takes: texts and conversations of every kind, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from affectlib.conversation import Conversation
from affectlib.errors import ConversationError, InputTypeError, NoUserTextError, OptionError
from tests.conftest import CHAT, SINGLE_MESSAGE, TASK, assistant, user


@pytest.mark.parametrize(
    ("x", "named"),
    [
        (None, "got NoneType$"),
        (3.5, "got float$"),
        (b"text", "got bytes$"),
        (user(SINGLE_MESSAGE), "got dict; a message by itself goes into a list"),
        ({SINGLE_MESSAGE}, "got set, which has no order; make it a list"),
        (np.array([[SINGLE_MESSAGE]]), "got ndarray of 2 dimensions; give one column"),
        (np.array(SINGLE_MESSAGE), "got ndarray of 0 dimensions"),
        (
            pd.DataFrame({"text": [SINGLE_MESSAGE]}),
            r"got DataFrame; a table is for label_table\(x\)",
        ),
        (pa.table({"text": [SINGLE_MESSAGE]}), r"got Table; a table is for label_table\(x\)"),
        (pl.DataFrame({"text": [SINGLE_MESSAGE]}), r"got DataFrame; .*x\['text'\], is for predict"),
        ([3.5], r"item 0 is float$"),
        ([SINGLE_MESSAGE, 3], r"item 1 is int and the first is str"),
        ([None, SINGLE_MESSAGE, CHAT], r"item 2 is list and the first is str"),
        ([SINGLE_MESSAGE, user(SINGLE_MESSAGE)], r"item 1 is dict and the first is str"),
        ([user(SINGLE_MESSAGE), SINGLE_MESSAGE], r"item 1 is str and the first is dict"),
        ([CHAT, user(SINGLE_MESSAGE)], r"item 1 is dict and the first is list"),
    ],
)
@pytest.mark.parametrize("on_error", ["record", "raise"])
def test_wrong_types(tiny_classifier, x, named, on_error):
    for method in (tiny_classifier.predict, tiny_classifier.predict_proba):
        with pytest.raises(InputTypeError, match=named) as caught:
            method(x, on_error=on_error)
        assert SINGLE_MESSAGE not in str(caught.value)


def test_text_named_like_a_file_is_a_text(tiny_classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "i am sad").write_text("{}")
    for name in ("i am sad", str(tmp_path / "i am sad")):
        expected = tiny_classifier.predict([user(name)]).messages[0]
        assert tiny_classifier.predict(name) == expected
        assert tiny_classifier.predict([name, TASK])[0] == expected
        assert next(tiny_classifier.stream([name])) == expected
    assert tiny_classifier.explain("i am sad").turns


@pytest.mark.parametrize(
    "kind", [lambda path: path, lambda path: [path], lambda path: iter([path])]
)
def test_paths_are_refused(tiny_classifier, kind):
    for method in (tiny_classifier.predict, lambda x: next(tiny_classifier.stream(x))):
        with pytest.raises(InputTypeError, match=r"label_file\(path, output\)"):
            method(kind(Path("chats.jsonl")))


def test_stream_refuses_a_single_text(tiny_classifier):
    with pytest.raises(InputTypeError, match="got str"):
        next(tiny_classifier.stream("i am so sad"))


def series(values):
    return pd.Series(values, index=[f"r{i}" for i in range(len(values))])


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        iter,
        series,
        pl.Series,
        pa.array,
        lambda values: pa.chunked_array([values]),
        lambda values: nw.from_native(pl.Series(values), series_only=True),
        lambda values: np.array(values, object),
        lambda values: dict.fromkeys(values).keys(),
        lambda values: (value for value in values),
    ],
)
def test_texts_of_every_kind(tiny_classifier, kind):
    texts = [SINGLE_MESSAGE, TASK, "i am sad"]
    expected = [tiny_classifier.predict(text) for text in texts]
    assert tiny_classifier.predict(kind(texts)) == expected
    assert [*tiny_classifier.stream(kind(texts))] == expected
    assert tiny_classifier.predict_proba(kind(texts)).shape == (3, 2)


@pytest.mark.parametrize(
    "kind", [list, iter, series, pl.Series, pa.array, lambda x: np.array([*x, None], object)[:-1]]
)
def test_conversations_of_every_kind(tiny_classifier, kind):
    chats = [CHAT, [user(SINGLE_MESSAGE)], [user(TASK), assistant("sorry")]]
    expected = [tiny_classifier.predict(chat) for chat in chats]
    assert tiny_classifier.predict(kind(chats)) == expected
    assert [*tiny_classifier.stream(kind(chats))] == expected


def test_messages_in_an_array_are_a_conversation(tiny_classifier):
    """As pandas gives a cell of Parquet."""
    expected = tiny_classifier.predict(CHAT)
    cell = np.array([*CHAT, None], object)[:-1]
    assert tiny_classifier.predict(cell) == expected
    assert tiny_classifier.predict([cell, cell]) == [expected, expected]
    assert tiny_classifier.predict(iter(CHAT)) == expected


def test_messages_under_their_name_are_a_conversation(tiny_classifier):
    expected = replace(tiny_classifier.predict(CHAT), id="7")
    record = {"id": 7, "messages": CHAT, "topic": "csv"}
    assert tiny_classifier.predict(record) == expected
    assert tiny_classifier.predict([record, record]) == [expected, expected]
    assert [*tiny_classifier.stream([record])] == [expected]
    assert tiny_classifier.explain(record).prediction == expected
    with pytest.raises(ConversationError, match=r"^messages: expected a list of messages"):
        tiny_classifier.predict({"messages": SINGLE_MESSAGE})


def test_what_cannot_be_labelled_is_recorded_in_its_place(tiny_classifier):
    texts = series([SINGLE_MESSAGE, None, float("nan"), " ", TASK])
    found = tiny_classifier.predict(texts, on_error="record")
    assert [item.label for item in found] == ["emotional", None, None, None, "task"]
    assert [getattr(item, "status", "ok") for item in found] == ["ok", *["empty"] * 3, "ok"]
    chats = [[user(TASK)], [], [user(1)], {"id": "x", "messages": [assistant("hello")]}]
    found = tiny_classifier.predict(chats, on_error="record")
    assert [getattr(item, "status", "ok") for item in found] == ["ok", "empty", "error", "empty"]
    assert found[3].id == "x"
    assert found[2].error.startswith("ConversationError: messages[0].content:")
    assert [*tiny_classifier.stream(chats)] == found
    rows = tiny_classifier.predict_proba(chats, on_error="record")
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, True]
    with pytest.raises(OptionError, match="record or raise"):
        tiny_classifier.predict(chats, on_error="skip")


def test_nothing_but_missing_texts(tiny_classifier):
    found = tiny_classifier.predict([None, float("nan")], on_error="record")
    assert [item.status for item in found] == ["empty"] * 2


@pytest.mark.parametrize(
    ("x", "error", "place"),
    [
        ("", NoUserTextError, "^the text is blank"),
        (" \n\t", NoUserTextError, "^the text is blank"),
        ([SINGLE_MESSAGE, " "], NoUserTextError, "^conversation 1: the text is blank"),
        ([SINGLE_MESSAGE, None], NoUserTextError, "^conversation 1: it is missing"),
        ([user(" ")], NoUserTextError, "^no message of the user has text"),
        ([assistant("hello")], NoUserTextError, "^no message of the user has text"),
        (Conversation(()), NoUserTextError, "^the conversation is empty"),
        ([CHAT, []], NoUserTextError, "^conversation 1: the conversation is empty"),
        ([user(None)], ConversationError, r"^messages\[0\]\.content: expected text, got null"),
        ([CHAT, [user(1)]], ConversationError, r"^conversation 1, messages\[0\]\.content:"),
        ([["a", "b"]], ConversationError, r"^conversation 0, messages\[0\]: expected a mapping"),
    ],
)
def test_malformed_conversations(tiny_classifier, x, error, place):
    for method in (tiny_classifier.predict, tiny_classifier.predict_proba):
        with pytest.raises(error, match=place):
            method(x)


@pytest.mark.parametrize("x", ["", [user(None)], {"messages": []}, Conversation(())])
def test_one_by_itself_always_raises(tiny_classifier, x):
    with pytest.raises(ConversationError):
        tiny_classifier.predict(x)


@pytest.mark.parametrize("many", [1, 600])
def test_progress(tiny_classifier, capsys, many):
    texts = [TASK, "", SINGLE_MESSAGE] * many
    quiet = tiny_classifier.predict(texts, on_error="record")
    assert capsys.readouterr().err == ""
    assert tiny_classifier.predict(texts, on_error="record", progress=True) == quiet
    assert [*tiny_classifier.stream(iter(texts), progress=True)] == quiet
    assert f"/{3 * many} [" in capsys.readouterr().err
