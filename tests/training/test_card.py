"""The card is written from the results; its head is what model hubs read."""

from __future__ import annotations

import json
import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("huggingface_hub", reason="needs affectlib[hub]")
pytest.importorskip("yaml", reason="training needs affectlib[train]")
pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("matplotlib", reason="training needs affectlib[train]")

from dataclasses import replace

from huggingface_hub import ModelCard

from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, bundled_models, load_artifact
from affectlib.taxonomy import CUES, THEMES
from training.config import load_recipe
from training.evaluate import own_data
from training.evaluation import card
from training.evaluation.card import (
    MARKS,
    POINTS,
    TARGETS,
    draw,
    header,
    put_between_marks,
    render,
    short_table,
)
from training.evaluation.hard_cases import FILLINGS
from training.evaluation.judged import GROUPS as GROUP_NAMES
from training.evaluation.judged import STUDY_SOURCES
from training.screen.chats import KINDS
from training.screen.make import SHARES


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value, "high": value, "n": 40}


POINT = {
    "recall": estimate(0.75),
    "specificity": estimate(0.98765),
    "precision": estimate(math.nan),
    "accuracy": estimate(0.9),
}
GROUPS: dict[str, Any] = {
    "shared logs": {
        "n": 40,
        "emotional": 4,
        "auroc": estimate(0.912345),
        "average_precision": estimate(0.5),
        "balanced": POINT,
    },
    "shared logs: random half": {"n": 20, "emotional": 0, "balanced": POINT},
    "corpus dev": {"n": 3, "emotional": 1, "auroc": estimate(0.9), "balanced": {}},
    "all": {"n": 3, "emotional": 1, "auroc": estimate(0.1)},
}
RESULTS: dict[str, Any] = {
    "groups": GROUPS,
    "calibration": {
        "error": {"studies, as it is": {"error": estimate(0.2), "chance": 0.1}},
        "bins": {
            "studies, as it is": [
                {"n": 4, "probability": 0.1, "share": 0.2, "low": 0.1, "high": 0.5},
                {"n": 9, "probability": 0.9, "share": 1.0, "low": 0.7, "high": 1.0},
            ]
        },
    },
    "training_data": {"clinc150": {"conversations": 12, "windows": 34, "emotional": 0}},
}


LOSS = {"hits": 1, "of": 20_000, "most": 0.00024}
LEFT = {
    **{"conversations": 20_000, "settled": 15_000},
    **dict.fromkeys(("other_label", "charged_lost", "messages_lost", "other_cues"), LOSS),
}
SCREEN = {part: dict.fromkeys(KINDS, LEFT) for part in ("chosen_on", "checked_on")}


def full_results() -> dict[str, Any]:
    """Results of all measures, with as many rows as they have or may come to have."""
    value = estimate(0.9125)
    decisions = dict.fromkeys(POINT, value)
    figures = dict.fromkeys(("auroc", "average_precision", "recall_at_98", "less"), value)
    group = {"n": 4000, "emotional": 400, **figures, **dict.fromkeys(POINTS, decisions)}
    study = {**figures, **decisions, "turn_f1": value, "intensity": value}
    study |= dict.fromkeys(("flagged_charge_0", "flagged_charge_1"), value)
    named = {"positives": 40, "average_precision": value, "f1": value}
    themes = {"by_name": dict.fromkeys(THEMES, named), "frequent": 20, "macro_f1": value}
    rows = {f"what is in row {n} of a table": value for n in range(6)}
    lengths = {
        f"{n} turns": dict.fromkeys(("uncharged", "conversation", "message"), value)
        for n in (4, 20, 50)
    }
    systems = dict.fromkeys(("this artifact", "another one", "a", "b", "c"), figures)
    results: dict[str, Any] = {
        **{name: dict(rows) for name in ("choice", "services", "engines")},
        "groups": dict.fromkeys(GROUP_NAMES, group),
        "studies": dict.fromkeys(("all", *STUDY_SOURCES, "second reader"), study),
        "test": {"groups": dict.fromkeys(["both", *"abcdef"], group)},
        "small_talk": group,
        "consistency": dict.fromkeys(
            ("a", "b", "c"), dict.fromkeys(("disagree", "raised", "lowered", "found"), value)
        ),
        "long_chats": {name: dict(lengths) for name in FILLINGS},
        "systems": dict.fromkeys(("shared logs", "studies", "corpus dev"), systems),
        "cues": {"by_name": dict.fromkeys(CUES, named), "frequent": 30, "macro_f1": value},
        "themes": themes,
        "test_themes": themes,
        "calibration": {
            "error": {name: {"error": own, "chance": 0.1} for name, own in rows.items()}
        },
        "screen": SCREEN,
        "screen_trade_off": [SCREEN["checked_on"]] * len(SHARES),
        "robustness": {"accuracy": value, "flips": {}},
        "short_chats": dict.fromkeys(("English", "French"), decisions),
        "training_data": {f"set_{n}": {"windows": 40_000} for n in range(30)},
    }
    for target in TARGETS:
        place = results
        for key in target.path[:-1]:
            place = place.setdefault(key, {})
        place.setdefault(target.path[-1], value)
    return results


@pytest.fixture
def artifact() -> Artifact:
    return load_artifact()


def read(text: str) -> Any:
    return ModelCard(text + "\n# A model\n", ignore_metadata_errors=False).data


def test_head_is_read_by_hubs(artifact: Artifact) -> None:
    data = read(header(artifact, GROUPS))
    assert data.license == "apache-2.0"
    assert data.language == ["en", "fr"]
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert "affectlib" in data.tags
    assert data.model_name == artifact.name


def test_results_are_those_measured(artifact: Artifact) -> None:
    found = {
        (result.dataset_type, result.metric_type): result.metric_value
        for result in read(header(artifact, GROUPS)).eval_results
    }
    assert found == {
        ("affectlib-shared-logs", "roc_auc"): 0.912,
        ("affectlib-shared-logs", "average_precision"): 0.5,
        ("affectlib-shared-logs", "recall"): 0.75,
        ("affectlib-shared-logs", "specificity"): 0.988,
        ("affectlib-corpus-dev", "roc_auc"): 0.9,
    }


def test_without_results_there_is_no_index(artifact: Artifact) -> None:
    data = read(header(artifact, {"corpus dev": {"n": 0, "emotional": 0}}))
    assert data.eval_results is None
    assert data.license == "apache-2.0"


@pytest.mark.parametrize(
    ("said", "base"),
    [
        ("someone/encoder-v1.5", "someone/encoder-v1.5"),
        ("tiny", None),
        ("../models/mine", None),
        ("package:gt_all/model", None),
    ],
)
def test_base_is_a_model_of_the_hub_or_left_out(
    artifact: Artifact, said: str, base: str | None
) -> None:
    other = replace(artifact, description={**artifact.description, "base_model": said})
    assert read(header(other, GROUPS)).base_model == base


def test_card_shows_what_was_measured_and_says_what_was_not(artifact: Artifact) -> None:
    text = render(RESULTS, artifact)
    assert "|shared logs|40|4|0.912 (0.912–0.912)|" in text
    assert "|clinc150|12|34|0|0|" in text
    assert "### Studies" in text
    assert text.count("Not measured.") >= 5
    assert "{" not in text.split("---\n")[2]
    assert f"`{artifact.fingerprint}`" in text
    assert "\n## Limits\n" in text
    assert "None" not in text
    assert "nan" not in text


def test_card_of_a_users_own_data_states_no_licence_and_nothing_of_ours(artifact: Artifact) -> None:
    own = {"mine.csv": {"conversations": 1200, "emotional": 300}}
    text = render({**RESULTS, "own_data": own}, artifact)
    assert "license" not in text
    assert "apache" not in text
    assert "not checked by people" not in text
    assert "mine.csv: 1,200 conversations, 300 of them charged (25%), labelled by the maker" in text
    ours = render({**RESULTS, "own_data": {}}, artifact)
    assert "license: apache-2.0" in ours
    assert "not checked by people" in ours


def test_own_files_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"hello {n}"}], "label": label}
        for n, label in enumerate(["emotional", "task", "task"])
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    recipe = load_recipe("configs/finetune.yaml", [f"sources.0.path={file}"])
    assert own_data(recipe) == {"mine.jsonl": {"conversations": 3, "emotional": 1}}


def test_a_model_without_a_screen_has_nothing_of_it_in_its_card(artifact: Artifact) -> None:
    text = render(RESULTS, artifact)
    assert "screen" not in text
    assert "\n\n\n" not in text
    assert "The screen settles plain tasks" in render({**RESULTS, "screen": SCREEN}, artifact)
    assert "logits lower" not in render({**RESULTS, "screen": SCREEN}, artifact)
    roomy = {**SCREEN, "room": 0.5}
    assert "points 0.5 logits lower too" in render({**RESULTS, "screen": roomy}, artifact)


def test_a_full_card_is_read_in_ten_minutes(artifact: Artifact) -> None:
    text = render(full_results(), artifact)
    assert "Not measured." not in text
    assert 1500 < len(text.split()) <= 2500


def test_card_says_what_is_read(bert_folder: Path) -> None:
    artifact = load_artifact(bert_folder)
    text = render(full_results(), artifact)
    assert "Not measured." not in text
    [line] = [line for line in text.splitlines() if line.startswith("- **Reads**")]
    assert f" {artifact.windows.max_tokens} tokens" in line


def test_card_leads_with_logs_and_studies_and_is_short(artifact: Artifact) -> None:
    text = render(RESULTS, artifact)
    places = [text.index(f"\n### {title}") for title in ("Shared logs", "Studies", "Cues")]
    assert places == sorted(places)
    template = Path(card.__file__).with_suffix(".md").read_text(encoding="utf-8")
    assert len(re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", template).split()) < 1100


def test_card_of_other_weights_is_refused(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"artifact": {"fingerprint": "f" * 64}}), encoding="utf-8")
    assert card.main([str(results), "-o", str(tmp_path / "card")]) == 2
    with pytest.raises(ValueError, match=r"ffffffff.*training\.evaluate --json"):
        card.write(results, load_artifact(), tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_command_writes_card_diagram_and_short_table(
    tmp_path: Path, artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    results, readme = tmp_path / "results.json", tmp_path / "other.md"
    own = {"artifact": {"fingerprint": artifact.fingerprint}}
    results.write_text(json.dumps(RESULTS | own), encoding="utf-8")
    readme.write_text(f"# Title\n{MARKS[0]}\nold\n{MARKS[1]}\nend\n", encoding="utf-8")
    folder = tmp_path / "card"
    assert card.main([str(results), "-o", str(folder), "--readme", str(readme)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "README.md")
    assert {path.name for path in folder.iterdir()} == {"README.md", "reliability.svg"}
    text = readme.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("# Title\n")
    assert text.endswith("\nend\n")
    assert "|shared logs|0.750 (0.750–0.750)|0.988 (0.988–0.988)|" in text
    assert put_between_marks(text, short_table(RESULTS)) == text
    with pytest.raises(ValueError, match="must hold"):
        put_between_marks("nothing", "table")


def test_diagram_is_an_image_and_the_same_each_time(tmp_path: Path) -> None:
    bins = RESULTS["calibration"]["bins"]
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        draw(bins, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[0].read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "as it is" in text
    assert len(text) < 60_000
    (points,) = bins.values()
    draw({"other": [{**points[0], "probability": 0.9}]}, paths[1])
    assert paths[0].read_bytes() != paths[1].read_bytes()
    draw({}, paths[1])
    assert ElementTree.fromstring(paths[1].read_text(encoding="utf-8")).tag.endswith("svg")


def test_card_of_the_bundled_model() -> None:
    bundled = ModelCard.load(
        bundled_models()[DEFAULT_MODEL] / "README.md", ignore_metadata_errors=False
    )
    data = bundled.data
    assert (data.license, data.library_name) == ("apache-2.0", "transformers")
    assert data.pipeline_tag == "text-classification"
    assert {"en"} <= {*data.language}
    assert re.fullmatch(r"[\w-]+/[\w.-]+", data.base_model)
    assert data.model_name == DEFAULT_MODEL
    commands = re.findall(r"python -m (\S+)", bundled.text.split("## Reproduce")[1])
    assert commands[-1] == "training.evaluate"
    assert all(find_spec(command) for command in commands)
    assert data.eval_results
    for result in data.eval_results:
        assert result.task_type == "text-classification"
        assert re.fullmatch(r"[\w.-]+", result.dataset_type)
        group = result.dataset_type.removeprefix("affectlib-").replace("-", " ")
        lines = [re.sub(r" *\| *", "|", line) for line in bundled.text.splitlines()]
        rows = [line for line in lines if f"|{group}|" in line]
        # The head leaves out noughts at the end.
        assert any(f"|{result.metric_value:.3f} " in row for row in rows), result


def test_card_of_the_bundled_model_survives_a_round_trip(tmp_path: Path) -> None:
    bundled = ModelCard.load(bundled_models()[DEFAULT_MODEL] / "README.md")
    bundled.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    assert again.data.to_dict() == bundled.data.to_dict()
