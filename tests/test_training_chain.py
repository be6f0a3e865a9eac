from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from training import metrics, run, sources
from training.labelled import from_gold
from training.sources import read_corpus

CONFIGS = Path(__file__).parent.parent / "configs"
SMOKE = str(CONFIGS / "smoke.yaml")
STEPS = ["prepare", "train", "export", "evaluate", "card"]

# What torch says of its exporter's future, and what the exporter says of tracing.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def _little_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A sixth of the corpus, whole contrast pairs, and short bootstraps."""
    folder = tmp_path_factory.mktemp("data")
    rows = [row for row in read_corpus() if zlib.crc32((row["pair"] or row["id"]).encode()) % 6 == 0]
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name in ("sources.jsonl", "annotations.jsonl"):
        shutil.copy(sources.DATA / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "DATA", folder)
        patch.setattr(metrics, "bootstrap", partial(metrics.bootstrap, resamples=20))
        patch.setenv("TOKENIZERS_PARALLELISM", "true")
        yield


def settings(output: Path, **changes: Any) -> list[str]:
    values = {"output": output, "train.max_steps": 40, "train.save_steps": 15, **changes}
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def main(config: str, output: Path, **changes: Any) -> int:
    return run.main(["--config", config, *settings(output, **changes)])


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the smoke recipe was run once, from beginning to end."""
    output = tmp_path_factory.mktemp("runs")
    assert main(SMOKE, output) == 0
    return output


def test_chain(output):
    print((output/"smoke"/"results.json").read_text()[:3000])
    print((output/"smoke"/"prepare"/"report.json").read_text())
    c=[AffectClassifier.from_pretrained(str(output/"smoke"/"artifact"),engine=e,device="cpu") for e in ("onnx","torch")]
    convs=[from_gold(r,"corpus").conversation for r in read_corpus("dev")]
    a,b=[[p.probability for p in k.predict(convs)] for k in c]
    print(np.std(a), np.abs(np.array(a)-b).max())
    assert 0
