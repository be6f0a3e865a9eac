"""Do the bounds of pyproject.toml hold? ``python -m tools.dependencies [lowest|newest]``.

Makes a fresh virtual environment with the lowest versions of our own requirements that the bounds
allow and that fit together (what those require in turn is the newest that fits), or with the
newest of all, and runs the fast tests in it. uv resolves and installs. It downloads packages, with
torch some gigabytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("analysis", "annotate", "formats", "hub", "sklearn", "torch")
TOOLS = ("duckdb", "hypothesis", "jsonschema", "onnx", "psutil", "pytest")
"""What the tests need besides, in any version that fits."""
NEEDS = {
    "train": ("tests/training", "tests/finetuning", "test_repository.py"),
    "ray": ("test_ray*",),
    "spark": ("test_spark*",),
}
"""Tests that are left out unless the extra is chosen."""
NEVER = ("test_docs*", "test_notebook*")
"""Tests of what only the extra dev brings."""
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
UV = (sys.executable, "-m", "uv")


def virtual_environment(folder: str) -> Path:
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    return Path(folder, "Scripts" if os.name == "nt" else "bin", "python")


def check(which: str, extras: str, tests: Sequence[str], index: str | None) -> int:
    """Install in a fresh environment and run the tests; returns the exit status of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        python = virtual_environment(folder)
        install = [*UV, "pip", "install", "--quiet", "--python", python]
        if index is not None:
            install += ["--index", index]
        ours = ["--resolution", RESOLUTIONS[which], "--editable", f"{ROOT}[{extras}]"]
        subprocess.run([*install, *ours], check=True)
        subprocess.run([*install, *TOOLS], check=True)
        print(which, flush=True)
        subprocess.run([*UV, "pip", "freeze", "--quiet", "--python", python], check=True)
        left_out = [NEVER, *(NEEDS[extra] for extra in {*NEEDS}.difference(extras.split(",")))]
        ignored = [f"--ignore-glob=*/{name}" for names in left_out for name in names]
        # Old versions beside new ones of what they require use what is to go: that is no fault.
        going = ["-W", "ignore::DeprecationWarning"]
        command = [python, "-m", "pytest", "-q", *going, "-m", "not slow", *ignored, *tests]
        return subprocess.run(command, cwd=ROOT).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m tools.dependencies",
        description="Run the fast tests with the lowest, or the newest, dependencies.",
    )
    parser.add_argument("which", nargs="*", help="lowest or newest; both if left out")
    parser.add_argument("--extras", default=",".join(EXTRAS), help="default: %(default)s")
    parser.add_argument("--index", metavar="URL", help="where uv looks first, as for CPU wheels")
    parser.add_argument("--tests", nargs="+", default=[], metavar="FILE", help="all if left out")
    options = parser.parse_args(arguments)
    if unknown := {*options.which} - {*RESOLUTIONS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return max(
        check(which, options.extras, options.tests, options.index)
        for which in options.which or RESOLUTIONS
    )


if __name__ == "__main__":
    sys.exit(main())
