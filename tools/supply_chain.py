"""What comes with each extra, and what each dependency does when it is imported.

``python -m tools.supply_chain`` imports every requirement of users under strace, with empty home
and temporary folders and none of affectlib's switches, and prints the table of
``docs/explanation/supply-chain.md``. Requirements that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.traced import ROOT, traced, why_not

PAGE = ROOT / "docs" / "explanation" / "supply-chain.md"
NOT_FOR_USERS = ("dev", "docs")
"""Extras for those who work on affectlib; what they bring is not imported by it."""

IMPORTED_AS = {
    "PyYAML": "yaml",
    "scikit-learn": "sklearn",
}
"""Names on import that are not those of the distribution."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ROW = re.compile(r"^\| (`[^|]+`|always) \| ([^|]*) \|$", re.M)
_MEASURED = re.compile(r"^\| ([\w.-]+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", re.M)
_CHANGES = """
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
before = dict(os.environ)
import {module}
time.sleep(2)  # some report from a thread of their own
changed = [name for name in {{**os.environ, **before}} if before.get(name) != os.environ.get(name)]
sys.stdout.write("\\n" + json.dumps(sorted(changed)))
"""


@dataclass(frozen=True, slots=True)
class Effects:
    """What an import does: the addresses, files and environment variables that it touches."""

    network: tuple[str, ...]
    files: tuple[str, ...]
    environment: tuple[str, ...]

    def row(self, name: str) -> str:
        """Return a row of the page's table; addresses and random names in files are left out."""
        network = "look-ups" if self.network else "-"
        return f"| {name} | {network} | {_listed(self.files)} | {_listed(self.environment)} |"


def extras() -> dict[str, tuple[str, ...]]:
    """Return the requirements of each extra in ``pyproject.toml``; `always` for those of none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"always": tuple(project["dependencies"])} | {
        name: tuple(found) for name, found in project["optional-dependencies"].items()
    }


def distributions() -> list[str]:
    """Return the names of all that users may install, in the order of ``pyproject.toml``."""
    found = [
        match[0]
        for name, requirements in extras().items()
        if name not in NOT_FOR_USERS
        for requirement in requirements
        if (match := _NAME.match(requirement)) and match[0] != "affectlib"
    ]
    return [*dict.fromkeys(found)]


def module_of(distribution: str) -> str:
    return IMPORTED_AS.get(distribution, distribution.replace("-", "_"))


def is_installed(distribution: str) -> bool:
    return find_spec(module_of(distribution)) is not None


def effects(distribution: str, folder: Path) -> Effects:
    code = _CHANGES.format(module=module_of(distribution))
    done = traced(folder, ["-c", code])
    if done.status:
        raise RuntimeError(f"{distribution} cannot be imported: {done.output}")
    return Effects(
        tuple(sorted(done.peers)),
        tuple(sorted({*done.left, *done.made})),
        tuple(json.loads(done.output.strip().splitlines()[-1])),
    )


def table_of_extras() -> str:
    rows = [
        f"| {name if name == 'always' else f'`{name}`'} | {', '.join(found)} |"
        for name, found in extras().items()
    ]
    return "\n".join(rows)


def page_extras() -> str:
    """Return that table as it is in the page."""
    return "\n".join(match[0] for match in _ROW.finditer(PAGE.read_text(encoding="utf-8")))


def page_effects() -> dict[str, str]:
    """Return the rows of the page's table of imports, by distribution."""
    rows = _MEASURED.finditer(PAGE.read_text(encoding="utf-8"))
    return {match[1]: match[0] for match in rows if match[1] in distributions()}


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


def _rows() -> Iterator[str]:
    for distribution in filter(is_installed, distributions()):
        with tempfile.TemporaryDirectory() as folder:
            yield effects(distribution, Path(folder)).row(distribution)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.supply_chain", description=__doc__)
    parser.parse_args(arguments)
    print(table_of_extras(), end="\n\n")
    if (problem := why_not()) is not None:
        print(problem, file=sys.stderr)
        return 1
    for row in _rows():
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
