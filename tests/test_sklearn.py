"""Affect scores in scikit-learn's pipelines."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

pytest.importorskip("sklearn", reason="needs affectlib[sklearn]")

from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from sklearn.utils.validation import validate_data

from affectlib import Conversation, Message
from affectlib.errors import ConversationError, InputTypeError, OptionError
from affectlib.sklearn import AffectTransformer
from affectlib.taxonomy import CUES, THEME_COLUMNS
from tests.conftest import CHAT, SINGLE_MESSAGE, TASK, assistant, user
from tests.fake_classifier import FakeClassifier

SCORES = ("probability", "intensity", "rate", "adjusted")
NAMES = [f"affect_{name}" for name in (*SCORES, *CUES, *THEME_COLUMNS.values())]
TEXTS = [SINGLE_MESSAGE, TASK, "i am sad", "hello"]
CHATS: list[Any] = [[user(TASK), assistant("sorry"), user(SINGLE_MESSAGE)], [user(TASK)]]


@pytest.fixture
def transformer(tiny_folder: Path) -> AffectTransformer:
    return AffectTransformer(model=str(tiny_folder), device="cpu")


def test_texts(transformer: AffectTransformer, tiny_classifier: Any) -> None:
    scores = transformer.fit_transform(TEXTS)
    expected = tiny_classifier.predict(TEXTS)
    assert scores.shape == (4, len(NAMES))
    assert transformer.get_feature_names_out().tolist() == NAMES
    assert scores[:, 0].tolist() == [found.probability for found in expected]
    assert scores[:, 1].tolist() == [found.intensity for found in expected]
    assert scores[:, 2].tolist() == [found.label == "emotional" for found in expected]
    column = NAMES.index("affect_shares_feelings")
    assert scores[:, column].tolist() == [found.cues["shares_feelings"] for found in expected]


def test_conversations(transformer: AffectTransformer, tiny_classifier: Any) -> None:
    expected = tiny_classifier.predict(CHATS)
    scores = transformer.transform(CHATS)
    for column, name in enumerate(SCORES):
        assert scores[:, column].tolist() == [getattr(found, name) for found in expected]
    column = NAMES.index("affect_shows_empathy")
    assert scores[:, column].tolist() == [expected[0].cues["shows_empathy"], 0.0]


@pytest.mark.parametrize(
    "wrap",
    [
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object)[:, None],
        pd.Series,
        lambda texts: pd.DataFrame({"text": texts}),
        pl.Series,
        lambda texts: pl.DataFrame({"text": texts}),
        pa.array,
    ],
)
def test_columns_of_texts(transformer: AffectTransformer, wrap: Any) -> None:
    assert np.array_equal(transformer.transform(wrap(TEXTS)), transformer.transform(TEXTS))


@pytest.mark.parametrize(
    "chats",
    [
        pd.Series(CHATS),
        pl.Series(CHATS),
        pd.DataFrame({"messages": CHATS}),
        pl.DataFrame({"messages": CHATS}),
        pa.table({"messages": CHATS}),
        pa.array(CHATS),
        [Conversation(tuple(Message(**m) for m in chat)) for chat in CHATS],
    ],
)
def test_columns_of_conversations(transformer: AffectTransformer, chats: Any) -> None:
    assert np.array_equal(transformer.transform(chats), transformer.transform(CHATS))


def test_nothing(transformer: AffectTransformer) -> None:
    assert transformer.transform([]).shape == (0, len(NAMES))


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        (SINGLE_MESSAGE, InputTypeError, "got str"),
        (None, InputTypeError, "got NoneType"),
        (np.zeros((2, 3)), InputTypeError, r"one column .*\(2, 3\)"),
        ([SINGLE_MESSAGE, 3], InputTypeError, r"item 1 is int and the first is str"),
        (
            [None, SINGLE_MESSAGE, None, CHAT],
            InputTypeError,
            r"item 3 is list and the first is str",
        ),
        ([3], InputTypeError, "item 0 is int"),
        ([CHAT, None, [{"role": "user"}]], ConversationError, r"conversation 2, messages\[0\]"),
    ],
)
def test_other_things_are_refused(
    transformer: AffectTransformer, given: Any, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        transformer.transform(given)


@pytest.mark.parametrize(
    "given",
    [
        ["", SINGLE_MESSAGE, " \n", None],
        pd.Series([np.nan, SINGLE_MESSAGE, None, pd.NA]),
        pd.DataFrame({"text": [np.nan, SINGLE_MESSAGE, "", None]}),
        pl.Series([None, SINGLE_MESSAGE, "", None]),
        np.array([None, SINGLE_MESSAGE, "", float("nan")], dtype=object),
        pa.array([None, SINGLE_MESSAGE, "", None]),
        pd.Series([None, [user(SINGLE_MESSAGE)], [assistant("hello")], [user("")]]),
        pl.Series([None, [user(SINGLE_MESSAGE)], [assistant("hello")], [user("")]]),
        [[], Conversation((Message("user", SINGLE_MESSAGE),)), Conversation(()), None],
    ],
)
def test_what_is_blank_or_missing_has_no_scores(transformer: AffectTransformer, given: Any) -> None:
    scores = transformer.transform(given)
    assert scores.shape == (4, len(NAMES))
    assert np.isnan(scores[[0, 2, 3]]).all()
    assert np.array_equal(scores[1], transformer.transform([SINGLE_MESSAGE])[0])


def test_nothing_but_missing_texts(transformer: AffectTransformer) -> None:
    assert np.isnan(transformer.transform([None, ""])).all()


def test_parameters_are_checked_when_the_classifier_is_loaded(tiny_folder: Path) -> None:
    transformer = AffectTransformer(model=str(tiny_folder), operating_point="best")
    with pytest.raises(OptionError, match="best"):
        transformer.transform(TEXTS)


def test_a_model_can_be_a_path(transformer: AffectTransformer, tiny_folder: Path) -> None:
    by_path = clone(AffectTransformer(model=tiny_folder, device="cpu"))
    assert np.array_equal(by_path.transform(TEXTS), transformer.transform(TEXTS))


def test_operating_point_moves_the_rate(transformer: AffectTransformer) -> None:
    chats = [[user("i am sad"), user("a word")]]
    rates = [
        clone(transformer).set_params(operating_point=point).transform(chats)[0, 2]
        for point in ("high_recall", "high_precision")
    ]
    assert rates == [0.5, 0.0]


def test_no_weights_in_a_pickle_or_a_clone(transformer: AffectTransformer) -> None:
    scores = transformer.transform(TEXTS)
    pickled = pickle.dumps(transformer)
    assert len(pickled) < 1000
    for copy in (pickle.loads(pickled), clone(transformer)):
        assert vars(copy) == vars(transformer)
        assert np.array_equal(copy.transform(TEXTS), scores)


@pytest.mark.parametrize(("kind", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output(transformer: AffectTransformer, kind: str, frame: Any) -> None:
    scores = transformer.transform(TEXTS)
    table = transformer.set_output(transform=kind).transform(TEXTS)
    assert isinstance(table, frame)
    assert [*table.columns] == NAMES
    assert np.array_equal(table.to_numpy(), scores)


def test_rows_keep_their_index(transformer: AffectTransformer) -> None:
    texts = pd.DataFrame({"text": TEXTS}, index=[7, 5, 3, 1])
    table = transformer.set_output(transform="pandas").transform(texts)
    assert table.index.tolist() == [7, 5, 3, 1]


def test_in_a_pipeline(transformer: AffectTransformer) -> None:
    texts = [SINGLE_MESSAGE, TASK, "i am sad", "hello"] * 5
    labels = [1, 0, 1, 0] * 5
    model = make_pipeline(transformer, LogisticRegression())
    assert cross_val_score(model, texts, labels, cv=5).tolist() == [1.0] * 5
    frame = pd.DataFrame({"text": texts, "length": [len(text) for text in texts]})
    columns = make_column_transformer((transformer, "text"), remainder="passthrough")
    assert columns.fit_transform(frame).shape == (20, len(NAMES) + 1)
    assert columns.get_feature_names_out()[-1] == "remainder__length"
    chats = [CHAT, [user(TASK)]] * 5
    assert cross_val_score(model, chats, [1, 0] * 5, cv=5).tolist() == [1.0] * 5


def test_importing_it_loads_no_engine() -> None:
    code = "import sys, affectlib.sklearn; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "sklearn" in loaded
    assert not {"torch", "transformers", "onnxruntime", "tokenizers"} & {*loaded}


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn.base'] = None; import affectlib.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert "affectlib[sklearn]" in done.stderr


def test_scikit_learns_own_checks() -> None:
    # They are few for what takes texts alone, and scikit-learn says so.
    with pytest.warns(SkipTestWarning, match="Can't test estimator AffectTransformer"):
        check_estimator(AffectTransformer())


class OfNumbers(AffectTransformer):
    """Says that rows of numbers are sad or not, so that scikit-learn's checks can call it."""

    def fit(self, X: Any, y: Any = None) -> OfNumbers:
        validate_data(self, X)
        return self

    def transform(self, X: Any) -> Any:
        rows = validate_data(self, X, reset=False)
        return super().transform(["sad" if row.sum() > 0 else "fine" for row in rows])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = False
        tags.input_tags.string = False
        tags.input_tags.allow_nan = False
        return tags


@pytest.mark.parametrize(("estimator", "check"), [*estimator_checks_generator(OfNumbers())])
def test_scikit_learns_checks_on_rows_of_numbers(
    estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affectlib.sklearn.load_once", lambda **_: FakeClassifier())
    check(estimator)
