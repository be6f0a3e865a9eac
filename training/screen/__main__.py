"""After the artifact: its screen, taught by the encoder on windows of all sets.

    python -m training.screen --artifact FOLDER --data DIR -o COPY --version 1.0.0

The encoder that is shipped reads conversations, in chunks that are kept in ``--work``, so that a
call that was stopped goes on. A screen then learns what it said. For the bounds, conversations are
judged by a screen that was taught by the other ones; a fifth teaches none, has no say and checks
them. The copy is the whole artifact with its screen; its ``affect.json`` says what was found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import load_artifact
from training.screen.chats import read_chats
from training.screen.make import add_screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a screen from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.screen", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="its folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the copy")
    parser.add_argument("--version", help="of the copy; the artifact's if not given")
    parser.add_argument("--work", type=Path, help="where scored windows are kept")
    options = parser.parse_args(arguments)
    try:
        artifact = load_artifact(options.artifact)
        work = options.work or options.output.with_name(f"{options.output.name}-work")
        chats = read_chats(options.data)
        report = add_screen(artifact, chats, work, options.output, options.version)
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.screen: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
