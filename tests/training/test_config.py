from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason="training needs affectlib[train]")

from affectlib.model.artifacts import Artifact
from affectlib.model.windows import WindowSettings
from training import config
from training.config import FinishSettings, Recipe, RecipeError, load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"

RECIPE = """\
name: toy
version: 1.2.3
encoder: {path: tiny}
sources:
  - {name: corpus, conversations: 10}
  - {name: file, path: mine.jsonl}
train: {epochs: 2}
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_committed_recipe_loads_with_a_layout_that_fits(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe.sources
    assert recipe.windows.max_tokens <= 512  # the positions of the encoders that they start from


def test_there_are_recipes_to_ship_to_try_and_to_fine_tune() -> None:
    names = {file.stem for file in CONFIGS.glob("*.yaml")}
    assert names == {"affect-small", "smoke", "finetune"}


def test_values_of_the_file_and_defaults(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file)
    assert recipe.version == "1.2.3"
    assert recipe.train.epochs == 2
    assert recipe.train.batch_size == 32
    assert [source.name for source in recipe.sources] == ["corpus", "file"]
    assert recipe.folder == Path("runs/toy")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("colour: red", "'colour'"),
        ("windows: {max_token: 9}", "'windows.max_token'"),
        ("train: {epoch: 9}", "'train.epoch'"),
        ("teacher: {path: a, soft: 3}", "'teacher.soft'"),
    ],
)
def test_unknown_key_is_named(recipe_file: Path, line: str, key: str) -> None:
    recipe_file.write_text(RECIPE.replace("train: {epochs: 2}", line), encoding="utf-8")
    with pytest.raises(RecipeError, match="unknown key") as caught:
        load_recipe(recipe_file)
    assert key in str(caught.value)
    assert str(recipe_file) in str(caught.value)


def test_unknown_key_in_a_list_is_named_with_its_place(recipe_file: Path) -> None:
    recipe_file.write_text(RECIPE.replace("path: mine.jsonl", "file: mine.jsonl"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"sources\.1\.file"):
        load_recipe(recipe_file)


def test_every_problem_is_told_at_once(recipe_file: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, ["train.epoch=1", "sources.0.weight=0", "seed=one"])
    for part in ("'train.epoch'", "sources.0.weight", "seed"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.epochs=many", "train.epochs"),
        ("sources.0.copies=0", "sources.0.copies"),
        ("sources.0.wrapped=1.5", "sources.0.wrapped"),
        ("sources.0.kind=bronze", "sources.0.kind"),
        ("sources.0.last=perhaps", "sources.0.last"),
        ("windows.overlap=99", "windows"),
        ("windows.budgets=[]", "windows"),
        ("finish.epochs=many", "finish.epochs"),
    ],
)
def test_wrong_value_is_named(recipe_file: Path, override: str, key: str) -> None:
    with pytest.raises(RecipeError, match=key.replace(".", r"\.")):
        load_recipe(recipe_file, [override])


def test_overrides_reach_nested_settings_lists_and_absent_sections(recipe_file: Path) -> None:
    recipe = load_recipe(
        recipe_file,
        [
            "train.epochs=0.5",
            "sources.1.path=other.jsonl",
            "augment.typos=0.3",
            "sources.0.parts=[ea, eb]",
            "sources.0.conversations=null",
            "sources.1.kind=unlabelled",
            "finish.epochs=2",
            "windows.budgets=[[40, 20], [8, 4]]",
            "version='2'",
        ],
    )
    assert recipe.train.epochs == 0.5
    assert recipe.sources[1].path == "other.jsonl"
    assert recipe.sources[0].conversations is None
    assert recipe.augment.typos == 0.3
    assert recipe.sources[0].parts == ("ea", "eb")
    assert recipe.version == "2"
    assert recipe.sources[1].kind == "unlabelled"
    assert recipe.finish == FinishSettings(epochs=2)
    assert recipe.windows == WindowSettings(budgets=((40, 20), (8, 4)))


def test_the_last_of_several_overrides_counts(recipe_file: Path) -> None:
    assert load_recipe(recipe_file, ["seed=5", "seed=7"]).seed == 7


@pytest.mark.parametrize(
    "override",
    ["train.epochs", "sources.9.path=x", "sources.first.path=x", "name.first=x", "seed=[1"],
)
def test_bad_override_is_an_error_that_shows_it(recipe_file: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="--set") as caught:
        load_recipe(recipe_file, [override])
    assert override in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "name: [\n", ""])
def test_file_that_is_no_mapping_is_named(recipe_file: Path, text: str) -> None:
    recipe_file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file)
    assert str(recipe_file) in str(caught.value)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml"):
        load_recipe(tmp_path / "none.yaml")


def test_digest_depends_on_every_setting(recipe_file: Path) -> None:
    digest = load_recipe(recipe_file).digest("card")
    assert load_recipe(recipe_file).digest("card") == digest
    assert load_recipe(recipe_file, ["train.epochs=2.0"]).digest("card") == digest
    changed = [
        load_recipe(recipe_file, [override]).digest("card")
        for override in ("seed=2", "train.epochs=3", "sources.1.path=b.jsonl", "version='2'")
    ]
    assert len({digest, *changed}) == 5


def test_a_teacher_depends_on_what_both_trainings_share(recipe_file: Path) -> None:
    digest = load_recipe(recipe_file).digest("teach")
    for own in ("epochs=3", "max_steps=9", "save_steps=7", "learning_rate=0.1"):
        assert load_recipe(recipe_file, [f"train.{own}"]).digest("teach") == digest
    for shared in ("batch_size=9", "label_smoothing=0.3", "head_learning_rate=0.1"):
        assert load_recipe(recipe_file, [f"train.{shared}"]).digest("teach") != digest


def test_both_trainings_end_alike_and_no_window_depends_on_it(recipe_file: Path) -> None:
    recipe, longer = (load_recipe(recipe_file, [f"finish.epochs={n}"]) for n in (1, 2))
    assert recipe.digest("prepare") == longer.digest("prepare")
    for step in ("teach", "train", "export"):
        assert recipe.digest(step) != longer.digest(step)


def test_recipe_cannot_be_changed(recipe_file: Path) -> None:
    recipe: Recipe = load_recipe(recipe_file)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 9
    with pytest.raises(AttributeError):
        recipe.train.epochs = 9


def test_the_text_of_a_recipe_holds_every_setting_and_loads_again(
    recipe_file: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(recipe_file, ["windows.budgets=[[40, 20]]", "finish.epochs=1"])
    (tmp_path / "again.yaml").write_text(recipe.text(), encoding="utf-8")
    assert load_recipe(tmp_path / "again.yaml") == recipe
    assert "label_smoothing: 0.02" in recipe.text()


def test_windows_are_those_of_the_artifact_that_training_starts_from(
    recipe_file: Path, tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "bundled_models", lambda: {"bundled": tiny_artifact.folder})
    for path in ("bundled", tiny_artifact.folder):
        recipe = load_recipe(recipe_file, [f"encoder.path={path}"])
        assert recipe.windows == tiny_artifact.windows != WindowSettings()
    own = load_recipe(recipe_file, ["encoder.path=bundled", "windows.max_tokens=150"])
    assert own.windows == WindowSettings(max_tokens=150)


def test_a_screen_is_made_after_the_weights_and_does_not_change_them(recipe_file: Path) -> None:
    recipe, screened = load_recipe(recipe_file), load_recipe(recipe_file, ["screen=true"])
    for step in ("prepare", "teach", "train", "export"):
        assert recipe.digest(step) == screened.digest(step)
    assert recipe.digest("screen") != screened.digest("screen")
