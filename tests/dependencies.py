"""Do the bounds of pyproject.toml hold? ``python -m tests.dependencies [lowest|newest]``.

Makes a fresh virtual environment with the lowest versions that the bounds of our own requirements
allow (what those require in turn may be newer), or with the newest ones, and runs the fast tests
in it. It downloads packages, with torch some gigabytes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXTRAS = ("analysis", "formats", "hub", "sklearn", "torch")
TOOLS = ("duckdb", "hypothesis", "jsonschema", "onnx", "psutil", "pytest")
"""What the tests need besides; always the newest."""
OTHERS = ("test_training*", "test_docs*", "test_notebook*", "test_ray*", "test_spark*")
"""Tests of what the chosen extras do not bring."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[(?P<extras>[\w,-]+)\])?(>=(?P<lowest>[\w.]+))?")


def requirements(project: dict[str, Any], extras: Iterable[str]) -> Iterator[str]:
    """Return the requirements of the core and of some extras, those that extras name included.

    Example:
        >>> project = {"dependencies": ["a>=1"], "optional-dependencies":
        ...     {"x": ["me[y]", "b>=2"], "y": ["c>=3,<4"]}, "name": "me"}
        >>> [*requirements(project, ["x"])]
        ['a>=1', 'c>=3,<4', 'b>=2']
    """
    yield from project["dependencies"]
    yield from _of_extras(project, extras)


def _of_extras(project: dict[str, Any], extras: Iterable[str]) -> Iterator[str]:
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            match = _REQUIREMENT.match(requirement)
            assert match is not None, requirement
            if match["name"] == project["name"]:
                yield from _of_extras(project, match["extras"].split(","))
            else:
                yield requirement


def lowest(found: Iterable[str]) -> list[str]:
    """Pin each requirement to the lowest version that it allows; the highest of several bounds.

    Raises:
        ValueError: A requirement has no lower bound.

    Example:
        >>> lowest(["numpy>=1.26", "mkdocs>=1.6,<2", "numpy>=2"])
        ['mkdocs==1.6', 'numpy==2']
    """
    bounds: dict[str, str] = {}
    for requirement in found:
        match = _REQUIREMENT.match(requirement)
        if match is None or match["lowest"] is None:
            raise ValueError(f"{requirement}: it has no lower bound")
        name, version = match["name"], match["lowest"]
        bounds[name] = max(bounds.get(name, "0"), version, key=_as_numbers)
    return [f"{name}=={version}" for name, version in sorted(bounds.items())]


def _as_numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def check(which: str, extras: Sequence[str], tests: Sequence[str], index: str | None) -> int:
    """Install in a fresh environment and run the tests; returns the exit status of pytest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*requirements(project, extras)]
    pinned = lowest(wanted) if which == "lowest" else wanted
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if index is not None:
            install += ["--extra-index-url", index]
        print(which, *pinned, sep="\n  ", flush=True)
        subprocess.run([*install, *pinned, *TOOLS], check=True)
        subprocess.run([*install, "--no-deps", "--editable", ROOT], check=True)
        ignored = [f"--ignore-glob=*/{name}" for name in OTHERS]
        command = [python, "-m", "pytest", "-q", "-m", "not slow", *ignored, *tests]
        return subprocess.run(command, cwd=ROOT).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 if all tests passed."""
    parser = argparse.ArgumentParser(
        "python -m tests.dependencies",
        description="Run the fast tests with the lowest, or the newest, dependencies.",
    )
    parser.add_argument("which", nargs="*", help="lowest or newest; both if left out")
    parser.add_argument("--extras", default=",".join(EXTRAS), help="default: %(default)s")
    parser.add_argument("--index", metavar="URL", help="where pip looks besides, as for CPU wheels")
    parser.add_argument("--tests", nargs="+", default=[], metavar="FILE", help="all if left out")
    options = parser.parse_args(arguments)
    if unknown := {*options.which} - {"lowest", "newest"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    extras = [extra for extra in options.extras.split(",") if extra]
    return max(
        check(which, extras, options.tests, options.index)
        for which in options.which or ("lowest", "newest")
    )


if __name__ == "__main__":
    sys.exit(main())
