"""Write anew what docs, README and docstrings show, after the model was changed on purpose.

    python -m tools.shown

Lines that still hold, three dots included, stay as they are. Read the difference afterwards: what
the text around an example says of it may no longer be true.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import shutil
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests import pages
from tests.pages import DOCS, ROOT, Block, holds
from tests.test_docstrings import MODULES, examples_in


def merge(shown: str, printed: str) -> str:
    """Return what is printed, but the lines shown that still hold."""
    old, new = shown.splitlines(), printed.splitlines()
    if len(old) != len(new):
        return printed
    lines = (a if holds(a + "\n", b + "\n") else b for a, b in zip(old, new, strict=True))
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def beside_examples() -> Iterator[None]:
    """Work in a folder of its own, where `examples` is at hand."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        with contextlib.chdir(folder):
            yield


def renew_page(page: Path) -> None:
    """Run a page, and write what its blocks print in place of what it shows."""
    text = page.read_text(encoding="utf-8")
    place = 0

    def note(block: Block, printed: str) -> None:
        nonlocal text, place
        if block.output is None:
            return
        place = text.index(block.text.splitlines()[0], place)
        later = (fence for fence in pages._FENCE.finditer(text) if fence.start() > place)
        found = next(later)
        if not holds(block.output, printed):
            merged = textwrap.indent(merge(block.output, printed), found["indent"])
            text = text[: found.start("text")] + merged + text[found.end("text") :]
        place = found.start()

    with patch.object(pages, "compare", note), beside_examples():
        pages.run_page(page)
    page.write_text(text, encoding="utf-8")


class Notes(doctest.DocTestRunner):
    """Notes what examples print, rather than that they fail."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.printed: list[tuple[doctest.Example, str]] = []

    def report_failure(
        self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str
    ) -> None:
        self.printed.append((example, got))


def renew_docstrings(module: str) -> None:
    """Run the examples of a module, and write what they print in place of what they show."""
    edits = []
    for test in examples_in(module):
        notes = Notes()
        with beside_examples():
            notes.run(test, out=lambda _: None)
        for example, got in notes.printed:
            assert test.filename
            assert test.lineno is not None
            start = test.lineno + example.lineno + len(example.source.splitlines())
            merged = textwrap.indent(merge(example.want, got), " " * example.indent)
            edits.append((Path(test.filename), start, len(example.want.splitlines()), merged))
    for path, start, count, merged in sorted(edits, reverse=True):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[start : start + count] = [merged]
        path.write_text("".join(lines), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(prog="python -m tools.shown", description=__doc__).parse_args(arguments)
    warnings.simplefilter("ignore")
    for module in ("affectlib", *MODULES):
        renew_docstrings(module)
    on_clusters = ("ray.md", "spark.md")
    for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))):
        if page.name not in on_clusters and any(block.run for block in pages.blocks_of(page)):
            print(page.relative_to(ROOT), flush=True)
            renew_page(page)


if __name__ == "__main__":
    main()
