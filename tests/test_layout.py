"""The map of the house: what lies where, and that arrows go one way."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_FRONT = ("classifier", "tables", "sklearn")
TO_RENAME = ("affectlib.analysis._", "affectlib.analysis.report._")
"""Private modules of the analysis that other packages import still."""
BELOW = {
    "affectlib.model": ("corpus", "analysis", "finetuning", "cli", *_FRONT, "formats"),
    "affectlib.formats": ("model", "corpus", "analysis", "finetuning", "cli", *_FRONT),
    "affectlib.corpus": ("analysis", "finetuning", "cli", *_FRONT),
    "affectlib.classifier": ("corpus", "analysis", "finetuning", "cli", "tables", "sklearn"),
    "affectlib.analysis": ("finetuning", "cli", *_FRONT),
    "affectlib.finetuning": ("cli", *_FRONT),
}
"""What each package must not import."""


def modules(package: str, root: Path = ROOT) -> dict[str, Path]:
    found = {}
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a file imports, also lazily or for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known.keys()


@pytest.mark.parametrize("package", ["affectlib", "training"])
def test_no_module_imports_itself_in_a_circle(package: str) -> None:
    known = modules(package)
    graph = {name: imports(path, known) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", sorted(BELOW))
def test_arrows_go_down(package: str) -> None:
    known = modules("affectlib")
    above = tuple(f"affectlib.{name}" for name in BELOW[package])
    wrong = {
        f"{name} imports {found}"
        for name, path in known.items()
        if name == package or name.startswith(f"{package}.")
        for found in imports(path, known)
        if found.startswith(above)
    }
    assert not wrong


def test_no_package_imports_itself_in_a_circle() -> None:
    known = modules("affectlib")
    parts = {name: ".".join(name.split(".")[:2]) for name in known}
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        if name != "affectlib":  # what it shows is imported from everywhere below
            found = {parts[each] for each in imports(path, known)} - {parts[name], "affectlib"}
            graph.setdefault(parts[name], set()).update(found)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_private_modules_are_imported_only_in_their_package() -> None:
    known = modules("affectlib")
    wrong = set()
    for name, path in known.items():
        for found in imports(path, known) - {name}:
            parts = found.split(".")
            private = next((i for i, part in enumerate(parts) if part.startswith("_")), None)
            if found.startswith(TO_RENAME):
                continue
            if private is not None and not f"{name}.".startswith(".".join(parts[:private]) + "."):
                wrong.add(f"{name} imports {found}")
    assert not wrong


def test_no_function_hides_the_module_of_its_name() -> None:
    known = modules("affectlib")
    wrong = set()
    for name, path in known.items():
        if path.name == "__init__.py" and name != "affectlib.analysis":
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom):
                    shown = {alias.asname or alias.name for alias in node.names}
                    modules_there = {f"{node.module}.{alias.name}" for alias in node.names}
                    wrong |= {f"{name}.{each}" for each in shown} & known.keys() - modules_there
    assert not wrong


def test_the_root_shows_what_the_library_is() -> None:
    shown = [p for p in (ROOT / "affectlib").glob("*.py") if not p.stem.startswith("_")]
    assert len(shown) <= 10


def bodies(path: Path) -> list[tuple[str, int]]:
    """Return the functions of a file with the lines of their bodies, docstrings left out."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found.append((node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1))
    return found


@pytest.mark.parametrize("package", ["affectlib", "training", "tests", "tools"])
def test_files_and_functions_are_short(package: str) -> None:
    long = []
    for path in modules(package).values():
        name = path.relative_to(ROOT)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 700:
            long.append(f"{name}: {lines} lines")
        long += [f"{name}: {what} has {n} lines" for what, n in bodies(path) if n > 60]
    assert not long
