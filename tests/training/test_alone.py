"""What a message says by itself decides whether its copies may be altered."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")

from affectlib.model.artifacts import load_artifact
from training.data.alone import AloneReader

CHARGED = "I feel so lonely since she left, I cried all night."
TASK = "Convert this CSV to JSON in Python."


def test_messages_agree_with_their_label_if_they_read_like_it() -> None:
    artifact = load_artifact()
    reader = AloneReader(artifact.folder, artifact.windows, 0.5)
    reader.read([CHARGED, TASK, CHARGED, " "])
    for text, charged in ((CHARGED, True), (TASK, False)):
        assert reader.agrees(text, charged=charged)
        assert not reader.agrees(text, charged=not charged)
    for charged in (True, False):  # what was not read is not known to disagree
        assert reader.agrees("yes, since March", charged=charged)
        assert reader.agrees(" ", charged=charged)


def test_threshold_decides_what_counts_as_charged() -> None:
    artifact = load_artifact()
    for threshold, charged in ((1e-6, True), (1 - 1e-6, False)):
        reader = AloneReader(artifact.folder, artifact.windows, threshold)
        reader.read([TASK])
        assert reader.agrees(TASK, charged=charged)
