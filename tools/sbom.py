"""Write what an installation consists of, as CycloneDX: ``python -m tools.sbom -o sbom.json``.

Installs affectlib with the extras that are named into a fresh virtual environment, and describes
that: each distribution with its version, licence and what it requires. uv installs, cyclonedx-py
describes; both come from the package index, and nothing else is asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.dependencies import ROOT, UV, virtual_environment

TOOL = "cyclonedx-bom>=7"


def write(target: Path, extras: str, index: str | None = None) -> dict[str, Any]:
    """Install some extras in a fresh environment, describe it, and return the description."""
    with tempfile.TemporaryDirectory() as folder:
        python = virtual_environment(folder)
        install = [*UV, "pip", "install", "--quiet", "--python", python]
        if index is not None:
            install += ["--index", index]
        subprocess.run([*install, f"{ROOT}[{extras}]" if extras else str(ROOT)], check=True)
        describe = [*UV, "tool", "run", "--quiet", "--from", TOOL, "cyclonedx-py", "environment"]
        how = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "-o", target]
        subprocess.run([*describe, *how, python], check=True)
    found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tools.sbom", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("sbom.json"))
    parser.add_argument("--extras", default="", metavar="NAME,…", help="none if left out")
    parser.add_argument("--index", metavar="URL", help="where uv looks first, as for CPU wheels")
    options = parser.parse_args(arguments)
    found = write(options.output, options.extras, options.index)
    print(f"{options.output}: {len(found['components'])} distributions besides affectlib")
    return 0


if __name__ == "__main__":
    sys.exit(main())
