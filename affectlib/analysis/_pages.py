"""HTML pages in a single file that need no network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from affectlib._atomic import locked, replacing, require_folder
from affectlib._extras import requires_extra
from affectlib.errors import OptionError, OutputExistsError

if TYPE_CHECKING:
    from jinja2 import Environment

_T = TypeVar("_T")

LANGUAGES = ("en", "fr")

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def in_language(texts: Mapping[str, _T], lang: str) -> _T:
    """Return the texts in a language; `OptionError` if there are none."""
    if lang not in texts:
        raise OptionError(f"unknown language {lang!r}; use {' or '.join(texts)}")
    return texts[lang]


def texts_of(page: str, lang: str) -> dict[str, Any]:
    """Read the texts of a page in a language, from the folder ``texts``."""
    file = resources.files("affectlib.analysis").joinpath("texts", f"{page}.{lang}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def render(template: str, **values: Any) -> str:
    """Return a page from a template in the folder ``templates``; values in HTML are escaped."""
    return _environment().get_template(template).render(values)


def visible(text: str, escape: str = r"\x{:02x}") -> str:
    """Return text in which control characters, which a terminal would obey, are escaped."""
    return _CONTROL.sub(lambda found: escape.format(ord(found[0])), text)


def write_page(path: str | os.PathLike[str], page: str, *, overwrite: bool = False) -> None:
    """Write a page, whole or not at all."""
    file = Path(path)
    check_output(file, file.suffix, overwrite)
    with locked(file), replacing(file) as written:
        written.write(page.encode())


def check_output(file: Path, suffix: str, overwrite: bool) -> None:
    """Refuse an output of another suffix, or one that exists, before the work for it is done."""
    if file.suffix != suffix:
        raise OptionError(f"{file}: unknown suffix {file.suffix!r} of the output; use {suffix}")
    if file.exists() and not overwrite:
        raise OutputExistsError(f"{file}: it exists; name another output or give `overwrite=True`")
    require_folder(file)


@cache
def _environment() -> Environment:
    with requires_extra("analysis"):
        import jinja2
    loader = jinja2.PackageLoader("affectlib.analysis")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    # The hash of an inline script for a content security policy, and the text of a template's file.
    environment.globals["digest"] = _digest
    environment.globals["source"] = lambda name: loader.get_source(environment, name)[0]
    return environment


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plain(text: object) -> str:
    """Return text in which nothing is Markdown."""
    return " ".join(str(text).split()).translate(_MARKS)
