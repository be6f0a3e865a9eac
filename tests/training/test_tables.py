from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("evaluate", reason="training needs affectlib[train]")
pytest.importorskip("matplotlib", reason="training needs affectlib[train]")

from tests.conftest import write_manifest
from training.config import load_recipe
from training.evaluation import ablations
from training.evaluation.ablations import ABLATIONS, FIGURES, read_ablations
from training.evaluation.card import write_card
from training.evaluation.tables import Table
from training.evaluation.targets import TARGETS, Target

RESULTS: dict[str, Any] = {
    "artifact": {"name": "tiny", "version": "1", "fingerprint": "f" * 64},
    "corpus": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 50}},
}
SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


@pytest.mark.parametrize(
    ("bounds", "value", "met"),
    [
        ({"least": 0.9}, 0.9, True),
        ({"least": 0.9}, 0.899, False),
        ({"most": 0.1}, 0.1, True),
        ({"most": 0.1}, 0.11, False),
        ({"least": -0.1, "most": 0.1}, -0.11, False),
        ({"least": -0.1, "most": 0.1}, 0.0, True),
        ({"least": 0.5}, float("nan"), False),
    ],
)
def test_target_is_met_within_its_bounds(bounds: dict[str, float], value: float, met: bool) -> None:
    target = Target("what", ("a", "b"), **bounds)
    assert target.met({"a": {"b": {"value": value}}}) is met
    assert target.met({"a": {"b": value}}) is met
    assert target.met({"a": {}}) is None
    assert target.met({}) is None


def test_bounds_read_as_words() -> None:
    assert Target("what", (), least=-0.1, most=0.1).bounds == "≥ -0.1 and ≤ 0.1"
    assert Target("what", (), most=0.03).bounds == "≤ 0.03"
    assert Target("what", (), most=75e6).bounds == "≤ 75,000,000"


def test_every_target_has_a_bound_and_a_place_of_its_own() -> None:
    assert all(target.bounds for target in TARGETS)
    assert len({target.path for target in TARGETS}) == len(TARGETS)
    assert len({target.what for target in TARGETS}) == len(TARGETS)


def test_table_as_markdown_and_as_text() -> None:
    table = Table("Title", ["", "value"], [["a name", 1], ["b", "0.5"]])
    assert table.markdown().splitlines() == [
        "|  | value |",
        "| --- | --- |",
        "| a name | 1 |",
        "| b | 0.5 |",
    ]
    assert table.text().splitlines() == ["Title", "        value", "a name  1", "b       0.5"]
    assert Table("Title", ["a"], []).markdown() == "Not measured."


def test_variant_is_added_with_its_figures(tmp_path: Path) -> None:
    source, table = tmp_path / "results.json", tmp_path / "ablations.jsonl"
    source.write_text(json.dumps(RESULTS), encoding="utf-8")
    for variant in ("first", "second"):
        words = ["--variant", variant, "--command", "python -m x", "--to", str(table)]
        assert ablations.main([str(source), *words]) == 0
    rows = read_ablations(table)
    assert [row["variant"] for row in rows] == ["first", "second"]
    assert rows[0]["figures"]["corpus: accuracy"] == RESULTS["corpus"]["accuracy"]
    assert rows[0]["figures"]["corpus: pairs"] is None
    assert rows[0]["fingerprint"] == "f" * 64


def test_file_without_results_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "results.json"
    words = ["--variant", "v", "--command", "c", "--to", str(tmp_path / "ablations.jsonl")]
    for content in (None, "{", "{}"):
        if content is not None:
            source.write_text(content, encoding="utf-8")
        assert ablations.main([str(source), *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "ablations.jsonl").exists()


def test_variants_in_the_repository_can_be_reproduced_and_shown() -> None:
    assert ABLATIONS.is_file()
    for row in read_ablations():
        assert row["command"].startswith("python -m training.")
        assert set(row["figures"]) == set(FIGURES)


def test_card_of_other_weights_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe(SMOKE, [f"output={tmp_path}"])
    folder = recipe.folder / "artifact"
    folder.mkdir(parents=True)
    write_manifest(folder)
    (recipe.folder / "results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    with pytest.raises(ValueError, match=r"ffffffff.*--start evaluate"):
        write_card(recipe)
    assert not (folder / "README.md").exists()
