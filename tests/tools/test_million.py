"""A slice of ``python -m tools.fuzz --million``, and what it does with children that go wrong."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tools.fuzz.__main__ import million
from tools.fuzz.campaign import INPUTS, campaign, format_of, watched
from tools.fuzz.run import EXPORTS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs limits of memory")


def test_a_slice_of_a_million_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for seeds in (1, 2, 2):
        assert million(tmp_path, None, seeds * INPUTS, float("inf")) == 0
        kept = [json.loads(line) for line in (tmp_path / "seeds.jsonl").read_text().splitlines()]
        assert [one["seed"] for one in kept] == [*range(seeds)]
    assert all(one["inputs"] == INPUTS and one["problem"] is None for one in kept)


def test_a_seed_gives_the_same_inputs_again(tmp_path: Path) -> None:
    (first,) = campaign(3, 1, tmp_path)
    (second,) = campaign(3, 1, tmp_path)
    assert (first.conversations, first.refused) == (second.conversations, second.refused)
    assert first.format == format_of(3) == [*EXPORTS][3]


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("while True: pass", "no sign of the child for 1 s"),
        ("import time; time.sleep(100)", "no sign of the child for 1 s"),
        ("import os; os.abort()", "the child ended with -6"),
        ("raise MemoryError", "the child ended with 1: MemoryError"),
    ],
)
def test_a_child_that_hangs_or_dies_costs_its_seed(
    monkeypatch: pytest.MonkeyPatch, code: str, named: str
) -> None:
    monkeypatch.setattr("tools.fuzz.campaign._CALM", 3.0)
    done = json.dumps({"seed": 7, "format": "plain", "inputs": 500})
    command = [sys.executable, "-c", f"print({done!r}, flush=True)\n{code}"]
    first, second = watched(command, 7, 5, seconds=1.0)
    assert (first.seed, first.inputs, first.problem) == (7, 500, None)
    assert second.seed == 8
    assert second.problem is not None
    assert second.problem.startswith(named)
