"""From labels to a sheet, filled in, to a model, as docs/how-to/finetune.md shows it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("datasets", reason="fine-tuning needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.cli import main
from affectlib.corpus.label_file import label_file
from affectlib.finetuning import finetune
from tests.finetuning.test_finetune import base, fast, quiet_export, rows, write  # noqa: F401
from tests.pages import DOCS, blocks_of


@pytest.mark.slow
@quiet_export
def test_a_filled_sheet_becomes_a_model(
    base: Path,  # noqa: F811
    fast: None,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = rows(40)
    write(Path("chats.jsonl"), *given)
    classifier = AffectClassifier.from_pretrained(base, device="cpu", engine="torch")
    label_file("chats.jsonl", "labels.parquet", classifier=classifier)
    assert main(["sample", "labels.parquet", "-o", "sheet.csv", "-n", "40"]) == 0
    gold = pl.Series([row["label"] for row in given])
    sheet = pl.read_csv("sheet.csv")
    sheet.with_columns(gold=gold.gather(sheet["record"])).write_csv("filled.csv")

    (recipe,) = (
        block for block in blocks_of(DOCS / "how-to" / "finetune.md") if "filled.csv" in block.text
    )
    exec(recipe.text, {})

    made = finetune("mine.jsonl", "my-model", model=base)
    assert (made.conversations, made.emotional) == (40, 20)
    AffectClassifier.from_pretrained(tmp_path / "my-model", device="cpu").predict("hello")
