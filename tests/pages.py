"""Pages that show code: their blocks, and what comes of running or checking them."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from affectlib import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOT_RUN = "Not run in our tests"
"""How the title of a note begins that holds blocks which are only checked; the reason follows."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_NOTE = re.compile(rf'^!!! \w+ "{NOT_RUN}: [^"\n]+"\n(?:(?: {{4}}.*)?\n)+', re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, what the page says that it prints, and whether it is run."""

    place: str
    language: str
    text: str
    output: str | None
    run: bool


def blocks_of(page: Path) -> Iterator[Block]:
    """Find the blocks of a page. A text block right after another is what that one prints."""
    text = page.read_text(encoding="utf-8")
    notes = [note.span() for note in _NOTE.finditer(text)]
    fences = [*_FENCE.finditer(text)]
    for fence, after in zip_longest(fences, fences[1:]):
        printed = (
            after is not None
            and after["language"] == "text"
            and not text[fence.end() : after.start()].strip()
        )
        yield Block(
            f"{page.relative_to(ROOT)}, line {text.count(chr(10), 0, fence.start()) + 1}",
            fence["language"],
            textwrap.dedent(fence["text"]),
            textwrap.dedent(after["text"]) if after is not None and printed else None,
            not any(start <= fence.start() < end for start, end in notes),
        )


def run_page(page: Path) -> None:
    """Run the blocks of a page in order, in the current folder, and compare what they print."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "python":
            (run_python if block.run else check_python)(block, space)
        elif block.language == "sh":
            (run_shell if block.run else check_shell)(block)


def run_python(block: Block, space: dict[str, Any]) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.place, "exec"), space)
    compare(block, printed.getvalue())


def run_shell(block: Block) -> None:
    """Run commands of affectlib; what pip and others would do is checked only."""
    printed = io.StringIO()
    for words in commands(block.text):
        if words[0] != "affectlib":
            check_command(words, block.place)
            continue
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status = cli.main(words[1:])
        assert status == 0, f"{block.place}: {shlex.join(words)}: {printed.getvalue()}"
    compare(block, printed.getvalue())


def holds(shown: str, printed: str) -> bool:
    """Tell whether text is what is printed; three dots in it stand for anything."""
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def compare(block: Block, printed: str) -> None:
    """Require what the page shows; three dots in it stand for anything."""
    if block.output is None:
        return
    if not holds(block.output, printed):
        checker, example = doctest.OutputChecker(), doctest.Example(block.text, block.output)
        difference = checker.output_difference(example, printed, doctest.ELLIPSIS)
        raise AssertionError(f"{block.place}: {difference}")


def check_python(block: Block, space: dict[str, Any]) -> None:
    """Require that a block compiles, and that what it takes from affectlib is there."""
    tree = ast.parse(block.text, block.place)
    for node in ast.walk(tree):
        names = getattr(node, "names", [])
        module = getattr(node, "module", None) or (names[0].name if names else "")
        if isinstance(node, ast.Import | ast.ImportFrom) and module.startswith("affectlib"):
            exec(compile(ast.Module([node], []), block.place, "exec"), space)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or (target := _find(node.func, space, block)) is None:
            continue
        parameters = inspect.signature(target).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            unknown = {keyword.arg for keyword in node.keywords} - {*parameters}
            assert not unknown, f"{block.place}: {ast.unparse(node.func)} has no {unknown}"


def _find(node: ast.expr, space: dict[str, Any], block: Block) -> Any:
    """Find what a dotted name stands for, None if it is not of affectlib."""
    if isinstance(node, ast.Name):
        found = space.get(node.id)
        origin = getattr(found, "__module__", None) or getattr(found, "__name__", "")
        return found if str(origin).startswith("affectlib") else None
    if isinstance(node, ast.Attribute):
        owner = _find(node.value, space, block)
        assert owner is None or hasattr(owner, node.attr), f"{block.place}: {ast.unparse(node)}"
        return None if owner is None else getattr(owner, node.attr)
    return None


def check_shell(block: Block) -> None:
    for words in commands(block.text):
        check_command(words, block.place)


def commands(text: str) -> Iterator[list[str]]:
    """Split shell commands into words, without comments; several may stand on a line."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in line.split(" && "):
            if words := shlex.split(command, comments=True):
                yield words


def check_command(words: list[str], place: str) -> None:
    """Require that a command is one that we know, and has the options that it is given."""
    line = shlex.join(words)
    match words:
        case ["affectlib", name, *arguments]:
            app = cli.app.make_context("affectlib", [name])
            command = cli.app.get_command(app, name)
            assert command is not None, f"{place}: {line}"
            try:
                command.make_context(name, arguments, parent=app)
            except click.UsageError as error:
                raise AssertionError(f"{place}: {line}: {error.format_message()}") from None
        case ["python", "-m", "training.run", *arguments]:
            from training.config import load_recipe

            options = _options("training.run", arguments, place)
            settings = [v for name, v in options if name == "--set"]
            load_recipe(ROOT / dict(options)["--config"], settings)
        case ["python", "-m", module, *arguments] if module.startswith(("training.", "tools.")):
            _options(module, arguments, place)
        case ["python", "-m", "pytest" | "http.server", *_] | ["pip-audit", *_]:
            pass
        case ["mkdocs", "build", "--strict"] | ["pre-commit", "install"]:
            pass
        case ["pip", "install", *targets]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
            extras = {*project["project"]["optional-dependencies"]}
            named = {e for target in targets for e in re.findall(r"[\w-]+(?=[,\]])", target)}
            assert named <= extras, f"{place}: {line}: there is no extra {named - extras}"
        case _:
            raise AssertionError(f"{place}: {line}: no command that we know")


def _options(module: str, arguments: list[str], place: str) -> list[tuple[str, str]]:
    """Require that a module has these options, and return them with their values."""
    found = importlib.import_module(module)
    if not hasattr(found, "main"):  # a package that is run
        found = importlib.import_module(f"{module}.__main__")
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        found.main(["--help"])
    for name in arguments:
        assert not name.startswith("--") or name in shown.getvalue(), f"{place}: {module} {name}"
    return [*zip_longest(arguments, arguments[1:], fillvalue="")]
