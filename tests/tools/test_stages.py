"""Costs follow from the stages that were measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from affectlib.model.artifacts import Artifact
from tests.conftest import CHAT, TASK, user
from tests.tiny_screen import write_screen
from tools.benchmarks.stages import CORPUS, MACHINES, Stages, cost, measure_stages
from tools.benchmarks.throughput import Bench, stages, whole_command

STAGES = Stages(
    {
        "reading": 0.001,
        "text": 0.001,
        "tokens": 0.001,
        "screen": 0.001,
        "encoder": 0.015,
        "deciding": 0.0005,
        "writing": 0.0005,
    },
    windows=4.0,
    asked=0.2,
    tokens=80.0,
)


def test_hours_are_those_of_the_formula() -> None:
    hours = dict(cost(STAGES, 0.5, None))
    assert {*hours} == {*MACHINES}
    assert hours["laptop, 4 cores"] == pytest.approx(CORPUS * 0.02 / (4 * 0.5) / 3600)


@pytest.mark.parametrize(("rate", "seconds"), [(1e9, 0.005 / (8 * 0.5)), (8_000.0, 0.01)])
def test_with_a_graphics_card_the_slower_side_decides(rate: float, seconds: float) -> None:
    hours = dict(cost(STAGES, 0.5, rate))["one GPU and 8 cores"]
    assert hours == pytest.approx(CORPUS * seconds / 3600)


def test_stages_of_a_file_are_measured(tiny_artifact: Artifact, tmp_path: Path) -> None:
    source = tmp_path / "chats.jsonl"
    source.write_text((json.dumps({"messages": CHAT}) + "\n") * 3)
    found = measure_stages(tiny_artifact, source, screen=True)
    assert found.windows == 1
    assert found.asked == 1
    # Tokens are what is left of two measurements, which may be nothing.
    assert {name for name, seconds in found.seconds.items() if not seconds > 0} <= {
        "screen",
        "tokens",
    }
    assert found.seconds["screen"] == 0


def test_the_benchmark_measures_with_a_screen_and_without(
    tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    write_screen(tmp_path / "tiny")
    source = tmp_path / "chats.jsonl"
    chats = [CHAT, [user(TASK)], CHAT]
    source.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    bench = Bench(source, 3, str(tmp_path / "tiny"))
    assert stages(bench)["share of tokens for the encoder, with the screen"] < 1
    rates = whole_command(bench)
    ratio = rates["label_file, with the screen"] / rates["label_file"]
    assert rates["ratio with the screen"] == pytest.approx(ratio)
    assert bench.asked() < len(bench.windows)
