"""The table of measured variants: one line of ``training/data/ablations.jsonl`` each.

    python -m training.evaluation.ablations RESULTS.json --variant "no context" --command "..."

adds the main figures of a ``results.json`` to it, with the command that reproduces them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ABLATIONS = Path(__file__).parents[1] / "data" / "ablations.jsonl"
FIGURES: dict[str, tuple[str, ...]] = {
    "real: average precision": ("groups", "real transcripts", "average_precision"),
    "real: recall": ("groups", "real transcripts", "balanced", "recall"),
    "real: specificity": ("groups", "real transcripts", "balanced", "specificity"),
    "corpus: accuracy": ("corpus", "accuracy"),
    "corpus: pairs": ("corpus", "pairs_both_right"),
    "corpus: turn F1": ("corpus", "turn_f1"),
    "French: accuracy": ("groups", "corpus dev: French", "balanced", "accuracy"),
    "cues: macro F1": ("cues", "macro_f1"),
}
"""Where in the results each figure of the table is; decisions are those at ``balanced``."""


def find(results: Any, path: Sequence[str]) -> Any:
    """Return what lies at a path of the results; None if it is not there."""
    for key in path:
        if not isinstance(results, Mapping) or key not in results:
            return None
        results = results[key]
    return results


def ablation(results: Mapping[str, Any], variant: str, command: str) -> dict[str, Any]:
    """Return the row of a variant.

    Args:
        results: What `training.evaluate.evaluate` gives.
        variant: What is different about it, in a few words.
        command: The command that reproduces it.
    """
    return {
        "variant": variant,
        "command": command,
        "fingerprint": results["artifact"]["fingerprint"],
        "figures": {name: find(results, path) for name, path in FIGURES.items()},
    }


def read_ablations(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the rows of the table, in the order in which they were added."""
    lines = (path or ABLATIONS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line]


def main(arguments: Sequence[str] | None = None) -> int:
    """Add a row from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation.ablations")
    parser.add_argument("results", type=Path, help="results.json of the variant")
    parser.add_argument("--variant", required=True, help="what is different about it")
    parser.add_argument("--command", required=True, help="what reproduces it")
    parser.add_argument("--to", type=Path, default=ABLATIONS, help="the table")
    options = parser.parse_args(arguments)
    try:
        results = json.loads(options.results.read_text(encoding="utf-8"))
        row = ablation(results, options.variant, options.command)
    except (OSError, ValueError, KeyError) as error:
        print(
            f"training.evaluation.ablations: {options.results}: no results ({error})",
            file=sys.stderr,
        )
        return 2
    with options.to.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
