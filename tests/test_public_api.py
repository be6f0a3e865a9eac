"""The public names, and what they promise."""

from __future__ import annotations

import inspect

import pytest

import affectlib
from affectlib.model.calibration import prior_shift

NAMES = {
    "AffectClassifier",
    "AffectMapper",
    "Conversation",
    "ConversationFailure",
    "ConversationPrediction",
    "Message",
    "MessagePrediction",
    "ReadOptions",
    "__version__",
    "finetune",
    "label_file",
    "label_table",
    "predict",
    "read_conversations",
    "to_frame",
}


def test_names_are_those_promised():
    assert {*affectlib.__all__} == NAMES
    assert len(affectlib.__all__) == len(NAMES)
    assert {*dir(affectlib)} >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_every_name_is_there_and_documented(name):
    value = getattr(affectlib, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in getattr(__import__(value.__module__, fromlist=["_"]), "__all__", ())


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = affectlib.nonsense
    with pytest.raises(ImportError):
        from affectlib import nonsense  # noqa: F401


def test_star_import_gives_the_public_names():
    space: dict[str, object] = {}
    exec("from affectlib import *", space)
    assert {*space} - {"__builtins__"} == NAMES


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (affectlib.predict, ["x", "operating_point", "on_error", "progress"]),
        (
            affectlib.AffectClassifier.from_pretrained,
            [
                "model",
                "device",
                "engine",
                "operating_point",
                "assistant_cues",
                "screen",
                "threads",
                "local_files_only",
                "revision",
            ],
        ),
        (
            affectlib.AffectClassifier.predict,
            ["self", "x", "operating_point", "on_error", "progress"],
        ),
        (affectlib.AffectClassifier.predict_proba, ["self", "x", "on_error", "progress"]),
        (
            affectlib.AffectClassifier.stream,
            ["self", "conversations", "on_error", "operating_point", "progress"],
        ),
        (affectlib.to_frame, ["predictions"]),
        (affectlib.AffectClassifier.explain, ["self", "x", "operating_point"]),
        (affectlib.AffectClassifier.explain_words, ["self", "x", "message", "output"]),
        (affectlib.AffectClassifier.save_pretrained, ["self", "folder"]),
        (
            affectlib.AffectClassifier.push_to_hub,
            ["self", "name", "private", "message", "token"],
        ),
        (affectlib.AffectClassifier.windows, ["self", "x"]),
        (prior_shift, ["probability", "trained", "deployed"]),
    ],
)
def test_signatures(function, parameters):
    signature = inspect.signature(function).parameters
    assert [*signature] == parameters
    options = [
        p
        for p in signature.values()
        if p.name not in ("self", parameters[0], "x", "folder", "name")
    ]
    positional = [p.name for p in options if p.kind is not p.KEYWORD_ONLY]
    assert positional in ([], ["conversations"], ["message"])


def test_unknown_argument_is_refused_by_name():
    with pytest.raises(TypeError, match="treshold"):
        affectlib.AffectClassifier.from_pretrained(treshold=0.5)


@pytest.mark.parametrize(
    ("function", "default"),
    [
        (affectlib.predict, "raise"),
        (affectlib.AffectClassifier.predict, "raise"),
        (affectlib.AffectClassifier.predict_proba, "raise"),
        (affectlib.AffectClassifier.stream, "record"),
        (affectlib.label_table, "record"),
        (affectlib.label_file, "record"),
    ],
)
def test_lists_raise_and_corpora_record(function, default):
    assert inspect.signature(function).parameters["on_error"].default == default
