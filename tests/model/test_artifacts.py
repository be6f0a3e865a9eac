"""Finding, checking and copying artifacts."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from affectlib.errors import ArtifactCorruptError, ArtifactNotFoundError, OptionError
from affectlib.model import artifacts
from affectlib.model.artifacts import FORMAT, load_artifact, save_artifact, with_digest
from affectlib.model.calibration import Line, WindowCombination
from affectlib.model.text import TEXT_RULES
from affectlib.taxonomy import CUES, OUTPUTS, THEMES
from tests.conftest import WINDOWS, describe, write_manifest


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny artifact that a test may change."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def test_what_is_read(tiny_folder):
    artifact = load_artifact(tiny_folder)
    assert (artifact.folder, artifact.name, artifact.version) == (tiny_folder, "tiny", "0.0.1")
    assert artifact.outputs == OUTPUTS
    assert artifact.windows.to_dict() == WINDOWS
    assert artifact.conversation == WindowCombination(0.0)
    assert artifact.messages == dict.fromkeys(OUTPUTS, Line())
    assert artifact.prevalence == 0.1
    assert artifact.operating_point("high_recall").message == 0.2
    assert artifact.description["languages"] == ["en"]
    assert load_artifact(str(tiny_folder)) == artifact


def test_cue_thresholds_are_those_given_or_of_older_artifacts_the_usual_one(folder):
    assert set(load_artifact(folder).cue_thresholds) == {*CUES}
    assert set(load_artifact(folder).cue_thresholds.values()) == {0.5}
    assert load_artifact(folder).theme_thresholds == dict.fromkeys(THEMES, 0.5)
    given = dict.fromkeys(CUES, 0.3)
    write_manifest(folder, cue_thresholds=given)
    assert load_artifact(folder).cue_thresholds == given


def test_fingerprint_changes_with_any_file(folder):
    before = load_artifact(folder).fingerprint
    assert load_artifact(folder).fingerprint == before
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")
    write_manifest(folder)
    assert load_artifact(folder).fingerprint != before


def test_bundled_name_goes_before_a_folder_of_that_name(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "_MODELS", tiny_folder.parent)
    monkeypatch.chdir(tmp_path)
    (tmp_path / tiny_folder.name).mkdir()
    assert artifacts.bundled_models()[tiny_folder.name] == tiny_folder
    assert load_artifact(tiny_folder.name).folder == tiny_folder


def test_unknown_name_lists_the_bundled_models_and_says_how(tiny_folder, monkeypatch):
    monkeypatch.setattr(artifacts, "_MODELS", tiny_folder.parent)
    with pytest.raises(ArtifactNotFoundError) as caught:
        load_artifact("user/no-such-model")
    for part in ("user/no-such-model", tiny_folder.name, "local_files_only=False"):
        assert part in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_lines_of_messages_are_those_given(folder):
    line = {"intercept": -1.0, "slope": 2.0}
    write_manifest(folder, messages={"love": line})
    artifact = load_artifact(folder)
    logits = np.ones(len(OUTPUTS))
    logits[OUTPUTS.index("love")] = 3.0
    expected = [5.0 if name == "love" else 1.0 for name in OUTPUTS]
    assert artifact.message_logits(logits).tolist() == expected


@pytest.mark.parametrize(
    "key",
    [
        key
        for key in describe(artifacts._MODELS)
        if key not in ("languages", "base_model", "cue_thresholds", "text_rules")
    ],
)
def test_missing_key_is_named(folder, key):
    values = describe(folder)
    del values[key]
    values = values if key == "sha256" else with_digest(values)
    (folder / "affect.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactCorruptError, match=f'affect.json: "{key}" is missing'):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"windows": {**WINDOWS, "stride": 3}}, '"windows": .*stride'),
        ({"windows": {**WINDOWS, "overlap": "2"}}, '"windows": '),
        ({"windows": {**WINDOWS, "budgets": [[12]]}}, '"windows": '),
        ({"windows": {**WINDOWS, "max_tokens": 3}}, '"windows": max_tokens'),
        ({"conversation": {}}, r'"conversation\.log_windows" is missing'),
        ({"conversation": {"log_windows": 0.5}}, '"conversation": log_windows'),
        ({"messages": {"love": {"intercept": 0.0}}}, r'"messages\.love\.slope" is missing'),
        ({"messages": {"love": {"intercept": 0.0, "slope": -1}}}, r'"messages\.love": '),
        ({"operating_points": {"balanced": {"message": 2.0, "conversation": 0.5,
                                            "sensitivity": 1, "specificity": 1}}},
         r'"operating_points\.balanced": the message threshold'),
        ({"operating_points": {"balanced": 0.5}}, r'"operating_points\.balanced" must be an obj'),
        ({"outputs": ["shares_feelings"]}, '"outputs"'),
        ({"outputs": ["emotional", "joy"]}, '"outputs"'),
        ({"outputs": ["emotional", {}]}, '"outputs"'),
        ({"recalibration": {"intercept": 0.0}}, r'"recalibration\.slope" is missing'),
        ({"recalibration": {"intercept": 0.0, "slope": -1.0}}, '"recalibration": '),
        ({"recalibration": [1]}, '"recalibration" must be an object'),
        ({"prevalence": 1.0}, '"prevalence"'),
        ({"prevalence": True}, '"prevalence"'),
        ({"cue_thresholds": {"shows_empathy": 0.5}}, r'"cue_thresholds\.shares_feelings"'),
        ({"cue_thresholds": dict.fromkeys(CUES, 1.5)}, '"cue_thresholds.* between 0 and 1'),
        ({"name": 3}, '"name" has the wrong type, int'),
        ({"cue_thresholds": 0.5}, '"cue_thresholds" has the wrong type, float'),
        ({"theme_thresholds": {"love": 0.4}}, '"theme_thresholds.family"'),
        ({"theme_thresholds": dict.fromkeys(THEMES, -0.1)}, '"theme_thresholds.* between 0 and 1'),
        ({"theme_thresholds": []}, '"theme_thresholds" has the wrong type, list'),
        ({"files": {"../../secret": "0" * 64}}, '"files"'),
        ({"cue_thresholds": {"seeks_support": 0.4}}, '"cue_thresholds.shares_feelings"'),
        ({"files": {"tokenizer.json": 3}}, r'"files\.tokenizer\.json" must be a SHA-256'),
        ({"files": {"tokenizer.json": "ABC"}}, r'"files\.tokenizer\.json" must be a SHA-256'),
        ({"files": []}, '"files" has the wrong type, list'),
        ({"format": FORMAT + 1}, r"newer affectlib \(format 4.*pip install -U affectlib"),
        ({"format": True}, '"format" has the wrong type, bool'),
        ({"format": "1"}, '"format" has the wrong type, str'),
        ({"text_rules": TEXT_RULES + 1}, "newer affectlib.*text rules.*upgrade"),
        ({"text_rules": TEXT_RULES - 1}, "use the affectlib that made it"),
        ({"text_rules": "1"}, '"text_rules" must be a number'),
        ({"text_rules": None}, '"text_rules" must be a number'),
        ({"text_rules": True}, '"text_rules" must be a number'),
    ],
)  # fmt: skip
def test_wrong_value_is_named(folder, changes, named):
    write_manifest(folder, **changes)
    with pytest.raises(ArtifactCorruptError, match=named):
        load_artifact(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\xff", b"null"])
def test_manifest_that_is_no_json_object(folder, content):
    (folder / "affect.json").write_bytes(content)
    with pytest.raises(ArtifactCorruptError, match=r"affect\.json"):
        load_artifact(folder)


def test_altered_file_is_found_when_it_is_used_not_before(folder):
    with (folder / "model.int8.onnx").open("ab") as file:
        file.write(b"\0")
    artifact = load_artifact(folder)
    assert artifact.file("tokenizer.json") == folder / "tokenizer.json"
    with pytest.raises(ArtifactCorruptError, match=r"model\.int8\.onnx"):
        artifact.file("model.int8.onnx")


def test_unknown_operating_point_lists_those_there_are(tiny_artifact):
    with pytest.raises(OptionError, match="balanced, high_precision, high_recall"):
        tiny_artifact.operating_point("best")


def test_saved_copy_is_the_same_artifact(tiny_artifact, tmp_path):
    target = tmp_path / "new" / "folder"
    save_artifact(tiny_artifact, target)
    copy = load_artifact(target)
    assert copy.fingerprint == tiny_artifact.fingerprint
    for name in ("model.int8.onnx", "tokenizer.json"):
        assert copy.file(name).read_bytes() == tiny_artifact.file(name).read_bytes()
    assert (target / "README.md").read_text() == "# tiny\n"
    assert not (target / "reliability.svg").exists()


def test_diagram_of_the_card_is_copied_and_is_no_part_of_the_fingerprint(folder, tmp_path):
    before = load_artifact(folder).fingerprint
    (folder / "reliability.svg").write_text("<svg/>\n")
    artifact = load_artifact(folder)
    assert artifact.fingerprint == before
    save_artifact(artifact, tmp_path / "new")
    assert (tmp_path / "new" / "reliability.svg").read_text() == "<svg/>\n"


def test_saving_over_itself_leaves_it_whole(folder):
    artifact = load_artifact(folder)
    save_artifact(artifact, folder)
    assert load_artifact(folder) == artifact
    assert artifact.file("model.int8.onnx").exists()


def test_altered_file_is_not_copied_into_an_artifact(folder, tmp_path):
    artifact = load_artifact(folder)
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ArtifactCorruptError, match=r"tokenizer\.json"):
        save_artifact(artifact, tmp_path / "new")
    assert not (tmp_path / "new" / "affect.json").exists()
