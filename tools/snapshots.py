"""What users rely on, as text: public names with their signatures, and the commands' help.

After a change that is meant, ``python -m tools.snapshots`` writes the files of
``tests/snapshots`` anew; what has changed is then seen in the difference.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from affectlib import cli

FOLDER = Path(__file__).parents[1] / "tests" / "snapshots"
MODULES = (
    "affectlib",
    "affectlib.analysis",
    "affectlib.formats",
    "affectlib.sklearn",
    "affectlib.tables",
)
WIDTH = "100"


def commands() -> list[str]:
    return cli.app.list_commands(click.Context(cli.app))


def snapshots() -> dict[str, str]:
    texts = {f"{module}.txt": "\n".join(names_of(module)) + "\n" for module in MODULES}
    for command in ("", *commands()):
        texts[f"affectlib {command}".strip().replace(" ", "_") + ".help.txt"] = help_of(command)
    return texts


def help_of(command: str) -> str:
    """Return what a command prints when it is asked for help, whatever the terminal's width."""
    printed = io.StringIO()
    plain = {"COLUMNS": WIDTH, "NO_COLOR": "1"}
    with contextlib.redirect_stdout(printed), patch.dict(os.environ, plain):
        cli.main([*command.split(), "--help"])
    return printed.getvalue()


def names_of(module: str) -> Iterator[str]:
    """Describe the public names of a module, a line each, and the members of its classes."""
    found = importlib.import_module(module)
    for name in sorted(found.__all__):
        value = getattr(found, name)
        if not isinstance(value, type):
            yield _describe(name, value)
            continue
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {name}({bases})" if bases else f"class {name}"
        yield from (f"    {line}" for line in _members(value))


def _members(cls: type) -> Iterator[str]:
    """Describe the members that a class of ours, or a base of it that is ours, defines."""
    ours = [c for c in cls.__mro__ if c.__module__.startswith("affectlib")]
    names = {name for c in ours for name in vars(c) if not name.startswith("_")}
    fields = {name for c in ours for name in inspect.get_annotations(c) if name[0] != "_"}
    if "__init__" in {name for c in ours for name in vars(c)}:
        yield f"__init__{inspect.signature(cls)}"
    for name in sorted(names | fields):
        value = inspect.getattr_static(cls, name, None)
        if name in fields:
            yield f"{name}: {_annotation(ours, name)}"
        elif _is_ours(value):
            yield _describe(name, value)


def _annotation(classes: list[type], name: str) -> str:
    annotations = [inspect.get_annotations(c) for c in classes]
    return str(next(found[name] for found in annotations if name in found))


def _is_ours(value: Any) -> bool:
    """Whether a member was written here; libraries put some of their own into subclasses."""
    function = getattr(value, "fget", getattr(value, "__func__", getattr(value, "func", value)))
    return str(getattr(function, "__module__", "affectlib")).startswith("affectlib")


def _describe(name: str, value: Any) -> str:
    if isinstance(value, classmethod | staticmethod):
        kind = type(value).__name__
        return f"{kind} {name}{inspect.signature(value.__func__)}"
    if isinstance(value, property):
        return f"property {name}: {inspect.signature(value.fget).return_annotation}"
    if callable(value):
        return f"{name}{inspect.signature(value)}"
    return f"{name}: {type(value).__name__}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write each snapshot, delete those of what is no more, and say which have changed."""
    parser = argparse.ArgumentParser("python -m tools.snapshots", description="Write them anew.")
    parser.parse_args(arguments)
    texts = snapshots()
    for path in sorted(FOLDER.glob("*.txt")):
        if path.name not in texts:
            path.unlink()
            print(f"deleted  {path.name}")
    for name, text in texts.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written  {path.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
