"""A slice of ``python -m tools.state_machine``."""

from __future__ import annotations

from tools.state_machine.walk import main


def test_a_short_walk_finds_nothing() -> None:
    assert main(["--steps", "150", "--seed", "1"]) == 0
