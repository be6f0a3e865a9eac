"""How large the code is, and how long its longest pieces are, at some commits.

    python -m tools.code_size [COMMIT ...]

It prints the table of ``docs/development.md``: a column for each commit, the working tree if none
is given.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.test_layout import imports, modules

ROOT = Path(__file__).parents[1]
_INNER = ("_values", "model", "corpus", "formats", "analysis", "finetuning", "cli")
PACKAGES = (
    "affectlib",
    *(f"affectlib/{name}" for name in _INNER),
    "training",
    "tests",
    "tools",
)


def measure(root: Path) -> dict[str, str]:
    files = {package: sorted(_files(root, package)) for package in PACKAGES}
    found = {}
    for package, paths in files.items():
        lines = sum(map(_lines, paths))
        shown = f"{len(paths)} files, {lines:,} lines" if paths else "-"
        found[f"`{package}/`" + (", without packages" if package == "affectlib" else "")] = shown
    library = [path for package in PACKAGES[:-2] for path in files[package]]
    longest = max(library, key=_lines)
    found["longest file"] = f"{_lines(longest)} lines, `{longest.relative_to(root).as_posix()}`"
    length, name = max(function for path in library for function in _functions(path))
    found["longest function"] = f"{length} lines, `{name}`"
    found["modules in import circles"] = str(len(_in_circles(root)))
    found["words of the README"] = f"{_words(root / 'README.md'):,}"
    found["words of the model card"] = (
        f"{_words(root / 'affectlib/models/affect-small/README.md'):,}"
    )
    return found


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    names = [*next(iter(columns.values()))]
    rows = [
        ["", *columns],
        *([name, *(column[name] for column in columns.values())] for name in names),
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * (len(columns) + 1) + "|", *lines[1:]])


def _files(root: Path, package: str) -> Iterator[Path]:
    folder = root / package
    yield from folder.glob("*.py") if package == "affectlib" else folder.rglob("*.py")


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _words(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split())


def _functions(path: Path) -> Iterator[tuple[int, str]]:
    """Find the functions of a file, each with the lines of its body, less its docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                yield (body[-1].end_lineno or 0) - body[0].lineno + 1, f"{path.stem}.{node.name}"


def _in_circles(root: Path) -> set[str]:
    """Return the modules that import themselves by way of others, imports for types included."""
    known = modules("affectlib", root) | modules("training", root)
    graph = {name: imports(path, known) - {name} for name, path in known.items()}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        open_ = [*graph[start]]
        while open_:
            if (name := open_.pop()) not in seen:
                seen.add(name)
                open_ += graph[name]
        return seen

    return {name for name in graph if name in reached(name)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.code_size", description=__doc__)
    parser.add_argument("commit", nargs="*", help="what to measure, such as HEAD")
    columns = {}
    commits = parser.parse_args(arguments).commit
    if not commits:
        columns["now"] = measure(ROOT)
    for commit in commits:
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
                tree.extractall(folder, filter="data")
            columns[commit] = measure(Path(folder))
    print(table(columns))


if __name__ == "__main__":
    main()
