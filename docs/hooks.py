"""What is put into the pages when the site is built: files of the repository, and help texts.

A page says where: ``<!-- include: CHANGELOG.md -->`` stands for that file,
``<!-- include: FILE#Heading -->`` for the section under that heading, and
``<!-- help: label -->`` for what ``affectlib label --help`` prints. So nothing is written twice.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from affectlib.cli import main

ROOT = Path(__file__).parents[1]
CARD = ROOT / "affectlib" / "models" / "affect-small"

_MARK = re.compile(r"^<!-- (include|help): ?(.*?) -->$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_STAND_ALONE = re.compile(r"(?:^ (?! ).*\n)+", re.MULTILINE)


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pictures of the model card."""
    for picture in CARD.glob("*.svg"):
        uri = f"reference/{picture.name}"
        files.append(File.generated(config, uri, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of a page by what they stand for."""
    return _MARK.sub(lambda mark: {"include": include, "help": help_of}[mark[1]](mark[2]), markdown)


def include(name: str) -> str:
    """Return a Markdown file of the repository, or a section of it, without its heading.

    Args:
        name: ``path`` or ``path#Heading``.

    Raises:
        PluginError: There is no such file or heading.
    """
    path, _, heading = name.partition("#")
    try:
        text = _FRONT_MATTER.sub("", (ROOT / path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PluginError(f"{path}: a page includes it, but it cannot be read") from error
    if heading:
        start = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
        if start is None:
            raise PluginError(
                f"{path}: a page includes its section {heading!r}, which is not there"
            )
        text = re.split(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], flags=re.MULTILINE)[0]
    # Lines that begin with one space are items; the site's Markdown would join them.
    return _STAND_ALONE.sub(lambda lines: re.sub("^ ", "- ", f"\n{lines[0]}\n", flags=re.M), text)


def help_of(command: str) -> str:
    """Return what a command prints when it is asked for help, as a block."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), patch.dict(os.environ, {"COLUMNS": "90"}):
        main([*command.split(), "--help"])
    return f"```text\n{printed.getvalue()}```"


class Examples(griffe.Extension):
    """Prepares docstrings: griffe knows the heading of examples only in the plural."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the heading of the examples of one object into the plural."""
        if obj.name == "__init__":
            obj.docstring = None  # the class says what it takes
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = re.sub("::$", ":", text, flags=re.M)
