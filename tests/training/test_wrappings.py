"""Charged lines beside what is no prose."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from training.evaluation.wrappings import WRAPPINGS, charged_lines, wrappings


class Words:
    """Takes a text with the word "sad" for emotional, unless it is of a kind that it misses."""

    def __init__(self, misses: str) -> None:
        self.misses = misses

    def predict(self, texts: list[str], *, on_error: str) -> list[Any]:
        return [
            SimpleNamespace(
                label="emotional" if "sad" in text and self.misses not in text else "task"
            )
            for text in texts
        ]


@pytest.mark.parametrize("name", sorted(WRAPPINGS))
def test_a_wrapped_line_still_holds_the_line(name: str) -> None:
    wrapped = WRAPPINGS[name]("i am so sad", random.Random(1))
    assert "i am so sad" in wrapped
    assert wrapped != "i am so sad"


def test_what_the_screen_loses_is_not_counted_for_the_encoder() -> None:
    rows = [{"id": str(n), "text": text} for n, text in enumerate(["so sad", "sad again", "glad"])]
    found: Any = wrappings(Words("http"), Words("```"), rows)  # type: ignore[arg-type]
    assert found["link before"]["screen"]["value"] == 1.0
    assert found["link before"]["encoder"]["value"] == 0.0
    assert found["in a code fence"]["encoder"]["value"] == 1.0
    assert found["in a code fence"]["screen"]["value"] == 0.0
    assert {row["n"] for each in found.values() for row in each.values()} == {2}  # not "glad"


def test_there_are_lines_in_both_languages() -> None:
    lines = charged_lines()
    assert len(lines) > 300
    assert {row["language"] for row in lines} == {"en", "fr"}
