"""The file of the summary is never one of the output's own, by whatever name."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectlib import cli
from tests.corpus.test_label_file import record, source


@pytest.mark.parametrize(
    ("output", "summary"),
    [
        ("out.csv", "out.csv"),
        ("out.csv", "out.messages.csv"),
        ("out.csv", "out.csv.manifest"),
        ("out.csv", "out.csv.partial/s.json"),
        ("out.csv", ".out.csv.lock"),
        ("out.csv", "link/out.messages.csv"),
        ("link/out.csv", "out.csv.manifest"),
        ("out.csv", "to-messages"),
        ("out", "out/_manifest.jsonl"),
        ("out", "out/messages/part-000000002000.parquet"),
        ("out", "link/out/conversations/part-000000000000.parquet"),
    ],
)
def test_a_summary_never_replaces_what_the_run_writes(
    tmp_path: Path, output: str, summary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    src = source(tmp_path, record("so sad"))
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "to-messages").symlink_to(tmp_path / "out.messages.csv")
    command = ["label", str(src), "-o", str(tmp_path / output), "--level", "both"]
    assert cli.main([*command, "--summary", str(tmp_path / summary)]) == 2
    assert "this is the output; name another file" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
