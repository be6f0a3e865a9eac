"""The public names, and what they promise."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

import affectlib


def test_the_top_level_is_small():
    names = {*affectlib.__all__}
    assert len(names) == len(affectlib.__all__) <= 15
    assert {*dir(affectlib)} >= names
    space: dict[str, object] = {}
    exec("from affectlib import *", space)
    assert {*space} - {"__builtins__"} == names


@pytest.mark.parametrize("name", sorted({*affectlib.__all__} - {"__version__"}))
def test_every_name_is_there_and_documented(name):
    value = getattr(affectlib, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in import_module(value.__module__).__all__


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = affectlib.nonsense
    with pytest.raises(ImportError):
        from affectlib import nonsense  # noqa: F401


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
