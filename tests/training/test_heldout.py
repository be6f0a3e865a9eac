"""The test split and the small talk are judged as the library judges them."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.model.artifacts import load_artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import load_engine
from training.data.sources import read_corpus
from training.evaluation import heldout, metrics

ROWS = [row for row in read_corpus("test") if row["lang"] in heldout.MAIN_LANGUAGES][::5]


@pytest.mark.parametrize("what", ["test split", "small talk"])
def test_figures_are_those_of_the_librarys_own_labels(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heldout, "read_corpus", {"test": ROWS}.__getitem__)
    monkeypatch.setattr(heldout, "read_small_talk", {None: ROWS}.__getitem__)
    monkeypatch.setattr(metrics, "bootstrap", partial(metrics.bootstrap, resamples=20))
    artifact = load_artifact()
    encoder = WindowEncoder(artifact.folder / "tokenizer.json", artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    points = ["balanced", "high_precision"]
    if what == "small talk":
        figures = heldout.small_talk(artifact, encoder, engine, points, None)
    else:
        groups = heldout.held_out(artifact, encoder, engine, points)["groups"]
        figures = groups["English and French"]
    assert figures["n"] == len(ROWS)
    for point in points:
        classifier = AffectClassifier.from_pretrained(operating_point=point)
        predictions = classifier.predict([row["messages"] for row in ROWS])
        charged = [row["labels"]["charge"] >= 2 for row in ROWS]
        flagged = [prediction.label == "emotional" for prediction in predictions]
        right = sum(a == b for a, b in zip(flagged, charged, strict=True))
        assert figures[point]["accuracy"]["value"] == pytest.approx(right / len(ROWS))
