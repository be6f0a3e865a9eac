"""From labels to a sheet, filled in, to a model, as docs/how-to/finetune.md shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("datasets", reason="fine-tuning needs affectlib[train]")

from affectlib.analysis import TableError, sample
from affectlib.classifier import AffectClassifier
from affectlib.cli import main
from affectlib.corpus.label_file import label_file
from affectlib.finetuning import finetune
from affectlib.finetuning.user_file import read_labelled_file
from tests.finetuning.test_finetune import base, fast, quiet_export, rows, write  # noqa: F401
from tests.pages import DOCS, blocks_of


def run_recipe(sheet: str = "filled.csv") -> None:
    """Make ``mine.jsonl`` as the page does."""
    (recipe,) = (
        block for block in blocks_of(DOCS / "how-to" / "finetune.md") if "filled.csv" in block.text
    )
    exec(recipe.text.replace("filled.csv", sheet), {})


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

    run_recipe()

    made = finetune("mine.jsonl", "my-model", model=base)
    assert (made.conversations, made.emotional) == (40, 20)
    AffectClassifier.from_pretrained(tmp_path / "my-model", device="cpu").predict("hello")


def spreadsheet(frame: pl.DataFrame, path: str) -> None:
    Path(path).write_bytes(frame.write_csv(separator=";").encode("utf-16"))


WRITERS: dict[str, Callable[[pl.DataFrame, str], None]] = {
    "filled.parquet": pl.DataFrame.write_parquet,
    "filled.jsonl": pl.DataFrame.write_ndjson,
    "filled.csv": pl.DataFrame.write_csv,
    "filled.txt": spreadsheet,
}


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A sheet of 30 of 40 conversations, one of which is left open."""
    monkeypatch.chdir(tmp_path)
    given = rows(40)
    write(Path("chats.jsonl"), *given)
    labels = pl.DataFrame(
        {
            "record": range(40),
            "conversation_id": [f"c{place}" for place in range(40)],
            "label": ["emotional", "task"] * 20,
            "probability": [0.7, 0.1] * 20,
        }
    )
    sheet = sample(labels, 30)
    gold = pl.Series([row["label"] for row in given])
    return sheet.with_columns(gold=gold.gather(sheet["record"]).scatter(0, "unsure"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_sheet_of_any_format_becomes_labelled_conversations(
    filled: pl.DataFrame, name: str
) -> None:
    WRITERS[name](filled, name)
    run_recipe(name)
    made = [*read_labelled_file("mine.jsonl")]
    given = rows(40)
    expected = [given[place] for place in sorted(filled["record"][1:])]
    assert [each.emotional for each in made] == [row["label"] == "emotional" for row in expected]
    texts = [[message.content for message in each.conversation.messages] for each in made]
    assert texts == [[said["content"] for said in row["messages"]] for row in expected]


def test_a_sheet_that_lost_rows_becomes_nothing(filled: pl.DataFrame) -> None:
    filled.head(20).write_csv("filled.csv")
    with pytest.raises(TableError):
        run_recipe()
    assert not Path("mine.jsonl").exists()
