"""Labels whose errors are known from elsewhere."""

from __future__ import annotations

import polars as pl
import pytest

from affectlib.analysis import Accuracy, sample
from affectlib.analysis._frames import Labels
from affectlib.analysis.simulate import Population

KNOWN = Accuracy(8000, 2000, 98000, 2000)


def gold_of(people: Population) -> pl.DataFrame:
    """Return a sheet of 300 conversations, with what is true of each."""
    sheet = sample(people.conversations, 300, seed=1).drop("gold", "themes")
    return sheet.join(people.gold_conversations, on=["record", "conversation_id"])


def knowing(patch: pytest.MonkeyPatch, accuracy: Accuracy) -> None:
    """Let the report find this accuracy in all labels."""
    patch.setattr(Labels, "accuracy", lambda *_, **__: accuracy)
