from __future__ import annotations

import re
import textwrap

import pytest

from affectlib import errors
from affectlib.errors import (
    AffectlibError,
    ConversationError,
    MissingExtraError,
    NoUserTextError,
    TranscriptFormatError,
)

EXPORTED = {name: getattr(errors, name) for name in errors.__all__}
CLASSES = [each for each in EXPORTED.values() if issubclass(each, Exception)]
NAMES = {each.__name__ for each in CLASSES}


def test_every_exception_of_the_module_is_exported() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == NAMES
    assert set(errors.__all__) - NAMES == {"ConversationFailure"}


@pytest.mark.parametrize("error", [e for e in CLASSES if e is not AffectlibError])
def test_every_exception_is_ours_and_also_a_builtin_one(error: type[Exception]) -> None:
    assert issubclass(error, AffectlibError)
    builtin = {base for base in error.__mro__ if base.__module__ == "builtins"}
    assert builtin - {Exception, BaseException, object}


def test_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert errors.__doc__
    tree = textwrap.dedent(errors.__doc__.split("```")[1]).strip("\n").splitlines()
    drawn, parents = {}, [AffectlibError]
    for line in tree[1:]:
        found = re.match(r"([│├└─ ]*)(\w+)\s+(?:\((\w+)\))?", line)
        assert found, line
        depth, error = len(found[1]) // 4, getattr(errors, found[2])
        drawn[found[2]] = (parents[depth - 1], found[3])
        parents[depth:] = [error]
    assert drawn.keys() == NAMES - {"AffectlibError"}
    for name, (parent, builtin) in drawn.items():
        bases = getattr(errors, name).__bases__
        assert bases[0] is parent, name
        assert [base.__name__ for base in bases[1:]] == ([builtin] if builtin else []), name


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({}, "bad"),
        ({"field": "id"}, "id: bad"),
        ({"index": 0}, "messages[0]: bad"),
        ({"index": 2, "field": "role"}, "messages[2].role: bad"),
        ({"conversation": 0}, "conversation 0: bad"),
        ({"conversation": "a1", "field": "id"}, "conversation 'a1', id: bad"),
        (
            {"conversation": 7, "index": 2, "field": "role"},
            "conversation 7, messages[2].role: bad",
        ),
    ],
)
def test_conversation_error_names_the_place(place: dict[str, object], message: str) -> None:
    assert str(ConversationError("bad", **place)) == message  # type: ignore[arg-type]


def test_naming_the_conversation_keeps_the_rest() -> None:
    named = NoUserTextError("bad", index=1, field="content").in_conversation("a1")
    assert type(named) is NoUserTextError
    assert (named.problem, named.index, named.field, named.conversation) == (
        "bad",
        1,
        "content",
        "a1",
    )
    assert str(named) == "conversation 'a1', messages[1].content: bad"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({}, "bad"),
        ({"path": "a.jsonl"}, "a.jsonl: bad"),
        ({"line": 3}, "line 3: bad"),
        ({"path": "a.jsonl", "line": 3}, "a.jsonl, line 3: bad"),
    ],
)
def test_format_error_names_file_and_line(place: dict[str, object], message: str) -> None:
    error = TranscriptFormatError("bad", **place)  # type: ignore[arg-type]
    assert str(error) == message
    assert (error.path, error.line) == (place.get("path"), place.get("line"))


def test_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("torch", "torch")
    assert "pip install 'affectlib[torch]'" in str(error)
    assert (error.package, error.extra) == ("torch", "torch")
