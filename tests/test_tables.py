"""Labelling tables, and batches on other engines' terms."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from affectlib import Conversation, Message
from affectlib.corpus.label_file import label_file
from affectlib.corpus.rows import output_schema
from affectlib.errors import (
    ArtifactNotFoundError,
    ConversationError,
    InputTypeError,
    OptionError,
    WorkerError,
)
from affectlib.formats.columns import FIELDS
from affectlib.tables import AffectMapper, label_table, labels_of_table
from tests.conftest import SINGLE_MESSAGE, TASK, assistant, user

CHATS: list[Any] = [
    [user(TASK), assistant("sorry"), user(SINGLE_MESSAGE)],
    [user(TASK)],
    [assistant("hello")],
    [user(SINGLE_MESSAGE)],
]
NESTED = {"messages": CHATS, "key": [10, 11, 12, 13]}
LONG = {
    "conversation_id": [7, 5, 7, 7, 5, 9],
    "role": ["user", "user", "assistant", "user", "tool", "user"],
    "content": [TASK, SINGLE_MESSAGE, "sorry", SINGLE_MESSAGE, "word", ""],
    "key": [0, 1, 2, 3, 4, 5],
}
KINDS: dict[str, Any] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


def dataset(columns: Any) -> Any:
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    return datasets.Dataset.from_dict(columns)


@pytest.fixture(params=[*KINDS, "datasets"])
def make(request: pytest.FixtureRequest) -> Any:
    return KINDS.get(request.param, dataset)


def column(frame: Any, name: str) -> list[Any]:
    values = frame[name]
    values = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return [None if value is None or value != value else value for value in values]


def names(frame: Any) -> list[str]:
    return list(getattr(frame, "column_names", None) or frame.columns)


def label(frame: Any, classifier: Any, **options: Any) -> Any:
    result = label_table(frame, classifier=classifier, **options)
    assert type(result) is type(frame)
    return result


def test_nested_conversations(make: Any, tiny_classifier: Any) -> None:
    result = label(make(NESTED), tiny_classifier)
    expected = [tiny_classifier.predict(chat) for chat in (CHATS[0], CHATS[1], CHATS[3])]
    expected.insert(2, None)
    assert names(result)[:4] == ["messages", "key", "status", "error"]
    assert column(result, "key") == NESTED["key"]
    assert column(result, "status") == ["ok", "ok", "empty", "ok"]
    for name in ("label", "probability", "intensity", "any", "adjusted", "truncated_tokens"):
        assert column(result, name) == [p and getattr(p, name) for p in expected], name
    assert column(result, "shares_feelings") == [p and p.cues["shares_feelings"] for p in expected]
    assert column(result, "error") == [None] * 4


def test_long_messages(make: Any, tiny_classifier: Any) -> None:
    result = label(make(LONG), tiny_classifier)
    assert column(result, "key") == LONG["key"]
    assert column(result, "label") == ["task", "emotional", None, "emotional", None, None]
    assert column(result, "status") == ["ok", "ok", "ok", "ok", "ok", "empty"]
    assert column(result, "shows_empathy")[2] > 0.5
    assert column(result, "shares_feelings")[2] is None
    assert [value is None for value in column(result, "intensity")] == [0, 0, 1, 0, 1, 1]


def test_labels_alone(make: Any, tiny_classifier: Any) -> None:
    result = labels_of_table(make(LONG), classifier=tiny_classifier)
    assert type(result) is type(make(LONG))
    assert names(result) == output_schema().names
    assert column(result, "conversation_id") == ["7", "5", "9"]
    assert column(result, "label") == ["emotional", "emotional", None]
    assert column(result, "user_messages") == [2, 1, 1]


def test_labels_of_messages_alone(tiny_classifier: Any) -> None:
    result = labels_of_table(pa.table(NESTED), classifier=tiny_classifier, level="message")
    assert names(result) == output_schema("message").names
    places = zip(column(result, "record"), column(result, "message"), strict=True)
    assert [*places] == [(0, 0), (0, 1), (0, 2), (1, 0), (2, None), (3, 0)]
    assert column(result, "label") == ["task", None, "emotional", "task", None, "emotional"]


def test_texts(make: Any, tiny_classifier: Any) -> None:
    frame = make({"id": [1, 2, 3], "review": [SINGLE_MESSAGE, None, "Sum A1 to A3."]})
    result = label(frame, tiny_classifier, columns={"content": "review"})
    assert names(result)[:4] == ["id", "review", "status", "error"]
    assert column(result, "status") == ["ok", "empty", "ok"]
    assert column(result, "label") == ["emotional", None, "task"]


def test_rows_stay_in_their_order(tiny_classifier: Any) -> None:
    frame = pd.DataFrame(
        {
            "conversation_id": ["b", "a", "b", "a"],
            "role": ["user"] * 4,
            "content": [SINGLE_MESSAGE, TASK, TASK, SINGLE_MESSAGE],
            "turn": [2, 2, 1, 1],
        },
        index=[7, 7, 3, 5],
    )
    result = label(frame, tiny_classifier)
    assert result[[*frame]].equals(frame)
    assert column(result, "label") == ["emotional", "task", "task", "emotional"]


def test_frame_and_file_have_the_same_labels_in_the_same_order(
    tiny_classifier: Any, tmp_path: Path
) -> None:
    words = [SINGLE_MESSAGE, SINGLE_MESSAGE, TASK, TASK, TASK, "sorry", SINGLE_MESSAGE, TASK, TASK]
    frame = pl.DataFrame(
        {
            "conversation_id": ["2", "1.0", "1.0", "1.0", "1.0", "2", "2", "", "3"],
            "message_id": ["m4", "m2", "m1", "m1", "m3", "m5", "m4", "m6", "m7"],
            "role": ["user", "user", "user", "user", "user", "assistant", "user", "user", "alien"],
            "content": words,
            "timestamp": ["", "5/4/2024", "3/4/2024", "3/4/2024", "27/4/2024", "", "", "", ""],
            "user_id": ["bo", "", "ana", "ana", "ana", "bo", "bo", "", ""],
        }
    )
    frame.write_csv(tmp_path / "in.csv")
    label_file(
        tmp_path / "in.csv", tmp_path / "out.parquet", classifier=tiny_classifier, level="both"
    )
    levels: Any = {"conversation": "out.parquet", "message": "out.messages.parquet"}
    for level, file in levels.items():
        found = labels_of_table(frame, level=level, classifier=tiny_classifier).drop("error")
        assert_frame_equal(found, pl.read_parquet(tmp_path / file).drop("error"))
    result = label(frame, tiny_classifier)
    labels = ["emotional", "emotional", "task", None, "task", None, None, None, None]
    assert column(result, "label") == labels
    assert column(result, "status") == ["ok"] * 7 + ["error"] * 2
    assert [error[:25] for error in column(result, "error")[7:]] == [
        "ConversationError: row 7:",
        "ConversationError: row 8:",
    ]


@pytest.mark.parametrize(("role", "given"), [("role", False), ("role", True), ("who", True)])
def test_a_long_table_with_a_column_that_could_hold_messages(
    tiny_classifier: Any, role: str, given: bool
) -> None:
    fields = {"conversation_id": "conversation", "role": role, "content": "content"}
    frame = pd.DataFrame({column: LONG[field] for field, column in fields.items()})
    result = label(frame, tiny_classifier, columns=fields if given else None)
    assert column(result, "label") == ["task", "emotional", None, "emotional", None, None]


@pytest.mark.parametrize("name", [*FIELDS["messages"], "Messages"])
def test_usual_names_of_nested_messages(tiny_classifier: Any, name: str) -> None:
    frame = pl.DataFrame({name: CHATS, "id": NESTED["key"], "role": ["a", "b", "c", "d"]})
    result = label(frame, tiny_classifier)
    assert names(result)[:4] == [name, "id", "role", "status"]
    assert column(result, "label") == ["emotional", "task", None, "emotional"]


def test_missing_values_of_pandas(tiny_classifier: Any) -> None:
    frame = pd.DataFrame(
        {
            "conversation_id": [1, 1, None],
            "role": ["user", "assistant", "user"],
            "content": [SINGLE_MESSAGE, None, TASK],
            "timestamp": pd.to_datetime([None, "2024-05-01", None]),
            "model": [None, "m", None],
            "turn": [1, 2, None],
        }
    )
    plain = frame.astype(object).where(frame.notna(), None)
    expected = labels_of_table(plain, classifier=tiny_classifier)
    assert column(expected, "status") == ["ok", "error"]
    for given in (frame, frame.convert_dtypes(), frame.astype({"timestamp": object})):
        pd.testing.assert_frame_equal(labels_of_table(given, classifier=tiny_classifier), expected)


def test_missing_values_in_nested_messages(tiny_classifier: Any) -> None:
    message = {**user(SINGLE_MESSAGE), "timestamp": pd.NaT}
    frame = pd.DataFrame({"messages": [[message]]})
    result = labels_of_table(frame, classifier=tiny_classifier, level="message")
    assert column(result, "label") == ["emotional"]
    assert column(result, "timestamp") == [None]


@pytest.mark.parametrize(
    "cell",
    [
        [user(SINGLE_MESSAGE)],
        [{"from": "human", "value": SINGLE_MESSAGE}],
        json.dumps([user(SINGLE_MESSAGE)]),
        str([user(SINGLE_MESSAGE)]),
        [{"role": "user", "content": [{"type": "text", "text": SINGLE_MESSAGE}]}],
        [Message("user", SINGLE_MESSAGE)],
        [Message("assistant", "hi"), user(SINGLE_MESSAGE)],
        Conversation((Message("user", SINGLE_MESSAGE),), id="a"),
    ],
)
def test_ways_to_write_messages(tiny_classifier: Any, cell: Any) -> None:
    frame = pd.DataFrame({"chat": [cell]})
    result = label(frame, tiny_classifier, columns={"messages": "chat"})
    assert column(result, "label") == ["emotional"]


@pytest.mark.parametrize(
    "cell",
    [
        3,
        "secret",
        [3],
        [{"role": "user"}],
        "[" * 100_000,
    ],
)
def test_bad_cells_are_rows_that_say_why(tiny_classifier: Any, cell: Any) -> None:
    frame = pd.DataFrame({"messages": [[user(SINGLE_MESSAGE)], cell]})
    result = label(frame, tiny_classifier)
    assert column(result, "status") == ["ok", "error"]
    assert "secret" not in column(result, "error")[1]
    with pytest.raises(ConversationError, match="row 1"):
        label(frame, tiny_classifier, on_error="raise")


@pytest.mark.parametrize("cell", [None, float("nan"), [], "[]", [user(" ")]])
def test_cells_without_words_of_a_user_are_empty(tiny_classifier: Any, cell: Any) -> None:
    frame = pd.DataFrame({"messages": [[user(SINGLE_MESSAGE)], cell]})
    for on_error in ("record", "raise"):
        result = label(frame, tiny_classifier, on_error=on_error)
        assert column(result, "status") == ["ok", "empty"]
        assert column(result, "label") == ["emotional", None]
        assert column(result, "error") == [None, None]


@pytest.mark.parametrize("name", ["content", "text", "Message", "prompt"])
def test_texts_are_found_by_usual_names(make: Any, tiny_classifier: Any, name: str) -> None:
    result = label(make({"id": [1, 2, 3], name: [SINGLE_MESSAGE, None, TASK]}), tiny_classifier)
    assert column(result, "label") == ["emotional", None, "task"]
    assert column(result, "status") == ["ok", "empty", "ok"]


def test_several_columns_that_may_hold_texts(tiny_classifier: Any) -> None:
    frame = pd.DataFrame({"prompt": [SINGLE_MESSAGE], "text": [TASK]})
    with pytest.raises(OptionError, match=r"prompt, text; name the right one.*'content': 'prompt'"):
        label(frame, tiny_classifier)
    result = label(frame, tiny_classifier, columns={"content": "text"})
    assert column(result, "label") == ["task"]
    roles = pd.DataFrame({"role": ["user"], "content": [TASK]})
    with pytest.raises(OptionError, match="its id, role and content"):
        label(roles, tiny_classifier)


def test_progress_of_a_table(tiny_classifier: Any, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"text": [SINGLE_MESSAGE] * 20})
    quiet = label(frame, tiny_classifier)
    assert capsys.readouterr().err == ""
    assert label(frame, tiny_classifier, progress=True).equals(quiet)
    assert "/20 [" in capsys.readouterr().err


def test_what_is_there_is_not_replaced(tiny_classifier: Any) -> None:
    frame = pl.DataFrame({**NESTED, "label": ["a", "b", "c", "d"]})
    with pytest.raises(OptionError, match=r"a column 'label' already.*prefix"):
        label(frame, tiny_classifier)
    result = label(frame, tiny_classifier, prefix="affect_")
    assert column(result, "label") == ["a", "b", "c", "d"]
    assert column(result, "affect_label") == ["emotional", "task", None, "emotional"]
    assert column(labels_of_table(frame, classifier=tiny_classifier), "label")[0] == "emotional"


@pytest.mark.parametrize(
    ("frame", "options", "error", "named"),
    [
        ({"a": [1]}, {}, OptionError, "the columns a, but none"),
        ({"secret words": [1]}, {}, OptionError, r"the columns \(1 that are not"),
        (NESTED, {"columns": {"words": "messages"}}, OptionError, "unknown field 'words'"),
        (NESTED, {"columns": {"messages": "chat"}}, OptionError, "no column 'chat'"),
        (NESTED, {"on_error": "skip"}, OptionError, "record or raise"),
    ],
)
def test_options_that_cannot_be(
    tiny_classifier: Any, frame: Any, options: Any, error: Any, named: str
) -> None:
    with pytest.raises(error, match=named):
        label_table(pa.table(frame), classifier=tiny_classifier, **options)


@pytest.mark.parametrize(
    ("frame", "remedy"),
    [
        ([user(SINGLE_MESSAGE)], r"AffectClassifier\.predict$"),
        (SINGLE_MESSAGE, r"AffectClassifier\.predict$"),
        (None, "NoneType"),
        (pd.Series(CHATS), "Series"),
        (pl.LazyFrame(NESTED), "collected"),
    ],
)
def test_other_things_are_refused(tiny_classifier: Any, frame: Any, remedy: str) -> None:
    with pytest.raises(InputTypeError, match=remedy):
        label_table(frame, classifier=tiny_classifier)


def test_data_sets_that_are_no_table_say_what_to_do(tiny_classifier: Any) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    data = dataset(NESTED)
    with pytest.raises(InputTypeError, match=r"got DatasetDict; give one of its splits"):
        label_table(datasets.DatasetDict(train=data), classifier=tiny_classifier)
    with pytest.raises(InputTypeError, match=r"got IterableDataset; .*batched=True"):
        label_table(data.to_iterable_dataset(), classifier=tiny_classifier)


def test_columns_without_names(tiny_classifier: Any) -> None:
    frame = pd.DataFrame([[7, "user", SINGLE_MESSAGE], [7, "user", TASK]])
    with pytest.raises(OptionError, match=r"the columns \(3 that are not all plain names\)"):
        label_table(frame, classifier=tiny_classifier)
    texts = label(frame, tiny_classifier, columns={"content": 2})
    fields = {"conversation_id": 0, "role": 1, "content": 2}
    messages = label(frame, tiny_classifier, columns=fields)
    for result in (texts, messages):
        assert names(result)[:4] == [0, 1, 2, "status"]
        assert column(result, "label") == ["emotional", "task"]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[CHATS[0], 1, 2]], columns=["messages", "key", "key"]),
        pa.Table.from_arrays([pa.array([n]) for n in range(3)], names=["messages", "key", "key"]),
    ],
)
def test_columns_of_one_name(tiny_classifier: Any, frame: Any) -> None:
    with pytest.raises(OptionError, match="key"):
        label_table(frame, classifier=tiny_classifier)


def test_the_name_of_a_model_is_no_classifier() -> None:
    with pytest.raises(InputTypeError, match=r"got str; AffectClassifier\.from_pretrained"):
        label_table(pa.table(NESTED), classifier="affect-small")  # type: ignore[arg-type]


def test_an_empty_table(make: Any, tiny_classifier: Any) -> None:
    result = label(make({"messages": CHATS[:0]}), tiny_classifier)
    assert column(result, "label") == []


@pytest.fixture
def mapper(tiny_folder: Path) -> AffectMapper:
    return AffectMapper(str(tiny_folder), device="cpu")


def test_a_mapper_of_another_version_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(AffectMapper(tiny_folder, device="cpu"))
    monkeypatch.setattr("affectlib._version.__version__", "9.9")
    with pytest.raises(
        WorkerError, match=r"has affectlib 9\.9, and the one that sent the mapper has 0"
    ):
        pickle.loads(pickled)({"messages": [[user(SINGLE_MESSAGE)]]})


def test_mapper_pickles_as_its_arguments(mapper: AffectMapper) -> None:
    mapper(pa.table(NESTED))
    pickled = pickle.dumps(mapper)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy(pa.table(NESTED)).equals(mapper(pa.table(NESTED)))


def test_mapper_takes_a_path(mapper: AffectMapper, tiny_folder: Path) -> None:
    by_path = pickle.loads(pickle.dumps(AffectMapper(tiny_folder, device="cpu")))
    assert by_path(NESTED) == mapper(NESTED)
    with pytest.raises(ArtifactNotFoundError):
        AffectMapper(Path("affect-small"))(NESTED)  # as a path, it is no bundled model


def test_mapper_takes_what_the_engines_give(mapper: AffectMapper) -> None:
    expected = mapper(pa.table(NESTED)).to_pydict()
    assert mapper(NESTED) == expected
    frame = pd.DataFrame(NESTED)
    arrays = mapper({name: frame[name].to_numpy() for name in frame})
    assert arrays["label"].tolist() == expected["label"]
    (batch,) = mapper(iter([frame]))
    assert batch["label"].tolist()[0] == "emotional"


def test_datasets_map(mapper: AffectMapper, tmp_path: Path) -> None:
    data = dataset({"messages": [CHATS[0], CHATS[1]] * 5})
    mapped = data.map(mapper, batched=True, batch_size=3, load_from_cache_file=False)
    assert mapped["label"][:] == ["emotional", "task"] * 5
    assert mapped.column_names[0] == "messages"


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"messages": CHATS[0]}, None),
        ({"messages": [{"from": "human", "value": SINGLE_MESSAGE}]}, None),
        ({"messages": json.dumps(CHATS[0])}, None),
        ({"messages": None}, None),
        ({"review": SINGLE_MESSAGE}, {"content": "review"}),
        ({"conversation_id": 7, "role": "user", "content": SINGLE_MESSAGE}, None),
    ],
)
def test_a_single_row_is_no_batch(tiny_folder: Path, row: Any, columns: Any) -> None:
    mapper = AffectMapper(tiny_folder, columns=columns, device="cpu")
    with pytest.raises(InputTypeError, match="single row: use batched=True"):
        mapper(row)
    data = dataset({name: [value] for name, value in row.items()})
    with pytest.raises(InputTypeError, match="single row: use batched=True"):
        data.map(mapper, load_from_cache_file=False)
    mapped = data.map(mapper, batched=True, load_from_cache_file=False)
    assert len(mapped["status"]) == 1


@pytest.mark.parametrize(
    "cells", [[], [None], [CHATS[0], user(SINGLE_MESSAGE)], [{"role": ["user"]}]]
)
def test_a_batch_of_bad_cells_is_a_batch(mapper: AffectMapper, cells: Any) -> None:
    assert len(mapper({"messages": cells})["status"]) == len(cells)


def test_datasets_map_of_a_stream(mapper: AffectMapper) -> None:
    read: list[int] = []

    def rows() -> Any:
        for number, chat in enumerate([CHATS[0], CHATS[1], CHATS[2]] * 20):
            read.append(number)
            yield {"messages": chat}

    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    stream = datasets.IterableDataset.from_generator(rows).map(mapper, batched=True, batch_size=3)
    found = [row["label"] for row in stream.take(4)]
    assert found == ["emotional", "task", None, "emotional"]
    assert len({*read}) < 20
