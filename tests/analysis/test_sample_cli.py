"""``affectlib sample``: a sheet to fill in, and the page to fill it in on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import read_labels

SECRET = "</script><script>document.title = 'broken'</script><b onclick=1>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty transcripts, the fourth of them with text that would like to run, and labels."""
    chats = [
        {
            "id": f"={index}" if index == 5 else f"c{index}",
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": SECRET if index == 3 else f"first words {index}"},
                {"role": "assistant", "content": "an answer"},
                {"role": "user", "content": f"last words {index}"},
            ],
        }
        for index in range(30)
    ]
    lines = "\n".join(json.dumps(chat) for chat in chats)
    (tmp_path / "chats.jsonl").write_text(lines, encoding="utf-8")
    pl.DataFrame(
        {
            "conversation_id": [chat["id"] for chat in chats],
            "record": range(30),
            "status": "ok",
            "label": ["emotional" if index % 5 == 0 else "task" for index in range(30)],
            "probability": [0.9 if index % 5 == 0 else 0.1 for index in range(30)],
        }
    ).write_parquet(tmp_path / "labels.parquet")
    return tmp_path


def run(folder: Path, *options: str) -> int:
    sheet = str(folder / "to_label.csv")
    return cli.main(["sample", str(folder / "labels.parquet"), "-o", sheet, *options])


def test_a_sheet_without_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "-n", "12") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"12 rows to label -> {folder / 'to_label.csv'}\n"
    with (folder / "to_label.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["record", "conversation_id", "weight", "design", "gold"]
    assert len(rows) == 12
    assert {row["gold"] for row in rows} == {""}
    assert sum(float(row["weight"]) for row in rows) == pytest.approx(30)
    assert not (folder / "to_label.html").exists()


def test_a_filled_sheet_estimates_prevalence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "-n", "30")
    sheet = read_labels(folder / "to_label.csv").collect()
    answers = ["emotional" if record % 3 == 0 else "task" for record in sheet["record"]]
    sheet.with_columns(gold=pl.Series(answers)).write_csv(folder / "filled.csv")
    options = ["--gold", str(folder / "filled.csv"), "--min-users", "0"]
    assert cli.main(["prevalence", str(folder / "labels.parquet"), *options]) == 0
    gold = next(line for line in capsys.readouterr().out.splitlines() if "gold sample only" in line)
    assert " 33.33%" in gold  # ten of thirty, with the weights of the draw


def test_a_page_beside_the_sheet_has_the_same_rows(folder: Path) -> None:
    assert run(folder, "-n", "30", "--transcripts", str(folder / "chats.jsonl")) == 0
    page = (folder / "to_label.html").read_text(encoding="utf-8")
    sheet = read_labels(folder / "to_label.csv").collect()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    names = "record conversation_id weight design gold charge annotator"
    assert data["columns"] == names.split()
    assert data["rows"] == [list(row) for row in sheet.drop("gold").rows()]
    assert page.count('<article class="item"') == 30
    assert all(f"last words {record}" in page for record in range(30))
    assert "be kind" not in page
    assert "probability" not in page
    assert SECRET not in page
    assert "&lt;/script&gt;&lt;script&gt;document.title" in page
    assert "onclick" not in page.replace("&lt;b onclick=1&gt;", "")


def test_a_sheet_and_its_page_say_how_many_messages_each_conversation_has(folder: Path) -> None:
    labels = pl.read_parquet(folder / "labels.parquet")
    of_numbers = labels.with_columns(
        conversation_id=pl.col("record") + 100,
        record=pl.col("record").cast(pl.Int32),
        user_messages=2,
        assistant_messages=pl.when(pl.col("record") < 29).then(1),
    )
    of_numbers.write_parquet(folder / "labels.parquet")
    assert run(folder, "-n", "30") == 0
    sheet = read_labels(folder / "to_label.csv").collect().sort("record")
    assert sheet["messages"].to_list() == [3] * 29 + [None]
    of_numbers.with_columns(labels["conversation_id"]).write_parquet(folder / "labels.parquet")
    options = ["-n", "30", "--overwrite", "--transcripts", str(folder / "chats.jsonl")]
    assert run(folder, *options) == 0
    page = (folder / "to_label.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["columns"][:5] == ["record", "conversation_id", "weight", "design", "messages"]
    of_numbers.with_columns(labels["conversation_id"], user_messages=3).write_parquet(
        folder / "labels.parquet"
    )
    assert run(folder, *options) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "sheet.txt"], "unknown suffix '.txt' of the output; use .csv"),
        (["-o", "nowhere/sheet.csv"], "the folder of the output does not exist"),
        (["-n", "0"], "n must be at least 1"),
        (["--lang", "de"], "unknown language 'de'; use en or fr"),
        (["--transcripts", "other.jsonl"], "no conversation for record"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    lines = (folder / "chats.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "other.jsonl").write_text("\n".join(lines[1:]), encoding="utf-8")
    before = sorted(folder.iterdir())
    assert run(folder, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("affectlib: ")
    assert message in line
    assert "words" not in line
    assert sorted(folder.iterdir()) == before


def test_nothing_is_overwritten_unless_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--transcripts", str(folder / "chats.jsonl")]
    assert run(folder, *options) == 0
    assert run(folder, *options) == 2
    assert "it exists" in capsys.readouterr().err
    assert run(folder, *options, "--overwrite", "--seed", "1") == 0


def test_labels_and_transcripts_are_never_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, page = folder / "labels.csv", folder / "chats.html"
    pl.read_parquet(folder / "labels.parquet").write_csv(labels)
    (folder / "chats.jsonl").rename(page)
    before = labels.read_bytes(), page.read_bytes()
    for output in (labels, page.with_suffix(".csv")):
        options = ["-o", str(output), "--transcripts", str(page), "--overwrite"]
        assert cli.main(["sample", str(labels), *options]) == 2
        assert "this is the input" in capsys.readouterr().err
    assert (labels.read_bytes(), page.read_bytes()) == before
