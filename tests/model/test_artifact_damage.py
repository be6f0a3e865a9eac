"""Whatever happens to a file of an artifact is found before it is used, and named with a remedy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.errors import ArtifactCorruptError, ArtifactError, ArtifactNotFoundError
from affectlib.model.artifacts import bundled_models, load_artifact
from affectlib.taxonomy import OUTPUTS
from tests.conftest import write_manifest

FILES = {
    "config.json": "torch",
    "model.safetensors": "torch",
    "model.int8.onnx": "onnx",
    "tokenizer.json": "onnx",
}
"""The files that are held against their hashes, and an engine that uses each."""


def truncate(path, _):
    path.write_bytes(path.read_bytes()[:-10])


def empty(path, _):
    path.write_bytes(b"")


def flip_a_bit(path, _):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path, other):
    path.write_bytes((other / path.name).read_bytes())


def remove(path, _):
    path.unlink()


def make_a_folder(path, _):
    path.unlink()
    path.mkdir()


@pytest.fixture(scope="session")
def other_folder(bert_folder, tmp_path_factory):
    """Another artifact of the same kind: each of its files differs."""
    folder = shutil.copytree(bert_folder, tmp_path_factory.mktemp("other") / "artifact")
    for name in ("config.json", "tokenizer.json"):
        values = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(values, indent=3), encoding="utf-8")
    for name in ("model.safetensors", "model.int8.onnx"):
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)
    return write_manifest(folder, name="other")


@pytest.fixture
def folder(bert_folder, tmp_path):
    """A copy of an artifact with all files, which a test may damage."""
    return shutil.copytree(bert_folder, tmp_path / "copy")


def load(folder, engine):
    return AffectClassifier.from_pretrained(folder, engine=engine, device="cpu")


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_what_is_whole_is_loaded(folder, engine):
    assert load(folder, engine).artifact.name == "tiny-bert"


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit, swap, remove, make_a_folder])
@pytest.mark.parametrize("name", FILES)
def test_damaged_file_is_named_with_a_remedy(folder, other_folder, name, damage):
    damage(folder / name, other_folder)
    with pytest.raises(ArtifactCorruptError) as caught:
        load(folder, FILES[name])
    assert isinstance(caught.value, ArtifactError)
    assert str(folder / name) in str(caught.value)
    assert "again" in str(caught.value)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_manifest_of_another_artifact_does_not_fit(folder, other_folder, engine):
    swap(folder / "affect.json", other_folder)
    with pytest.raises(ArtifactCorruptError, match="or belongs to another model"):
        load(folder, engine)


@pytest.mark.parametrize("damage", [remove, make_a_folder])
def test_folder_without_a_manifest_is_no_artifact(folder, damage):
    damage(folder / "affect.json", None)
    with pytest.raises(ArtifactNotFoundError, match=r"affect\.json"):
        load_artifact(folder)


@pytest.mark.parametrize("name", FILES)
def test_file_that_the_manifest_does_not_list_is_not_used(folder, name):
    values = json.loads((folder / "affect.json").read_text(encoding="utf-8"))
    del values["files"][name]
    write_manifest(folder, **values)
    with pytest.raises(ArtifactCorruptError, match=name):
        load(folder, FILES[name])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"{}", b"no model"])
def test_file_that_is_none_although_its_hash_fits_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    write_manifest(folder, name="tiny-bert")
    with pytest.raises(ArtifactCorruptError, match=str(folder)):
        load(folder, FILES[name])


def test_weights_that_lack_some_are_not_filled_up(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_manifest(folder)
    with pytest.raises(ArtifactCorruptError, match=r"classifier\.weight"):
        load(folder, "torch")


def test_pickled_weights_are_never_read(folder):
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch evil'\ntR.")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArtifactCorruptError, match=r"model\.safetensors"):
        load(folder, "torch")


def test_code_in_the_folder_is_never_run(folder, tmp_path):
    mark = tmp_path / "was run"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n", encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "evil",
        "auto_map": {
            "AutoConfig": "evil.Config",
            "AutoModelForSequenceClassification": "evil.Model",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_manifest(folder)
    with pytest.raises(ArtifactCorruptError):
        load(folder, "torch")
    assert not mark.exists()


def test_no_flipped_bit_of_the_manifest_loads_with_another_content(tmp_path):
    folder = bundled_models()["affect-small"]
    shutil.copy(folder / "config.json", tmp_path)
    content = (folder / "affect.json").read_bytes()
    whole = load_artifact(folder)
    loaded = 0
    places = range(0, len(content), 31)
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "affect.json").write_bytes(flipped)
        try:
            found = load_artifact(tmp_path)
        except ArtifactCorruptError:
            continue
        loaded += 1
        assert replace(found, folder=folder, fingerprint=whole.fingerprint) == whole
    assert loaded < len(places) // 10, "white space, and what else means the same"


def test_a_manifest_may_be_laid_out_in_another_way(folder):
    values = json.loads((folder / "affect.json").read_text(encoding="utf-8"))
    text = json.dumps(dict(reversed(values.items())), indent=7)
    (folder / "affect.json").write_text(text, encoding="utf-8")
    assert load(folder, "onnx").artifact.name == "tiny-bert"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda values: values["operating_points"]["balanced"].update(message=0.4), "altered"),
        (lambda values: values["outputs"].reverse(), "altered"),
        (lambda values: values.pop("sha256"), '"sha256" is missing'),
        (lambda values: values.update(sha256=3), '"sha256" has the wrong type'),
        (lambda values: values.update(note="x"), "altered"),
    ],
)
def test_a_manifest_that_was_altered_is_refused(folder, change, named):
    values = json.loads((folder / "affect.json").read_text(encoding="utf-8"))
    change(values)
    (folder / "affect.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ArtifactCorruptError, match=named):
        load_artifact(folder)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_outputs_in_another_order_than_the_models_are_refused(folder, engine):
    write_manifest(folder, outputs=[OUTPUTS[1], OUTPUTS[0], *OUTPUTS[2:]])
    with pytest.raises(ArtifactCorruptError, match=r'"outputs" are not those of config\.json'):
        load(folder, engine)


@pytest.mark.parametrize("version", [1, 2])
def test_artifacts_that_read_each_message_by_itself_are_refused(folder, version):
    values = json.loads((folder / "affect.json").read_text(encoding="utf-8"))
    del values["sha256"]  # the first format has none
    (folder / "affect.json").write_text(json.dumps(values | {"format": version}), encoding="utf-8")
    with pytest.raises(ArtifactCorruptError, match=rf"older \(format {version}.*make it anew"):
        load_artifact(folder)
